"""The scheduling pass: which waiting job starts next, and where; the same machine code live and simulated.

A pass looks at lanes in order, places what fits, and stops at nothing that was placed: the caller may throw a
placement away (`undo`) and go on. Everything is integers, and every tie is broken by an index, so a pass is a
function of its arrays. `columns` names them.
"""

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.chains import insert, link, remove, unlink
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare, inlined
from hutong.core.placement.guesses import length, likely, mark_strict
from hutong.core.placement.levels import first_node, move_node, unbroken
from hutong.core.placement.limits import count_ahead, room
from hutong.core.placement.power import forget_kept
from hutong.core.placement.profile import forget, hold, is_clear
from hutong.core.placement.quotas import all_barred, barred, borrows, count_held, tally
from hutong.core.placement.waits import move_on, pass_over


@inlined
def choose(a: Arrays, job: int, expected: int, guess: int, now: int) -> int:
    """Return the pool with the best score that can start a job now, or -1; a tie goes to the first pool.

    It may run for as long as is `expected`; its `guess` counts beside what is kept, where guesses do.

    A score is (base + fit weight x cards asked / cards free, in ppm, + whole weight x `unbroken`) / sum of
    the weights, rounded down.
    """
    lane_class = a.jobs[job, c.CLASS]
    account = a.lanes[a.jobs[job, c.LANE], c.ACCOUNT]
    nodes, until = a.classes[lane_class, c.GANG], now + expected
    fit_weight, whole_weight = a.classes[lane_class, c.FIT_WEIGHT], a.classes[lane_class, c.WHOLE_WEIGHT]
    weights = a.classes[lane_class, c.WEIGHTS]
    best, better = -1, -c.NEVER  # what it takes, before it is divided by the weights, to be a better score
    for place in range(a.candidates.shape[1]):
        pool = a.candidates[lane_class, place]
        if pool < 0:
            break
        cards = a.per_node[lane_class, pool]
        need, free = nodes * cards, a.pools[pool, c.FREE]
        if (
            need > free
            or a.pools[pool, c.OPEN] == 0
            or a.pools[pool, c.SHUT] != 0
            or until > a.pools[pool, c.CLOSES]
            or (a.state[c.BARS] >> a.pools[pool, c.FLAVOUR]) & 1 != 0
        ):
            continue
        reach = until if a.pools[pool, c.STRICT] != 0 else now + guess
        kept = reach > a.pools[pool, c.RESERVED_FROM] and need > a.pools[pool, c.SPARE]
        if kept and not is_clear(a, pool, reach, need):
            continue
        if a.pools[pool, c.AHEAD] != 0 and need > room(a, pool, account, now, reach, until):
            continue
        weighed = a.base[lane_class, pool] + fit_weight * (c.PPM * need // free)
        if weighed + whole_weight * c.PPM < better:
            continue
        whole = unbroken(a, pool, nodes, cards)
        weighed += whole_weight * whole
        if whole >= 0 and weighed >= better:
            best, better = pool, weights * (weighed // weights + 1)
            a.state[c.UNBROKEN] = whole
    return best


@inlined
def take(a: Arrays, job: int, pool: int) -> None:
    """Give a job its cards: the fullest nodes that suffice (best fit), of those the first."""
    nodes, cards = a.classes[a.jobs[job, c.CLASS], c.GANG], a.per_node[a.jobs[job, c.CLASS], pool]
    a.pools[pool, c.FREE] -= nodes * cards
    a.jobs[job, c.HELD] = -1
    if a.pools[pool, c.FIRST_WORD] < 0:
        return
    free = cards
    while nodes > 0:
        while a.levels[pool, free] == 0:
            free += 1
        node = first_node(a, pool, free)
        move_node(a, pool, node, free - cards)
        hold = a.state[c.HOLD_FREE]
        a.state[c.HOLD_FREE] = a.holds[hold, c.HOLD_NEXT]
        a.holds[hold, c.HOLD_NODE] = node
        a.holds[hold, c.HOLD_NEXT] = a.jobs[job, c.HELD]
        a.jobs[job, c.HELD] = hold
        nodes -= 1


@inlined
def charge(a: Arrays, account: int, usage: int) -> None:
    """Count usage to an account and to those above it (negative: take it back)."""
    while account >= 0:
        a.accounts[account, c.USAGE] += usage
        a.accounts[account, c.NORMALISED] = (
            1000 * a.accounts[account, c.USAGE] // a.accounts[account, c.SHARE]
        )
        account = a.accounts[account, c.PARENT]


@inlined
def start(a: Arrays, job: int, pool: int, now: int) -> None:
    """Start a job in a pool: its cards, its place among those that run, its account."""
    lane_class = a.jobs[job, c.CLASS]
    need = a.classes[lane_class, c.GANG] * a.per_node[lane_class, pool]
    until, reach = now + a.jobs[job, c.EXPECTED], now + length(a, pool, job)
    if reach > a.pools[pool, c.RESERVED_FROM]:
        a.pools[pool, c.SPARE] -= need
    if a.pools[pool, c.FIRST_STEP] >= 0:
        hold(a, pool, reach, until, need)
    take(a, job, pool)
    a.jobs[job, c.CARDS], a.jobs[job, c.UNTIL], a.jobs[job, c.REACH] = need, until, reach
    link(a, job, pool)
    account = a.lanes[a.jobs[job, c.LANE], c.ACCOUNT]
    charge(a, account, need * (a.jobs[job, c.EXPECTED] // 1000))
    if a.pools[pool, c.AHEAD] != 0:
        count_ahead(a, pool, account, now, until, need)
    if a.state[c.QUOTAS] != 0:
        count_held(a, account, pool, need)
        tally(a)


@inlined
def release_here(a: Arrays, job: int) -> None:
    """Take a running job's cards back; its usage stays with its account."""
    pool = a.jobs[job, c.POOL]
    lane_class = a.jobs[job, c.CLASS]
    cards = a.per_node[lane_class, pool]
    need = a.classes[lane_class, c.GANG] * cards
    a.pools[pool, c.FREE] += need
    hold = a.jobs[job, c.HELD]
    while hold >= 0:
        node = a.holds[hold, c.HOLD_NODE]
        move_node(a, pool, node, a.node_free[node] + cards)
        following = a.holds[hold, c.HOLD_NEXT]
        a.holds[hold, c.HOLD_NEXT] = a.state[c.HOLD_FREE]
        a.state[c.HOLD_FREE] = hold
        hold = following
    unlink(a, job)
    if a.state[c.QUOTAS] != 0:
        count_held(a, a.lanes[a.jobs[job, c.LANE], c.ACCOUNT], pool, -need)
    a.groups[a.pools[pool, c.GROUP], c.TOUCHED] = 1


@bare
def release(a: Arrays, job: int) -> None:
    """`release_here`, as a call."""
    release_here(a, job)


@bare
def undo(a: Arrays, job: int) -> None:
    """Take back a placement of this pass that the caller could not use; the job is out of its lane."""
    pool, lane_class = a.jobs[job, c.POOL], a.jobs[job, c.CLASS]
    need = a.classes[lane_class, c.GANG] * a.per_node[lane_class, pool]
    if a.jobs[job, c.REACH] > a.pools[pool, c.RESERVED_FROM]:
        a.pools[pool, c.SPARE] += need
    if a.pools[pool, c.FIRST_STEP] >= 0:
        hold(a, pool, a.jobs[job, c.REACH], a.jobs[job, c.UNTIL], -need)
    account, until = a.lanes[a.jobs[job, c.LANE], c.ACCOUNT], a.jobs[job, c.UNTIL]
    charge(a, account, -need * (a.jobs[job, c.EXPECTED] // 1000))
    if a.pools[pool, c.AHEAD] != 0:
        count_ahead(a, pool, account, until - a.jobs[job, c.EXPECTED], until, -need)
    release(a, job)
    if a.state[c.QUOTAS] != 0:
        tally(a)


@inlined
def enqueue_here(a: Arrays, job: int) -> None:
    """Put a job into its lane, by its key; equal keys in the order in which they come."""
    lane, key = a.jobs[job, c.LANE], a.jobs[job, c.KEY]
    before, at = -1, a.lanes[lane, c.HEAD]
    if at >= 0 and a.jobs[a.lanes[lane, c.TAIL], c.KEY] <= key:
        before, at = a.lanes[lane, c.TAIL], -1
    if a.state[c.BY_KEY] != 0:
        before = insert(a.jobs, a.lanes, lane, c.HEAD, c.KEY, job)
        at = a.jobs[job, c.NEXT]
    else:
        while at >= 0 and a.jobs[at, c.KEY] <= key:
            before, at = at, a.jobs[at, c.NEXT]
        a.jobs[job, c.NEXT] = at
        if before < 0:
            a.lanes[lane, c.HEAD] = job
        else:
            a.jobs[before, c.NEXT] = job
    a.jobs[job, c.POOL] = -1
    if at < 0:
        a.lanes[lane, c.TAIL] = job
    if before < 0 or a.state[c.BACKFILL] != 0:  # else the job before it waits, and so will this one
        first = a.candidates[a.jobs[job, c.CLASS], 0]
        a.groups[a.pools[first, c.GROUP], c.TOUCHED] = 1


@bare
def enqueue(a: Arrays, job: int) -> None:
    """`enqueue_here`, as a call."""
    enqueue_here(a, job)


@bare
def enqueue_all(a: Arrays, jobs: int) -> None:
    """Put the first so many jobs into their lanes."""
    for job in range(jobs):
        enqueue_here(a, job)


@inlined
def begin(a: Arrays, now: int) -> None:
    """Begin a pass: every lane of a touched group at its head, none of their pools shut or reserved."""
    live = 0
    for group in range(a.groups.shape[0]):
        if a.groups[group, c.TOUCHED] == 0 and a.state[c.WHOLE] == 0:
            continue
        a.groups[group, c.TOUCHED] = 0
        for member in range(a.groups[group, c.FIRST_POOL], a.groups[group, c.AFTER_POOL]):
            pool = a.members[member]
            a.pools[pool, c.SHUT] = a.pools[pool, c.STRICT] = 0
            a.pools[pool, c.RESERVED_FROM] = c.NEVER
            a.pools[pool, c.SPARE] = 0
            if a.pools[pool, c.AHEAD] != 0:
                forget_kept(a, pool)
        for lane in range(a.groups[group, c.FIRST_LANE], a.groups[group, c.AFTER_LANE]):
            if a.lanes[lane, c.HEAD] >= 0:
                a.lanes[a.lanes[lane, c.FIRST], c.RESERVED] = 0
                a.lanes[lane, c.CURSOR] = a.lanes[lane, c.HEAD]
                a.lanes[lane, c.BEFORE] = -1
                a.lanes[lane, c.HOPE] = 1
                a.lanes[live, c.ALIVE] = lane
                live += 1
    a.state[c.LIVE] = live
    a.state[c.WAITS] = a.state[c.LOOKS] = 0
    if a.state[c.BACKFILL] == 3:
        forget(a)
    if a.state[c.QUOTAS] != 0:
        tally(a)
    if a.state[c.PATIENCE] > 0:
        mark_strict(a, now)


@inlined
def pick(a: Arrays) -> int:
    """Return the place of the lane whose job is next in order, -1 when all have been seen. Keys differ.

    Who is within a quota comes before all who borrow.
    """
    best, best_late, best_above, best_own, best_key = -1, 1, c.NEVER, c.NEVER, c.NEVER
    by_share = a.state[c.ORDER] != 0
    above = own = 0
    for place in range(a.state[c.LIVE]):
        lane = a.lanes[place, c.ALIVE]
        key = int(a.jobs[a.lanes[lane, c.CURSOR], c.KEY])
        if by_share:
            account = a.lanes[lane, c.RANK]
            own = int(a.accounts[account, c.NORMALISED])
            parent = a.accounts[account, c.PARENT]
            above = int(a.accounts[parent, c.NORMALISED]) if parent >= 0 else own
        late = int(a.state[c.QUOTAS] != 0 and borrows(a, lane))
        if (late, above, own, key) < (best_late, best_above, best_own, best_key):
            best, best_late, best_above, best_own, best_key = place, late, above, own, key
    return best


@bare
def is_over(a: Arrays, now: int) -> bool:
    """True if no job that is left to look at can start in this pass: whatever is kept only grows in one.

    Asked after one, two, four, ... jobs that could not, so that a long queue does not ask for each.
    """
    a.state[c.LOOKS] += 1
    if a.state[c.LOOKS] & (a.state[c.LOOKS] - 1) != 0:
        return False
    bars, found = a.state[c.BARS], True
    for place in range(a.state[c.LIVE]):
        lane = a.lanes[place, c.ALIVE]
        if a.lanes[lane, c.HOPE] == 0:
            continue
        first = a.lanes[lane, c.CURSOR]
        shortest, guess, job = c.NEVER, c.NEVER, first
        while job >= 0:
            shortest, guess = min(shortest, a.jobs[job, c.EXPECTED]), min(guess, likely(a, job))
            job = a.jobs[job, c.NEXT]
        if a.state[c.QUOTAS] != 0:
            a.state[c.BARS] = barred(a, lane)
        if choose(a, int(first), int(shortest), int(guess), now) >= 0:
            found = False
        else:
            a.lanes[lane, c.HOPE] = 0
    a.state[c.BARS] = bars
    return found


@inlined
def next_start_here(a: Arrays, now: int) -> int:
    """Start the next job that can be, and return it; -1 when the pass is over."""
    while True:
        place = pick(a)
        if place < 0:
            return -1
        lane = a.lanes[place, c.ALIVE]
        job = int(a.lanes[lane, c.CURSOR])
        if a.state[c.QUOTAS] != 0:
            a.state[c.BARS] = barred(a, lane)
        if a.state[c.BARS] != 0 and all_barred(a, lane):
            move_on(a, place, lane, -1)
            continue
        pool = choose(a, job, int(a.jobs[job, c.EXPECTED]), likely(a, job), now)
        if pool < 0:
            pass_over(a, place, lane, job, now)
            if a.state[c.BRIEF] != 0 and is_over(a, now):
                return -1
            continue
        following = a.jobs[job, c.NEXT]
        if a.state[c.BY_KEY] != 0:
            remove(a.jobs, a.lanes, lane, c.HEAD, c.KEY, job)
        elif a.lanes[lane, c.BEFORE] < 0:
            a.lanes[lane, c.HEAD] = following
        else:
            a.jobs[a.lanes[lane, c.BEFORE], c.NEXT] = following
        if following < 0:
            a.lanes[lane, c.TAIL] = a.lanes[lane, c.BEFORE]
        move_on(a, place, lane, following)
        start(a, job, pool, now)
        return job


@bare
def next_start(a: Arrays, now: int) -> int:
    """`next_start_here`, as a call."""
    return next_start_here(a, now)


@bare
def occupy(a: Arrays, first: int, held: Ints) -> None:
    """Tell of cards that are held already, as jobs from `first`: reservations ask when they will be free.

    Rows of `held`: pools, cards, when they began, how long they are likely to run, walltimes, accounts,
    nodes.
    """
    for place in range(held.shape[1]):
        job, until = first + place, held[4, place]
        a.jobs[job, c.CARDS], a.jobs[job, c.UNTIL] = held[1, place], until
        a.jobs[job, c.EXPECTED], a.jobs[job, c.LIKELY] = until - held[2, place], held[3, place]
        a.jobs[job, c.KEY], a.jobs[job, c.CLASS] = held[5, place], held[6, place]
        link(a, job, held[0, place])


@inlined
def turn_here(a: Arrays, now: int, ended: int, first: int, after: int, started: Ints) -> int:
    """Take one turn: a job that ended (or -1), the jobs from `first` to before `after` that came, one pass.

    Writes (job, pool) of what starts into `started` and returns how many; when it is full there may be more.
    """
    if ended >= 0:
        release_here(a, ended)
    for job in range(first, after):
        enqueue_here(a, job)
    begin(a, now)
    found = 0
    while found < len(started):
        job = next_start_here(a, now)
        if job < 0:
            break
        started[found, 0], started[found, 1] = job, a.jobs[job, c.POOL]
        found += 1
    return found


@bare
def turn(a: Arrays, now: int, ended: int, first: int, after: int, started: Ints) -> int:
    """`turn_here`, as a call."""
    return turn_here(a, now, ended, first, after, started)
