"""Conservative back-filling: a reservation for every job that waits, in a profile of a pool's free cards.

A profile is a chain of steps (from when, how many cards are expected to be free). Its head is what is free
now; then come the ends of what runs, each when it is expected to (now if it is overdue), less what is kept
for jobs that wait. Guesses of lengths count in both (`guesses`); beside bookings and for power, walltimes do.
It is drawn when the first job of a pass is to wait for a pool, by the pool's total: where nodes are known, a
job whose nodes do not suffice waits for the first end, as with EASY. Where the power of its site is limited
it has a profile too, and a reservation keeps some of that (`headroom`).
"""

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.bookings import promised_at
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.guesses import end_of, length
from hutong.core.placement.headroom import draw_power, hold_power, powered_from
from hutong.core.placement.heap import push
from hutong.core.placement.steps import chain, split, take


@bare
def forget(a: Arrays) -> None:
    """Throw all profiles and reservations away."""
    a.pools[:, c.FIRST_STEP] = -1
    a.pools[:, c.POWER_STEP] = -1
    a.pools[:, c.LAST_KEPT] = -1
    a.pools[:, c.RESERVATIONS] = 0
    a.state[c.STEPS], a.state[c.KEPT] = a.state[c.SORT_ROOM], 0


@bare
def draw(a: Arrays, pool: int, now: int) -> None:
    """Draw the profile of a pool; where power is limited those of its site, each pool's and the power's."""
    if a.pools[pool, c.AFTER_LIMIT] == 0:
        draw_cards(a, pool, now)
        return
    for each in range(a.pools.shape[0]):
        if a.pools[each, c.AFTER_LIMIT] == a.pools[pool, c.AFTER_LIMIT]:
            draw_cards(a, each, now)
    draw_power(a, pool, now)


@bare
def draw_cards(a: Arrays, pool: int, now: int) -> None:
    """Draw the profile of a pool's cards from what runs there; steps also where bookings begin and end."""
    ends, cards, size = a.ends[:, 0], a.ends[:, 1], 0
    job = a.pools[pool, c.RUNS]
    while job >= 0:
        if a.jobs[job, c.UNTIL] < c.NEVER:
            push(ends, cards, size, end_of(a, pool, job, now), a.jobs[job, c.CARDS])
            size += 1
        job = a.jobs[job, c.NEXT]
    head = chain(a, now, int(a.pools[pool, c.FREE]), ends, cards, size)
    a.pools[pool, c.FIRST_STEP] = head
    for each in range(a.pools[pool, c.FIRST_BOOKING], a.pools[pool, c.AFTER_BOOKING]):
        for at in (a.bookings[each, c.BOOKED_FROM], a.bookings[each, c.BOOKED_UNTIL]):
            if at > now:
                split(a, head, at)


@bare
def hold(a: Arrays, pool: int, reach: int, until: int, cards: int) -> None:
    """Count cards that a job takes from now as far as it reaches, and their power until its walltime is over.

    Negative: given back.
    """
    step = a.pools[pool, c.FIRST_STEP]
    take(a, step, reach, cards)
    if a.pools[pool, c.POWER_STEP] >= 0:
        hold_power(a, pool, a.ends[step, c.STEP_AT], until, cards)


@bare
def is_clear(a: Arrays, pool: int, reach: int, need: int) -> bool:
    """True if so many cards can be had so far beside all that is kept; False without a profile."""
    step = a.pools[pool, c.FIRST_STEP]
    if step < 0:
        return False
    step = a.ends[step, c.STEP_NEXT]
    while step >= 0 and a.ends[step, c.STEP_AT] < reach:
        if a.ends[step, c.STEP_FREE] < need:
            return False
        step = a.ends[step, c.STEP_NEXT]
    return True


@bare
def is_beside(a: Arrays, pool: int, step: int, account: int, need: int, likely_over: bool) -> bool:
    """True if the cards of a step suffice for an account beside what others have booked then.

    Where its run is likely to be over by then, only those count.
    """
    at, free = a.ends[step, c.STEP_AT], a.ends[step, c.STEP_FREE]
    others = promised_at(a, pool, account, at, False)
    if likely_over and others == 0:
        return True
    return bool(free - others >= need or promised_at(a, pool, account, at, True) >= need)


