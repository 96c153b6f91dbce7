"""What one turn of the loop reads and what it decides: bounded, frozen, complete."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hutong.core.accounts.quotas import Quota
from hutong.core.book.lengths import Length
from hutong.core.book.money import HoldPart, Lot, Posting, Txn, Waiver
from hutong.core.book.prices import PriceList
from hutong.core.book.runs import Run, Runs
from hutong.core.book.spending import Spending
from hutong.core.book.stays import Stay, Stays
from hutong.core.capacity.links import Link
from hutong.core.capacity.sites import Site, SiteStatus
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.work.facts import Fact
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import JobSpec

Name = TypeVar("Name", int, JobId)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job with what does not change about it."""

    job: Job
    spec: JobSpec
    project: ProjectId


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Cards of a pool that attempts hold right now, by the platform's own book."""

    site: str
    pool: str
    cards: int


@dataclass(frozen=True, slots=True)
class GangUse:
    """So many attempts that hold so many cards each, on so many nodes, of a pool, by the platform's own book.

    `nodes` is 0 where a server of an older version wrote them down.
    """

    site: str
    pool: str
    nodes: int
    cards: int
    count: int


def gangs_of(attempts: Iterable[Attempt]) -> tuple[GangUse, ...]:
    """Return what attempts that are live hold, in the order of pools and shapes."""
    counts = Counter((each.site, each.pool, each.nodes, each.cards) for each in attempts)
    return tuple(GangUse(*gang, count) for gang, count in sorted(counts.items()))


def use_of(gangs: Iterable[GangUse]) -> tuple[PoolUse, ...]:
    """Return the cards of each pool that are held, in the order of pools."""
    cards: Counter[tuple[str, str]] = Counter()
    for each in gangs:
        cards[each.site, each.pool] += each.cards * each.count
    return tuple(PoolUse(*pool, held) for pool, held in sorted(cards.items()))


@dataclass(frozen=True, slots=True)
class Holding:
    """Cards of a pool that a project's attempts hold right now."""

    project: ProjectId
    site: str
    pool: str
    cards: int


@dataclass(frozen=True, slots=True)
class PersonHolding:
    """Cards of a pool that attempts of one person's jobs in a project hold right now."""

    project: ProjectId
    person: str
    site: str
    pool: str
    cards: int


@dataclass(frozen=True, slots=True)
class Running:
    """Cards of a pool that are free again by then, by the walltime of the job that holds them.

    It began at `began_ms` and was expected to run `likely_ms` (0: by its walltime, nothing else was known).
    """

    project: ProjectId
    site: str
    pool: str
    cards: int
    until_ms: int
    person: str = ""
    began_ms: int = 0
    likely_ms: int = 0
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Absence:
    """An attempt that full observations of its site do not show: since when, and in how many polls."""

    key: AttemptKey
    since_ms: int
    polls: int


