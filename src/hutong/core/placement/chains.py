"""Which jobs run in a pool: a list in both directions through the jobs, in no order."""

from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import inlined


@inlined
def link(a: Arrays, job: int, pool: int) -> None:
    """Put a job among those that run in a pool."""
    head = a.pools[pool, c.RUNS]
    if head >= 0:
        a.jobs[head, c.PRIOR] = job
    a.jobs[job, c.NEXT], a.jobs[job, c.PRIOR], a.jobs[job, c.POOL] = head, -1, pool
    a.pools[pool, c.RUNS] = job


@inlined
def unlink(a: Arrays, job: int) -> None:
    """Take a job from those that run in its pool."""
    pool, prior, following = a.jobs[job, c.POOL], a.jobs[job, c.PRIOR], a.jobs[job, c.NEXT]
    if prior >= 0:
        a.jobs[prior, c.NEXT] = following
    else:
        a.pools[pool, c.RUNS] = following
    if following >= 0:
        a.jobs[following, c.PRIOR] = prior
    a.jobs[job, c.POOL] = -1
