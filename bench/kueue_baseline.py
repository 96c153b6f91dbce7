"""Kueue's own performance scenario, 15,000 workloads in real time, through the whole live loop.

The generator is that of kubernetes-sigs/kueue, test/performance/scheduler/configs/baseline/generator.yaml: 5 cohorts
of 6 queues with a quota of 20 each and 100 to borrow, so that a queue may use its whole cohort. Each queue creates
350 small, 100 medium and 50 large workloads, every class at its own pace.

| theirs | here |
|---|---|
| cohort, 6 x 20 of quota | a site with one pool of 120 cards |
| cluster queue | a project with money of its own; its institution is the cohort |
| quota and borrowing | fair shares: the project that has used least is served first, nobody is kept from idle cards |
| priority 50 / 100 / 200 | the job's priority, within its project |
| BestEffortFIFO | back-filling of the kind `greedy` |
| preemption (within a queue, and to reclaim quota) | not modelled: nothing that runs is stopped |
| a controller that marks workloads finished | a site's worker on the memory engine; it sleeps for real |

Each workload is submitted to the store, placed by `turn` (hold, receipt, command), taken by its site, started, ended,
collected and settled. Admitted means here that the site has the command. HTTP is left out on both ways; Kueue's
figures, from its CI, include a Kubernetes API. Time counts from when a workload was due, also if it came late. The
floor is a replay of the same generator by priority in which nothing takes time but running. Kueue's figures are those
of its rangespec.yaml at ff69552e79; a later one has 6.7 s for large, and the same for the others.

With `--tenants cohort` all queues of a cohort are one project: then priority counts across them, as in Kueue.
Generator, loop and sites are threads of one process, so one core bears them all; with PostgreSQL the sites are a
process of their own, as agents and API are. Each site has two threads, as an agent has: one listens for commands, one
starts, looks and reports. The time ends when no job is left that is not over and settled.

`python -m bench.kueue_baseline [--quick] [--store memory|sqlite|postgres] [--tenants queue|cohort] [--profile FILE]`
"""

import argparse
import cProfile
import heapq
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from tests.postgres import Postgres

from hutong.adapters.engines.base import Order
from hutong.adapters.engines.memory import MemoryEngine
from hutong.adapters.store.codec import encode
from hutong.adapters.store.open import open_store
from hutong.adapters.telemetry.logs import configure_logs
from hutong.config import now_ms
from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Txn, lot_account
from hutong.core.book.snapshot import Limits
from hutong.core.book.store import JobQuery, NewJob, Record, Sighting, Store, Taken
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.control.rules import Rules
from hutong.core.kernel.ids import AttemptKey, JobId, LotId, PoolId, ProjectId, SiteId, ulid
from hutong.core.placement.columns import Backfill
from hutong.core.work import facts as f
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources, Wish
from hutong.core.work.states import FINAL, JobState
from hutong.server.bell import Bell
from hutong.server.heap import settle
from hutong.server.loop import Clock, Loop
from hutong.server.summons import SummonsSoFar

COHORTS, QUEUES, QUOTA = 5, 6, 20
MICRO = 1_000_000
SIGHTING_EVERY_MS = 5000
BELL_S = 0.005
LISTEN_S = 1.0
PAUSE_S = 0.01  # after a wake, as an agent's long poll has it: what is written about then is one answer
GIVE_UP_S = 300.0
SWITCH_S = 0.0005  # threads stand for processes here: none waits long for another's Python


@dataclass(frozen=True, slots=True)
class Workload:
    """One class of workloads of each queue. `published_s` is Kueue's mean time to admission."""

    name: str
    count: int
    every_ms: int
    run_ms: int
    priority: int
    cards: int
    published_s: float


