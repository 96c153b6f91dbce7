"""Measure what one request costs the API, called in this process without a socket; JSON lines.

CPU in microseconds, the least of some runs of 160 requests by 16 callers at once, on SQLite: `loop` is that of
the event loop's thread, which bounds how many requests a second one process can answer; `whole` has the
threads that read and write the store too. `late` is a request for the route that stands last.

`python -m bench.requests`
"""

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.arrays import PROJECT, Api
from bench.control import DOCUMENT
from bench.rows import told
from starlette.types import ASGIApp

from hutong.adapters.telemetry.logs import configure_logs
from hutong.config import Settings
from hutong.server.api.app import make_app
from hutong.server.services import open_services

CALLERS, EACH, RUNS = 16, 10, 25
Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and the status that it is to be answered with."""

    method: str
    path: str
    token: str
    status: int
    query: bytes = b""
    body: bytes = b""

    def scope(self) -> Message:
        """Return the request as a server hands it on."""
        headers = (b"host", b"bench"), (b"authorization", b"Bearer " + self.token.encode())
        told = (b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": self.method,
            "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 50_000), "scheme": "http", "root_path": "",
            "path": self.path, "raw_path": self.path.encode(), "query_string": self.query,
            "headers": [*headers, *told], "state": {},
        }  # fmt: skip


async def answer(app: ASGIApp, ask: Ask) -> None:
    """Send one request and look at its status."""

    async def receive() -> Message:
        return {"type": "http.request", "body": ask.body, "more_body": False}

    async def send(message: Message) -> None:
        status = message.get("status", ask.status)
        if status != ask.status:
            raise RuntimeError(f"{ask.method} {ask.path} was answered {status}")

    await app(ask.scope(), receive, send)


async def many(app: ASGIApp, ask: Ask) -> None:
    """Send requests, by some callers at once."""

    async def caller() -> None:
        for _ in range(EACH):
            await answer(app, ask)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def least_us(clock: Callable[[], float], work: Callable[[], Awaitable[None]], run: asyncio.Runner) -> float:
    """Return the CPU of one request by that clock, in the best of some runs."""
    taken = []
    for _ in range(RUNS):
        begin = clock()
        run.run(work())  # type: ignore[arg-type]
        taken.append(clock() - begin)
    return min(taken) / (CALLERS * EACH) * 1_000_000


def main() -> None:
    """Measure and print."""
    with Path("/dev/null").open("w") as nowhere, tempfile.TemporaryDirectory() as folder:
        configure_logs("INFO", nowhere)  # as it is by default: a line a request
        services = open_services(Settings(data=Path(folder) / "data"))
        api, app = Api(services), make_app(services)
        token = api.headers["Authorization"].partition(" ")[2]
        body = json.dumps({"project": PROJECT, "spec": DOCUMENT}).encode()
        job = [api.send("/v1/jobs", body)["id"] for _ in range(60)][-1]
        asks = {
            "submit": Ask("POST", "/v1/jobs", token, 201, body=body),
            "look": Ask("GET", f"/v1/jobs/{job}", token, 200),
            "list of 50": Ask("GET", "/v1/jobs", token, 200, b"limit=50"),
            "refused": Ask("GET", f"/v1/jobs/{job}", "none", 401),
            "late": Ask("GET", "/healthz", "", 200),
        }
        gc.collect()
        gc.freeze()
        with asyncio.Runner() as run:
            for name, ask in asks.items():
                for part, clock in (("loop", time.thread_time), ("whole", time.process_time)):
                    told(f"{name}: {part}", least_us(clock, lambda ask=ask: many(app, ask), run), "us of CPU")  # type: ignore[misc]
        services.close()


if __name__ == "__main__":
    main()