@bare
def beside_kept(a: Arrays, pool: int, account: int, reach: int) -> int:
    """Return how many cards an account may have so far beside what is kept and booked, or NEVER.

    Where cards are kept for a job that waits, what is over must suffice for the bookings of that moment too.
    """
    found = c.NEVER
    if a.pools[pool, c.AFTER_BOOKING] == 0 or reach <= a.pools[pool, c.RESERVED_FROM]:
        return found
    step = a.pools[pool, c.FIRST_STEP]
    if step < 0:
        at = a.pools[pool, c.RESERVED_FROM]
        others = promised_at(a, pool, account, at, False)
        return int(max(a.pools[pool, c.SPARE] - others, promised_at(a, pool, account, at, True)))
    step = a.ends[step, c.STEP_NEXT]
    while step >= 0 and a.ends[step, c.STEP_AT] < reach:
        at, free = a.ends[step, c.STEP_AT], a.ends[step, c.STEP_FREE]
        others = promised_at(a, pool, account, at, False)
        found = min(found, max(free - others, promised_at(a, pool, account, at, True)))
        step = a.ends[step, c.STEP_NEXT]
    return int(found)


@bare
def earliest_fit(
    a: Arrays, pool: int, account: int, run: int, limit: int, need: int, after: int, before: int
) -> int:
    """Return the first moment from `after` on from which so many cards can be had for so long, or NEVER.

    For a run beside what is kept, for its walltime, the limit, beside what is booked. Where that is not
    before a given time, any moment from then on.
    """
    step, begin = a.pools[pool, c.FIRST_STEP], c.NEVER
    is_booked = a.pools[pool, c.AFTER_BOOKING] != 0
    whole = limit if is_booked else run
    while step >= 0:
        step_after = a.ends[step, c.STEP_NEXT]
        if step_after >= 0 and a.ends[step_after, c.STEP_AT] <= after:
            step = step_after
            continue
        at = max(a.ends[step, c.STEP_AT], after)
        likely_over = begin < c.NEVER and at >= begin + run
        lacks = a.ends[step, c.STEP_FREE] < need and not likely_over
        if lacks or (is_booked and not is_beside(a, pool, step, account, need, likely_over)):
            begin = c.NEVER
        elif begin == c.NEVER:
            begin = at
        if min(begin, at) >= before:
            return int(at)
        if begin < c.NEVER and (step_after < 0 or a.ends[step_after, c.STEP_AT] >= begin + whole):
            return int(begin)
        step = step_after
    return c.NEVER


@bare
def earliest_start(
    a: Arrays, pool: int, account: int, run: int, limit: int, need: int, now: int, before: int
) -> int:
    """Return when a job that cannot start now can, with power for all of its walltime; NEVER if it never can.

    Where that is not before a given time, any moment from then on.
    """
    head = a.pools[pool, c.FIRST_STEP]
    later = a.ends[head, c.STEP_NEXT]
    next_end = a.ends[later, c.STEP_AT] if later >= 0 else c.NEVER
    if a.pools[pool, c.POWER_STEP] < 0:
        if later < 0:
            return c.NEVER
        return earliest_fit(a, pool, account, run, limit, need, next_end, before)
    after = now
    while after < before:
        at = earliest_fit(a, pool, account, run, limit, need, after, before)
        if at >= before:
            return at
        after = powered_from(a, pool, at, limit, need)
        if after == at:
            if at > now or next_end == now:  # what runs there is overdue, so it counts as ending now
                return at
            after = next_end  # cards and power are there: it is for nodes, or for what nobody can foresee
    return int(after)


