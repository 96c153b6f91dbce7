"""How fast content comes from the platform's store: the platform learns the width of the way from it."""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Lock

import structlog

from hutong.agent.habits import steady_ms
from hutong.core.capacity.sites import Transfer
from hutong.core.placement.staging import MATTERS_BYTES
from hutong.wire.transfers import TRANSFERS_AT_ONCE

_log = structlog.get_logger("hutong.agent")
_PARTS = 16  # a transfer is of no more


class Pace:
    """Counts what is fetched, over all threads; the last large transfers are kept in a file.

    Fetches that overlap count as one: the way was as fast as all of them together. One that broke off spoils
    it, for it waited and began again, and of little it is the start that takes time. What is left adds up
    until it is a transfer of `matters_bytes`, as the files of a folder do.
    """

    def __init__(
        self,
        file: Path,
        matters_bytes: int = MATTERS_BYTES,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        ticks: Callable[[], int] = steady_ms,
    ) -> None:
        self._file = file
        self._matters_bytes = matters_bytes
        self._clock = clock
        self._ticks = ticks
        self._lock = Lock()
        self._running = 0
        self._since_ms = 0
        self._came_bytes = 0
        self._spoilt = False
        self._sum = (0, 0)  # bytes, ms
        self._last: deque[Transfer] = deque(_read(file), maxlen=TRANSFERS_AT_ONCE)

    @contextmanager
    def fetching(self, into: Path) -> Iterator[None]:
        """Count by how much a file grows meanwhile."""
        before = _size(into)
        with self._lock:
            if not self._running:
                self._since_ms, self._came_bytes, self._spoilt = self._ticks(), 0, False
            self._running += 1
        whole = False
        try:
            yield
            whole = True
        finally:
            with self._lock:
                self._running -= 1
                self._spoilt = self._spoilt or not whole
                self._came_bytes += max(0, _size(into) - before)
                if not self._running:
                    self._settle()

    def transfers(self) -> tuple[Transfer, ...]:
        """Return the last ones, the oldest first."""
        with self._lock:
            return tuple(self._last)

    def _settle(self) -> None:
        if self._spoilt or self._came_bytes * _PARTS < self._matters_bytes:
            return
        size_bytes, took_ms = self._sum
        self._sum = size_bytes + self._came_bytes, took_ms + self._ticks() - self._since_ms
        size_bytes, took_ms = self._sum
        if size_bytes < self._matters_bytes or took_ms <= 0:
            return
        self._sum = (0, 0)
        self._last.append(Transfer(self._clock(), size_bytes, took_ms))
        fresh = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            fresh.write_text(json.dumps([asdict(each) for each in self._last]), encoding="utf-8")
            fresh.replace(self._file)
        except OSError as error:  # as when the disk is full: it is known while this agent runs
            _log.warning("transfers not kept", why=error.strerror)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read(file: Path) -> list[Transfer]:
    """Return what an earlier agent kept; nothing if that is not to be read."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        found = [Transfer(**{name: int(value) for name, value in row.items()}) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError) as error:
        _log.warning("transfers not read", file=str(file), why=str(error))
        return []
    return [each for each in found if each.at_ms >= 0 and each.size_bytes >= 0 and each.took_ms > 0]
