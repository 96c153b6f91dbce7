"""Reservations of the scheduling pass: when a job that cannot start now is expected to, and in which pool."""

from hutong.core.placement import columns as c
from hutong.core.placement.bookings import promised, spare
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled
from hutong.core.placement.ends import when
from hutong.core.placement.power import keep_power, past_limits


@compiled
def reserve(a: Arrays, job: int, now: int) -> None:
    """Reserve the earliest expected start of a job that cannot start now, in a pool with no reservation yet.

    The start in a pool is when enough running jobs will have ended, each when it was expected to, or now if
    it is overdue.
    """
    lane_class = a.jobs[job, c.CLASS]
    best, best_at, best_spare = -1, c.NEVER, 0
    for place in range(a.candidates.shape[1]):
        pool = a.candidates[lane_class, place]
        if pool < 0:
            break
        if a.pools[pool, c.OPEN] == 0 or a.pools[pool, c.RESERVED_FROM] != c.NEVER:
            continue
        if (a.state[c.BARS] >> a.pools[pool, c.FLAVOUR]) & 1 != 0:
            continue
        need = a.classes[lane_class, c.GANG] * a.per_node[lane_class, pool]
        at, left = earliest(a, pool, need, now)
        if at < c.NEVER and a.pools[pool, c.AFTER_BOOKING] != 0:
            at, left = beside(a, pool, job, now, at, left, need)
        if at < c.NEVER and a.pools[pool, c.AFTER_LIMIT] != 0:
            clear = past_limits(a, pool, need, now, at, a.jobs[job, c.EXPECTED])
            if clear > at and clear < c.NEVER and a.pools[pool, c.AFTER_BOOKING] != 0:
                at, left = beside(a, pool, job, now, clear, left, need)
            else:
                at = clear
        if at < best_at and at + a.jobs[job, c.EXPECTED] <= a.pools[pool, c.CLOSES]:
            best, best_at, best_spare = pool, at, left
    if best >= 0:
        a.pools[best, c.RESERVED_FROM] = best_at
        a.pools[best, c.SPARE] = best_spare
        if a.pools[best, c.AFTER_LIMIT] != 0:
            taken = a.classes[lane_class, c.GANG] * a.per_node[lane_class, best]
            keep_power(a, best, taken, now, best_at, a.jobs[job, c.EXPECTED])


@compiled
def earliest(a: Arrays, pool: int, need: int, now: int) -> tuple[int, int]:
    """Return when so many cards of a pool are expected to be free, and how many more will be then.

    NEVER if too few. Where the cards are free and their nodes do not suffice, the first end counts.
    """
    found, job = 0, a.pools[pool, c.RUNS]
    while job >= 0:
        a.ends[found, 0], a.ends[found, 1] = max(a.jobs[job, c.UNTIL], now), a.jobs[job, c.CARDS]
        found += 1
        job = a.jobs[job, c.NEXT]
    return when(a, found, int(a.pools[pool, c.FREE]), need)


@compiled
def beside(a: Arrays, pool: int, job: int, now: int, at: int, left: int, need: int) -> tuple[int, int]:
    """Return when a job that could start at `at`, with `left` cards over, can start beside the bookings too.

    And how many cards will then be left over. Bookings stand in the order in which they begin.
    """
    account, run = a.lanes[a.jobs[job, c.LANE], c.ACCOUNT], a.jobs[job, c.EXPECTED]
    for each in range(a.pools[pool, c.FIRST_BOOKING], a.pools[pool, c.AFTER_BOOKING]):
        begins, ends = a.bookings[each, c.BOOKED_FROM], a.bookings[each, c.BOOKED_UNTIL]
        if begins >= at + run or ends <= at or need <= spare(a, pool, each, account, at):
            continue
        others = promised(a, pool, each, account, at, False)
        then, over = earliest(a, pool, need + others, now)
        if then < ends:
            at, left = max(at, then), over + others
        else:
            at = ends
    return at, left
