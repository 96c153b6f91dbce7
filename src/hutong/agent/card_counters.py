"""Asks vendors' tools at a bounded rate how busy the cards of pools are, beside the agent's own work."""

import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from hutong.agent.card_tools import COMMANDS, READERS

_log = structlog.get_logger("hutong.agent")
_ASK_S = 20.0
_STALE = 3  # readings that may fail in a row before nothing is known


@dataclass(frozen=True, slots=True)
class CardCounter:
    """How the cards of a pool are counted: the tool, its command, and of how many cards it must tell."""

    pool: str
    tool: str
    cards: int
    every_s: int = 30
    command: tuple[str, ...] = ()

    @property
    def counts(self) -> str:
        """What counts, in words."""
        return f"{self.tool}, sampled every {self.every_s} s"


class CardCounters:
    """Keeps the last reading of each pool; `run` in a thread of its own, the rest in any."""

    def __init__(self, counters: Sequence[CardCounter], clock: Callable[[], int]) -> None:
        self._counters = {each.pool: each for each in counters}
        self._clock = clock
        self._read: dict[str, tuple[int, int]] = {}
        self._told: dict[str, str] = {}

    def run(self, ended: threading.Event) -> None:
        """Read until `ended` is set; each pool at its own rate."""
        due = dict.fromkeys(self._counters, 0)
        while True:
            for pool in sorted(due):
                if due[pool] <= 0 and not ended.is_set():
                    self.read(pool)
                    due[pool] = self._counters[pool].every_s
            pause_s = min(due.values(), default=1)
            if ended.wait(pause_s):
                return
            due = {pool: left - pause_s for pool, left in due.items()}

    def read(self, pool: str) -> None:
        """Ask once; a reading of another number of cards than are there is none."""
        counter = self._counters[pool]
        command = counter.command or COMMANDS[counter.tool]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=True,
                env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            self._tell(pool, str(error))
            return
        found = READERS[counter.tool](done.stdout.decode(errors="replace"))
        if len(found) != counter.cards:
            self._tell(pool, f"{command[0]} told of {len(found)} cards, there are {counter.cards}")
            return
        self._told.pop(pool, None)
        self._read[pool] = (self._clock(), sum(found))

    def _tell(self, pool: str, why: str) -> None:
        if self._told.get(pool) != why:
            self._told[pool] = why
            _log.warning("cards are not counted", pool=pool, why=why)

    def counts(self, pool: str) -> str | None:
        """Return what counts there, in words; None if nothing is meant to."""
        counter = self._counters.get(pool)
        return counter.counts if counter else None

    def busy_milli(self, pool: str, now_ms: int) -> int | None:
        """Return how many cards were busy at the last reading, in thousandths; None if that is long ago."""
        at_ms, busy = self._read.get(pool, (0, 0))
        fresh = at_ms and 0 <= now_ms - at_ms <= _STALE * self._counters[pool].every_s * 1000
        return busy if fresh else None