WAY_MAX = 16
"""Of each pool so many jobs that may be stopped are shown, those that began last."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one snapshot may hold; `running` is for each pool, those that end first.

    `may_give_way` is for all pools together, of each at most `WAY_MAX`. `workloads` are
    those whose runs are wanted beside the ones of the queue; `lengths` says whether those are wanted.
    """

    due: int = 1000
    queue: int = 1000
    running: int = 256
    may_give_way: int = 256
    workloads: tuple[str, ...] = ()
    lengths: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that `turn` may know. `due` are jobs that ask for a look, `queue` the head of the queue.

    `holds` has the open holds of attempts of `due`; `lots` those of every project that occurs; `debts` what
    those of them owe, in micro-yuan, that owe anything. `running` are the jobs of each pool that end first.
    `gangs` are what `use` sums up.
    `may_give_way` are running jobs that may be stopped to make room, `clearing` what is being freed so.
    `runs` are those of the workloads of the queue that may run on several accelerators, `stays` what is
    remembered of attempts at registered sites, as far as any ended there; `lengths` are how long, in seconds,
    the last runs of the work of the queue and of `due` took, where they are wanted. `links` are all that are
    declared.
    `budgets` are those of its projects, and of those whose they are, that do more than notify (at most 500).
    `quotas` are all that there are; only where there are any, or bookings, `holdings` are what each project
    holds; `person_holdings` are what each person holds of the projects whose quota limits people.
    `institutions` says whose those projects are, and those that hold something; `served` what projects and
    institutions have used lately, in card-milliseconds that decay, by the names of `shares`. `prices` are the
    books' prices of cards, with the kinds of those institutions.
    """

    now_ms: int
    due: tuple[JobRow, ...]
    queue: tuple[JobRow, ...]
    sites: tuple[Site, ...]
    statuses: Mapping[str, SiteStatus]
    use: tuple[PoolUse, ...] = ()
    gangs: tuple[GangUse, ...] = ()
    running: tuple[Running, ...] = ()
    may_give_way: tuple[JobRow, ...] = ()
    clearing: tuple[PoolUse, ...] = ()
    served: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, tuple[Runs, ...]] = field(default_factory=dict)
    stays: Mapping[str, Stays] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    quotas: tuple[Quota, ...] = ()
    budgets: tuple[Spending, ...] = ()
    holdings: tuple[Holding, ...] = ()
    person_holdings: tuple[PersonHolding, ...] = ()
    institutions: Mapping[ProjectId, str] = field(default_factory=dict)
    lots: Mapping[ProjectId, tuple[Lot, ...]] = field(default_factory=dict)
    debts: Mapping[ProjectId, int] = field(default_factory=dict)
    holds: Mapping[AttemptKey, tuple[HoldPart, ...]] = field(default_factory=dict)
    absences: Mapping[AttemptKey, Absence] = field(default_factory=dict)
    prices: PriceList = field(default_factory=PriceList)


@dataclass(frozen=True, slots=True)
class Command:
    """An intent, written down before anything happens outside. (key, kind) is unique."""

    key: AttemptKey
    site: str
    kind: str  # start | stop


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What a turn decided about one job; applied whole, and only if the job's last fact is still `seq`.

    `after` is the fold including the new facts; `due_ms` is when the loop must look again, None for never;
    `spec` is what the job asked for.
    `withdraw` names attempts whose untaken start command is deleted. `receipt` is canonical JSON. `run` is
    there when a whole run has succeeded, `stay` when an attempt that ran is settled, `waiver` when what
    it was charged is to be given back, `length` when it was the first and tells how long the work takes.
    `at_once` is how many of its array run at once, where the job is over and lets another of them begin.
    """

    job: JobId
    project: ProjectId
    seq: int
    facts: tuple[Fact, ...]
    after: Job
    due_ms: int | None
    spec: JobSpec
    commands: tuple[Command, ...] = ()
    withdraw: tuple[AttemptKey, ...] = ()
    receipts: tuple[tuple[AttemptKey, bytes], ...] = ()
    posting: Posting = field(default_factory=Posting)
    run: Run | None = None
    stay: Stay | None = None
    waiver: Waiver | None = None
    length: Length | None = None
    at_once: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn decided, job by job.

    `broken` names jobs about which nothing could be decided because an invariant of ours does not hold, and
    which one: they are left as they are, and the others go on. `repayments` are posted each for itself.
    `pages` are what the receipts rest on, by digest; they are written with the jobs, once for each digest.
    """

    jobs: tuple[JobOutcome, ...] = ()
    broken: tuple[tuple[JobId, str], ...] = ()
    repayments: tuple[Txn, ...] = ()
    pages: tuple[tuple[str, bytes], ...] = ()


def began_last(running: Iterable[tuple[Hashable, int, Name]], most: int) -> list[Name]:
    """Return which of (pool, began, name) are shown as jobs that may be stopped: in turn of each pool."""
    by_pool: defaultdict[Hashable, list[tuple[int, Name]]] = defaultdict(list)
    for pool, began, name in running:
        by_pool[pool].append((began, name))
    placed = [
        (place, name)
        for found in by_pool.values()
        for place, (_, name) in enumerate(sorted(found, reverse=True)[:WAY_MAX])
    ]
    return [name for _, name in sorted(placed)[:most]]
