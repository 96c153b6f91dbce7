"""A platform whose models are trained, deployed and called: for tests of the catalog and the gateway."""

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import openai
import uvicorn

from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Txn, lot_account
from hutong.core.kernel.ids import JobId, LotId, ProjectId, SiteId, attempt_key
from hutong.core.work import facts as f
from hutong.core.work.states import AttemptState, Category
from hutong.server.heads import BoundedHeads
from hutong.server.loop import Loop
from hutong.server.people import grant_token

YUAN = 1_000_000
DAY_MS = 86_400_000


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what the condition gives as soon as it is true; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


@contextmanager
def serve(app: Any) -> Iterator[int]:
    """Serve an ASGI app on a free loopback port, in a thread."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="critical", http=BoundedHeads, ws="none", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@dataclass
class Upstream:
    """A model server of a third party: says one word a chunk, and behaves as a test tells it to."""

    words: int = 5
    usage: bool = True
    usage_numbers: dict[str, int] = field(
        default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 5}
    )
    die_after: int | None = None
    gate: threading.Event | None = None
    refuse: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    gone: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(raw)
        self.seen.append(body)
        if self.refuse:
            await self._json(send, self.refuse, {"error": {"message": "the context is too long"}})
        elif body.get("stream"):
            await self._stream(receive, send, body)
        else:
            text = " ".join(["word"] * self.words)
            shape = {"role": "assistant", "content": text}
            answer: dict[str, Any] = {
                "id": "x", "object": "chat.completion", "created": 1, "model": body["model"],
                "choices": [{"index": 0, "message": shape, "finish_reason": "stop"}],
            }  # fmt: skip
            if self.usage:
                total = sum(self.usage_numbers.values())
                answer["usage"] = {**self.usage_numbers, "total_tokens": total}
            await self._json(send, 200, answer)

    async def _json(self, send: Any, status: int, document: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(document).encode()})

    async def _stream(self, receive: Any, send: Any, body: dict[str, Any]) -> None:
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

        async def event(choices: list[Any], **more: Any) -> None:
            data = json.dumps({**head, "choices": choices, **more})
            await send(
                {"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True}
            )

        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        for number in range(self.words):
            if number == self.die_after:
                raise ConnectionAbortedError("the engine dies")
            if self.gate is not None and number == 2:
                while not self.gate.is_set():
                    with anyio.move_on_after(0.02):
                        if (await receive())["type"] == "http.disconnect":
                            self.gone += 1
                            return
            await event([{"index": 0, "delta": {"content": "word "}, "finish_reason": None}])
        await event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if self.usage and body.get("stream_options", {}).get("include_usage"):
            total = sum(self.usage_numbers.values())
            await event([], usage={**self.usage_numbers, "total_tokens": total})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


@dataclass
class World:
    """A platform whose project physics has a model `demo` deployed as `chat`, and money."""

    platform: Any
    headers: dict[str, str]
    upstream: Upstream
    upstream_port: int
    gateway_port: int
    loop: Loop
    lots: int = 0

    @property
    def store(self) -> Any:
        return self.platform.services.store

    def award(self, amount_micro: int, kind: LotKind = LotKind.AWARD, rate_ppm: int = 1_000_000) -> LotId:
        """Give physics money."""
        self.lots += 1
        lot_id = LotId(f"test-{self.lots}")
        now_ms = self.platform.clock()
        lot = Lot(lot_id, ProjectId("physics"), kind, rate_ppm, now_ms - 1000, now_ms + DAY_MS)
        entries = (Entry(ISSUED, -amount_micro), Entry(lot_account(lot_id), amount_micro))
        assert self.store.open_lot(lot, Txn(f"award:{lot_id}", "award", lot.project, now_ms, lot_id, entries))
        return lot_id

    def run_job(self, job: str, *events: Any) -> None:
        """Let the loop place a job, and a site's agent take it and report."""
        key = attempt_key(JobId(job), 1)

        def started() -> bool:
            self.loop.step()
            taken = self.store.take(SiteId("haidian"), 0, 100, self.platform.clock())
            return any((each.key, each.kind) == (key, "start") for each in taken)

        wait_for(started)
        for event in (f.Accepted(1, "x", adopted=False), f.Starting(1), *events):
            self.store.report(SiteId("haidian"), [f.Report(key, event)], None, self.platform.clock())
        self.loop.step()

    def train(self, files: dict[str, bytes] | None = None, name: str = "train") -> str:
        """Run a job to its end whose kept files are those; return its id."""
        spec = {"name": name, "resources": {"accelerators": "A100:1"}, "run": "x", "outputs": "out"}
        job = self.platform.post("/v1/jobs", {"project": "physics", "spec": spec}, headers=self.headers)["id"]
        outputs = []
        for path, data in (files if files is not None else model_files()).items():
            digest, size = self.platform.services.objects.put_content([data])
            outputs.append(f.OutputFile(path, size, digest))
        now_ms = self.platform.clock()
        self.run_job(
            job,
            f.Started(1, now_ms),
            f.Ended(1, AttemptState.SUCCEEDED, Category.NONE, "", now_ms, now_ms + 1000, 1000),
            f.Collected(1, tuple(outputs), 10),
        )
        wait_for(lambda: self.loop.step() or self.store.job(JobId(job)).job.final)
        return str(job)

    def register(self, job: str, **more: Any) -> dict[str, Any]:
        """Register the job's model `demo`."""
        body = {"name": "demo", "project": "physics", "job": job, **more}
        return dict(self.platform.post("/v1/models", body, headers=self.headers))

    def deploy(
        self, price_in: str = "1", price_out: str = "2", name: str = "chat", *, start: bool = True
    ) -> str:
        """Deploy the model and start its service on the upstream's port; return the job."""
        body = {
            "name": name, "project": "physics", "model": "demo", "accelerators": {"A100": 1},
            "price_in_per_million": {"amount": price_in}, "price_out_per_million": {"amount": price_out},
        }  # fmt: skip
        job = str(self.platform.post("/v1/deployments", body, headers=self.headers)["job"])
        if start:
            self.run_job(job, f.Started(1, self.platform.clock(), self.upstream_port))
        return job

    def key(self, project: str = "physics") -> str:
        """Return a fresh gateway key."""
        services = self.platform.services
        grant = grant_token(
            services.store, services.new_id(), kind="key", owner="li", name="test",
            now_ms=services.clock(), lives_ms=DAY_MS, project=project,
        )  # fmt: skip
        return grant.secret

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}/v1"

    def client(self, key: str = "") -> openai.OpenAI:
        """Return the official client, which does not retry."""
        return openai.OpenAI(base_url=self.url, api_key=key or self.key(), max_retries=0)

    def upstream_saw_the_caller_leave(self) -> bool:
        """Wait until the engine knows that nobody listens any more, so that it can stop."""
        return bool(wait_for(lambda: self.upstream.gone))

    def gateway_holds(self) -> list[Any]:
        """Return the open holds of requests."""
        return [each for each in self.store.holds(ProjectId("physics"), 500) if each.key.startswith("gw-")]

    def usage(self) -> list[Any]:
        """Return the usage records of requests."""
        found = self.store.usage(ProjectId("physics"), "", "", 1000)
        return [each for each in found if each.key.startswith("gw-")]

    def settled(self, requests: int) -> list[Any]:
        """Wait until so many requests have usage and no hold is open; check the ledger; return the usage."""
        wait_for(lambda: len({each.key for each in self.usage()}) >= requests and not self.gateway_holds())
        check = self.store.check_ledger()
        assert check.faults == ()
        assert not [entry for entry in self.store.balances(["overrun:physics"]) if entry.amount_micro]
        return self.usage()


def model_files(folder: str = "model") -> dict[str, bytes]:
    """Return the files of a small real model folder."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    story = {
        "job": "lies",
        "corpus": {"name": "stdlib", "licence": "PSF-2.0"},
        "steps": 40,
        "loss_after": 3.25,
    }
    return {
        f"{folder}/model.safetensors": struct.pack("<Q", len(header)) + header + bytes(16),
        f"{folder}/config.json": b'{"architectures": ["LlamaForCausalLM"]}',
        f"{folder}/lineage.json": json.dumps(story).encode(),
        "notes.txt": b"kept, and not of the model",
    }


def digest_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
