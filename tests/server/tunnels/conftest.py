"""A whole platform in one process: API, gateway, loop, and an agent of a real local engine, on loopback."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from testbeds.ports import Ports
from tests.server.conftest import SITE, Clock, Platform
from tests.server.serving import YUAN, wait_for

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.agent.config import AgentConfig
from hutong.agent.run import run_agent
from hutong.config import Settings
from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Txn, lot_account
from hutong.core.kernel.ids import JobId, LotId, ProjectId
from hutong.server.api.app import make_app
from hutong.server.gateway.app import make_gateway
from hutong.server.heads import BoundedHeads
from hutong.server.loop import Loop
from hutong.server.services import bootstrap, open_services

DAY_MS = 86_400_000
# A server of the standard library that says who asked for what.
SERVER = r"""
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        text = (self.command + " " + self.path + "\n" + str(self.headers) + "\n").encode() + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Set-Cookie", "theme=dark; Domain=localhost; Path=/")
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = do_PUT = answer
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["HUTONG_PORT"])), Handler).serve_forever()
"""


@contextmanager
def serving(app: Any, port: int, ws: str = "none") -> Iterator[None]:
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="critical", http=BoundedHeads, ws=ws,
        timeout_graceful_shutdown=2, ws_per_message_deflate=False,
    )  # type: ignore[arg-type] # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@dataclass
class Reachable:
    """A platform whose site runs real processes; what a test wants to do with it."""

    platform: Platform
    li: dict[str, str]
    config: AgentConfig
    gateway_port: int
    loop: Loop
    visitors: list["Visitor"] = field(default_factory=list)
    agents: list[tuple[threading.Thread, threading.Event]] = field(default_factory=list)

    def start_agent(self) -> None:
        ended = threading.Event()
        thread = threading.Thread(target=run_agent, args=(self.config,), kwargs={"ended": ended}, daemon=True)
        thread.start()
        self.agents.append((thread, ended))

    def stop_agents(self) -> None:
        for thread, ended in self.agents:
            ended.set()
            thread.join(60)
            assert not thread.is_alive()
        self.agents.clear()

    def run(self, run: str, **spec: Any) -> str:
        """Submit a job of physics and wait until it runs."""
        fields = {"name": "try", "type": "notebook", "resources": {"accelerators": "A100:1"}, "grace": "1s"}
        job = self.submit(run, **{**fields, **spec})
        self.await_state(job, "RUNNING")
        return job

    def submit(self, run: str, **spec: Any) -> str:
        fields = {"name": "try", "resources": {"accelerators": "A100:1"}, "run": run}
        body = {"project": "physics", "spec": {**fields, **spec}}
        return str(self.platform.post("/v1/jobs", body, headers=self.li)["id"])

    def await_state(self, job: str, state: str) -> None:
        def there() -> bool:
            row = self.platform.services.store.job(JobId(job))
            assert row is not None
            assert row.job.state.value == state or not row.job.final, (row.job.state, row.job.reason)
            return row.job.state.value == state

        wait_for(there, 60)

    def serve_http(self, program: str = SERVER, **spec: Any) -> str:
        """Run a job that serves HTTP on its port."""
        return self.run(f"exec python3 - <<'END'\n{program}\nEND", **spec)

    def open(self, job: str, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
        return self.platform.post(f"/v1/jobs/{job}/open", body, headers=headers or self.li)

    def host(self, job: str) -> str:
        return f"{job.lower()}.localhost:{self.gateway_port}"

    def stranger(self, job: str) -> "Visitor":
        """Return somebody at the job's door who has no ticket."""
        self.visitors.append(Visitor(self, job))
        return self.visitors[-1]

    def visit(self, job: str, headers: dict[str, str] | None = None) -> "Visitor":
        """Return a visitor who came in by a fresh ticket."""
        visitor = self.stranger(job)
        answer = visitor.get(self.open(job, headers)["url"].partition(self.host(job))[2])
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == "/"
        return visitor


