"""A trace run through the scheduling pass in machine code from end to end, for sweeps of many runs.

The same pass as live and in `sim.world`, inside a loop that does nothing else; tests compare the two, action
by action.
"""

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled
from hutong.core.placement.heap import pop, push
from hutong.core.placement.kernel import release, turn
from hutong.sim.laid import lay
from hutong.sim.world import Run, World

HOUR_S = 3600
Tables = tuple[Ints, Ints, Ints, Ints, Ints]
"""What is settled: bookings, holders, limits, sites, moments; without rows where nothing is."""

_NONE = np.zeros((0, 0), np.int64)
_NOBODY = np.zeros(0, np.int64)


def run(world: World) -> Run:
    """Run the world to its end, as `sim.world.run` does with known lengths and without outages."""
    trace = world.trace
    start_s, pool = np.full(len(trace), -1, np.int64), np.full(len(trace), -1, np.int64)
    _run(world.board, world.hourly, trace.submit_s, trace.run_s, start_s, pool, _tables(world))
    return Run(start_s, pool, np.where(start_s < 0, -1, start_s + trace.run_s))


def _tables(world: World) -> Tables:
    settled = world.settled
    if settled is None:
        return _NONE, _NONE, _NONE, _NOBODY, _NOBODY
    moments = np.array(settled.moments_s, np.int64)
    return settled.told, settled.holders, settled.limits, settled.site_of, moments


@compiled
def _begin(
    started: Ints, now: int, run_s: Ints, start_s: Ints, pool: Ints, ends: Ints, jobs: Ints, running: int
) -> int:
    """Note what starts now, and when it ends; return how many jobs run then."""
    for each in range(len(started)):
        job = started[each, 0]
        start_s[job], pool[job] = now, started[each, 1]
        push(ends, jobs, running, now + run_s[job], job)
        running += 1
    return running


@compiled
def _run(
    a: Arrays, hourly: Ints, submit_s: Ints, run_s: Ints, start_s: Ints, pool: Ints, tables: Tables
) -> None:
    told, holders, limits, site_of, moments_s = tables
    count, going, moment = len(submit_s), 0, 0
    is_settled = len(holders) > 0
    room = len(a.ends)
    ends, jobs = np.empty(room, np.int64), np.empty(room, np.int64)
    started = np.empty((room, 2), np.int64)
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
            a.base[:] = hourly[now // HOUR_S % len(hourly)]
            hour_s = now // HOUR_S * HOUR_S + HOUR_S
        before = arrived
        while arrived < count and submit_s[arrived] == now:
            arrived += 1
        while running and ends[0] == now:
            ended = jobs[0]
            running -= 1
            pop(ends, jobs, running)
            if is_settled or (running and ends[0] == now):
                release(a, ended)
            else:
                found = turn(a, now * 1000, ended, before, arrived, started)
                before = -1
        if is_settled:
            lay(a, told, holders, limits, site_of, now * 1000)
        if before >= 0:
            found = turn(a, now * 1000, -1, before, arrived, started)
        first = running
        running = _begin(started[:found], now, run_s, start_s, pool, ends, jobs, running)
        while found > 0 and is_settled:  # as `world` does
            lay(a, told, holders, limits, site_of, now * 1000)
            found = turn(a, now * 1000, -1, arrived, arrived, started)
            running = _begin(started[:found], now, run_s, start_s, pool, ends, jobs, running)
        going += running - first
