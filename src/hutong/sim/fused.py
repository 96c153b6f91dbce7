"""A trace run through the scheduling pass in machine code from end to end, for sweeps of many runs.

The same pass as live and in `sim.world`, inside a loop that does nothing else; tests compare the two, action
by action.
"""

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare, inlined
from hutong.core.placement.heap import pop, push
from hutong.core.placement.kernel import release_here, turn_here
from hutong.sim.laid import lay
from hutong.sim.runs import Run
from hutong.sim.world import World

HOUR_S = 3600
Tables = tuple[Ints, Ints, Ints, Ints, Ints]
"""What is settled: bookings, holders, limits, sites, moments; without rows where nothing is."""

_NONE = np.zeros((0, 0), np.int64)
_NOBODY = np.zeros(0, np.int64)


def run(world: World) -> Run:
    """Run the world to its end, as `sim.world.run` does with known lengths and without outages.

    Raises Refused for a world in which jobs may be stopped or sites are maintained.
    """
    if not world.is_plain:
        raise Refused("simulation", "the fused loop stops no job and closes no site: run this in sim.world")
    trace = world.trace
    start_s, pool = np.full(len(trace), -1, np.int64), np.full(len(trace), -1, np.int64)
    room = len(world.board.ends)
    scratch = np.empty((2, room), np.int64), np.empty((room, 2), np.int64)
    _run(world.board, world.hourly, trace.submit_s, trace.run_s, start_s, pool, _tables(world), scratch)
    return Run(start_s, pool, np.where(start_s < 0, -1, start_s + trace.run_s))


def _tables(world: World) -> Tables:
    settled = world.settled
    if settled is None:
        return _NONE, _NONE, _NONE, _NOBODY, _NOBODY
    moments = np.array(settled.moments_s, np.int64)
    return settled.told, settled.holders, settled.limits, settled.site_of, moments


@inlined
def _rebase(a: Arrays, hourly: Ints, hour: int) -> None:
    """Let the scores of an hour count, without the temporary array of an assignment."""
    for row in range(a.base.shape[0]):
        for column in range(a.base.shape[1]):
            a.base[row, column] = hourly[hour, row, column]


@bare
def _run(
    a: Arrays, hourly: Ints, submit_s: Ints, run_s: Ints, start_s: Ints, pool: Ints, tables: Tables,
    scratch: tuple[Ints, Ints],
) -> None:  # fmt: skip
    told, holders, limits, site_of, moments_s = tables
    count, going, moment = len(submit_s), 0, 0
    is_settled = len(holders) > 0
    ends, jobs, started = scratch[0][0], scratch[0][1], scratch[1]
    running = arrived = hour_s = 0
    while running or arrived < count or (going < count and moment < len(moments_s)):
        now = submit_s[arrived] if arrived < count else c.NEVER
        if running and ends[0] < now:
            now = ends[0]
        if moment < len(moments_s) and moments_s[moment] < now:
            now = moments_s[moment]
        while moment < len(moments_s) and moments_s[moment] <= now:
            moment += 1
        if now >= hour_s and len(hourly):
            _rebase(a, hourly, now // HOUR_S % len(hourly))
            hour_s = now // HOUR_S * HOUR_S + HOUR_S
        before = arrived
        while arrived < count and submit_s[arrived] == now:
            arrived += 1
        while running and ends[0] == now:
            release_here(a, jobs[0])
            running -= 1
            pop(ends, jobs, running)
        if going == arrived and not is_settled:
            continue  # nobody waits
        again = True
        while again:
            if is_settled:
                lay(a, told, holders, limits, site_of, now * 1000)
            found = turn_here(a, now * 1000, -1, before, arrived, started)
            for each in range(found):
                job = started[each, 0]
                start_s[job], pool[job] = now, started[each, 1]
                push(ends, jobs, running + each, now + run_s[job], job)
            running, going = running + found, going + found
            before, again = arrived, is_settled and found > 0  # as `world` does
