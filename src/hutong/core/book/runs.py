"""How runs of the same work came out on each accelerator: what expected speeds are learnt from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hutong.core.work.check import DEFAULT_NAME
from hutong.core.work.spec import JobSpec, JobType

MOST_RUNS = 256
"""With so many runs the older ones are forgotten by half: chips, code and drivers change."""

KEPT_MS = 180 * 86_400_000
"""How long the runs of a workload are kept after its last one."""

_MILLI = 1000


@dataclass(frozen=True, slots=True)
class Runs:
    """Whole runs of a workload on an accelerator: how many, and the sum of ln(card-seconds), milli-nats."""

    accelerator: str
    count: int
    sum_mn: int


@dataclass(frozen=True, slots=True)
class Run:
    """One whole run of a workload on an accelerator; `work_mn` is ln(card-seconds), milli-nats."""

    workload: str
    accelerator: str
    work_mn: int


def workload_of(project: str, spec: JobSpec) -> str:
    """Return what counts as the same work: tasks of one name in a project that several accelerators may run.

    Empty where nothing is to be learnt: there is no choice of accelerators, no name, or no end.
    """
    choice = len({ask.accelerator for ask in spec.resources.asks}) > 1
    return (
        f"{project}/{spec.name}" if choice and spec.name != DEFAULT_NAME and spec.type is JobType.TASK else ""
    )


def work_mn(cards: int, ran_ms: int) -> int:
    """Return ln(card-seconds) of a run, milli-nats; less than a card-second counts as one."""
    return round(_MILLI * math.log(max(1.0, cards * ran_ms / 1000)))


def merged(before: Runs | None, runs: Iterable[Run], accelerator: str) -> Runs:
    """Return what is known after some more runs on an accelerator."""
    count, total = (before.count, before.sum_mn) if before else (0, 0)
    for each in runs:
        if count >= MOST_RUNS:
            count, total = count // 2, total * (count // 2) // count
        count, total = count + 1, total + each.work_mn
    return Runs(accelerator, count, total)
