"""The command line before a real API, `hutong serve api` in a process of its own: a project with money.

All tests of a worker share it: what a test makes has a name of its own.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from testbeds.ports import Ports
from typer.testing import CliRunner

from hutong import Client
from hutong.config import Settings, now_ms
from hutong.core.kernel.errors import Later
from hutong.core.kernel.quantities import DAY_MS
from hutong.main import cli
from hutong.server.services import bootstrap, open_services
from hutong.wire.accounts import Institution, NewPerson, NewProject
from hutong.wire.base import Money, rfc3339
from hutong.wire.money import NewAward
from hutong.wire.sites import NewSite

PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class House:
    """A running API and who is who in it."""

    url: str
    admin: str
    user: str
    folder: Path

    def run(
        self, *words: str, text: str = "", env: Mapping[str, str] | None = None, admin: bool = False
    ) -> Ran:
        """Run a command as the user (or the operator) and return what it said."""
        base = {
            "HUTONG_URL": self.url,
            "HUTONG_TOKEN": self.admin if admin else self.user,
            "HUTONG_CONFIG": str(self.folder / "config.toml"),
            "HUTONG_PROJECT": "",
            "COLUMNS": "80",
        }
        done = CliRunner().invoke(cli, list(words), input=text, env={**base, **(env or {})})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    services = open_services(Settings(data=folder / "data"))
    _, admin = bootstrap(services)
    services.close()
    program = [sys.executable, "-m", "hutong.main", "serve", "api", "--data", str(folder / "data")]
    with Ports() as ports, (folder / "api.log").open("w") as log:
        port = ports.take()
        url = f"http://127.0.0.1:{port}"
        server = subprocess.Popen([*program, "--port", str(port)], stdout=log, stderr=log)
        try:
            _wait(url, admin, server)
            yield House(url, admin, _people(url, admin), folder)
        finally:
            server.terminate()
            assert server.wait(60) in {0, -signal.SIGTERM}, "the API ends in order"


def _people(url: str, admin: str) -> str:
    with Client(url, admin) as operator, Client(url, "") as user:
        operator.institutions.create(Institution(id="uni", kind="university", name_zh="大学", name_en="Uni"))
        operator.people.create(NewPerson(id="li-na", name="李娜", institution="uni", password=PASSWORD))
        operator.projects.create(NewProject(id="poems", institution="uni", title="诗", owner="li-na"))
        ends = rfc3339(now_ms() + 90 * DAY_MS)
        award = NewAward(amount=Money(amount="100"), starts=rfc3339(now_ms()), ends=ends)
        operator.projects.award("poems", award)
        operator.sites.create(_site())
        return user.login("li-na", PASSWORD).secret or ""


def _site() -> NewSite:
    return NewSite.model_validate(
        {
            "id": "haidian", "name_zh": "海淀", "name_en": "Haidian", "region": "Beijing", "distance_km": 9,
            "declared_only": True,
            "pools": [
                {
                    "id": "h100", "accelerator": "H100", "nodes": 2, "cards_per_node": 8,
                    "price_per_card_hour": {"amount": "14"}, "pue": "1.2",
                }
            ],
            "supply": {"green_ppm": [1] * 24, "grams_per_kwh": [1] * 24, "source": "made up"},
        }
    )  # fmt: skip


def _wait(url: str, admin: str, server: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + 120
    with Client(url, admin, trials=1) as client:
        while True:
            try:
                client.me()
            except Later:
                assert server.poll() is None, "the API died"
                assert time.monotonic() < deadline_s, "the API did not start"
                time.sleep(0.05)
            else:
                return
