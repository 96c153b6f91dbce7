"""Bookings and limits of power of a running world, laid anew for each pass as a live turn does."""

from collections.abc import Callable

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement import laying
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled
from hutong.sim.settled import LIMIT_FROM, LIMIT_MW, LIMIT_SITE, LIMIT_TOLD, LIMIT_UNTIL, Settled

# Arrays stand for the sequences of rows that a turn has.
_lay_bookings: Callable[..., int] = compiled(laying.lay_bookings)
_over_by: Callable[..., int] = compiled(laying.over_by)


def lay_settled(board: Arrays, settled: Settled, now_ms: int) -> None:
    """Write what bookings and limits leave now into the arrays of a pass; all ends up to now are released."""
    lay(board, settled.told, settled.holders, settled.limits, settled.site_of, now_ms)


@compiled
def lay(a: Arrays, told: Ints, holders: Ints, limits: Ints, site_of: Ints, now: int) -> None:
    """Do so with the tables of `Settled`."""
    runs = np.empty((len(a.ends), laying.RUN_COLUMNS), np.int64)
    if len(told):
        _book(a, told, holders, runs, now)
    if len(limits):
        _limit(a, holders, limits, site_of, runs, now)
    for pool in range(a.pools.shape[0]):
        a.pools[pool, c.AHEAD] = a.pools[pool, c.AFTER_BOOKING] > 0 or a.pools[pool, c.AFTER_LIMIT] > 0


@compiled
def _gather(a: Arrays, pool: int, holders: Ints, runs: Ints) -> int:
    """Write what runs in a pool, as `laying` has it; return how many."""
    found, job = 0, a.pools[pool, c.RUNS]
    while job >= 0:
        account = a.lanes[a.jobs[job, c.LANE], c.ACCOUNT]
        runs[found, laying.RUNS_UNTIL], runs[found, laying.RUNS_CARDS] = (
            a.jobs[job, c.UNTIL],
            a.jobs[job, c.CARDS],
        )
        runs[found, laying.PROJECT], runs[found, laying.INSTITUTION] = (
            holders[account, 0],
            holders[account, 1],
        )
        found, job = found + 1, a.jobs[job, c.NEXT]
    return found


@compiled
def _book(a: Arrays, told: Ints, holders: Ints, runs: Ints, now: int) -> None:
    """Lay the bookings that are not over; those of a pool stand together in `told`, the pool behind."""
    going = np.empty((len(told), laying.TOLD_COLUMNS), np.int64)
    row, at = 0, 0
    while at < len(told):
        pool, open_ = told[at, laying.TOLD_COLUMNS], 0
        many = _gather(a, pool, holders, runs)
        while at < len(told) and told[at, laying.TOLD_COLUMNS] == pool:
            if told[at, laying.UNTIL] > now:
                going[open_] = told[at, : laying.TOLD_COLUMNS]
                for run in runs[:many]:
                    holder = going[open_, laying.HOLDER]
                    if run[laying.PROJECT] == holder or run[laying.INSTITUTION] == holder:
                        going[open_, laying.HELD] += run[laying.RUNS_CARDS]
                open_ += 1
            at += 1
        a.pools[pool, c.FIRST_BOOKING] = a.pools[pool, c.AFTER_BOOKING] = 0
        if open_:
            a.pools[pool, c.FIRST_BOOKING] = row
            row = _lay_bookings(now, a.pools[pool, c.FREE], going[:open_], runs[:many], a.bookings, row)
            a.pools[pool, c.AFTER_BOOKING] = row


@compiled
def _limit(a: Arrays, holders: Ints, limits: Ints, site_of: Ints, runs: Ints, now: int) -> None:
    """Lay the limits that are not over; those of a site stand together, and keep their place in the rows."""
    at = 0
    while at < len(limits):
        site, first, open_, last = limits[at, LIMIT_SITE], 2 * at, 0, at
        while last < len(limits) and limits[last, LIMIT_SITE] == site:
            if limits[last, LIMIT_UNTIL] > now and limits[last, LIMIT_TOLD] <= now:
                row = first + open_
                a.limits[row, c.LIMIT_FROM], a.limits[row, c.LIMIT_UNTIL] = (
                    limits[last, LIMIT_FROM],
                    limits[last, LIMIT_UNTIL],
                )
                a.limits[row, c.POWER_LEFT] = limits[last, LIMIT_MW]
                open_ += 1
            last += 1
        for each in range(open_):
            a.limits[first + open_ + each] = a.limits[first + each]
            a.limits[first + open_ + each, c.LIMIT_FROM] = c.NEVER
        for pool in range(a.pools.shape[0]):
            if site_of[pool] != site or a.pools[pool, c.DRAW] == 0:
                continue
            many = _gather(a, pool, holders, runs)
            used = runs[:many, laying.RUNS_CARDS].sum()
            for row in range(first, first + open_):
                cards = used - _over_by(now, a.limits[row, c.LIMIT_FROM], runs[:many])
                a.limits[row, c.POWER_LEFT] -= cards * a.pools[pool, c.DRAW]
            a.pools[pool, c.FIRST_LIMIT] = first if open_ else 0
            a.pools[pool, c.AFTER_LIMIT] = first + 2 * open_ if open_ else 0
        at = last
