"""Limits of a site's power in the scheduling pass: how many cards more may run while one holds.

A limit binds every job that would still run when it begins, as a booking does. What is left of it then is the
limit less what runs now and is expected to run beyond; between two beginnings power is only given back, so
those moments suffice. A card draws what it is metered by (`energy.account`). Nothing here is asked of pools
of sites without limits.

A job that cannot start has power kept for it as it has cards (EASY): of each limit that holds while it is
expected to run, what is left beside it from its start on. One job of each site has.
"""

from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.ends import when


@bare
def within_limits(a: Arrays, pool: int, now: int, until: int) -> int:
    """Return how many cards of a pool limits leave for a run from now until then, or NEVER."""
    found = c.NEVER
    for each in range(a.pools[pool, c.FIRST_LIMIT], a.pools[pool, c.AFTER_LIMIT]):
        if a.limits[each, c.LIMIT_FROM] < until and now < a.limits[each, c.LIMIT_UNTIL]:
            found = min(found, a.limits[each, c.POWER_LEFT] // a.pools[pool, c.DRAW])
    return int(found)


@bare
def count_power(a: Arrays, pool: int, now: int, until: int, cards: int) -> None:
    """Count the power of cards that are taken of a pool from now until then (negative: given back)."""
    for each in range(a.pools[pool, c.FIRST_LIMIT], a.pools[pool, c.AFTER_LIMIT]):
        if a.limits[each, c.LIMIT_FROM] < until and now < a.limits[each, c.LIMIT_UNTIL]:
            a.limits[each, c.POWER_LEFT] -= cards * a.pools[pool, c.DRAW]


@bare
def _middle(a: Arrays, pool: int) -> int:
    """Return where the limits of a pool's site end and what is kept of each begins."""
    return int((a.pools[pool, c.FIRST_LIMIT] + a.pools[pool, c.AFTER_LIMIT]) // 2)


@bare
def forget_kept(a: Arrays, pool: int) -> None:
    """Keep no power of a pool's site for anybody."""
    for each in range(_middle(a, pool), a.pools[pool, c.AFTER_LIMIT]):
        a.limits[each, c.LIMIT_FROM] = c.NEVER


@bare
def _ends(a: Arrays, pool: int, limit: int, now: int) -> int:
    """Write into `ends` when what a limit of a pool's site counts is given back; return how many."""
    found, begins = 0, a.limits[limit, c.LIMIT_FROM]
    for each in range(a.pools.shape[0]):
        if a.pools[each, c.AFTER_LIMIT] != a.pools[pool, c.AFTER_LIMIT]:
            continue
        job = a.pools[each, c.RUNS]
        while job >= 0:
            if begins <= now or a.jobs[job, c.UNTIL] > begins:
                a.ends[found, 0] = max(a.jobs[job, c.UNTIL], now)
                a.ends[found, 1] = a.jobs[job, c.CARDS] * a.pools[each, c.DRAW]
                found += 1
            job = a.jobs[job, c.NEXT]
    return found


@bare
def _left(a: Arrays, limit: int, found: int, at: int) -> int:
    """Return what will be left of a limit at a moment, by the first so many of `ends`."""
    left = a.limits[limit, c.POWER_LEFT]
    for each in range(found):
        if a.ends[each, 0] <= at:
            left += a.ends[each, 1]
    return int(left)


@bare
def past_limits(a: Arrays, pool: int, cards: int, now: int, at: int, run: int) -> int:
    """Return when a job that could start at `at` finds the power too for all of its run; NEVER if never."""
    need, moved = cards * a.pools[pool, c.DRAW], True
    while moved and at < c.NEVER:
        moved = False
        for each in range(a.pools[pool, c.FIRST_LIMIT], _middle(a, pool)):
            begins, over = a.limits[each, c.LIMIT_FROM], a.limits[each, c.LIMIT_UNTIL]
            if begins >= at + run or over <= at:
                continue
            found = _ends(a, pool, each, now)
            if _left(a, each, found, at) < need:
                then, _ = when(a, found, int(a.limits[each, c.POWER_LEFT]), need)
                at, moved = min(then, int(over)), True
    return at


@bare
def keep_power(a: Arrays, pool: int, cards: int, now: int, at: int, run: int) -> None:
    """Keep power for a job that is expected to start at `at`, unless some is kept of its site already."""
    first, middle = a.pools[pool, c.FIRST_LIMIT], _middle(a, pool)
    for each in range(middle, a.pools[pool, c.AFTER_LIMIT]):
        if a.limits[each, c.LIMIT_FROM] != c.NEVER:
            return
    for each in range(first, middle):
        if a.limits[each, c.LIMIT_FROM] >= at + run or a.limits[each, c.LIMIT_UNTIL] <= at:
            continue
        kept, found = middle + each - first, _ends(a, pool, each, now)
        a.limits[kept, c.LIMIT_FROM] = max(at, a.limits[each, c.LIMIT_FROM])
        a.limits[kept, c.POWER_LEFT] = _left(a, each, found, at) - cards * a.pools[pool, c.DRAW]
