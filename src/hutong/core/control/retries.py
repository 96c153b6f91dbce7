"""What follows the end of an attempt: done, another try and when, or the end; a budget for each failure."""

from collections.abc import Iterable
from dataclasses import dataclass

from hutong.core.control.rules import Rules
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import JobSpec
from hutong.core.work.states import UNCHARGED_RETRY, AttemptState, Category, JobState


@dataclass(frozen=True, slots=True)
class Verdict:
    """`final` is the job's last state, or None where it goes back to the queue."""

    final: JobState | None
    reason: str


def judge(job: Job, attempt: Attempt, spec: JobSpec, max_attempts: int) -> Verdict:
    """Return what follows an ended attempt.

    The user's own errors use the user's budget; what the platform or a centre did uses no budget of
    the user's, up to the platform's limit for one job. (What ran is billed all the same: docs/critiques.md.)
    """
    if attempt.state is AttemptState.SUCCEEDED:
        return Verdict(JobState.SUCCEEDED, "")
    if job.cancel_by:
        return Verdict(JobState.CANCELLED, job.cancel_reason or f"cancelled by {job.cancel_by}")
    why = attempt.reason or attempt.category.value
    if attempt.category in UNCHARGED_RETRY:
        if job.restarts_of(attempt.category) + 1 < max_attempts and len(job.attempts) < 4 * max_attempts:
            return Verdict(None, why)
        return Verdict(JobState.FAILED, f"{why}; given up after {len(job.attempts)} attempts")
    if attempt.category in {Category.USER, Category.OOM}:
        recovers = any(e.code in spec.retry.recover_on_exit_codes for e in attempt.exits if e.code)
        budget = spec.retry.max_restarts_on_errors
        if job.restarts_of(attempt.category) < (max_attempts if recovers else budget):
            return Verdict(None, why)
        return Verdict(JobState.FAILED, why)
    return Verdict(JobState.FAILED, why)


def back_off_ms(job: Job, rules: Rules) -> int:
    """Return how long the retry that follows the job's last attempt waits.

    One that its site never took is no failure.
    """
    if job.attempts[-1].state is AttemptState.WITHDRAWN:
        return 0
    taken = (each for each in reversed(job.attempts) if each.state is not AttemptState.WITHDRAWN)
    return after_failures_ms((each.ran_ms for each in taken), rules)


def after_failures_ms(ran_ms: Iterable[int], rules: Rules) -> int:
    """Return how long a retry waits after attempts that ran for so long, the last first.

    Longer with each failure in a row; an attempt that ran for longer than the longest wait begins the row
    anew. There is no jitter: jobs that become ready together still pass one queue, turn by turn.
    """
    failures = 0
    for ran in ran_ms:
        failures += 1
        if ran > rules.retry_most_ms:
            break
    if failures == 1:
        return 0
    return min(rules.retry_ms << min(failures - 2, 32), rules.retry_most_ms)
