"""A platform for tests: real services over SQLite in a folder, the API in process, people and a site."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hutong.config import Settings, now_ms
from hutong.core.accounts.registry import Person
from hutong.core.book.store import Record
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.api.app import make_app
from hutong.server.people import grant_token
from hutong.server.registry import document
from hutong.server.services import Services, bootstrap, open_services

SITE: dict[str, Any] = {
    "id": "haidian",
    "name_zh": "海淀",
    "name_en": "Haidian",
    "region": "beijing",
    "distance_km": 10,
    "pools": [
        {
            "id": "a100",
            "accelerator": "A100",
            "nodes": 2,
            "cards_per_node": 8,
            "price_per_card_hour": {"amount": "7.2"},
            "pue": "1.2",
        }
    ],
    "supply": {"green_ppm": [400_000] * 24, "grams_per_kwh": [550] * 24, "source": "test"},
    "declared_only": True,
}
SPEC: dict[str, Any] = {"name": "train", "resources": {"accelerators": "A100:1"}, "run": "echo hello"}


@dataclass(slots=True)
class Clock:
    """A clock that a test can push ahead."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms


@dataclass(frozen=True)
class Platform:
    """The API over real services, with an operator signed in."""

    services: Services
    http: TestClient
    clock: Clock
    operator: dict[str, str]

    def post(self, path: str, body: Any = None, **kw: Any) -> dict[str, Any]:
        """POST as the operator; must succeed."""
        answer = self.http.post(path, json=body, headers=kw.pop("headers", self.operator), **kw)
        assert answer.status_code in {200, 201}, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def person(self, name: str, project: str = "") -> dict[str, str]:
        """Make a person of the university, a project of theirs if named, and return their headers.

        Straight into the registry: hashing passwords would take most of the tests' time.
        """
        here = self.services
        person = Person(name, name, "tsinghua")
        here.store.put(Record("person", name, document(person), "tsinghua"), expect=0)
        if project:
            self.post(
                "/v1/projects",
                {"id": project, "institution": "tsinghua", "title": project, "owner": name},
            )
        grant = grant_token(
            here.store,
            here.new_id(),
            kind="person",
            owner=name,
            name="test",
            now_ms=here.clock(),
            lives_ms=DAY_MS,
        )
        return {"Authorization": f"Bearer {grant.secret}"}

    def agent(self, site: str) -> dict[str, str]:
        """Return the headers of a site's agent."""
        return {"Authorization": f"Bearer {self.post(f'/v1/sites/{site}/tokens')['secret']}"}


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A platform's folder with an operator and a university, to be copied, and the operator's token."""
    folder = tmp_path_factory.mktemp("founded") / "data"
    services = open_services(Settings(data=folder))
    _, token = bootstrap(services)
    with TestClient(make_app(services), raise_server_exceptions=False) as http:
        found = Platform(services, http, Clock(), {"Authorization": f"Bearer {token}"})
        tenant = {"id": "tsinghua", "kind": "university", "name_zh": "清华", "name_en": "Tsinghua"}
        found.post("/v1/institutions", tenant)
    services.close()
    return folder, token


@pytest.fixture
def platform(tmp_path: Path, founded: tuple[Path, str]) -> Iterator[Platform]:
    folder, token = founded
    shutil.copytree(folder, tmp_path / "data")
    clock = Clock()
    services = replace(open_services(Settings(data=tmp_path / "data")), clock=clock)
    with TestClient(make_app(services), raise_server_exceptions=False) as http:
        yield Platform(services, http, clock, {"Authorization": f"Bearer {token}"})
    services.close()


@pytest.fixture
def li(platform: Platform) -> dict[str, str]:
    """Li, owner of project physics; a site is registered."""
    platform.post("/v1/sites", SITE)
    return platform.person("li", "physics")


@pytest.fixture
def wang(platform: Platform) -> dict[str, str]:
    """Wang, owner of project biology and a stranger to physics."""
    return platform.person("wang", "biology")


Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def submit(platform: Platform, li: dict[str, str]) -> Submit:
    """Submit a job of project physics as Li."""

    def work(**changes: Any) -> dict[str, Any]:
        body = {"project": "physics", "spec": {**SPEC, **changes}}
        return platform.post("/v1/jobs", body, headers=li)

    return work
