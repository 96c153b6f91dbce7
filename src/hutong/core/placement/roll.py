"""The pass run forward from one moment: when each waiting job would start if everything ended as expected."""

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled
from hutong.core.placement.heap import pop, push
from hutong.core.placement.kernel import begin, next_start, release, unlink


@compiled
def roll(a: Arrays, now: int, waiting: int, starts: Ints) -> None:
    """Write when each of the first so many jobs would start, -1 for never.

    The other jobs run already (`kernel.occupy`); each ends at its UNTIL, or now if it is overdue, and each
    job that starts after its EXPECTED. Nothing comes, and no pool opens. The arrays are used up.
    """
    room = len(a.jobs)
    ends, jobs = np.empty(room, np.int64), np.empty(room, np.int64)
    running = 0
    for job in range(waiting, room):
        push(ends, jobs, running, max(a.jobs[job, c.UNTIL], now), job)
        running += 1
    starts[:] = -1
    left = waiting
    while left > 0:
        begin(a)
        while True:
            job = next_start(a, now)
            if job < 0:
                break
            starts[job] = now
            push(ends, jobs, running, now + a.jobs[job, c.EXPECTED], job)
            running += 1
            left -= 1
        if running == 0:
            break
        now = ends[0]
        while running > 0 and ends[0] == now:
            ended = jobs[0]
            running -= 1
            pop(ends, jobs, running)
            if ended < waiting:
                release(a, ended)
            else:
                a.pools[a.jobs[ended, c.POOL], c.FREE] += a.jobs[ended, c.CARDS]
                unlink(a, ended)
