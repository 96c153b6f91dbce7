"""What follows the end of an attempt: done, another try, or the end; one budget for each kind of failure."""

from dataclasses import dataclass

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
