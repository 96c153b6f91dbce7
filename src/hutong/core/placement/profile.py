"""Conservative back-filling: a reservation for every job that waits, in a profile of a pool's free cards.

A profile is a chain of steps (from when, how many cards are expected to be free). Its head is what is free
now; then come the ends of what runs, each when it was expected to (now if it is overdue), less what is kept
for jobs that wait. It is drawn when the first job of a pass is to wait for a pool, by the pool's total: where
nodes are known, a job whose nodes do not suffice waits for the first end, as with EASY.
"""

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.bookings import promised_at
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled
from hutong.core.placement.guesses import end_of, length
from hutong.core.placement.heap import pop, push


@compiled
def forget(a: Arrays) -> None:
    """Throw all profiles and reservations away."""
    a.pools[:, c.FIRST_STEP] = -1
    a.pools[:, c.LAST_KEPT] = -1
    a.pools[:, c.RESERVATIONS] = 0
    a.state[c.STEPS], a.state[c.KEPT] = a.state[c.SORT_ROOM], 0


@compiled
def append(a: Arrays, before: int, at: int, free: int, after: int) -> int:
    """Put a step between two others (-1: none), and return it."""
    new = int(a.state[c.STEPS])
    a.state[c.STEPS] = new + 1
    a.ends[new, c.STEP_AT], a.ends[new, c.STEP_FREE], a.ends[new, c.STEP_NEXT] = at, free, after
    if before >= 0:
        a.ends[before, c.STEP_NEXT] = new
    return new


@compiled
def draw(a: Arrays, pool: int, now: int) -> None:
    """Draw the profile of a pool from what runs there; steps also where bookings begin and end."""
    ends, cards, size = a.ends[:, 0], a.ends[:, 1], 0
    job = a.pools[pool, c.RUNS]
    while job >= 0:
        if a.jobs[job, c.UNTIL] < c.NEVER:
            push(ends, cards, size, end_of(a, pool, job, now), a.jobs[job, c.CARDS])
            size += 1
        job = a.jobs[job, c.NEXT]
    head = append(a, -1, now, a.pools[pool, c.FREE], -1)
    a.pools[pool, c.FIRST_STEP] = last = head
    while size > 0:
        if last == head or a.ends[last, c.STEP_AT] != ends[0]:
            last = append(a, last, ends[0], a.ends[last, c.STEP_FREE], -1)
        a.ends[last, c.STEP_FREE] += cards[0]
        size -= 1
        pop(ends, cards, size)
    for each in range(a.pools[pool, c.FIRST_BOOKING], a.pools[pool, c.AFTER_BOOKING]):
        for at in (a.bookings[each, c.BOOKED_FROM], a.bookings[each, c.BOOKED_UNTIL]):
            if at > now:
                split(a, head, at)


@compiled
def split(a: Arrays, before: int, at: int) -> int:
    """Return the step that begins at a moment, among those after one; one is made if there is none."""
    after = a.ends[before, c.STEP_NEXT]
    while after >= 0 and a.ends[after, c.STEP_AT] < at:
        before, after = after, a.ends[after, c.STEP_NEXT]
    if after >= 0 and a.ends[after, c.STEP_AT] == at:
        return int(after)
    return append(a, before, at, a.ends[before, c.STEP_FREE], after)


@compiled
def hold(a: Arrays, pool: int, until: int, cards: int) -> None:
    """Count cards that a job takes from now until then (negative: given back)."""
    step = a.pools[pool, c.FIRST_STEP]
    after = split(a, step, until)
    while step != after:
        a.ends[step, c.STEP_FREE] -= cards
        step = a.ends[step, c.STEP_NEXT]


@compiled
def is_clear(a: Arrays, pool: int, until: int, need: int) -> bool:
    """True if so many cards can be had until then beside all that is kept; False without a profile."""
    step = a.pools[pool, c.FIRST_STEP]
    if step < 0:
        return False
    step = a.ends[step, c.STEP_NEXT]
    while step >= 0 and a.ends[step, c.STEP_AT] < until:
        if a.ends[step, c.STEP_FREE] < need:
            return False
        step = a.ends[step, c.STEP_NEXT]
    return True


@compiled
def is_beside(a: Arrays, pool: int, step: int, account: int, need: int) -> bool:
    """True if the cards of a step suffice for an account beside what others have booked then."""
    at, free = a.ends[step, c.STEP_AT], a.ends[step, c.STEP_FREE]
    others = promised_at(a, pool, account, at, False)
    return bool(free - others >= need or promised_at(a, pool, account, at, True) >= need)


