"""Actors of a small world: engines that live on, agents that die, a line that loses, repeats and delays."""

import errno
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from hutong.adapters.engines.base import Order, Receipt, Seen
from hutong.adapters.engines.memory import MemoryEngine
from hutong.agent.core import Agent
from hutong.agent.habits import Habits
from hutong.agent.link import Command, Delivery, Reply, SmallLog
from hutong.agent.spool import Spool
from hutong.agent.staging import Cache, Stager
from hutong.core.book.store import Sighting, Store
from hutong.core.kernel.errors import Later, NotFound
from hutong.core.kernel.ids import AttemptKey, SiteId
from hutong.core.work.facts import Ended, Report
from hutong.core.work.fold import Attempt
from hutong.core.work.states import Category

FAULTS = ("none", "request_lost", "reply_lost", "twice", "delayed", "dies_before", "dies_after")


class Died(BaseException):
    """The process was killed at this line."""


class Clock:
    """One clock that the test moves."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class Now(Executor):
    """Runs what is submitted at once, so that a step is all that happens."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # carried to whoever asks for the result
            future.set_exception(error)
        return future


class CountingEngine(MemoryEngine):
    """Counts real starts by key, to find what ran twice. While it is `full` its disk takes nothing.

    The site's clock is `skew_ms` ahead of the platform's, or behind it. As real engines do, it writes a
    moment down once, by that clock, and measures running time by one that never jumps.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.started: Counter[AttemptKey] = Counter()
        self.full = False
        self.skew_ms = 0
        self._began_ms: dict[AttemptKey, int] = {}
        self._ended_by_its_clock: dict[AttemptKey, Ended] = {}

    def observe(self) -> tuple[Seen, ...]:
        return tuple(self._by_its_clock(seen) for seen in super().observe())

    def _by_its_clock(self, seen: Seen) -> Seen:
        key = seen.key
        if seen.started_ms:
            began_ms = self._began_ms.setdefault(key, seen.started_ms + self.skew_ms)
            if began_ms != seen.started_ms:
                seen = replace(seen, started_ms=began_ms)
        if seen.ended is not None:
            told = self._ended_by_its_clock.get(key)
            if told is None:
                began_ms, ended_ms = self._began_ms.get(key, 0), seen.ended.ended_ms + self.skew_ms
                told = replace(seen.ended, started_ms=began_ms, ended_ms=ended_ms)
                self._ended_by_its_clock[key] = told
            seen = replace(seen, ended=told)
        return seen

    def stop(
        self, key: AttemptKey, attempt: int, category: Category, reason: str, grace_s: int | None = None
    ) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().stop(key, attempt, category, reason, grace_s)

    def submit(self, order: Order) -> Receipt:
        if self.full and order.key not in {seen.key for seen in self.observe()}:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        receipt = super().submit(order)
        if not receipt.adopted:
            self.started[order.key] += 1
        return receipt


class Line:
    """The way between an agent and the store. `fault` applies to the next call and is then used up."""

    def __init__(self, store: Store, site: SiteId, clock: Clock) -> None:
        self._store = store
        self._site = site
        self._clock = clock
        self.cut = False
        self.fault = "none"
        self._late: list[tuple[tuple[Report, ...], Sighting | None]] = []

    def take(self, after: int, wait_s: float) -> Delivery:
        return self._call(lambda: self._take(after))

    def report(
        self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
    ) -> Reply:
        if self.fault == "delayed":
            self.fault = "none"
            self._late.append((tuple(reports), sighting))
            raise Later("it is still on its way")
        return self._call(lambda: self._report(reports, sighting))

    def deliver_late(self) -> None:
        """Let what was held up arrive now, the youngest first."""
        while self._late:
            self._report(*self._late.pop())

    def has_object(self, digest: str) -> bool:
        return False

    def get_object(self, digest: str, into: Path, go_on: Callable[[], None] = lambda: None) -> None:
        raise NotFound("no_object", digest)

    def put_object(self, digest: str, path: Path) -> None:
        self._call(lambda: None)

    def put_log(self, key: AttemptKey, rank: int, offset: int, data: bytes, whole: bool) -> int:
        return self._call(lambda: offset + len(data))

    def _call(self, effect: Callable[[], Any]) -> Any:
        fault, self.fault = self.fault, "none"
        if self.cut or fault == "request_lost":
            raise Later("the line is down")
        if fault == "dies_before":
            raise Died
        answer = effect()
        if fault == "twice":
            answer = effect()
        if fault == "reply_lost":
            raise Later("no answer came")
        if fault == "dies_after":
            raise Died
        return answer

    def _take(self, after: int) -> Delivery:
        taken = self._store.take(self._site, after, 100, self._clock())
        commands = tuple(
            Command(each.id, each.key, each.kind, each.project, each.job.id, each.attempt, each.spec)
            for each in taken
        )
        return Delivery(commands, frozenset(), self._clock())

    def _report(self, reports: Sequence[Report], sighting: Sighting | None) -> Reply:
        done = self._store.report(self._site, reports, sighting, self._clock())
        return Reply(done.news, done.repeats, done.orphans)


class Centre:
    """A site: an engine that survives, and an agent process that may be killed and started again."""

    def __init__(self, site: str, store: Store, clock: Clock) -> None:
        self.site = SiteId(site)
        self._clock = clock
        self._root = Path(tempfile.mkdtemp(prefix="hutong-world-"))
        self.engine = CountingEngine(clock)
        self.line = Line(store, self.site, clock)
        self.agent = self._start()

    def _start(self) -> Agent:
        return Agent(
            self.site,
            self.line,
            self.engine,
            Spool(self._root / "settled.jsonl"),
            lambda: self._clock() + self.engine.skew_ms,
            stager=Stager(Cache(self._root / "cache", self.line), Now()),
            pool=Now(),
            name="test",
            habits=Habits(sighting_every_s=5.0, ask_all_every_s=30.0, start_within_s=60.0),
            ticks=self._clock,
        )

    def step(self, fault: str = "none") -> None:
        """Let the agent work once; a death is followed by a new agent that knows nothing."""
        self.line.fault = fault
        try:
            self.agent.step()
        except Later:
            pass
        except Died:
            self.agent = self._start()
        self.line.fault = "none"

    def kill(self) -> None:
        """Kill the agent between two steps."""
        self.agent = self._start()

    def running(self) -> list[AttemptKey]:
        """Return the keys that have not ended at the engine."""
        return [seen.key for seen in self.engine.observe() if seen.ended is None]

    def knows(self, key: AttemptKey, attempt: Attempt) -> bool:
        """True if the engine knows the attempt, alive or ended."""
        return attempt.site == self.site and any(seen.key == key for seen in self.engine.observe())
