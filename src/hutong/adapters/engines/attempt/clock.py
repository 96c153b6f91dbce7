"""A monotonic clock that leaves out the time in which a batch system had its process suspended.

Standard library only, and little of it: each job's supervisor pays for what is imported here.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class AwakeClock:
    """Seconds that pass only while the process runs: longer gaps between ticks are left out."""

    def __init__(self, gap_s: float = float("inf"), steady: Callable[[], float] = time.monotonic) -> None:
        self._gap_s = gap_s
        self._steady = steady
        self._last = steady()
        self._left_out = 0.0

    def now(self) -> float:
        """Return the seconds of this clock."""
        return self._steady() - self._left_out

    def start(self) -> None:
        """Begin to tick: what lies between here and an earlier tick was no gap."""
        self._last = self._steady()

    def tick(self) -> float:
        """Note that the process runs, and return the seconds."""
        here = self._steady()
        if here - self._last > self._gap_s:
            self._left_out += here - self._last
        self._last = here
        return here - self._left_out