@compiled
def beside_kept(a: Arrays, pool: int, account: int, until: int) -> int:
    """Return how many cards an account may have until then beside what is kept and booked, or NEVER.

    Where cards are kept for a job that waits, what is over must suffice for the bookings of that moment too.
    """
    found = c.NEVER
    if a.pools[pool, c.AFTER_BOOKING] == 0 or until <= a.pools[pool, c.RESERVED_FROM]:
        return found
    step = a.pools[pool, c.FIRST_STEP]
    if step < 0:
        at = a.pools[pool, c.RESERVED_FROM]
        others = promised_at(a, pool, account, at, False)
        return int(max(a.pools[pool, c.SPARE] - others, promised_at(a, pool, account, at, True)))
    step = a.ends[step, c.STEP_NEXT]
    while step >= 0 and a.ends[step, c.STEP_AT] < until:
        at, free = a.ends[step, c.STEP_AT], a.ends[step, c.STEP_FREE]
        others = promised_at(a, pool, account, at, False)
        found = min(found, max(free - others, promised_at(a, pool, account, at, True)))
        step = a.ends[step, c.STEP_NEXT]
    return int(found)


@compiled
def earliest_fit(a: Arrays, pool: int, account: int, run: int, need: int, before: int) -> int:
    """Return the first step after now from which so many cards can be had for so long, -1 if there is none.

    Where that is not before a given time, any step from then on.
    """
    step, start, begin = a.ends[a.pools[pool, c.FIRST_STEP], c.STEP_NEXT], -1, c.NEVER
    is_booked = a.pools[pool, c.AFTER_BOOKING] != 0
    while step >= 0:
        at, step_after = a.ends[step, c.STEP_AT], a.ends[step, c.STEP_NEXT]
        if a.ends[step, c.STEP_FREE] < need or (is_booked and not is_beside(a, pool, step, account, need)):
            start, begin = -1, c.NEVER
        elif start < 0:
            start, begin = step, at
        if min(begin, at) >= before:
            return int(step)
        if start >= 0 and (step_after < 0 or a.ends[step_after, c.STEP_AT] >= begin + run):
            return int(start)
        step = step_after
    return -1


@compiled
def reserve_each(a: Arrays, job: int, now: int) -> bool:
    """Reserve the earliest start of a job that cannot start now; a tie goes to the first pool.

    False if nothing can be kept for any job that asks for the same: pools are full of reservations, or will
    never have the cards.
    """
    lane_class, account = a.jobs[job, c.CLASS], a.lanes[a.jobs[job, c.LANE], c.ACCOUNT]
    expected = a.jobs[job, c.EXPECTED]
    best, best_step, best_at, more = -1, -1, c.NEVER, False
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
        step = earliest_fit(a, pool, account, run, need, best_at)
        if step < 0:
            continue
        at, more = a.ends[step, c.STEP_AT], True
        if at < best_at and at + expected <= a.pools[pool, c.CLOSES]:
            best, best_step, best_at = pool, step, at
    if best >= 0:
        a.state[c.WAITS] += 1
        keep(a, best, best_step, job, best_at + max(1, length(a, best, job)))
    return more


@compiled
def keep(a: Arrays, pool: int, step: int, job: int, until: int) -> None:
    """Keep the cards that a job needs in a pool for it, from a step of the profile until then."""
    lane_class = a.jobs[job, c.CLASS]
    need = a.classes[lane_class, c.GANG] * a.per_node[lane_class, pool]
    at, after = a.ends[step, c.STEP_AT], split(a, step, until)
    least = c.NEVER if a.pools[pool, c.RESERVATIONS] == 0 else a.pools[pool, c.SPARE]
    while step != after:
        a.ends[step, c.STEP_FREE] -= need
        least = min(least, a.ends[step, c.STEP_FREE])
        step = a.ends[step, c.STEP_NEXT]
    a.state[c.KEPT] += 1
    row = len(a.ends) - a.state[c.KEPT]
    a.ends[row, c.KEPT_FOR], a.ends[row, c.KEPT_CARDS] = job, need
    a.ends[row, c.KEPT_FROM], a.ends[row, c.KEPT_UNTIL] = at, until
    a.ends[row, c.KEPT_NEXT], a.pools[pool, c.LAST_KEPT] = a.pools[pool, c.LAST_KEPT], row
    a.pools[pool, c.RESERVATIONS] += 1
    a.pools[pool, c.RESERVED_FROM] = min(a.pools[pool, c.RESERVED_FROM], at)
    a.pools[pool, c.SPARE] = least


@compiled
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