CLASSES = (
    Workload("small", 350, 100, 200, 50, 1, 215.5),
    Workload("medium", 100, 500, 500, 100, 5, 76.8),
    Workload("large", 50, 1200, 1000, 200, 20, 16.5),
)
RUN_MS = {each.name: each.run_ms for each in CLASSES}
PUBLISHED_S = 351.1
KUEUE = "Kueue CI, published, pays for the Kubernetes API too"
FLOOR = "zero-overhead replay of the same generator, same run"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run, or the replay, took: seconds until the last end, and to admission by class."""

    total_s: float
    usage_percent: float
    admission_s: dict[str, list[float]]


def replay(share: int, lag_ms: int = 0, *, overtakes: bool = True) -> Measured:
    """Return the floor: by priority and age, whatever fits starts at once, and nothing else takes time.

    With a lag, cards are free so long after their job has ended; without overtaking, nothing starts before what
    stands before it.
    """
    admission: dict[str, list[float]] = {each.name: [] for each in CLASSES}
    order = sorted(CLASSES, key=lambda each: -each.priority)
    comes = sorted(
        ((number + 1) * each.every_ms, rank)
        for rank, each in enumerate(order)
        for number in range(each.count // share)
        for _ in range(QUEUES)
    )
    waiting: list[list[int]] = [[] for _ in order]
    heads = [0] * len(order)
    running: list[tuple[int, int]] = []
    free, busy, end, at = QUEUES * QUOTA, 0, 0, 0
    while at < len(comes) or running:
        now = min([end_ms for end_ms, _ in running[:1]] + [due_ms for due_ms, _ in comes[at : at + 1]])
        while running and running[0][0] == now:
            free += heapq.heappop(running)[1]
        while at < len(comes) and comes[at][0] == now:
            waiting[comes[at][1]].append(now)
            at += 1
        for rank, each in enumerate(order):
            if not overtakes and any(heads[above] < len(waiting[above]) for above in range(rank)):
                break
            while heads[rank] < len(waiting[rank]) and each.cards <= free:
                admission[each.name].append((now - waiting[rank][heads[rank]]) / 1000)
                heads[rank] += 1
                free -= each.cards
                busy += each.cards * each.run_ms
                end = now + each.run_ms
                heapq.heappush(running, (end + lag_ms, each.cards))
    return Measured(end / 1000, 100 * busy / (end * QUEUES * QUOTA), admission)  # all cohorts are alike


def project_of(cohort: int, queue: int, tenants: str) -> ProjectId:
    """Return the project that stands for a queue, or for all queues of its cohort."""
    return ProjectId(f"cohort-{cohort}-queue-{queue}" if tenants == "queue" else f"cohort-{cohort}")


def site_of(cohort: int) -> SiteId:
    """Return the site that stands for a cohort."""
    return SiteId(f"cohort-{cohort}")


def spec_of(each: Workload, cohort: int) -> JobSpec:
    """Return a workload as a job: it sleeps for its time, at its cohort's site."""
    return JobSpec(
        name=each.name,
        type=JobType.TASK,
        num_nodes=1,
        resources=Resources((Ask("H100", each.cards),)),
        run=f"sleep {each.run_ms / 1000}",
        max_duration_s=1,
        grace_s=0,
        priority=each.priority,
        wish=Wish(allow=(site_of(cohort),)),
    )


def set_up(store: Store, tenants: str) -> None:
    """Register sites and projects, and give each project so much that nothing waits for money."""
    start_ms = now_ms()
    supply = Supply((500_000,) * 24, (500,) * 24, "invented", synthetic=True)
    for cohort in range(COHORTS):
        pool = Pool(PoolId("main"), "H100", QUEUES, QUOTA, 10 * MICRO, 1200, "cuda")
        site = Site(site_of(cohort), "群", "cohort", "beijing", 10, "memory", (pool,), supply)
        store.put(Record("site", site.id, json.loads(encode(site))))
        store.report(site.id, [], None, start_ms)
        for project in {project_of(cohort, queue, tenants) for queue in range(QUEUES)}:
            store.put(Record("project", project, {"institution": site.id}))
            lot = Lot(LotId(f"award-{project}"), project, LotKind.AWARD, MICRO, 0, 2 * start_ms)
            amount = 10**6 * MICRO
            entries = (Entry(ISSUED, -amount), Entry(lot_account(lot.id), amount))
            store.open_lot(lot, Txn(f"award:{project}", "award", project, start_ms, "bench", entries))


@dataclass(slots=True)
class Log:
    """What the bench notes of every job, by its id: class and queue, when it was due, admitted, ended."""

    begin_s: float = 0.0
    due_s: dict[JobId, float] = field(default_factory=dict)
    workload: dict[JobId, Workload] = field(default_factory=dict)
    admitted_s: dict[JobId, float] = field(default_factory=dict)
    ended: set[JobId] = field(default_factory=set)
    late_s: float = 0.0
    peak: Counter[str] = field(default_factory=Counter)

    def now_s(self) -> float:
        """Return seconds since the generator began."""
        return time.perf_counter() - self.begin_s

    def measured(self, total_s: float) -> Measured:
        """Return the figures of a run that took so long."""
        admission: dict[str, list[float]] = {each.name: [] for each in CLASSES}
        busy = 0.0
        for job, each in self.workload.items():
            admission[each.name].append(self.admitted_s[job] - self.due_s[job])
            busy += each.cards * each.run_ms / 1000
        return Measured(total_s, 100 * busy / (total_s * COHORTS * QUEUES * QUOTA), admission)