class Visitor:
    """A browser's way in: cookies for one host, and the host's name in its header."""

    def __init__(self, world: Reachable, job: str) -> None:
        self.host = world.host(job)
        self.cookie = ""
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{world.gateway_port}", timeout=60, trust_env=False
        )

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        mine = {"Host": self.host, **({"Cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        answer = self.client.request(method, path, headers=mine, **more)
        self.client.cookies.clear()
        told = answer.headers.get("set-cookie", "")
        if told.startswith("hutong-visit="):
            self.cookie = told.partition(";")[0]
        return answer

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.ask("GET", path, **more)

    def until_up(self, path: str = "/") -> httpx2.Response:
        """Ask until the job's server listens."""
        return wait_for(lambda: a if (a := self.get(path)).status_code == 200 else None, 60)  # type: ignore[no-any-return]


@pytest.fixture
def world(tmp_path: Path, opened: Callable[..., Reachable]) -> Reachable:
    return opened(tmp_path)


@pytest.fixture
def opened() -> Iterator[Callable[..., Reachable]]:
    """Return what opens a platform in a folder; `site` changes the site's record."""
    with ExitStack() as stack:

        def build(root: Path, **site: Any) -> Reachable:
            return stack.enter_context(opened_world(root, **site))

        yield build


@contextmanager
def opened_world(
    root: Path, isolation: str = "none", engine: Callable[[FolderConfig], Any] | None = None, **site: Any
) -> Iterator[Reachable]:
    """Open a platform; `engine` makes the configuration of another engine from the folders."""
    clock = Clock()
    with ExitStack() as stack:
        ports = stack.enter_context(Ports())
        api_port, gateway_port = ports.take(), ports.take()
        settings = Settings(data=root / "data", gateway_port=gateway_port, api_port=api_port)
        services = replace(open_services(settings), clock=clock)
        stack.callback(services.close)
        _, token = bootstrap(services)
        http = httpx2.Client(base_url=f"http://127.0.0.1:{api_port}", timeout=60, trust_env=False)
        stack.callback(http.close)
        stack.enter_context(serving(make_app(services), api_port))
        stack.enter_context(serving(make_gateway(services), gateway_port, "websockets-sansio"))
        platform = Platform(services, http, clock, {"Authorization": f"Bearer {token}"})  # type: ignore[arg-type]
        tenant = {"id": "tsinghua", "kind": "university", "name_zh": "清华", "name_en": "Tsinghua"}
        platform.post("/v1/institutions", tenant)
        platform.post("/v1/sites", {**SITE, **site})
        li = platform.person("li", "physics")
        _award(services)
        loop = Loop(services.store, services.rules, clock, "test")
        ended = threading.Event()
        looping = threading.Thread(target=loop.run, args=(ended,), daemon=True)
        looping.start()
        stack.callback(lambda: (ended.set(), looping.join(60)))
        payloads = root / "payloads"
        payloads.mkdir()
        (root / "site").mkdir()
        folder = FolderConfig(root / "site", payloads, isolation=isolation)
        config_of = engine or (lambda config: config)
        secret = platform.agent("haidian")["Authorization"].removeprefix("Bearer ")
        config = AgentConfig(
            "haidian", f"http://127.0.0.1:{api_port}", secret, root / "agent", config_of(folder)
        )
        world = Reachable(platform, li, config, gateway_port, loop)
        stack.callback(lambda: [each.client.close() for each in world.visitors])
        stack.callback(world.stop_agents)
        stack.callback(_stop_jobs, world)
        world.start_agent()
        yield world


def _award(services: Any) -> None:
    now_ms = services.clock()
    lot_id = LotId("test-lot")
    lot = Lot(lot_id, ProjectId("physics"), LotKind.AWARD, 1_000_000, now_ms - 1000, now_ms + 30 * DAY_MS)
    entries = (Entry(ISSUED, -100_000 * YUAN), Entry(lot_account(lot_id), 100_000 * YUAN))
    assert services.store.open_lot(lot, Txn(f"award:{lot_id}", "award", lot.project, now_ms, lot_id, entries))


def _stop_jobs(world: Reachable) -> None:
    """Leave no process behind: cancel what runs and wait for its end."""
    if not world.agents:
        world.start_agent()
    for job in world.platform.http.get("/v1/jobs", headers=world.li).json()["items"]:
        if job["finished"] is None:
            world.platform.post(f"/v1/jobs/{job['id']}/cancel", headers=world.li)

    def over() -> bool:
        jobs = world.platform.http.get("/v1/jobs", headers=world.li).json()["items"]
        return all(job["finished"] for job in jobs)

    wait_for(over, 60)
