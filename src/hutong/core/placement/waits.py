"""What a job that cannot start means for the rest of a scheduling pass: what is kept for it, who is next."""

from hutong.core.placement import columns as c
from hutong.core.placement.backfill import reserve
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import inlined
from hutong.core.placement.guesses import likely
from hutong.core.placement.levels import fits
from hutong.core.placement.profile import reserve_each


@inlined
def move_on(a: Arrays, place: int, lane: int, job: int) -> None:
    """Look next at this job of a lane; at none of it any more, if there is none (-1)."""
    a.lanes[lane, c.CURSOR] = job
    if job < 0:
        last = a.state[c.LIVE] - 1
        a.state[c.LIVE] = last
        a.lanes[place, c.ALIVE] = a.lanes[last, c.ALIVE]


@inlined
def outlook(a: Arrays, lane_class: int, now: int) -> int:
    """Return how long a job of a class may run at most to start in what is left of this pass; -1: none can.

    Some pool must have the cards now, reservations left aside. Bounds only become tighter in a pass, but for
    bars of quotas, which are left aside in how long.
    """
    found, longest = False, 0
    for place in range(a.candidates.shape[1]):
        pool = a.candidates[lane_class, place]
        if pool < 0:
            break
        nodes, cards = a.classes[lane_class, c.GANG], a.per_node[lane_class, pool]
        usable = a.pools[pool, c.OPEN] != 0 and a.pools[pool, c.SHUT] == 0
        if not usable or not fits(a, pool, nodes, cards):
            continue
        found = found or (a.state[c.BARS] >> a.pools[pool, c.FLAVOUR]) & 1 == 0
        until = a.pools[pool, c.CLOSES]
        if nodes * cards > a.pools[pool, c.SPARE]:
            until = min(until, a.pools[pool, c.RESERVED_FROM])
        longest = max(longest, until - now)
    return int(longest) if found else -1


@inlined
def pass_over(a: Arrays, place: int, lane: int, job: int, now: int) -> None:
    """A job cannot start: do what the back-fill rule says, and go on to the next of its lane that might."""
    lane_class = a.lanes[lane, c.LANE_CLASS]
    if a.state[c.BACKFILL] == 0:
        for each in range(a.candidates.shape[1]):
            pool = a.candidates[lane_class, each]
            if pool < 0:
                break
            a.pools[pool, c.SHUT] = 1
        a.state[c.WAITS] += 1
        move_on(a, place, lane, -1)
        return
    first = a.lanes[lane, c.FIRST]
    if a.state[c.BACKFILL] == 1 and a.lanes[lane, c.BEFORE] < 0 and a.lanes[first, c.RESERVED] == 0:
        a.lanes[first, c.RESERVED] = 1
        a.state[c.WAITS] += 1
        reserve(a, job, now)
    each_kept = a.state[c.BACKFILL] == 3 and reserve_each(a, job, now)
    longest = c.NEVER if each_kept else outlook(a, lane_class, now)
    following = a.jobs[job, c.NEXT] if longest >= 0 else -1
    while a.state[c.BACKFILL] != 3 and following >= 0 and likely(a, following) > longest:
        job, following = following, a.jobs[following, c.NEXT]
    a.lanes[lane, c.BEFORE] = job
    move_on(a, place, lane, following)
