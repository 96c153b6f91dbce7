"""What jobs tell the sums of work: how long each waited for its first start, or why it never had one.

A wait is from the submission to when the platform heard of the first start. It counts at the hour of the
submission, so that those who still wait and those who were served are of the same jobs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution
from hutong.core.book.rollups import Rows, add, hour_of
from hutong.core.kernel.changes import made
from hutong.core.kernel.ids import JobId, ProjectId
from hutong.core.work.facts import Ended, Fact, Finished, Started
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import JobSpec
from hutong.core.work.states import JobState

Shape = tuple[str, int, int]
"""For what a job asks, the class of its size, and its card-milliseconds."""
SEVERAL = "several"
STARTED, DEFERRED, GONE, ENDED = "started", "deferred", "gone", "ended"
SIZES = (0, 1, 2, 9, 65, 513)
"""Cards from which each class of size begins."""
OPEN_ENDED_MS = 3_600_000
"""Work without a walltime counts with an hour, as in budgets (ADR 41)."""
_STEPS = 8


@dataclass(frozen=True, slots=True)
class Wait:
    """A job that waits for its first start: since when, for what, and why it is not placed."""

    job: JobId
    project: ProjectId
    since_ms: int
    asked: str
    size: int
    card_ms: int
    code: str


@dataclass(frozen=True, slots=True)
class WaitGroup:
    """Jobs that wait: of a project, since an hour, for what and why."""

    project: str
    hour: int
    asked: str
    size: int
    code: str
    jobs: int
    card_ms: int


def bucket_of(wait_ms: int) -> int:
    """Return the bucket of a wait: whole seconds up to eight, then eight to each doubling.

    >>> [bucket_of(s * 1000) for s in (0, 7, 8, 15, 16, 17, 18)]
    [0, 7, 8, 15, 16, 16, 17]
    """
    seconds = max(0, wait_ms) // 1000
    if seconds < _STEPS:
        return seconds
    octave = seconds.bit_length() - _STEPS.bit_length()
    return octave * _STEPS + (seconds >> octave)


def bucket_ends_ms(bucket: int) -> int:
    """Return the wait that is just longer than all of a bucket."""
    octave = max(0, bucket // _STEPS - 1)
    return ((bucket - octave * _STEPS + 1) << octave) * 1000


def cards_of(spec: JobSpec) -> int:
    """Return how many cards a job asks for at most."""
    return spec.num_nodes * max((ask.cards_per_node for ask in spec.resources.asks), default=0)


def size_of(cards: int) -> int:
    """Return the class of size: the cards from which it begins."""
    return max(each for each in SIZES if each <= cards)


def asked_of(spec: JobSpec) -> str:
    """Return the accelerator that a job asks for, `several` where it takes any of several, or nothing."""
    models = {ask.accelerator for ask in spec.resources.asks}
    return SEVERAL if len(models) > 1 else next(iter(models), "")


def shape_of(spec: JobSpec) -> Shape:
    """Return by what a job is counted that asked for this: see `Wait`."""
    cards = cards_of(spec)
    return asked_of(spec), size_of(cards), cards * (spec.max_duration_s * 1000 or OPEN_ENDED_MS)


def first_start(job: Job) -> Attempt | None:
    """Return the first attempt that ran."""
    for each in job.attempts:
        if each.started_ms or each.started_seen_ms:
            return each
    return None


def waiting(job: Job, shape: Shape, project: ProjectId) -> Wait | None:
    """Return how a job waits, None if it does not: it started, is over, or is held by its owner."""
    if job.final or job.state in {JobState.ACCEPTED, JobState.HELD} or first_start(job) is not None:
        return None
    code = job.waiting_code if job.state is JobState.QUEUED else "placed"
    return made(Wait, job.id, project, job.submitted_ms, *shape, code)


def may_move(facts: Iterable[Fact]) -> bool:
    """True if these facts may change how a job waits or what is told of it."""
    return any(not _still(fact) for fact in facts)


def _still(fact: Fact) -> bool:
    return fact.event.kind in {"metered", "collected", "accepted", "dispatched", "starting", "stop_sent"}


def told(job: Job, facts: Iterable[Fact] | None, spec: JobSpec, institution: Institution | None) -> Rows:
    """Return what a job adds to the sums of work with its newest facts; all that it ever told for None."""
    first = first_start(job)
    left, over = _news(first, facts) if facts is not None else (first is not None or job.final, job.final)
    rows: Rows = {}
    if not (left or over):
        return rows
    kind = kind_at(institution, job.submitted_ms).value if institution else ""
    asked, size, card_ms = shape_of(spec)
    if left and first is not None:
        wait_ms = max(0, (first.started_seen_ms or first.ended_seen_ms) - job.submitted_ms)
        what = DEFERRED if spec.wish.defer_s else STARTED
        key = (hour_of(job.submitted_ms), kind, asked, size, what, "", bucket_of(wait_ms))
        add(rows, key, (1, wait_ms, card_ms))
    elif left:
        wait_ms = max(0, job.finished_ms - job.submitted_ms)
        why = f"{job.state.value.lower()}:{job.waiting_code}"
        key = (hour_of(job.submitted_ms), kind, asked, size, GONE, why, bucket_of(wait_ms))
        add(rows, key, (1, wait_ms, card_ms))
    if over:
        key = (hour_of(job.finished_ms), kind, asked, size, ENDED, job.state.value.lower(), 0)
        add(rows, key, (1, 0, card_ms))
    return rows


def _news(first: Attempt | None, facts: Iterable[Fact]) -> tuple[bool, bool]:
    """Return whether these facts are how the job left the wait, and whether it is over with them."""
    left = over = False
    for fact in facts:
        match fact.event:
            case Started(attempt=number):
                left |= first is not None and number == first.number
            case Ended(attempt=number):  # it ran and ended between two reports
                left |= first is not None and number == first.number and not first.started_seen_ms
            case Finished():
                over = True
                left |= first is None
    return left, over
