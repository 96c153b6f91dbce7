"""Jobs, attempts, facts, checks: JSON shapes."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hutong.wire.base import Money, Page, Shape, Slug, Time, Ulid
from hutong.wire.commitments import Commitment
from hutong.wire.receipts import Alternative

State = Literal[
    "ACCEPTED", "QUEUED", "PLACED", "DISPATCHED", "PENDING", "STARTING", "RUNNING", "FINISHING",
    "HELD", "SUCCEEDED", "FAILED", "CANCELLED", "REJECTED", "EXPIRED",
]  # fmt: skip


class NewJob(Shape):
    """A job asked for: the job file as a document (see docs/user/job-file.md), and whose money."""

    project: Slug
    spec: dict[str, Any]


class NewJobs(Shape):
    """Several jobs, stored together or not at all."""

    jobs: Annotated[tuple[NewJob, ...], Field(min_length=1, max_length=1000)]


class JobIds(Shape):
    """The ids of jobs, in the order asked."""

    ids: tuple[Ulid, ...]


class Exit(Shape):
    """How one rank ended."""

    rank: int
    code: int
    signal: int


class Output(Shape):
    """One kept file of an attempt."""

    path: str
    size_bytes: int
    digest: str


class JobAttempt(Shape):
    """One placement of the job on one site.

    While it runs, `expected_end` is when it should end: by what this workload took before (`history`),
    where the platform goes by that, or at its `walltime`.
    """

    number: int
    key: str
    state: str
    site: str
    pool: str
    accelerator: str
    nodes: int
    cards: int
    price_per_card_hour: Money
    placed: Time
    dispatched: Time | None
    started: Time | None
    ended: Time | None
    ran_s: str
    adopted: bool
    category: str
    reason: str
    exits: tuple[Exit, ...]
    charge: Money
    settled: bool
    outputs: tuple[Output, ...]
    missing: str
    endpoint: str = ""
    port: int = 0
    expected_end: Time | None = None
    expected_by: Literal["", "history", "walltime"] = ""


class Moving(Shape):
    """How far bytes are on their way: the job's `inputs` to the site, or its `results` from there."""

    what: Literal["inputs", "results"]
    done_bytes: int
    total_bytes: int


class Conditions(Shape):
    """What is true beside the state: a site out of reach does not change a job.

    `retry_at` is when the back-off before the next attempt ends, while it lasts. `moving` is there while a
    site fetches inputs or sends results, as of its last observation.
    """

    reachable: bool | None
    last_seen: Time | None
    waiting_code: str = ""
    waiting_text: str = ""
    retry_at: Time | None = None
    cancel_asked_by: str = ""
    moving: Moving | None = None


class Forecast(Shape):
    """What is expected of a job that waits, as of some moment.

    `place` is its place in the line, from 1. Half of such jobs start by `likely`, nine tenths by `late`;
    that rests on how `samples` earlier waits came out, and with 0 of them on walltimes alone. Neither is told
    where a running job without an end holds what it waits for.
    """

    as_of: Time
    place: int
    likely: Time | None
    late: Time | None
    samples: int


class Job(Shape):
    """A job as its facts tell it; `max_duration_s` of 0 has no end.

    `array` is the id of the array that it is in, with `array_index`; empty where it stands alone.
    """

    id: Ulid
    name: str
    project: Slug
    type: Literal["task", "service", "notebook"]
    state: State
    reason: str
    by: str
    priority: int
    preemptible: bool = False
    num_nodes: int
    max_duration_s: int = 0
    accelerators: tuple[str, ...]
    submitted: Time
    changed: Time
    finished: Time | None
    conditions: Conditions
    attempts: tuple[JobAttempt, ...]
    charge: Money
    array: str = ""
    array_index: int | None = None


class JobDetail(Job):
    """A job with its spec, secrets by name only; `forecast` is there while it waits and one was made."""

    spec: dict[str, Any]
    forecast: Forecast | None = None


class Fact(Shape):
    """One thing that happened."""

    seq: int
    at: Time
    source: str
    kind: str
    data: dict[str, Any]


class CancelReason(Shape):
    """Why."""

    reason: Annotated[str, Field(max_length=500)] = ""


class Open(Shape):
    """Where to go on the job's own host: a path of it."""

    path: Annotated[str, Field(max_length=2_000, pattern=r"^/")] = "/"


class Opened(Shape):
    """How to reach into a running job, for who asked.

    `url` opens its pages in a browser, once, until `expires`; it is empty where the job has no port.
    `gateway` is where lines for commands and ports begin, see `GET /v1/jobs/{job}/line` there.
    """

    url: str
    expires: Time
    gateway: str


class Check(Shape):
    """What would happen to a job: nothing is stored.

    `choice` is the best pool for it now (`site/pool`), empty if none. `reason` is why it would wait, for a
    pool, for money or for the hour that suits it; empty if it would be placed. `worst_case` is what would be
    held for a whole run of `max_duration`; `fundable` is false where the project could not hold it, or owes
    money. `never` says that no registered pool could take it even when idle: such a job is refused.
    """

    choice: str
    reason: str
    alternatives: tuple[Alternative, ...]
    worst_case: Money | None
    fundable: bool
    policy: str
    never: bool = False


class QuotedPool(Shape):
    """What a job costs in a pool at the price of its project: an hour, and until its walltime.

    `why_not` says why it would not go there now, empty if it could. `hold` is what is held at the start.
    """

    site: Slug
    pool: Slug
    accelerator: str
    cards: int
    list_price_per_card_hour: Money
    price_per_card_hour: Money
    hourly: Money
    whole: Money
    hold: Money
    chosen: bool
    why_not: str = ""


class QuotedPart(Shape):
    """What one voucher, award or top-up would pay."""

    lot: str
    kind: str
    amount: Money


class Quote(Shape):
    """What a job would cost at this moment's prices; nothing is stored, and nothing is promised.

    A whole run is one until `max_duration`; of a service without an end, a day. `pays` is who would pay the
    whole run in the pool `of`: the one it would go to, or else the cheapest that could take it some day;
    `missing` is what no lot of the project could pay now. `commitments` to these accelerators may make it
    cheaper when the month is closed; their numbers are what is used, in flight, committed and left of them.
    """

    at: Time
    run_s: int
    pools: tuple[QuotedPool, ...]
    of: str
    pays: tuple[QuotedPart, ...]
    missing: Money
    reason: str
    commitments: tuple[Commitment, ...] = ()


JobPage = Page[Job]
FactPage = Page[Fact]
