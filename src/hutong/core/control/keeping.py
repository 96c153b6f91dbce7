"""What a pass keeps of pools for jobs that wait: noted for the page, and told to who waits because of it."""

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.profile import moments
from hutong.core.placement.request import Kept

Moment = tuple[int, int]

_KEEPING = [c.RESERVED_FROM, c.SHUT, c.RESERVATIONS]


class Keeping:
    """The reservations of one pass; `rows` are those of its page, (step, pool, from_ms, spare)."""

    def __init__(self, arrays: Arrays, at_ms: int) -> None:
        self.rows: list[tuple[int, int, int, int]] = []
        self._arrays = arrays
        self._at_ms = at_ms
        self._before = arrays.pools[:, _KEEPING].copy()
        self._waits = 0

    def begin(self) -> None:
        """A pass has begun."""
        self._before, self._waits = self._arrays.pools[:, _KEEPING].copy(), 0

    def note(self, step: int, job: int, pool: int, cards: int) -> None:
        """Note what was kept or shut on the way to a placement, as it was before it took its cards."""
        waits = self._arrays.state.item(c.WAITS)
        if waits <= self._waits:
            return
        self._waits = waits
        now = self._arrays.pools[:, _KEEPING]
        reach_ms = int(self._arrays.jobs[job, c.REACH])
        for at in np.flatnonzero((now != self._before).any(axis=1)).tolist():
            # A placement that was taken back may have left what was kept at the same step.
            self.rows = [row for row in self.rows if row[:2] != (step, at)]
            for from_ms, left in _least(self._of(at, pool, cards, reach_ms)):
                self.rows.append((step, at, from_ms, left))
        self._before[:] = now

    def _of(self, at: int, pool: int, cards: int, reach_ms: int) -> list[Moment]:
        """Return what is kept in a pool, with the cards that were just taken of another, or the same."""
        if self._arrays.pools[at, c.SHUT]:
            return [(self._at_ms, 0)]
        back = cards if at == pool else 0
        return [(from_ms, left + (back if reach_ms > from_ms else 0)) for from_ms, left in self._moments(at)]

    def of(self, job: int, pool: int) -> tuple[Kept, ...]:
        """Return what is now kept in a pool for jobs that came before one."""
        found = _least(self._moments(pool, job))
        return tuple(Kept(max(0, from_ms - self._at_ms), from_ms, left) for from_ms, left in found)

    def beside(self, pool: int) -> list[Moment]:
        """Return from when on cards of a pool are kept for jobs that wait, and how many are over then."""
        arrays, found = self._arrays, []
        step = int(arrays.pools[pool, c.FIRST_STEP])
        if step < 0:
            return self._moments(pool)
        while (step := int(arrays.ends[step, c.STEP_NEXT])) >= 0:
            at_ms, left = arrays.ends[step, [c.STEP_AT, c.STEP_FREE]].tolist()
            found.append((at_ms, left))
        return found

    def _moments(self, pool: int, job: int = -1) -> list[Moment]:
        arrays = self._arrays
        if arrays.state[c.BACKFILL] == c.Backfill.CONSERVATIVE:
            found = np.empty((c.MOST_KEPT, 2), np.int64)
            return [tuple(each) for each in found[: moments(arrays, pool, job, found)].tolist()]
        from_ms, left = arrays.pools[pool, [c.RESERVED_FROM, c.SPARE]].tolist()
        return [] if from_ms == c.NEVER else [(from_ms, left)]


def _least(found: list[Moment]) -> list[Moment]:
    """Return the moments from which on fewer cards can be had than before; the others do not matter."""
    kept: list[Moment] = []
    for each in found:
        if not kept or each[1] < kept[-1][1]:
            kept.append(each)
    return kept
