"""What every store decides alike about arrays of which few jobs run at once.

A job beyond the limit stays ACCEPTED and no turn looks at it. Each end of a job of the array lets so many of
those begin that the limit is reached again: counted anew each time, so that nothing can be miscounted.
"""

from collections.abc import Collection, Iterable, Sequence

from hutong.adapters.store import rules
from hutong.core.book.snapshot import JobOutcome
from hutong.core.book.store import NewJob, UserEvent
from hutong.core.kernel.arrays import MOST_JOBS, array_of, job_at, place_of
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import JobId
from hutong.core.work.facts import HoldAsked
from hutong.core.work.fold import Job
from hutong.core.work.states import JobState


def bounds_of(array: str) -> tuple[str, str]:
    """Return the ids between which those of the array's jobs lie, themselves not among them."""
    return array, job_at(array, MOST_JOBS + 1)


def first_due(wish: NewJob, now_ms: int) -> int | None:
    """Return when the loop is to look at a new job: now, or never by itself if it is beyond its limit."""
    limit = wish.spec.array.at_once if wish.spec.array else 0
    return None if limit and place_of(wish.id) > limit else now_ms


def waits_for_array(state: str, due_ms: int | None) -> bool:
    """True for a job that waits until others of its array are over."""
    return state == JobState.ACCEPTED and due_ms is None


def check_ask(job: Job, due_ms: int | None, event: UserEvent) -> None:
    """Raise Conflict for what cannot be asked of a job that waits for its array."""
    if isinstance(event, HoldAsked) and waits_for_array(job.state, due_ms):
        raise Conflict("array_limit", f"job {job.id} is not in the queue: it waits for others of its array")


def may_ask(job: Job, due_ms: int | None, event: UserEvent) -> bool:
    """True if what is asked of a job is news to it and not too late."""
    try:
        check_ask(job, due_ms, event)
        return rules.wants_fact(job, event)
    except Conflict:
        return False


def limits_of(outcomes: Iterable[JobOutcome]) -> dict[str, int]:
    """Return how many run at once of each array of which a job is over."""
    return {array_of(each.job): each.at_once for each in outcomes if each.at_once}


def looked_at(limit: int) -> int:
    """Return of how many jobs of an array that are ACCEPTED it is enough to know, the first ones.

    Those that were let begin are the first of them, and at most `limit`; as many more may follow.
    """
    return 2 * limit


def next_of(
    limit: int,
    begun: Iterable[JobId],
    accepted: Sequence[tuple[JobId, int | None]],
    over: Collection[JobId],
) -> list[JobId]:
    """Return which of an array's waiting jobs begin now, the first ones.

    `begun` are its jobs that are in the queue or beyond and not final, `accepted` the first of the others
    with when they are looked at, `over` those that are final from now on.
    """
    called = [job for job, due_ms in accepted if due_ms is not None]
    active = sum(job not in over for job in (*begun, *called))
    waiting = [job for job, due_ms in accepted if due_ms is None and job not in over]
    return waiting[: max(0, limit - active)]
