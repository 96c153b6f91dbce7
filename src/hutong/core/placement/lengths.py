"""How long a job of a group will last, from those before it: a survival curve in quanta, in integers only.

The curve is the product-limit estimate (Kaplan and Meier 1958): jobs that still run count too, up to the
work they are known to have done, or else the first hours of a history would hold short jobs only. A prior
stands for what is known before any job has ended; a few jobs of weight are soon outvoted.
"""

import numpy as np

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled

ALIVE = 1_000_000
# Counts are in thousandths of a job, so that a prior can spread one job over many quanta.
JOB = 1000


def spread_prior(first: int, count: int, jobs: int) -> Ints:
    """Return a prior of so many jobs, in thousandths: nothing before quantum `first`, then ever thinner.

    The weight of quantum r is proportional to 1 / (r + 1): every doubling of the length is as likely as any
    other, which fits batch jobs well where nothing else is known. `count` entries.
    """
    weights = np.array([0 if r < first else 1_000_000_000 // (r + 1) for r in range(count)], np.int64)
    return weights * jobs * JOB // max(1, int(weights.sum()))


@compiled
def survival(ended: Ints, unfinished: Ints, prior: Ints) -> Ints:
    """Return the ppm of jobs that have not ended after 0, 1, ... n quanta of work, n + 1 entries.

    Each argument has n entries, in thousandths of a job: those that ended within the quantum, those last
    seen alive in it, and the prior, which counts as ended. Without any observation beyond a quantum the
    curve stays where it is.
    """
    at_risk: int = 0
    for r in range(len(ended)):
        at_risk += ended[r] + unfinished[r] + prior[r]
    alive = np.empty(len(ended) + 1, np.int64)
    alive[0] = ALIVE
    for r in range(len(ended)):
        gone = ended[r] + prior[r]
        alive[r + 1] = alive[r] if at_risk <= 0 else alive[r] * (at_risk - gone) // at_risk
        at_risk -= gone + unfinished[r]
    return alive


@compiled
def quantile(alive: Ints, ppm: int) -> int:
    """Return the fewest quanta within which at least so many ppm of jobs end, or the whole curve."""
    for r in range(len(alive)):
        if ALIVE - alive[r] >= ppm:
            return r
    return len(alive) - 1


@compiled
def mean(alive: Ints) -> int:
    """Return the expected quanta of work, rounded up, at least 1; jobs end in the middle of a quantum."""
    total: int = 0
    for r in range(len(alive) - 1):
        total += alive[r] + alive[r + 1]
    return max(1, int((total + 2 * ALIVE - 1) // (2 * ALIVE)))
