"""Chains of jobs: which run in a pool, and which wait in a lane.

Where jobs are put in by a key, a chain is a skip list (Pugh, CACM 33(6), 1990): one job in eight is on a
second chain too, one in 64 on a third, so that a place is found in some tens of steps and not by a walk past
half of a queue. Which jobs those are follows from their indexes, so nothing is drawn by chance. The heads
stand in `heads[row]` from column `first` on, the links of a job in its columns NEXT, FAR and FARTHER.
"""

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare, inlined

_LEVELS = 3
_SPREAD = 40_503  # 2^16 by the golden ratio: neighbours are far apart


@inlined
def height(job: int) -> int:
    """Return on how many chains beyond the first a job is."""
    drawn = (job & 0xFFFF) * _SPREAD >> 7
    return 0 if drawn & 7 != 0 else 1 if drawn & 63 != 0 else 2


@inlined
def _next(jobs: Ints, heads: Ints, row: int, first: int, at: int, level: int) -> int:
    return int(jobs[at, c.NEXT + level] if at >= 0 else heads[row, first + level])


@inlined
def _lead(jobs: Ints, heads: Ints, row: int, first: int, at: int, level: int, job: int) -> None:
    """Let a job (-1: the head) be followed by another."""
    if at >= 0:
        jobs[at, c.NEXT + level] = job
    else:
        heads[row, first + level] = job


@bare
def insert(jobs: Ints, heads: Ints, row: int, first: int, key: int, job: int) -> int:
    """Put a job into a chain by a column `key`, after its equals; return the one before it, or -1."""
    at, tall = -1, height(job)
    for level in range(_LEVELS - 1, -1, -1):
        following = _next(jobs, heads, row, first, at, level)
        while following >= 0 and jobs[following, key] <= jobs[job, key]:
            at, following = following, jobs[following, c.NEXT + level]
        if level <= tall:
            jobs[job, c.NEXT + level] = following
            _lead(jobs, heads, row, first, at, level, job)
    return int(at)


@bare
def remove(jobs: Ints, heads: Ints, row: int, first: int, key: int, job: int) -> None:
    """Take a job out of a chain by a column `key`."""
    at, tall = -1, height(job)
    for level in range(_LEVELS - 1, -1, -1):
        following = _next(jobs, heads, row, first, at, level)
        while 0 <= following != job and (level <= tall or jobs[following, key] < jobs[job, key]):
            at, following = following, jobs[following, c.NEXT + level]
        if level <= tall:
            _lead(jobs, heads, row, first, at, level, int(jobs[job, c.NEXT + level]))


@bare
def make_chain(jobs: Ints, heads: Ints, row: int, first: int, order: Ints) -> None:
    """Let a chain be of some jobs in that order, which is that of its key."""
    for level in range(_LEVELS):
        last = -1
        for job in order:
            if height(job) >= level:
                _lead(jobs, heads, row, first, last, level, job)
                last = job
        _lead(jobs, heads, row, first, last, level, -1)


@inlined
def link(a: Arrays, job: int, pool: int) -> None:
    """Put a job among those that run in a pool; by their ends, where those are kept in order."""
    a.jobs[job, c.POOL] = pool
    if a.state[c.BY_END] != 0:
        insert(a.jobs, a.pools, pool, c.RUNS, c.UNTIL, job)
        return
    head = a.pools[pool, c.RUNS]
    if head >= 0:
        a.jobs[head, c.PRIOR] = job
    a.jobs[job, c.NEXT], a.jobs[job, c.PRIOR] = head, -1
    a.pools[pool, c.RUNS] = job


@inlined
def unlink(a: Arrays, job: int) -> None:
    """Take a job from those that run in its pool."""
    pool, prior, following = a.jobs[job, c.POOL], a.jobs[job, c.PRIOR], a.jobs[job, c.NEXT]
    a.jobs[job, c.POOL] = -1
    if a.state[c.BY_END] != 0:
        remove(a.jobs, a.pools, pool, c.RUNS, c.UNTIL, job)
        return
    if prior >= 0:
        a.jobs[prior, c.NEXT] = following
    else:
        a.pools[pool, c.RUNS] = following
    if following >= 0:
        a.jobs[following, c.PRIOR] = prior