@bare
def reserve_each(a: Arrays, job: int, now: int) -> bool:
    """Reserve the earliest start of a job that cannot start now; a tie goes to the first pool.

    False if nothing can be kept for any job that asks for the same: pools are full of reservations, or will
    never have the cards.
    """
    lane_class, account = a.jobs[job, c.CLASS], a.lanes[a.jobs[job, c.LANE], c.ACCOUNT]
    expected = a.jobs[job, c.EXPECTED]
    limit = max(1, expected)
    best, best_at, more = -1, c.NEVER, False
    for place in range(a.candidates.shape[1]):
        pool = a.candidates[lane_class, place]
        if pool < 0:
            break
        if a.pools[pool, c.OPEN] == 0 or a.pools[pool, c.RESERVATIONS] >= c.MOST_KEPT:
            continue
        if (a.state[c.BARS] >> a.pools[pool, c.FLAVOUR]) & 1 != 0:
            continue
        if now + expected > a.pools[pool, c.CLOSES]:
            more = True
            continue
        if a.pools[pool, c.FIRST_STEP] < 0:
            draw(a, pool, now)
        need = a.classes[lane_class, c.GANG] * a.per_node[lane_class, pool]
        run = max(1, length(a, pool, job))  # what takes no time needs its cards all the same
        at = earliest_start(a, pool, account, run, limit, need, now, best_at)
        more = more or at < c.NEVER
        if at < best_at and at + expected <= a.pools[pool, c.CLOSES]:
            best, best_at = pool, at
    if best >= 0:
        a.state[c.WAITS] += 1
        keep(a, best, job, best_at, best_at + max(1, length(a, best, job)), best_at + limit)
    return more


@bare
def keep(a: Arrays, pool: int, job: int, at: int, reach: int, until: int) -> None:
    """Keep the cards that a job needs in a pool for it from a moment on, and their power.

    The cards as far as it reaches, the power until its walltime is over.
    """
    lane_class = a.jobs[job, c.CLASS]
    need = a.classes[lane_class, c.GANG] * a.per_node[lane_class, pool]
    least = take(a, split(a, int(a.pools[pool, c.FIRST_STEP]), at), reach, need)
    if a.pools[pool, c.RESERVATIONS] != 0:
        least = min(least, int(a.pools[pool, c.SPARE]))
    if a.pools[pool, c.POWER_STEP] >= 0:
        hold_power(a, pool, at, until, need)
    a.state[c.KEPT] += 1
    row = len(a.ends) - a.state[c.KEPT]
    a.ends[row, c.KEPT_FOR], a.ends[row, c.KEPT_CARDS] = job, need
    a.ends[row, c.KEPT_FROM], a.ends[row, c.KEPT_UNTIL] = at, reach
    a.ends[row, c.KEPT_NEXT], a.pools[pool, c.LAST_KEPT] = a.pools[pool, c.LAST_KEPT], row
    a.pools[pool, c.RESERVATIONS] += 1
    a.pools[pool, c.RESERVED_FROM] = min(a.pools[pool, c.RESERVED_FROM], at)
    a.pools[pool, c.SPARE] = least


@bare
def moments(a: Arrays, pool: int, job: int, found: Ints) -> int:
    """Write (from when, cards to spare) of what is kept in a pool for jobs that came before one.

    In order of time; of all, if nothing is kept for that job. Returns how many. Between two of those moments
    cards only become free, so they say all.
    """
    own = len(a.ends) - a.state[c.KEPT] - 1
    for row in range(own + 1, len(a.ends)):
        if a.ends[row, c.KEPT_FOR] == job:
            own = row
    count, step = 0, a.pools[pool, c.FIRST_STEP]
    while step >= 0:
        at, free, begins = a.ends[step, c.STEP_AT], a.ends[step, c.STEP_FREE], False
        row = a.pools[pool, c.LAST_KEPT] if step != a.pools[pool, c.FIRST_STEP] else -1
        while row >= 0:
            if row <= own and a.ends[row, c.KEPT_FROM] <= at < a.ends[row, c.KEPT_UNTIL]:
                free += a.ends[row, c.KEPT_CARDS]
            begins = begins or (row > own and a.ends[row, c.KEPT_FROM] == at)
            row = a.ends[row, c.KEPT_NEXT]
        if begins:
            found[count, 0], found[count, 1] = at, free
            count += 1
        step = a.ends[step, c.STEP_NEXT]
    return count
