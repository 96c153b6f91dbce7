"""Signs of life: what an engine remembers between two looks at attempts that a batch system runs for it."""

from collections.abc import Callable

from hutong.core.kernel.ids import AttemptKey


class Signs:
    """Since when something is so, for each attempt. `ticks` gives milliseconds that never jump.

    Lost with the process, and then everything is so since now: that only makes an engine slower to judge.
    """

    def __init__(self, ticks: Callable[[], int]) -> None:
        self._ticks = ticks
        self._since: dict[tuple[AttemptKey, str], int] = {}
        self._pulses: dict[AttemptKey, tuple[bytes, int]] = {}

    def lasts(self, key: AttemptKey, what: str) -> float:
        """Return for how many seconds `what` has been so, 0 the first time that it is said."""
        now = self._ticks()
        return (now - self._since.setdefault((key, what), now)) / 1000

    def due(self, key: AttemptKey, what: str, every_s: float) -> bool:
        """Return True the first time, and again once `every_s` has gone by since it last did."""
        now, known = self._ticks(), self._since.get((key, what))
        if known is not None and now - known < every_s * 1000:
            return False
        self._since[key, what] = now
        return True

    def over(self, key: AttemptKey, what: str) -> None:
        """Note that something is not so, or not so any more."""
        self._since.pop((key, what), None)

    def none(self, what: str) -> None:
        """Note that something is not known to be so of any attempt any more."""
        self._since = {pair: since for pair, since in self._since.items() if pair[1] != what}

    def pulse(self, key: AttemptKey, pulse: bytes, dead_s: float) -> bool:
        """Return whether a supervisor's beat moved within `dead_s`: then it lives, whatever others say."""
        now = self._ticks()
        if not pulse:
            return False
        known = self._pulses.get(key)
        if known is None or known[0] != pulse:
            self._pulses[key] = (pulse, now)
            return True
        return now - known[1] < dead_s * 1000

    def forget(self, key: AttemptKey) -> None:
        """Drop what is remembered of an attempt."""
        self._pulses.pop(key, None)
        for pair in [pair for pair in self._since if pair[0] == key]:
            del self._since[pair]
