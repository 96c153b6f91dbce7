"""States of jobs and attempts, categories of failure, and the one table that maps between them."""

from enum import StrEnum
from types import MappingProxyType


class JobState(StrEnum):
    """Where a job stands. The order of the first eight is the order of a good day."""

    ACCEPTED = "ACCEPTED"
    QUEUED = "QUEUED"
    PLACED = "PLACED"
    DISPATCHED = "DISPATCHED"
    PENDING = "PENDING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINISHING = "FINISHING"
    HELD = "HELD"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


FINAL = frozenset(
    {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.REJECTED, JobState.EXPIRED}
)
WAITING = frozenset({JobState.ACCEPTED, JobState.QUEUED, JobState.HELD})
AT_SITE = frozenset(
    {
        JobState.PLACED,
        JobState.DISPATCHED,
        JobState.PENDING,
        JobState.STARTING,
        JobState.RUNNING,
    }
)


class AttemptState(StrEnum):
    """Where one placement of a job on one site stands."""

    PLANNED = "PLANNED"  # a start command exists; no agent has it
    SUBMITTING = "SUBMITTING"  # an agent has the command
    PENDING = "PENDING"  # the engine has the job
    STARTING = "STARTING"  # staging and setup
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PREEMPTED = "PREEMPTED"
    CANCELLED = "CANCELLED"
    WITHDRAWN = "WITHDRAWN"  # the command was taken back before any agent had it
    LOST = "LOST"  # proved gone: see core.control.steps


ENDED = frozenset(
    {
        AttemptState.SUCCEEDED,
        AttemptState.FAILED,
        AttemptState.PREEMPTED,
        AttemptState.CANCELLED,
        AttemptState.WITHDRAWN,
        AttemptState.LOST,
    }
)

JOB_STATE_OF = MappingProxyType(
    {
        AttemptState.PLANNED: JobState.PLACED,
        AttemptState.SUBMITTING: JobState.DISPATCHED,
        AttemptState.PENDING: JobState.PENDING,
        AttemptState.STARTING: JobState.STARTING,
        AttemptState.RUNNING: JobState.RUNNING,
    }
)


class Category(StrEnum):
    """Whose doing an ended attempt was; it decides which retry budget pays."""

    NONE = "none"  # it succeeded
    USER = "user"  # the job's own exit code, its walltime
    OOM = "oom"
    CANCELLED = "cancelled"
    INFRA = "infra"  # the engine, a node, the disk
    PREEMPTED = "preempted"
    LOST = "lost"
    NO_CAPACITY = "no_capacity"
    FUNDS = "funds"  # stopped because no money was left to hold


THEIRS = frozenset({Category.INFRA, Category.LOST})
"""Ends that a site brought about."""

UNCHARGED_RETRY = frozenset({Category.INFRA, Category.PREEMPTED, Category.LOST, Category.NO_CAPACITY})
