"""The rules of a turn: policies and time limits, as data. Milliseconds throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from hutong.core.placement.columns import Backfill
from hutong.core.placement.expected import PATIENCE_MS
from hutong.core.placement.request import Policy

DEFAULT_POLICY = "balanced"


class RunLengths(StrEnum):
    """By what a job is expected to end: the time it asked for, or what the same work took before."""

    WALLTIME = "walltime"
    PREDICTED = "predicted"


def _policies() -> Mapping[str, Policy]:
    balanced = Policy(
        DEFAULT_POLICY,
        fit=2,
        price=6,
        wait=4,
        distance=2,
        green=6,
        speed=4,
        carbon=2,
        reliability=2,
        energy=2,
        fragmentation=1,
    )
    return MappingProxyType({balanced.name: balanced})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the platform's operator may set.

    `reach_ms`: a site that has not called for so long is unreachable; that stops no job.
    `lost_after_ms` and `lost_polls`: how long, and in how many full observations, an attempt must be missing
    before it is LOST (invariant B); both must be met, and the time must be longer than an agent's lease on
    a start command. `accept_within_ms`: an attempt that its site took so long ago and has not begun is
    stopped; staging of inputs counts, so it is long. `settle_every_ms`, `hold_ms`: long jobs are settled so
    often, and so much is held ahead. `retry_ms`, `retry_most_ms`: the first retry of a job follows at once,
    the second after `retry_ms`, each further one after twice as long as the last, up to `retry_most_ms`.
    `waive_ms`: of an attempt that its site broke, so much of its end is given back.
    `debt_limit_micro`: a project that owes more than this gets nothing new placed. `backfill`: what a job
    that waits means for those after it. `lengths`: by what jobs are expected to end for that. `patience_ms`:
    a job that waited longer than this is delayed by no guess any more.
    """

    policies: Mapping[str, Policy] = field(default_factory=_policies)
    reach_ms: int = 90_000
    take_within_ms: int = 120_000
    lost_after_ms: int = 120_000
    lost_polls: int = 5
    accept_within_ms: int = 21_600_000
    settle_every_ms: int = 300_000
    hold_ms: int = 3_600_000
    collect_within_ms: int = 900_000
    overdue_ms: int = 600_000
    max_attempts: int = 8
    waive_ms: int = 86_400_000
    debt_limit_micro: int = 0
    retry_ms: int = 10_000
    retry_most_ms: int = 300_000
    backfill: Backfill = Backfill.EASY
    lengths: RunLengths = RunLengths.WALLTIME
    patience_ms: int = PATIENCE_MS

    @property
    def predicts(self) -> bool:
        """True if lengths are guessed from history."""
        return self.lengths is RunLengths.PREDICTED

    def policy(self, name: str) -> Policy:
        """Return the policy of that name, or the default one where it is gone."""
        return self.policies.get(name) or self.policies[DEFAULT_POLICY]
