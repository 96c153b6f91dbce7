"""The power that limits of a site are expected to leave, step by step, where every job that waits keeps some.

The profile is of a site: all pools on which its limits bear share one. It is drawn together with those of
their cards, see `profile`; a step leaves NEVER where nothing limits it.
"""

from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.heap import push
from hutong.core.placement.steps import chain, split, take


@bare
def draw_power(a: Arrays, pool: int, now: int) -> None:
    """Draw the profile of the power of a pool's site from what runs there."""
    times, power, size = a.ends[:, 0], a.ends[:, 1], 0
    for each in range(a.pools.shape[0]):
        if a.pools[each, c.AFTER_LIMIT] != a.pools[pool, c.AFTER_LIMIT]:
            continue
        job = a.pools[each, c.RUNS]
        while job >= 0:
            if a.jobs[job, c.UNTIL] < c.NEVER:
                given = a.jobs[job, c.CARDS] * a.pools[each, c.DRAW]
                push(times, power, size, max(a.jobs[job, c.UNTIL], now), given)
                size += 1
            job = a.jobs[job, c.NEXT]
    head = chain(a, now, 0, times, power, size)
    first = a.pools[pool, c.FIRST_LIMIT]
    after = (first + a.pools[pool, c.AFTER_LIMIT]) // 2
    for each in range(first, after):
        for at in (a.limits[each, c.LIMIT_FROM], a.limits[each, c.LIMIT_UNTIL]):
            if now < at < c.NEVER:
                split(a, head, at)
    step = head
    while step >= 0:
        a.ends[step, c.GIVEN_BACK], a.ends[step, c.STEP_FREE] = a.ends[step, c.STEP_FREE], c.NEVER
        step = a.ends[step, c.STEP_NEXT]
    for each in range(first, after):
        _bound(a, head, each, now)
    for each in range(a.pools.shape[0]):
        if a.pools[each, c.AFTER_LIMIT] == a.pools[pool, c.AFTER_LIMIT]:
            a.pools[each, c.POWER_STEP] = head


@bare
def _bound(a: Arrays, step: int, limit: int, now: int) -> None:
    """Let a limit bind the steps of its time; what is over when it begins is left out of it already."""
    begins, over, left = a.limits[limit, c.LIMIT_FROM], a.limits[limit, c.LIMIT_UNTIL], c.NEVER
    while step >= 0 and a.ends[step, c.STEP_AT] < over:
        if a.ends[step, c.STEP_AT] >= begins:
            if left == c.NEVER:
                left = a.limits[limit, c.POWER_LEFT]
                if begins > now:
                    left -= a.ends[step, c.GIVEN_BACK]
            free = left + a.ends[step, c.GIVEN_BACK]
            a.ends[step, c.STEP_FREE] = min(a.ends[step, c.STEP_FREE], free)
        step = a.ends[step, c.STEP_NEXT]


@bare
def hold_power(a: Arrays, pool: int, at: int, until: int, cards: int) -> None:
    """Count the power of cards of a pool from a moment until then (negative: given back)."""
    step = a.pools[pool, c.POWER_STEP]
    if a.ends[step, c.STEP_AT] != at:
        step = split(a, step, at)
    take(a, step, until, cards * a.pools[pool, c.DRAW])


@bare
def power_spare(a: Arrays, pool: int, until: int) -> int:
    """Return for how many cards of a pool there is power until then beside what is kept, or NEVER."""
    step, found = a.pools[pool, c.POWER_STEP], c.NEVER
    if step < 0:
        return found
    step = a.ends[step, c.STEP_NEXT]
    while step >= 0 and a.ends[step, c.STEP_AT] < until:
        found = min(found, a.ends[step, c.STEP_FREE] // a.pools[pool, c.DRAW])
        step = a.ends[step, c.STEP_NEXT]
    return int(found)


@bare
def powered_from(a: Arrays, pool: int, at: int, run: int, cards: int) -> int:
    """Return `at` if there is power for cards of a pool for a run from then on.

    Else the first moment after it lacks at which there is again: no earlier start will do. NEVER if never.
    """
    step, need, lacks = a.pools[pool, c.POWER_STEP], cards * a.pools[pool, c.DRAW], False
    while step >= 0:
        begins, after = a.ends[step, c.STEP_AT], a.ends[step, c.STEP_NEXT]
        if not lacks and begins >= at + run:
            break
        if after < 0 or a.ends[after, c.STEP_AT] > at:
            if a.ends[step, c.STEP_FREE] < need:
                lacks = True
            elif lacks:
                return int(begins)
        step = after
    return c.NEVER if lacks else at
