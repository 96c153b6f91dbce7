"""Reservations of the scheduling pass: when a job that cannot start now is expected to, and in which pool."""

from hutong.core.placement import columns as c
from hutong.core.placement.bookings import promised, spare
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare, inlined
from hutong.core.placement.ends import when
from hutong.core.placement.guesses import end_of
from hutong.core.placement.power import keep_power, past_limits


@bare
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
        at, left = first_start(a, pool, job, need, now)
        if at < best_at and at + a.jobs[job, c.EXPECTED] <= a.pools[pool, c.CLOSES]:
            best, best_at, best_spare = pool, at, left
    if best >= 0:
        a.pools[best, c.RESERVED_FROM] = best_at
        a.pools[best, c.SPARE] = best_spare
        if a.pools[best, c.AFTER_LIMIT] != 0:
            taken = a.classes[lane_class, c.GANG] * a.per_node[lane_class, best]
            keep_power(a, best, taken, now, best_at, a.jobs[job, c.EXPECTED])


@bare
def first_start(a: Arrays, pool: int, job: int, need: int, now: int) -> tuple[int, int]:
    """Return when a job that cannot start now is expected to in a pool, and how many cards will be left over.

    NEVER if never. Where the cards are free it is for bookings or limits that it cannot, or for what is kept
    of a limit for another job: then nobody knows. Where nodes are known, it is for them, and the first end
    counts.
    """
    ahead = a.pools[pool, c.AHEAD] != 0
    barred = ahead and a.pools[pool, c.FIRST_WORD] < 0 and a.pools[pool, c.FREE] >= need
    if barred:
        at, left = now, int(a.pools[pool, c.FREE]) - need
    else:
        at, left = earliest(a, pool, need, now)
    if not ahead or at == c.NEVER:
        return at, left
    at, left = beside(a, pool, job, now, at, left, need)
    clear = past_limits(a, pool, need, now, at, a.jobs[job, c.EXPECTED])
    if at < clear < c.NEVER:
        return beside(a, pool, job, now, clear, left, need)
    return c.NEVER if barred and clear == now else clear, left


@inlined
def _earliest_in_order(a: Arrays, pool: int, need: int, now: int) -> tuple[int, int]:
    """`earliest`, where those that run are a chain by their ends and nobody guesses those."""
    free, at, job = int(a.pools[pool, c.FREE]), c.NEVER, a.pools[pool, c.RUNS]
    while job >= 0:
        end = max(a.jobs[job, c.UNTIL], now)
        if end > at and free >= need:
            break
        at = end
        free += a.jobs[job, c.CARDS]
        job = a.jobs[job, c.NEXT]
    return (at, free - need) if at < c.NEVER and free >= need else (c.NEVER, 0)


@bare
def earliest(a: Arrays, pool: int, need: int, now: int) -> tuple[int, int]:
    """Return when so many cards of a pool are expected to be free, and how many more will be then.

    NEVER if too few.
    """
    if a.state[c.BY_END] != 0:
        return _earliest_in_order(a, pool, need, now)
    found, job = 0, a.pools[pool, c.RUNS]
    while job >= 0:
        a.ends[found, 0], a.ends[found, 1] = end_of(a, pool, job, now), a.jobs[job, c.CARDS]
        found += 1
        job = a.jobs[job, c.NEXT]
    return when(a, found, int(a.pools[pool, c.FREE]), need)


@bare
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
