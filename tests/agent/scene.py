"""A small world for agents: the real book and loop on a clock that jumps, a pretend engine, a bad line."""

import contextlib
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hutong.adapters.engines.base import Engine, Use
from hutong.adapters.engines.memory import MemoryEngine
from hutong.adapters.store.open import open_store
from hutong.agent.accounts import Accounts
from hutong.agent.core import Agent
from hutong.agent.habits import Habits
from hutong.agent.link import Command, Delivery, Link, Reply, SmallLog
from hutong.agent.shipping import digest_of
from hutong.agent.spool import Spool
from hutong.agent.staging import Cache, Stager
from hutong.core.book.money import Entry, Lot, LotKind, Txn
from hutong.core.book.received import Tally
from hutong.core.book.store import NewJob, Record, Sighting, Store
from hutong.core.capacity.sites import Move, Pool, Site, Supply, Transfer
from hutong.core.control.rules import Rules
from hutong.core.kernel.chain import Head
from hutong.core.kernel.errors import Later, NotFound
from hutong.core.kernel.ids import AttemptKey, JobId, LotId, PoolId, ProjectId, SiteId, ulid
from hutong.core.ledger.metering import Limits
from hutong.core.work.facts import CancelAsked, Report
from hutong.core.work.fold import Job
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.server.loop import Loop
from hutong.server.metering import take_in
from hutong.server.registry import read
from hutong.server.sealing import take_in_sealed
from hutong.wire import agent as wire
from hutong.wire.meters import SiteMeters
from hutong.wire.sealed import SealedDoc
from hutong.wire.usage import TallyDoc

T0 = 1_795_000_000_000
SITE = SiteId("east")
LAB = ProjectId("lab")


