"""How long the last runs of the same work took: what a run's expected end is guessed from."""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.core.work.check import DEFAULT_NAME
from hutong.core.work.spec import JobSpec, JobType
from hutong.core.work.states import Category

MOST_LENGTHS = 50
"""So many of the latest are kept of each work; older ones are forgotten: code and data change."""

KEPT_MS = 180 * 86_400_000
"""How long those of a work are kept after its last one."""

TELLING = frozenset({Category.NONE, Category.USER, Category.OOM})
"""Ends that say how long the work takes; the others are somebody else's doing."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long one run took, in whole seconds, rounded up; `work` is what counts as the same work."""

    work: str
    ran_s: int


def work_of(project: str, spec: JobSpec) -> str:
    """Return what counts as the same work: tasks of one name in a project that ask for as many cards.

    Empty where nothing is to be learnt: the job has no name of its own, or no end.
    """
    if spec.type is not JobType.TASK or spec.name == DEFAULT_NAME:
        return ""
    return f"{project}/{spec.name}/{spec.num_nodes}x{spec.resources.asks[0].cards_per_node}"


def after(before: Sequence[int], some: Sequence[int]) -> tuple[int, ...]:
    """Return the lengths that are known after some more, the oldest first."""
    return (*before, *some)[-MOST_LENGTHS:]
