"""How long a run is expected to last by what like runs took before, and where a pass may go by that.

A guess only says what is expected: a run is stopped, paid for and kept out of bookings by its walltime. One
that outlives its guess is expected to take twice as long, again and again, up to the walltime: where nothing
else is known, every doubling of a length is as likely as any other (`lengths.spread_prior`). Published
predictors lengthen a guess in steps too (Tsafrir, Etsion and Feitelson, IEEE TPDS 18(6), 2007).

What goes ahead on a guess and outlives it delays the job that waits for its cards. So that this cannot go on
for ever, a pool in which the first of a lane has waited longer than PATIENCE is STRICT for the pass: there,
every length is the walltime, and a reservation comes true or early.
"""

from collections.abc import Sequence

from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled, inlined
from hutong.core.placement.quotas import all_barred, barred

ENOUGH = 3
"""So many runs must have ended before anything is expected of the next."""

PERCENT = 80
"""The part of like runs that took no longer than the guess.

More than half, for a reservation breaks where a run goes on.
"""


PATIENCE_MS = 12 * HOUR_MS
"""A job that waited longer than this is delayed by no guess any more. Our choice, not a measured figure."""


def quantile_s(ran_s: Sequence[int], percent: int, enough: int = ENOUGH) -> int | None:
    """Return a percentile of how long runs took, None where too few are known."""
    if len(ran_s) < enough:
        return None
    ordered = sorted(ran_s)
    return ordered[min(len(ordered) - 1, percent * len(ordered) // 100)]


@compiled
def expected_end(began: int, likely: int, until: int, now: int) -> int:
    """Return when a run that has not ended is expected to, between now and its walltime (now if overdue).

    `likely` is its guess, 0 or less for none; `until` is the walltime. All in one unit.
    """
    if likely <= 0:
        return max(until, now)
    end = began + likely
    while end <= now and end < until:
        likely *= 2
        end = began + likely
    return max(min(end, until), now)


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


@compiled
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
