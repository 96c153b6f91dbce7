"""A platform for benchmarks: API and loop as processes over a store of our choice, on free loopback ports."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx2
from testbeds.ports import Ports

from hutong.config import Settings
from hutong.server.services import bootstrap, open_services

SITE = {
    "id": "bj", "name_zh": "北京", "name_en": "Beijing", "region": "beijing", "distance_km": 10,
    "pools": [
        {"id": "main", "accelerator": "H100", "nodes": 100_000, "cards_per_node": 8,
         "price_per_card_hour": {"amount": "10"}, "pue": "1.2"},
    ],
    "supply": {"green_ppm": [500_000] * 24, "grams_per_kwh": [500] * 24, "source": "invented", "synthetic": True},
}  # fmt: skip


@dataclass(slots=True)
class Rig:
    """Starts and stops the platform's processes; each is stopped by its own id."""

    data: Path
    database: str
    port: int = 0
    token: str = ""
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _ports: Ports = field(default_factory=Ports)

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Rig":
        self.port = self._ports.take()
        settings = Settings.load(self.data, database=self.database)
        services = open_services(settings)
        try:
            self.token = bootstrap(services)[1]
        finally:
            services.close()
        self.start("api")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._children):
            self.stop(name)
        self._ports.release()

    def start(self, name: str) -> None:
        """Start one part of the platform and wait until it answers."""
        env = {
            **os.environ,
            "HUTONG_DATABASE": self.database,
            "HUTONG_API_PORT": str(self.port),
            "HUTONG_LOG_LEVEL": "WARNING",
        }
        log = (self.data / f"{name}.log").open("ab")
        command = [sys.executable, "-m", "hutong.main", "serve", name, "--data", str(self.data)]
        self._children[name] = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        log.close()
        if name == "api":
            self._wait()

    def stop(self, name: str) -> None:
        """Stop one part."""
        child = self._children.pop(name)
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(5)

    def client(self, token: str | None = None) -> httpx2.Client:
        """Return an HTTP client that carries a token."""
        headers = {"authorization": f"Bearer {token or self.token}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60.0)

    def set_up(self) -> str:
        """Open institution, project and site through the API; return the site's token."""
        with self.client() as client:
            lab = {"id": "uni", "kind": "university", "name_zh": "大学", "name_en": "University"}
            _ok(client.post("/v1/institutions", json=lab))
            project = {"id": "bench", "institution": "uni", "title": "Benchmark", "owner": "admin"}
            _ok(client.post("/v1/projects", json=project))
            _ok(client.post("/v1/sites", json=SITE))
            return str(_ok(client.post("/v1/sites/bj/tokens"))["secret"])

    def give_money(self, amount: str) -> None:
        """Award the project that many yuan."""
        award = {
            "amount": {"amount": amount},
            "starts": "2026-01-01T00:00:00Z",
            "ends": "2036-01-01T00:00:00Z",
        }
        with self.client() as client:
            _ok(client.post("/v1/projects/bench/awards", json=award))

    def _wait(self) -> None:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            try:
                if httpx2.get(f"{self.url}/healthz", timeout=2.0).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.05)
        raise TimeoutError((self.data / "api.log").read_text()[-2000:])


def _ok(answer: httpx2.Response) -> dict[str, object]:
    if answer.status_code >= 300:
        raise RuntimeError(
            f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
        )
    body: dict[str, object] = answer.json()
    return body
