"""The pass run forward from one moment: when each waiting job would start if everything ended as expected."""

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.chains import unlink
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import aside, bare
from hutong.core.placement.guesses import expected_end, likely
from hutong.core.placement.heap import pop, push
from hutong.core.placement.kernel import begin, next_start, release
from hutong.core.placement.levels import give_back
from hutong.core.placement.limits import count_ahead
from hutong.core.placement.quotas import count_held


@bare
def _next(a: Arrays, end: int, now: int) -> int:
    """Return when something changes next: a job ends, or a booking or a limit does."""
    found = end
    for each in range(a.bookings.shape[0]):
        if a.bookings[each, c.BOOKED_UNTIL] > now:
            found = min(found, a.bookings[each, c.BOOKED_UNTIL])
    for each in range(a.limits.shape[0]):
        if a.limits[each, c.LIMIT_UNTIL] > now:
            found = min(found, a.limits[each, c.LIMIT_UNTIL])
    return int(found)


@aside
def roll(a: Arrays, now: int, running_jobs: Ints, waiting: int, starts: Ints) -> None:
    """Write when each of so many waiting jobs would start, by job, -1 for never.

    Each job ends when it is expected to: by its guess or else its walltime, or now if it is overdue.
    Nothing comes, and no pool opens. The arrays are used up.
    """
    a.state[c.BRIEF] = int(a.state[c.BACKFILL] == 3)
    room = len(a.jobs)
    ends, jobs = np.empty(room, np.int64), np.empty(room, np.int64)
    running = 0
    for job in running_jobs:
        until = a.jobs[job, c.UNTIL]
        end = expected_end(until - a.jobs[job, c.EXPECTED], a.jobs[job, c.LIKELY], until, now)
        push(ends, jobs, running, end, job)
        running += 1
    starts[:] = -1
    left = waiting
    while left > 0:
        begin(a, now)
        while True:
            job = next_start(a, now)
            if job < 0:
                break
            starts[job] = now
            push(ends, jobs, running, now + likely(a, job), job)
            running += 1
            left -= 1
        now = _next(a, ends[0] if running > 0 else c.NEVER, now)
        if now == c.NEVER:
            break
        while running > 0 and ends[0] == now:
            ended = jobs[0]
            running -= 1
            pop(ends, jobs, running)
            pool, known = a.jobs[ended, c.POOL], a.jobs[ended, c.LANE] >= 0
            account = a.lanes[a.jobs[ended, c.LANE], c.ACCOUNT] if known else a.jobs[ended, c.KEY]
            if a.pools[pool, c.AHEAD] != 0:
                count_ahead(a, pool, account, now, now, -a.jobs[ended, c.CARDS])
            if known:
                release(a, ended)
            else:  # it was there before the pass knew of it, see `occupy`
                a.pools[pool, c.FREE] += a.jobs[ended, c.CARDS]
                nodes = max(1, a.jobs[ended, c.CLASS])
                give_back(a, pool, nodes, a.jobs[ended, c.CARDS] // nodes)
                if a.state[c.QUOTAS] != 0:
                    count_held(a, account, pool, -a.jobs[ended, c.CARDS])
                unlink(a, ended)
