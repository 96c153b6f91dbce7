"""Facts: what happened to a job, append-only, with a gapless sequence per job. State is their fold."""

from dataclasses import dataclass, field
from typing import ClassVar

from hutong.core.kernel.documents import LATE
from hutong.core.kernel.ids import AttemptKey, JobId
from hutong.core.work.states import AttemptState, Category, JobState


@dataclass(frozen=True, slots=True)
class Submitted:
    """The user asked; the spec is stored beside the job under this digest."""

    kind: ClassVar[str] = "submitted"
    by: str
    spec_digest: str


@dataclass(frozen=True, slots=True)
class Queued:
    """Admitted, or back in the queue: `reason` is empty the first time.

    `wait_ms` is what comes first, a back-off or hours that are not green: so long after this fact the job
    stands in the queue.
    """

    kind: ClassVar[str] = "queued"
    reason: str = ""
    category: Category = Category.NONE
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why the job is not placed; written only when the answer changes."""

    kind: ClassVar[str] = "waiting"
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class HoldAsked:
    """The user wants the job kept in the queue."""

    kind: ClassVar[str] = "hold_asked"
    by: str


@dataclass(frozen=True, slots=True)
class Released:
    """The user lets a held job go on."""

    kind: ClassVar[str] = "released"
    by: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody wants the job stopped; it stays wanted until the absence of the job is observed."""

    kind: ClassVar[str] = "cancel_asked"
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """An attempt was planned: where, at what price, how long at most (0: no end). The receipt says why.

    One that is `preemptible` may be stopped to make room for another. `likely_ms` is how long it was expected
    to run, by what the same work took before (0: nobody knew, or nobody asked).
    """

    kind: ClassVar[str] = "placed"
    attempt: int
    site: str
    pool: str
    accelerator: str
    nodes: int
    cards: int
    price_micro_per_card_hour: int
    pue_milli: int
    tdp_w: int
    run_ms: int = field(default=0, metadata=LATE)
    preemptible: bool = field(default=False, metadata=LATE)
    likely_ms: int = field(default=0, metadata=LATE)


@dataclass(frozen=True, slots=True)
class StopSent:
    """A stop command for the attempt exists; `category` is what its end will count as.

    It is a pause where `resume_ms` is not 0: then the job stands in the queue again, UTC ms.
    """

    kind: ClassVar[str] = "stop_sent"
    attempt: int
    category: Category
    reason: str
    resume_ms: int = field(default=0, metadata=LATE)


@dataclass(frozen=True, slots=True)
class Dispatched:
    """The site's agent has the start command: from here on the attempt may exist there."""

    kind: ClassVar[str] = "dispatched"
    attempt: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The engine has it. `adopted`: it was found there under our key instead of being submitted."""

    kind: ClassVar[str] = "accepted"
    attempt: int
    external_id: str
    adopted: bool


@dataclass(frozen=True, slots=True)
class Starting:
    """Data is being staged or `setup` runs."""

    kind: ClassVar[str] = "starting"
    attempt: int


@dataclass(frozen=True, slots=True)
class Started:
    """The ranks run since `started_ms` (the site's clock); `port` is where a service listens."""

    kind: ClassVar[str] = "started"
    attempt: int
    started_ms: int
    port: int = 0


@dataclass(frozen=True, slots=True)
class RankExit:
    """How one rank ended: exit code, or the signal that ended it (0 if none)."""

    rank: int
    code: int
    signal: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt is over, with proof. `ran_ms` is measured at the site by one monotonic clock.

    `started_ms` is 0 where it never ran. A clock that jumps moves the times, never `ran_ms`.
    `checkpoint`: the site holds a checkpoint that a next attempt elsewhere could go on from, and sends it.
    """

    kind: ClassVar[str] = "ended"
    attempt: int
    outcome: AttemptState
    category: Category
    reason: str
    started_ms: int
    ended_ms: int
    ran_ms: int
    exits: tuple[RankExit, ...] = ()
    checkpoint: bool = False


@dataclass(frozen=True, slots=True)
class Metered:
    """Use up to `upto_ms` was rated: running totals of the attempt, never increments."""

    kind: ClassVar[str] = "metered"
    attempt: int
    upto_ms: int
    card_ms: int
    charge_micro: int
    final: bool


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One kept file of an attempt: its path under the outputs folder, size and content."""

    path: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Collected:
    """Logs and outputs of the attempt are in the object store; `missing` says what is not, and why.

    `checkpoint` is the digest of the manifest of its checkpoint, if it left one; its files have
    `checkpoint_bytes` in all.
    """

    kind: ClassVar[str] = "collected"
    attempt: int
    outputs: tuple[OutputFile, ...] = ()
    log_bytes: int = 0
    missing: str = ""
    checkpoint: str = ""
    checkpoint_bytes: int = field(default=0, metadata=LATE)


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is over for good."""

    kind: ClassVar[str] = "finished"
    state: JobState
    reason: str


Event = (
    Submitted
    | Queued
    | Waiting
    | HoldAsked
    | Released
    | CancelAsked
    | Placed
    | StopSent
    | Dispatched
    | Accepted
    | Starting
    | Started
    | Ended
    | Metered
    | Collected
    | Finished
)

AgentEvent = Accepted | Starting | Started | Ended | Collected


@dataclass(frozen=True, slots=True)
class Fact:
    """An event with its place in the job's history. `at_ms` is the platform's clock, UTC."""

    job: JobId
    seq: int
    at_ms: int
    source: str
    event: Event


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent says of an attempt. A repeat is harmless: see `fold.advances`."""

    key: AttemptKey
    event: AgentEvent
