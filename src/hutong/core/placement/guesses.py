"""How long a run is expected to last by what like runs took before, and where a pass may go by that.

A guess only says what is expected: a run is stopped, paid for and kept out of bookings by its walltime. One
that outlives its guess is expected to take twice as long, again and again, up to the walltime: where nothing
else is known, every doubling of a length is as likely as any other (`lengths.spread_prior`). Published
predictors lengthen a guess in steps too (Tsafrir, Etsion and Feitelson, IEEE TPDS 18(6), 2007).

What goes ahead on a guess and outlives it delays the job that waits for its cards. So that this cannot go on
for ever, a pool in which the first of a lane has waited longer than PATIENCE is STRICT for the pass: there,
every length is the walltime, and a reservation comes true or early.
"""

from hutong.core.placement import columns as c
from hutong.core.placement import expected
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare, inlined
from hutong.core.placement.quotas import all_barred, barred

expected_end = bare(expected.expected_end)
"""`expected.expected_end` as the pass calls it."""


@inlined
def likely(a: Arrays, job: int) -> int:
    """Return how long a job is expected to run: its guess, or its walltime where there is none."""
    guess, limit = a.jobs[job, c.LIKELY], a.jobs[job, c.EXPECTED]
    return int(min(guess, limit)) if guess > 0 else int(limit)


@inlined
def length(a: Arrays, pool: int, job: int) -> int:
    """Return how long a job counts as running beside what is kept in a pool for others."""
    return int(a.jobs[job, c.EXPECTED]) if a.pools[pool, c.STRICT] != 0 else likely(a, job)


@inlined
def end_of(a: Arrays, pool: int, job: int, now: int) -> int:
    """Return when a running job is expected to end, for what is kept in its pool."""
    guess = 0 if a.pools[pool, c.STRICT] != 0 else a.jobs[job, c.LIKELY]
    until = a.jobs[job, c.UNTIL]
    return int(expected_end(until - a.jobs[job, c.EXPECTED], guess, until, now))


@bare
def mark_strict(a: Arrays, now: int) -> None:
    """Mark the pools of every lane whose first job has waited too long to be delayed by a guess.

    A job that quotas keep from all of them waits for no cards.
    """
    for place in range(a.state[c.LIVE]):
        lane = a.lanes[place, c.ALIVE]
        if now - a.jobs[a.lanes[lane, c.HEAD], c.QUEUED] <= a.state[c.PATIENCE]:
            continue
        if a.state[c.QUOTAS] != 0:
            a.state[c.BARS] = barred(a, lane)
            if all_barred(a, lane):
                continue
        for each in range(a.candidates.shape[1]):
            pool = a.candidates[a.lanes[lane, c.LANE_CLASS], each]
            if pool < 0:
                break
            a.pools[pool, c.STRICT] = 1
