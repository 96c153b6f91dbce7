"""The one protocol of the book; memory, SQLite and PostgreSQL implement it under one conformance suite.

Every method is one transaction: it happens whole or not at all, and is durable when it returns.
Times are UTC milliseconds given by the caller. Lists are bounded and keyset-paged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hutong.core.book.audit import AuditEvent, AuditQuery, Author
from hutong.core.book.energy import Energy
from hutong.core.book.metered import Metering
from hutong.core.book.money import Entry, HoldChange, Lot, Posting, Turn, Txn, UsageRecord
from hutong.core.book.rolled import Rolled
from hutong.core.book.sealed import Sealing
from hutong.core.book.snapshot import JobRow, Limits, Outcome, Snapshot
from hutong.core.book.upkeep import Upkeep
from hutong.core.capacity.sites import Move, PoolState, SiteStatus, Transfer
from hutong.core.kernel.ids import AttemptKey, JobId, LotId, ProjectId, SiteId
from hutong.core.work.facts import CancelAsked, Fact, HoldAsked, Released, Report
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import JobSpec

UserEvent = HoldAsked | Released | CancelAsked
Span = tuple[int, int]
"""UTC milliseconds `[from, to)`."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A wish to be written down. The caller makes the id; the idempotency key is unique in its project.

    `request_digest` is a digest of the request: the same key with another digest is a conflict (L3).
    """

    id: JobId
    project: ProjectId
    spec: JobSpec
    by: str
    spec_digest: str
    idempotency_key: str = ""
    request_digest: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of a wish. `repeated`: the key was known; `job` is the first one.

    `conflict`: the key was used for another request, and nothing was stored.
    """

    job: JobId
    repeated: bool = False
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to list, newest first: ids from `least` to below `before` (a cursor), at most `limit`."""

    projects: frozenset[str] | None = None  # None: every project
    states: frozenset[str] = frozenset()
    before: str = ""
    limit: int = 50
    least: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A command as delivered: a start carries all that is needed to run, a stop carries its reason."""

    id: int
    key: AttemptKey
    kind: str
    project: ProjectId
    job: Job
    attempt: Attempt
    spec: JobSpec | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """One full observation of an engine: every key of ours that it knows, as of `at_ms` (platform clock).

    `live` are those of them that are not ended there. An attempt that the book expects at the site
    (SUBMITTING or later, not over) and that is not in `known` counts as absent once more. `trouble` is why
    the site's last start failed, `moves` how far long moves of bytes are, `offers` what jobs may
    read there by name (`store/NAME`, `shared/NAME`), None from an agent that does not say. `stock` are
    digests of large inputs that are at the site, `transfers` the last large ones of what came there. `can`
    names what the engine can do, None from an agent that does not say.
    """

    at_ms: int
    known: frozenset[AttemptKey]
    live: frozenset[AttemptKey]
    agent: str = ""
    isolation: str = ""
    trouble: str = ""
    pools: tuple[PoolState, ...] = ()
    moves: tuple[Move, ...] = ()
    offers: tuple[str, ...] | None = None
    stock: tuple[str, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    can: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a batch of reports: how many were news, and which keys the site must stop.

    `orphans` are keys that live at the site and that are over, or unknown, in the book.
    """

    news: int
    repeats: int
    orphans: tuple[AttemptKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """How many of an outcome's jobs were written, and whose guard failed (thrown away, next turn)."""

    written: int
    stale: tuple[JobId, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A document of the registry. `kind` and `id` name it; `parent` groups; `lookup` is unique in its kind.

    `version` counts its writes from 1.
    """

    kind: str
    id: str
    doc: dict[str, object]
    parent: str = ""
    lookup: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Dial:
    """A call for a tunnel: the site's agent shall connect a rank's port to who waits at `url`.

    `id` is a secret that is good for one tunnel; `port` 0 asks for a command beside the rank instead.
    """

    id: str
    site: SiteId
    key: AttemptKey
    rank: int
    port: int
    url: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Summons:
    """What an agent may come for: the newest open command (0: none), calls for tunnels, the last watch's end.

    Something new for it always changes this; so does what is over.
    """

    command: int = 0
    dials: frozenset[str] = frozenset()
    watched_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """What a full check of the ledger found; `faults` is empty when all invariants hold."""

    txns: int
    entries: int
    usage: int
    faults: tuple[str, ...] = field(default=())


class Store(Upkeep, Metering, Energy, Sealing, Rolled, Protocol):
    """The book."""

    # Jobs
    def submit(self, wishes: Sequence[NewJob], now_ms: int) -> tuple[Submission, ...]:
        """Write each wish with its first fact, unless its idempotency key is known."""
        ...

    def ask(self, job: JobId, event: UserEvent, now_ms: int) -> Job:
        """Append what a user wants; a repeat changes nothing. Raises NotFound, or Conflict if too late."""
        ...

    def ask_all(self, jobs: Sequence[JobId], event: UserEvent, now_ms: int) -> int:
        """Ask the same of several jobs; return of how many that was news and not too late."""
        ...

    def array_states(self, array: str) -> Mapping[str, int]:
        """Return how many jobs of an array are in which state."""
        ...

    def job(self, job: JobId) -> JobRow | None:
        """Return one job."""
        ...

    def jobs(self, query: JobQuery) -> tuple[JobRow, ...]:
        """Return a page of jobs, newest first."""
        ...

    def facts(self, job: JobId, after: int, limit: int) -> tuple[Fact, ...]:
        """Return facts of a job with a sequence above `after`."""
        ...

    def receipt(self, key: AttemptKey) -> bytes | None:
        """Return the stored receipt of an attempt."""
        ...

    def page(self, digest: str) -> bytes | None:
        """Return what receipts rest on, by its digest."""
        ...

    # The loop
    def lead(self, holder: str, now_ms: int, ttl_ms: int) -> int | None:
        """Take or renew the lease of the loop; return its epoch, or None while another holds it.

        A holder that asks for less than it has left lets go of the rest; 0 gives the lease back.
        """
        ...

    def snapshot(self, now_ms: int, limits: Limits) -> Snapshot:
        """Return what one turn may know; its cost does not depend on finished jobs."""
        ...

    def apply(self, outcome: Outcome, epoch: int, now_ms: int) -> Applied:
        """Write each job's part whose guard holds. Raises Conflict if the lease has another epoch,

        or if a hold does not fit its lot any more; then nothing was written.
        """
        ...

    # Sites
    def take(self, site: SiteId, after: int, limit: int, now_ms: int) -> tuple[Taken, ...]:
        """Return open commands with an id above `after`; a start taken first time becomes Dispatched.

        A command stays open until a report shows its effect, so asking again with 0 repeats it. A start is
        not handed out any more once a stop of the same attempt is commanded.
        """
        ...

    def report(
        self, site: SiteId, reports: Sequence[Report], sighting: Sighting | None, now_ms: int
    ) -> Reported:
        """Append the reports that are news, close commands, note the observation and absences."""
        ...

    def statuses(self) -> dict[str, SiteStatus]:
        """Return what is known of each site that ever called."""
        ...

    def watch(self, key: AttemptKey, until_ms: int) -> None:
        """Ask the site of an attempt to send its log as it grows, until then."""
        ...

    def watched(self, site: SiteId, now_ms: int) -> tuple[AttemptKey, ...]:
        """Return the attempts of a site whose log somebody reads now (at most 200)."""
        ...

    def dial(self, dial: Dial, now_ms: int) -> None:
        """Call a site's agent for a tunnel; calls that have expired are thrown away."""
        ...

    def dials(self, site: SiteId, now_ms: int) -> tuple[Dial, ...]:
        """Return the calls to a site that have not expired, in order of id (at most 500)."""
        ...

    def summons(self) -> Mapping[SiteId, Summons]:
        """Return what is there for the agent of each site that ever called."""
        ...

    # Ledger
    def open_lot(self, lot: Lot, *txns: Txn, author: Author | None = None) -> bool:
        """Create a lot with the transaction that fills it; False if that transaction is already there.

        Further transactions, such as a repayment from the new lot, are booked with it. With an author, here
        and below, a change that is news is told in the audit, in the same transaction.
        """
        ...

    def span_lot(self, lot: LotId, starts_ms: int, ends_ms: int, *, author: Author | None = None) -> bool:
        """Set when a lot may be held against; what is held stays held. False if it was so already.

        Raises NotFound.
        """
        ...

    def turn(self, project: ProjectId) -> Turn:
        """Return how often money of a project was given back or rerated until now."""
        ...

    def post(self, posting: Posting, author: Author | None = None, turn: Turn | None = None) -> bool:
        """Write transactions, holds and usage together; False if the first transaction is already there.

        With a `turn`, this is the next time that money of its project is given back or rerated; raises
        Conflict("turn") if others did so since.

        Raises Conflict("insufficient_funds") if a hold does not fit its lot, Conflict("debt_repaid") if more
        would be paid back than the project owes, Conflict("reversed") if more would be given back than was
        paid, and Conflict("too_much") if more would be paid out than a centre is owed.
        """
        ...

    def lots(self, project: ProjectId) -> tuple[Lot, ...]:
        """Return a project's lots with balances, in the order in which they pay."""
        ...

    def holds(self, project: ProjectId, limit: int) -> tuple[HoldChange, ...]:
        """Return open holds of a project, each as the change that would have opened it."""
        ...

    def hold(self, key: str) -> HoldChange | None:
        """Return one open hold."""
        ...

    def usage(
        self, project: ProjectId, key: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[UsageRecord, ...]:
        """Return usage records in order of id above `after`; all of the project where `key` is empty.

        With `span`, those whose `upto_ms` lies in it; records outside are not read.
        """
        ...

    def txns(
        self, project: ProjectId, cause: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[Txn, ...]:
        """Return transactions in order of id above `after`; all of the project where `cause` is empty.

        With `span`, those whose `effective_ms` lies in it; others are not read.
        """
        ...

    def balances(self, accounts: Sequence[str]) -> tuple[Entry, ...]:
        """Return the posted balance of each account (0 for one that never had an entry)."""
        ...

    def check_ledger(self) -> LedgerCheck:
        """Recompute every balance from entries, every hold from changes, every job's charge from usage."""
        ...

    # Registry
    def put(self, record: Record, expect: int | None = None, author: Author | None = None) -> Record:
        """Write a document. `expect` 0: must be new; n: must be at version n; None: whatever is there.

        Raises Conflict. Returns it with its new version. The same document again is told to nobody.
        """
        ...

    def put_all(
        self, writes: Sequence[tuple[Record, int | None]], author: Author | None = None
    ) -> tuple[Record, ...]:
        """Write several documents, each guarded as in `put`, all of them or none.

        Raises Conflict, also for a document that is named twice. Returns them in the order given.
        """
        ...

    def get(self, kind: str, id: str) -> Record | None:
        """Return a document."""
        ...

    def find(self, kind: str, lookup: str) -> Record | None:
        """Return the document of that kind with that lookup value."""
        ...

    def records(self, kind: str, parent: str, after: str, limit: int) -> tuple[Record, ...]:
        """Return documents by id above `after`; of every parent where `parent` is empty."""
        ...

    def remove(self, kind: str, id: str, author: Author | None = None) -> bool:
        """Delete a document; False if there was none."""
        ...

    # Audit
    def audit(self, query: AuditQuery) -> tuple[AuditEvent, ...]:
        """Return events by number, the oldest or the newest first. Nothing changes or removes them."""
        ...

    # The door bell
    def pulse(self) -> int:
        """Return a number that changes whenever anybody has written; cheap enough to ask every 20 ms."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
