"""What a run amounts to: waiting, slowdown, use, fairness; and how sure that is over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hutong.core.kernel.errors import Refused
from hutong.sim.cuts import FOR_MAINTENANCE, FOR_POWER
from hutong.sim.idle import idle_but_wanted
from hutong.sim.runs import Run
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster

SHORT_S = 10
_DRAWS = 2000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of a run, in seconds unless the name says otherwise; each over the jobs that were counted.

    `completion_mean_s` is from submission to end; a wait is all the time in the queue, also before a second
    start. `slowdown_mean` is bounded: completion / max(run, 10 s), at least 1 (Feitelson and Rudolph, 1998).
    `used` is the share of all card-seconds, from the first submission to the last end, that jobs held,
    `fragmented` the share that stood idle although a job waited that asks for no more cards than were free in
    a pool that it may use and whose nodes could hold it: they were spread over nodes or kept for others.
    `restarts` and `lost_card_s`, the card-seconds held for work that an outage or a stop undid, are of all
    jobs, those of the warm-up too; `stops` are restarts of what was stopped, `stop_lost_card_s` what was lost
    so; of the stops, `maintenance_stops` were for maintenance and `power_stops` for a limit of power, the
    others made room. `jain` is Jain's index over groups' mean slowdowns (Jain, 1984): 1 means that all fare
    alike, 1/n that one bears everything.
    """

    jobs: int
    completion_mean_s: float
    completion_p99_s: float
    wait_mean_s: float
    wait_p50_s: float
    wait_p90_s: float
    wait_p99_s: float
    wait_p999_s: float
    slowdown_mean: float
    used: float
    fragmented: float
    makespan_s: int
    jain: float
    restarts: int
    lost_card_s: int
    stops: int
    stop_lost_card_s: int
    maintenance_stops: int
    power_stops: int


def measure(
    trace: Trace, run: Run, cluster: Cluster, *, isolated: bool = False, warm_up_s: int = 0
) -> Measures:
    """Return the figures of a run on a cluster; jobs submitted in the warm-up are run and not counted.

    Where each group is isolated in the pool of its name, only that pool is one that its jobs may use. Cards
    that an outage took away count as idle.
    Raises Refused if no job is left to count, or if one never started or never ended.
    """
    if (run.start_s < 0).any():
        raise Refused(
            "simulation", f"{int((run.start_s < 0).sum())} jobs never started, or were killed and never again"
        )
    counted = trace.submit_s >= warm_up_s
    if not counted.any():
        raise Refused("simulation", f"no job was submitted after {warm_up_s} s of warm-up")
    wait = run.waited_s(trace.submit_s)[counted]
    completion = (run.finish_s - trace.submit_s)[counted]
    slowdown = np.maximum(1.0, completion / np.maximum(trace.run_s[counted], SHORT_S))
    makespan = int(run.finish_s.max())
    held = run.attempts
    held_card_s = int(((held.end_s - held.start_s) * trace.cards[held.job]).sum())
    p50, p90, p99, p999 = (float(each) for each in np.percentile(wait, [50, 90, 99, 99.9]))
    return Measures(
        jobs=int(counted.sum()),
        completion_mean_s=float(completion.mean()),
        completion_p99_s=float(np.percentile(completion, 99)),
        wait_mean_s=float(wait.mean()),
        wait_p50_s=p50,
        wait_p90_s=p90,
        wait_p99_s=p99,
        wait_p999_s=p999,
        slowdown_mean=float(slowdown.mean()),
        used=held_card_s / max(1, makespan * cluster.cards),
        fragmented=idle_but_wanted(trace, run, cluster, isolated=isolated) / max(1, makespan * cluster.cards),
        makespan_s=makespan,
        jain=jain(by_group(trace.group[counted], slowdown)),
        restarts=int(run.restarts.sum()),
        lost_card_s=run.lost_card_s(trace.cards),
        stops=int(run.stops.sum()),
        stop_lost_card_s=run.lost_card_s(trace.cards, stopped=True),
        maintenance_stops=int(run.stops_for(FOR_MAINTENANCE).sum()),
        power_stops=int(run.stops_for(FOR_POWER).sum()),
    )


def by_group(group: npt.NDArray[np.int64], values: Floats) -> Floats:
    """Return the mean of each group that has a value."""
    groups = np.unique(group)
    return np.array([values[group == each].mean() for each in groups])


def jain(values: Floats) -> float:
    """Return (sum x)^2 / (n sum x^2)."""
    squares = float((values**2).sum())
    return float(values.sum()) ** 2 / (len(values) * squares) if squares else 1.0


def interval(values: Sequence[float], seed: int = 1) -> tuple[float, float]:
    """Return a 95 % interval of the mean of runs with different seeds, by the bootstrap (Efron, 1979).

    Both ends are the value itself where there is only one.
    """
    found = np.asarray(values, np.float64)
    random = np.random.default_rng(seed)
    means = found[random.integers(0, len(found), (_DRAWS, len(found)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