class Inline(Executor):
    """Does at once what a pool would do soon."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class StoreLink:
    """The line to a platform that is a store in the same process."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self.store = store
        self.clock = clock
        self.objects: dict[str, bytes] = {}
        self.logs: dict[tuple[str, int], bytes] = {}
        self.whole: set[tuple[str, int]] = set()
        self.secrets: dict[str, str] = {}
        self.reports: list[Report] = []
        self.batches: list[tuple[Report, ...]] = []
        self.calls = 0
        self.takes_logs = True

    def take(self, after: int, wait_s: float) -> Delivery:
        self.calls += 1
        taken = self.store.take(SITE, after, 100, self.clock())
        commands = tuple(
            Command(
                each.id, each.key, each.kind, each.project, each.job.id, each.attempt, each.spec, self.secrets
            )
            for each in taken
        )
        watched = frozenset(self.store.watched(SITE, self.clock()))
        return Delivery(commands, watched, self.clock(), takes_logs=self.takes_logs)

    def report(
        self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
    ) -> Reply:
        self.calls += 1
        self.reports += reports
        self.batches.append(tuple(reports))
        for log in logs:
            self.put_log(log.key, log.rank, 0, log.data, whole=True)
        done = self.store.report(SITE, reports, sighting, self.clock())
        return Reply(done.news, done.repeats, done.orphans)

    def account(self, uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        kept = take_in(self.store, SITE, uses, Limits(), f"site:{SITE}", self.clock())
        for day in days:
            self.store.tally(Tally(source=SITE, **day.model_dump()))
        return tuple(each.fate.value for each in kept)

    def sealed_head(self) -> Head:
        return self.store.sealed_head(SITE)

    def send_sealed(self, reports: Sequence[SealedDoc]) -> None:
        record = self.store.get("site", SITE)
        assert record is not None
        take_in_sealed(self.store, read(Site, record), reports, self.clock())

    def has_object(self, digest: str) -> bool:
        return digest in self.objects

    def get_object(self, digest: str, into: Path, go_on: Callable[[], None] = lambda: None) -> None:
        if digest not in self.objects:
            raise NotFound("no_object", f"there is no object {digest}")
        into.write_bytes(self.objects[digest])

    def put_object(self, digest: str, source: Path) -> None:
        assert digest_of(source)[0] == digest
        self.objects[digest] = source.read_bytes()

    def put_log(self, key: AttemptKey, rank: int, offset: int, data: bytes, whole: bool) -> int:
        held = self.logs.get((key, rank), b"")
        if offset > len(held):
            return len(held)
        assert held[offset : offset + len(data)] == data[: len(held) - offset], "a log changed its past"
        self.logs[key, rank] = held if len(held) >= offset + len(data) else held[:offset] + data
        if whole:
            self.whole.add((key, rank))
        return len(self.logs[key, rank])


@dataclass
class BadLine:
    """A line that loses calls before or after their effect, repeats them, and brings old ones again."""

    inner: Link
    dice: random.Random
    loss: float = 0.3
    old: list[tuple[list[Report], Sighting | None, Sequence[SmallLog]]] = field(default_factory=list)

    def _maybe(self, call: Callable[[], Any]) -> Any:
        fate = self.dice.random()
        if fate < self.loss / 2:
            raise Later("lost on the way there")
        answer = call()
        if fate > 0.9:
            answer = call()
        if fate < self.loss:
            raise Later("lost on the way back")
        return answer

    def take(self, after: int, wait_s: float) -> Delivery:
        return self._maybe(lambda: self.inner.take(after, wait_s))

    def report(
        self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
    ) -> Reply:
        self.old.append((list(reports), sighting, logs))
        if self.loss <= 1 and self.dice.random() < 0.2:
            self.inner.report(*self.dice.choice(self.old))
        return self._maybe(lambda: self.inner.report(reports, sighting, logs))

    def account(self, uses: Sequence[Use], days: Sequence[TallyDoc]) -> tuple[str, ...]:
        return self._maybe(lambda: self.inner.account(uses, days))

    def sealed_head(self) -> Head:
        return self._maybe(self.inner.sealed_head)

    def send_sealed(self, reports: Sequence[SealedDoc]) -> None:
        self._maybe(lambda: self.inner.send_sealed(reports))

    def has_object(self, digest: str) -> bool:
        return self._maybe(lambda: self.inner.has_object(digest))

    def get_object(self, digest: str, into: Path, go_on: Callable[[], None] = lambda: None) -> None:
        self._maybe(lambda: self.inner.get_object(digest, into))

    def put_object(self, digest: str, source: Path) -> None:
        self._maybe(lambda: self.inner.put_object(digest, source))

    def put_log(self, key: AttemptKey, rank: int, offset: int, data: bytes, whole: bool) -> int:
        return self._maybe(lambda: self.inner.put_log(key, rank, offset, data, whole))


class World:
    """One site of a platform, with money for everybody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = T0
        self.store = open_store("memory:")
        self.loop = Loop(self.store, Rules(), lambda: self.now, "loop")
        self.engine = MemoryEngine(lambda: self.now)
        self.link = StoreLink(self.store, lambda: self.now)
        self.jobs: list[JobId] = []
        supply = Supply((500_000,) * 24, (500,) * 24, "test")
        pool = Pool(PoolId("main"), "H100", 64, 8, 1_000_000, 1200, "cuda")
        site = Site(SITE, "东", "East", "north", 10, "local", (pool,), supply)
        self.store.put(Record("site", SITE, asdict(site)))
        lot = Lot(LotId("award"), LAB, LotKind.AWARD, 1_000_000, 0, T0 * 2)
        amount = 10**15
        entries = (Entry("lot:award", amount), Entry("issued", -amount))
        assert self.store.open_lot(lot, Txn("award:1", "award", LAB, T0, "award", entries))
        self.link.take(0, 0)  # a site that has called is in reach

    def agent(
        self,
        link: Link | None = None,
        engine: Engine | None = None,
        accounts: Accounts | None = None,
        without: tuple[str, ...] = (),
        **habits: object,
    ) -> Agent:
        line = link or self.link
        return Agent(
            SITE,
            line,
            engine or self.engine,
            Spool(self.folder / "settled.jsonl"),
            lambda: self.now,
            stager=Stager(Cache(self.folder / "cache", line), Inline()),
            pool=Inline(),
            name="test",
            habits=Habits(**habits),  # type: ignore[arg-type]
            offers=("shared/sets",),
            without=without,
            accounts=accounts,
            ticks=lambda: self.now,
        )

    def bad_line(self, dice: random.Random) -> BadLine:
        return BadLine(self.link, dice)

    def submit(self, run: str, **fields: object) -> JobId:
        job = JobId(ulid(self.now, os.urandom(10)))
        base: dict[str, object] = {"max_duration_s": 600, "grace_s": 2, "num_nodes": 1}
        base["resources"] = Resources((Ask("H100", 8),))
        spec = JobSpec("j", JobType.TASK, run=run, **(base | fields))  # type: ignore[arg-type]
        self.store.submit([NewJob(job, LAB, spec, "ann", f"sha256:{job}")], self.now)
        self.jobs.append(job)
        return job

    def cancel(self, job: JobId) -> None:
        self.store.ask(job, CancelAsked("ann"), self.now)

    def job(self, job: JobId) -> Job:
        row = self.store.job(job)
        assert row is not None
        return row.job

    def key(self, job: JobId) -> AttemptKey:
        found = self.job(job)
        assert found.attempt is not None
        return found.key(found.attempt)

    def turn(self) -> None:
        for _ in range(4):
            self.loop.step()

    def go(self, *agents: Agent, steps: int = 1, each_ms: int = 500) -> None:
        """Let the loop and the agents work, and time pass."""
        for _ in range(steps):
            self.turn()
            for agent in agents:
                try:
                    agent.step()
                except Later:
                    continue
            self.now += each_ms
        self.turn()


class Door:
    """A tiny real HTTP server with the agents' routes, over a `StoreLink`."""

    def __init__(self, link: StoreLink, token: str = "site-token") -> None:  # noqa: S107
        self.link = link
        self.token = token
        self.faults: list[int] = []  # statuses to answer with before anything is done; 0 hangs up
        self.requests: list[str] = []
        self.meters: SiteMeters | None = None  # None: an older platform, without such a route
        self.ranges = True
        self.cuts: list[int] = []  # after how many bytes each next object breaks off
        self.stall = threading.Event()  # cleared: a line that breaks off is silent instead
        self.stall.set()
        self.sent_bytes = 0
        pools = (wire.PoolDoc(id="main", accelerator="CPU", nodes=1, cards_per_node=1),)
        self.site = wire.SiteOut(
            site=SITE, engine="local", declared_only=False, admission="active", pools=pools,
            now_ms=time.time_ns() // 1_000_000, version=version("hutong"),
        )  # fmt: skip
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                door.requests.append(f"{self.command} {self.path}")
                if door.faults:
                    status = door.faults.pop(0)
                    if status == 0:
                        self.close_connection = True
                        return
                    self._answer(status, b"out of order")
                    return
                if self.headers.get("Authorization") != f"Bearer {door.token}":
                    self._answer(401, b"who is it?")
                    return
                status, answer = door.answer(self.command, self.path, body)
                if self.command == "GET" and "/objects/" in self.path and status == 200:
                    self._send_object(answer)
                else:
                    self._answer(status, answer)

            def _send_object(self, body: bytes) -> None:
                """Send from where a range begins, if ranges are known; break off where a cut is asked for."""
                asked = self.headers.get("Range", "")
                at = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and door.ranges else 0
                if at >= len(body) > 0:
                    self._answer(416, b"")
                    return
                part = body[at:]
                self.send_response(206 if asked and door.ranges else 200)
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                cut = door.cuts.pop(0) if door.cuts else len(part)
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(part[:cut])
                    door.sent_bytes += len(part[:cut])
                if cut < len(part):
                    door.stall.wait(60)
                    self.close_connection = True

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    with contextlib.suppress(ConnectionError):  # whoever asked was killed meanwhile
                        self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = _serve  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        path = urlsplit(target).path.removeprefix("/v1/agent")
        query = dict(parse_qsl(urlsplit(target).query))
        if path == "/site":
            return 200, self.site.model_dump_json().encode()
        if path == "/meters" and self.meters is not None:
            return 200, self.meters.model_dump_json().encode()
        if path == "/take":
            return 200, self._take(wire.TakeIn.model_validate_json(body)).model_dump_json().encode()
        with self.lock:
            if path == "/report":
                return 200, self._report(wire.ReportIn.model_validate_json(body)).model_dump_json().encode()
            kind, _, rest = path.removeprefix("/").partition("/")
            if kind == "logs":
                key, rank = rest.split("/")
                whole = query["whole"] == "true"
                size = self.link.put_log(key, int(rank), int(query["offset"]), body, whole)
                return 200, wire.LogOut(size_bytes=size).model_dump_json().encode()
            if method == "PUT":
                if f"sha256:{hashlib.sha256(body).hexdigest()}" != rest:
                    return 422, b"another digest"
                self.link.objects[rest] = body
                return 200, b""
            if rest not in self.link.objects:
                return 404, b"no such object"
            return 200, self.link.objects[rest]

    def _take(self, ask: wire.TakeIn) -> wire.TakeOut:
        deadline = time.monotonic() + ask.wait_s
        while True:
            with self.lock:
                delivery = self.link.take(ask.after, 0)
            if delivery.commands or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        docs = tuple(
            wire.CommandDoc(
                id=each.id, key=each.key, kind=each.kind, project=each.project, job=each.job,
                attempt=each.attempt, spec=each.spec, secrets=dict(each.secrets),
            )
            for each in delivery.commands
        )  # fmt: skip
        return wire.TakeOut(commands=docs, watched=tuple(delivery.watched), now_ms=delivery.now_ms)

    def _report(self, ask: wire.ReportIn) -> wire.ReportOut:
        doc = ask.sighting
        seen = doc and Sighting(
            doc.at_ms, frozenset(doc.known), frozenset(doc.live), doc.agent, doc.isolation, doc.trouble,
            moves=tuple(Move(**each.model_dump()) for each in doc.moves), offers=doc.offers,
            stock=doc.stock, transfers=tuple(Transfer(**each.model_dump()) for each in doc.transfers),
            can=doc.can,
        )  # fmt: skip
        done = self.link.report([each.report() for each in ask.reports], seen)
        return wire.ReportOut(news=done.news, repeats=done.repeats, orphans=done.orphans)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