def generate(store: Store, log: Log, setting: "Setting", stop: threading.Event) -> None:
    """Submit what is due, all that is due at once in one call, as the API's door does."""
    specs = {(each.name, cohort): spec_of(each, cohort) for each in CLASSES for cohort in range(COHORTS)}
    plan: dict[int, list[tuple[Workload, int, int]]] = defaultdict(list)
    for each in CLASSES:
        for number in range(each.count // setting.share):
            plan[(number + 1) * each.every_ms] += [
                (each, c, q) for c in range(COHORTS) for q in range(QUEUES)
            ]
    for due_ms, batch in sorted(plan.items()):
        if stop.wait(max(0.0, due_ms / 1000 - log.now_s())):
            return
        at_ms = now_ms()
        wishes = []
        for each, cohort, queue in batch:
            job = JobId(ulid(at_ms, os.urandom(10)))
            log.due_s[job], log.workload[job] = due_ms / 1000, each
            spec = specs[each.name, cohort]
            wishes.append(NewJob(job, project_of(cohort, queue, setting.tenants), spec, "bench", "sha256:0"))
        store.submit(wishes, at_ms)
        log.late_s = max(log.late_s, log.now_s() - due_ms / 1000)


class Centre:
    """A site at work: takes commands, runs them on the memory engine, tells what it sees; no HTTP, no files.

    As an agent it has two threads: one listens for commands, the other starts them, looks and reports.
    """

    def __init__(self, site: SiteId, store: Store, log: Log) -> None:
        self.site = site
        self._store = store
        self._log = log
        self._engine = MemoryEngine(now_ms)
        self._inbox: SimpleQueue[Taken] = SimpleQueue()
        self._called = threading.Event()
        self._cards: dict[AttemptKey, int] = {}
        self._jobs: dict[AttemptKey, tuple[JobId, int]] = {}
        self._ends: list[tuple[int, AttemptKey]] = []
        self._sighted_ms = 0

    def listen(self, bell: Bell, stop: "Stop") -> None:
        """Take what is commanded until told to stop."""
        after = 0
        while not stop.is_set():
            seen, began_s = bell.mark(self.site), time.monotonic()
            taken = self._store.take(self.site, after, 1000, now_ms())
            for each in taken:
                after = max(after, each.id)
                self._log.admitted_s[each.job.id] = self._log.now_s()
                self._inbox.put(each)
            if taken:
                self._called.set()
                continue
            bell.wait(seen, LISTEN_S, self.site)
            stop.wait(max(0.0, began_s + PAUSE_S - time.monotonic()))

    def work(self, stop: "Stop") -> None:
        """Start, look and report until told to stop."""
        while not stop.is_set():
            self._called.clear()
            self._step()
            left_s = (self._next_ms() - now_ms()) / 1000
            self._called.wait(min(max(PAUSE_S, left_s), LISTEN_S))

    def _next_ms(self) -> int:
        """Return when something is to be looked at: the next end or the next sighting."""
        return min([self._sighted_ms + SIGHTING_EVERY_MS, *(at_ms for at_ms, _ in self._ends[:1])])

    def _step(self) -> None:
        """Start what came, and tell the platform what began and ended; now and then, all that is seen."""
        reports = self._start()
        seen, at_ms = self._engine.observe(), now_ms()
        for each in seen:
            if each.ended is None:
                continue
            job, number = self._jobs[each.key]
            reports += [f.Report(each.key, each.ended), f.Report(each.key, f.Collected(number, (), 0))]
            self._log.ended.add(job)
        sighting = None
        if at_ms >= self._sighted_ms + SIGHTING_EVERY_MS:
            self._sighted_ms = at_ms
            keys = frozenset(each.key for each in seen)
            sighting = Sighting(at_ms, keys, frozenset(each.key for each in seen if each.ended is None))
        if reports or sighting:
            self._store.report(self.site, reports, sighting, now_ms())
        for each in seen:
            if each.ended is not None:
                self._engine.forget(each.key)
                del self._cards[each.key]
        while self._ends and self._ends[0][1] not in self._cards:
            heapq.heappop(self._ends)

    def _start(self) -> list[f.Report]:
        """Start what was taken; return what is to be told of it."""
        reports: list[f.Report] = []
        while not self._inbox.empty():
            each = self._inbox.get()
            if each.spec is None:
                raise RuntimeError(f"nothing is stopped in this scenario, yet {each.key} is")
            receipt = self._engine.submit(Order(each.key, each.job.id, each.project, each.attempt, each.spec))
            began_ms, number = now_ms(), each.attempt.number
            self._cards[each.key] = each.attempt.cards
            self._jobs[each.key] = (each.job.id, number)
            heapq.heappush(self._ends, (began_ms + RUN_MS[each.spec.name], each.key))
            reports.append(f.Report(each.key, f.Accepted(number, receipt.external_id, receipt.adopted)))
            reports.append(f.Report(each.key, f.Started(number, began_ms)))
        self._log.peak[self.site] = max(self._log.peak[self.site], sum(self._cards.values()))
        return reports


class Stop(Protocol):
    """An event of a thread or of a process."""

    def is_set(self) -> bool:
        """Return whether to stop."""
        ...

    def wait(self, timeout: float | None = None, /) -> bool:
        """Wait for it."""
        ...


def at_work(centres: Sequence[Centre], bell: Bell, stop: Stop) -> dict[str, Callable[[], None]]:
    """Return what the threads of these centres do, by their names."""
    listen: dict[str, Callable[[], None]] = {
        f"{each.site} listens": partial(each.listen, bell, stop) for each in centres
    }
    return listen | {f"{each.site} works": partial(each.work, stop) for each in centres}


class Crew:
    """Threads that work until told to stop; where one fails all are told to, and `join` raises what it was."""

    def __init__(self, stop: Any, works: Mapping[str, Callable[[], None]]) -> None:  # noqa: ANN401 - either
        self.cpu_s: dict[str, float] = defaultdict(float)
        self._stop = stop
        self._failed: list[BaseException] = []
        self._threads = [
            threading.Thread(target=partial(self._run, name, work), name=name) for name, work in works.items()
        ]

    def start(self) -> None:
        """Begin."""
        for each in self._threads:
            each.start()

    def join(self) -> None:
        """Wait for them all; those of sites count as one."""
        for each in self._threads:
            each.join()
        if self._failed:
            raise self._failed[0]

    def _run(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failed.append(error)
            self._stop.set()
            raise
        self.cpu_s[name.partition(" ")[0]] += time.thread_time()


class Apart:
    """The sites in a process of their own, as they are where they report to PostgreSQL."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._ended = context.Value("q", 0)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve_apart, args=(url, self._ended, self._stop, theirs))
        self._process.start()
        if self._pipe.recv() != "ready":
            raise RuntimeError("the sites did not start")

    def ended(self) -> int:
        """Return how many jobs have ended; raises RuntimeError if the process has died."""
        if not self._process.is_alive():
            raise RuntimeError("the sites' process died")
        return int(self._ended.value)

    def close(self, log: Log) -> float:
        """Stop the process, put what it noted into the log, and return its processor time, s."""
        self._stop.set()
        admitted, log.ended, peak, cpu_s = self._pipe.recv()
        log.admitted_s = {job: at_s - log.begin_s for job, at_s in admitted.items()}
        log.peak = Counter(peak)
        self._process.join()
        return float(cpu_s)


def serve_apart(url: str, ended: Any, stop: Any, pipe: Any) -> None:  # noqa: ANN401 - of multiprocessing
    """Be the sites until told to stop; times are those of the machine's one monotonic clock."""
    configure_logs("WARNING")
    sys.setswitchinterval(SWITCH_S)
    store, log = open_store(url), Log()
    bell = Bell(store.pulse, BELL_S, SummonsSoFar(store))
    crew = Crew(stop, at_work([Centre(site_of(cohort), store, log) for cohort in range(COHORTS)], bell, stop))
    pipe.send("ready")
    crew.start()
    try:
        while not stop.wait(0.005):
            ended.value = len(log.ended)
    finally:
        crew.join()
        bell.close()
        store.close()
    pipe.send((log.admitted_s, log.ended, dict(log.peak), time.process_time()))


class Timed(Loop):
    """The real loop, with a stop-watch on its turns."""

    def __init__(self, store: Store, rules: Rules, clock: Clock, holder: str, limits: Limits) -> None:
        super().__init__(store, rules, clock, holder, limits)
        self.times_s: list[float] = []

    def step(self) -> int:
        """Take one turn."""
        begin = time.perf_counter()
        written = super().step()
        self.times_s.append(time.perf_counter() - begin)
        return written

    def told(self, total_s: float) -> dict[str, float]:
        """Return how many turns there were and how long they took."""
        busy_s = sum(self.times_s)
        return {
            "count": len(self.times_s),
            "mean_ms": round(1000 * mean(self.times_s), 1),
            "most_ms": round(1000 * max(self.times_s), 1),
            "busy_percent": round(100 * busy_s / total_s, 1),
        }


@dataclass(frozen=True, slots=True)
class Setting:
    """How the scenario is run: a `share`-th of it, and by which of our rules."""

    share: int
    tenants: str
    backfill: Backfill
    queue: int
    bell_s: float
    profile: str


def run(store: Store, setting: Setting, url: str) -> Measured:
    """Run the scenario and check that every workload went the whole way; with a URL, the sites apart."""
    set_up(store, setting.tenants)
    apart = Apart(url) if url else None
    log = Log()
    stop = threading.Event()
    loop = Timed(store, Rules(backfill=setting.backfill), now_ms, "bench", Limits(queue=setting.queue))
    bell = Bell(store.pulse, setting.bell_s, SummonsSoFar(store))
    works: dict[str, Callable[[], None]] = {
        "loop": lambda: lead(loop, stop, setting.profile),
        "generator": lambda: generate(store, log, setting, stop),
    }
    if not apart:
        works |= at_work([Centre(site_of(cohort), store, log) for cohort in range(COHORTS)], bell, stop)
    crew = Crew(stop, works)
    settle()
    log.begin_s = time.perf_counter()
    crew.start()
    try:
        ended = apart.ended if apart else lambda: len(log.ended)
        total_s = wait(store, log, setting.share, stop, ended)
    finally:
        stop.set()
        if apart:
            crew.cpu_s["sites"] = apart.close(log)
        crew.join()
        bell.close()
    check(store, log)
    note("generator", latest_s=round(log.late_s, 3))
    note("turns", **loop.told(total_s), cpu_s={name: round(cpu_s, 1) for name, cpu_s in crew.cpu_s.items()})
    return log.measured(total_s)


def lead(loop: Loop, stop: threading.Event, profile: str) -> None:
    """Run the loop, under a profiler if that is asked for."""
    if not profile:
        loop.run(stop)
        return
    profiler = cProfile.Profile(time.thread_time)  # of this thread alone, whoever else runs
    profiler.runcall(loop.run, stop)
    profiler.dump_stats(profile)


def warm_up() -> None:
    """Have compiled what a pass compiles: not part of what is measured."""
    store = open_store("memory:")
    set_up(store, "cohort")
    each = CLASSES[-1]
    wishes = [
        NewJob(JobId(ulid(n, bytes(10))), project_of(0, 0, "cohort"), spec_of(each, 0), "bench", "")
        for n in range(2 * QUEUES)
    ]
    store.submit(wishes, now_ms())
    for backfill in (Backfill.GREEDY, Backfill.EASY):
        turns = Loop(store, Rules(backfill=backfill), now_ms, "bench")
        turns.step()
        turns.step()


def wait(store: Store, log: Log, share: int, stop: threading.Event, ended: Callable[[], int]) -> float:
    """Return when the last workload was over in the book, its charge settled."""
    count = COHORTS * QUEUES * sum(each.count // share for each in CLASSES)
    while ended() < count and not stop.wait(0.005):
        if log.now_s() > GIVE_UP_S:
            raise TimeoutError(f"{ended()} of {count} ended in {GIVE_UP_S} s")
    open_ = JobQuery(states=frozenset(JobState) - FINAL, limit=1)
    while store.jobs(open_) and not stop.wait(0.01):
        pass
    return log.now_s()


def check(store: Store, log: Log) -> None:
    """Raise unless every workload ran once, with a receipt and a charge, and no cohort had too many cards."""
    for job, each in log.workload.items():
        row = store.job(job)
        if row is None or row.job.state is not JobState.SUCCEEDED or len(row.job.attempts) != 1:
            raise RuntimeError(f"{job} did not go the whole way: {row}")
        attempt = row.job.attempts[0]
        priced = attempt.settled and attempt.charge_micro > 0 and attempt.ran_ms == each.run_ms
        if not priced or store.receipt(row.job.key(attempt)) is None:
            raise RuntimeError(f"{job} has no charge or no receipt: {attempt}")
    faults = store.check_ledger().faults
    if faults:
        raise RuntimeError(f"the ledger has faults: {faults}")
    if max(log.peak.values()) > QUEUES * QUOTA:
        raise RuntimeError(f"a site had more than {QUEUES * QUOTA} cards at work: {log.peak}")


def note(name: str, **what: object) -> None:
    """Say something beside the figures."""
    print(json.dumps({"note": name, **what}), file=sys.stderr, flush=True)


def row(name: str, value: float, baseline: str, baseline_value: float) -> None:
    """Print one figure in seconds; a ratio above 1 is better than the baseline."""
    print(
        json.dumps(
            {
                "name": name,
                "value": round(value, 2),
                "unit": "s",
                "baseline": baseline,
                "baseline_value": round(baseline_value, 2),
                "ratio": round(baseline_value / value, 3),
            }
        ),
        flush=True,
    )


def mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


def note_trade(share: int) -> None:
    """Say what a lag costs whom, with and without overtaking: see `replay`."""
    for lag_ms in (0, 10, 30):
        for overtakes in (True, False):
            found = replay(share, lag_ms, overtakes=overtakes)
            waits = {name: round(mean(some), 2) for name, some in found.admission_s.items()}
            note("replay", lag_ms=lag_ms, overtakes=overtakes, total_s=round(found.total_s, 1), **waits)


def show(live: Measured, floor: Measured, *, whole: bool) -> None:
    """Print every row: beside what Kueue publishes, where it is the same scenario, and beside the floor."""
    tail = "" if whole else "_tenth"
    if whole:
        row("kueue_baseline_total", live.total_s, KUEUE, PUBLISHED_S)
        for each in CLASSES:
            name = f"kueue_baseline_admission_{each.name}"
            row(name, mean(live.admission_s[each.name]), KUEUE, each.published_s)
    row(f"kueue_baseline_total_floor{tail}", live.total_s, FLOOR, floor.total_s)
    for each in CLASSES:
        name = f"kueue_baseline_admission_{each.name}_floor{tail}"
        row(name, mean(live.admission_s[each.name]), FLOOR, mean(floor.admission_s[each.name]))
    note("usage", live_percent=round(live.usage_percent, 1), floor_percent=round(floor.usage_percent, 1))
    note("load", average=os.getloadavg(), cores=os.cpu_count())


@contextmanager
def opened(kind: str) -> Iterator[tuple[Store, str]]:
    """Yield an empty store, and the URL of one on a server; SQLite and PostgreSQL are durable."""
    if kind == "postgres":
        with Postgres(durable=True) as server:
            url = server.new_database()
            store = open_store(url)
            try:
                yield store, url
            finally:
                store.close()
        return
    folder = Path(tempfile.mkdtemp(prefix="hutong-bench-"))
    store = open_store("memory:" if kind == "memory" else f"sqlite:///{folder / 'hutong.sqlite'}")
    try:
        yield store, ""
    finally:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the workloads; within 50 s")
    parser.add_argument("--store", choices=["memory", "sqlite", "postgres"], default="memory")
    parser.add_argument(
        "--queue", type=int, default=120, help="queued jobs that a turn sees (`Limits.queue`)"
    )
    parser.add_argument(
        "--profile", default="", metavar="FILE", help="write cProfile data of the loop's thread"
    )
    parser.add_argument(
        "--tenants", choices=["queue", "cohort"], default="queue", help="what a project stands for"
    )
    parser.add_argument("--backfill", choices=["greedy", "easy"], default="greedy")
    told = parser.parse_args()
    configure_logs("WARNING")
    sys.setswitchinterval(SWITCH_S)
    memory = told.store == "memory"
    setting = Setting(
        share=10 if told.quick else 1,
        tenants=told.tenants,
        backfill=Backfill[told.backfill.upper()],
        queue=told.queue,
        bell_s=0.001 if memory else BELL_S,
        profile=told.profile,
    )
    note("load", average=os.getloadavg(), cores=os.cpu_count())
    floor = replay(setting.share)
    note_trade(setting.share)
    warm_up()
    with opened(told.store) as (store, url):
        live = run(store, setting, url)
    show(live, floor, whole=not told.quick)


if __name__ == "__main__":
    main()
