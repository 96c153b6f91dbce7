"""What one agent remembers of an attempt: by a clock that never jumps; a new agent only waits longer."""

import math
from collections.abc import Callable
from typing import Any

from hutong.adapters.engines.slurm.parse import Record


class Watch:
    """What one agent remembers of one attempt: its jobs' numbers, what was asked, its pulse, times."""

    def __init__(self, ticks: Callable[[], int]) -> None:
        self.submitted = ""
        self.asked: dict[str, Any] = {}
        self.over: Record | None = None
        self.began_id = ""
        self._ticks = ticks
        self._since: dict[str, int] = {}
        self._pulse = b""
        self._pulse_ms = 0

    def for_ms(self, what: str, *, holds: bool) -> int:
        """Note whether something holds; return for how long it has at every look, -1 if it does not."""
        if not holds:
            self._since.pop(what, None)
            return -1
        now = self._ticks()
        return now - self._since.setdefault(what, now)

    def silent_ms(self, pulse: bytes) -> float:
        """Return for how long a supervisor's pulse has not changed; without one there is no supervisor."""
        if not pulse:
            return math.inf
        if pulse != self._pulse:
            self._pulse, self._pulse_ms = pulse, self._ticks()
        return self._ticks() - self._pulse_ms
