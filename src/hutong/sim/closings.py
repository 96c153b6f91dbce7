"""Sites that close for maintenance in a running world, and what that does to the jobs that wait.

Live, a pool that closes before a job would be over is shut to it, and prices are compared among those that
are not. Jobs that ask for the same differ by that, so they stand in other lanes. Which sites are shut to a
job follows from how many close before it would be over: its level. A world has its classes and lanes once
for each level.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hutong.core.capacity.sites import Maintenance, next_of
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Class
from hutong.core.placement.chains import remove
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.judge import Mask
from hutong.core.placement.kernel import enqueue
from hutong.sim.settled import Settled

_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Closing:
    """What is known beforehand: `weigh` gives classes, and their base by the hour, where pools are shut.

    There are so many `kinds` (classes) and `lanes` of a level.
    """

    settled: Settled
    weigh: Callable[[Mask], tuple[list[Class], Ints]]
    kinds: int
    lanes: int

    @property
    def levels(self) -> int:
        """How many levels a job may have: as many as sites close, and none of them."""
        return 1 + len({site for site, _, _ in self.settled.maintenance})


class Closings:
    """Which sites close next in a running world; its clock is that of the run."""

    def __init__(self, board: Arrays, closing: Closing) -> None:
        self._board = board
        self._closing = closing
        self._moments_s = np.array((*closing.settled.moments_s, c.NEVER // 1000), np.int64)
        self._look_s = self._hour_s = 0
        self._order: list[tuple[Maintenance, Mask]] = []
        self._hourly: list[Ints] = []
        self._same = np.zeros((closing.levels, closing.kinds), np.int64)
        self._moved = np.empty(len(board.jobs), np.int64)

    def turn(self, now_s: int, first: int, after: int) -> None:
        """Say when pools close, and put what waits into its lane; jobs from `first` to `after` come now."""
        if now_s >= self._look_s:
            self._look(now_s)
        if now_s >= self._hour_s:
            self._rebase(now_s // _HOUR_S)
            self._hour_s = now_s // _HOUR_S * _HOUR_S + _HOUR_S
        now_ms, closes = now_s * 1000, self._board.pools[:, c.CLOSES]
        shuts = np.array([max(now_ms, each.from_ms) for each, _ in self._order], np.int64)
        closes[:] = c.NEVER
        for (_, at), shut_ms in zip(self._order, shuts.tolist(), strict=True):
            closes[at] = shut_ms
        relane(self._board, now_ms, shuts, self._same, self._closing.lanes, first, after, self._moved)

    def _look(self, now_s: int) -> None:
        """Put the sites in the order in which they close, and weigh pools for every level anew."""
        settled, now_ms = self._closing.settled, now_s * 1000
        known: dict[int, list[Maintenance]] = {}
        for site, told_ms, each in settled.maintenance:
            if told_ms <= now_ms:
                known.setdefault(site, []).append(each)
        found = [(next_, site) for site, told in known.items() if (next_ := next_of(told, now_ms))]
        found.sort(key=lambda each: (each[0].from_ms, each[1]))
        self._order = [(each, settled.site_of == site) for each, site in found]
        shut = np.zeros(len(settled.site_of), np.bool_)
        self._hourly = []
        for at in (shut, *(mask for _, mask in self._order)):
            shut = shut | at
            classes, hourly = self._closing.weigh(shut)
            steady = np.stack([each.base for each in classes])[None]
            self._hourly.append(hourly if len(hourly) else steady)
        self._look_s = int(self._moments_s[np.searchsorted(self._moments_s, now_s, side="right")])
        self._hour_s = 0

    def _rebase(self, hour: int) -> None:
        """Let the scores of an hour count. Levels that no pool can tell apart are one, the first of them."""
        kinds = self._closing.kinds
        bases = [hourly[hour % len(hourly)] for hourly in self._hourly]
        for level, base in enumerate(bases):
            self._board.base[level * kinds : (level + 1) * kinds] = base
            self._same[level] = level
            for lower in range(level - 1, -1, -1):
                self._same[level, (base == bases[lower]).all(axis=1)] = lower


@bare
def relane(
    a: Arrays, now: int, shuts: Ints, same: Ints, lanes: int, first: int, after: int, moved: Ints
) -> None:  # fmt: skip
    """Put what waits into the lane of its level. `shuts` are when sites close, the first first.

    `same` (levels, kinds) is the level that stands for each, `lanes` how many a level has. Jobs from `first`
    to before `after` are in no lane yet. `moved` has room for all jobs.
    """
    for job in range(first, after):
        _assign(a, job, _level(a, job, now, shuts, same), same.shape[1], lanes)
    count = 0
    for lane in range(same.shape[0] * lanes):
        before, job = -1, a.lanes[lane, c.HEAD]
        while job >= 0:
            following = a.jobs[job, c.NEXT]
            if _level(a, job, now, shuts, same) == lane // lanes:
                before = job
            else:
                if a.state[c.BY_KEY] != 0:
                    remove(a.jobs, a.lanes, lane, c.HEAD, c.KEY, job)
                elif before < 0:
                    a.lanes[lane, c.HEAD] = following
                else:
                    a.jobs[before, c.NEXT] = following
                if following < 0:
                    a.lanes[lane, c.TAIL] = before
                moved[count] = job
                count += 1
            job = following
    for at in range(count):
        _assign(a, moved[at], _level(a, moved[at], now, shuts, same), same.shape[1], lanes)
        enqueue(a, moved[at])


@bare
def _level(a: Arrays, job: int, now: int, shuts: Ints, same: Ints) -> int:
    level = 0
    while level < len(shuts) and now + a.jobs[job, c.EXPECTED] > shuts[level]:
        level += 1
    return int(same[level, a.jobs[job, c.CLASS] % same.shape[1]])


@bare
def _assign(a: Arrays, job: int, level: int, kinds: int, lanes: int) -> None:
    a.jobs[job, c.CLASS] = a.jobs[job, c.CLASS] % kinds + level * kinds
    a.jobs[job, c.LANE] = a.jobs[job, c.LANE] % lanes + level * lanes


@bare
def running_in(a: Arrays, pool: int, found: Ints) -> int:
    """Write the jobs that run in a pool into `found`; return how many."""
    count, job = 0, a.pools[pool, c.RUNS]
    while job >= 0:
        found[count] = job
        count, job = count + 1, a.jobs[job, c.NEXT]
    return count
