"""Registers of meters on their way to the platform: read at each full hour, told until they are there.

A reading is written down before it is told, and it is the same however often it is told. An hour that was
missed needs no guess: a register goes on counting, so the next reading covers all hours since the last.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import structlog

from hutong.agent.meter_sources import MeterSource
from hutong.agent.notes import keep, kept
from hutong.core.kernel.errors import Denied, Later, NotFound, Refused
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.wire.base import rfc3339
from hutong.wire.meters import NewReading, NewReadings

_log = structlog.get_logger("hutong.agent")
ON_THE_HOUR_MS = 10_000
"""A reading so soon after a full hour counts as one of the hour: what it is late passes to the next."""
PENDING_MOST = 24 * 366
_AT_ONCE = 500
_SPAN_MS = 30 * DAY_MS
_RETRY_S = 60.0
_WORKERS = 8

Shown = tuple[int, int]
"""When a register was read (UTC ms), and what it showed in base units."""


class MeterLink(Protocol):
    """The part of the line that takes readings; see `hutong.agent.link`."""

    def send_readings(self, meter: str, readings: NewReadings) -> None:
        """Store readings of a meter; a repeat changes nothing. Raises Later or Refused."""
        ...


class Meters:
    """Reads registers and tells the platform; `run` in a thread of its own."""

    def __init__(
        self, path: Path, link: MeterLink, sources: Sequence[MeterSource], clock: Callable[[], int]
    ) -> None:
        self._path, self._link, self._clock = path, link, clock
        self._sources = {each.meter: each for each in sources}
        self._last: dict[str, Shown] = {}
        self._pending: dict[str, list[Shown]] = {name: [] for name in self._sources}
        for name, told in kept(path).items():
            last = _shown(told.get("last")) if isinstance(told, dict) else None
            if name in self._sources and last is not None:
                self._last[name] = last
                waiting = told.get("pending")
                shown = (_shown(each) for each in waiting) if isinstance(waiting, list) else ()
                self._pending[name] = [each for each in shown if each]
        self._told: dict[str, str] = {}

    def run(self, ended: threading.Event) -> None:
        """Work until `ended` is set: at each full hour, and a minute after what failed."""
        while not ended.is_set():
            try:
                self.step()
            except RuntimeError:
                if ended.is_set():  # the line was closed under us
                    return
                raise
            to_hour_s = (HOUR_MS - self._clock() % HOUR_MS) / 1000
            ended.wait(min(_RETRY_S, to_hour_s + 0.05))

    def step(self) -> int:
        """Read the registers that are due and tell what is pending; return how many readings were told."""
        now_ms = self._clock()
        due = [each for each in self._sources.values() if self._is_due(each.meter, now_ms)]
        if due:
            with ThreadPoolExecutor(min(_WORKERS, len(due)), "meters") as pool:
                shown = list(pool.map(self._ask, due))
            for source, reading in zip(due, shown, strict=True):
                if reading is not None:
                    self._note(source.meter, reading)
            self._save()
        count = 0
        for name in sorted(self._sources):
            try:
                count += self._tell(name)
            except Later as error:  # then the others would wait in vain, and the next full hour is missed
                self._say(name, error.message)
                break
        return count

    def _is_due(self, meter: str, now_ms: int) -> bool:
        last = self._last.get(meter)
        # One of a clock that was ahead is none: it was never told, or refused.
        return last is None or last[0] > now_ms + HOUR_MS or last[0] // HOUR_MS < now_ms // HOUR_MS

    def _ask(self, source: MeterSource) -> Shown | None:
        before_ms = self._clock()
        try:
            value = source.read()
        except (Later, Refused) as error:
            self._say(source.meter, error.message)
            return None
        self._told.pop(source.meter, None)
        at_ms = (before_ms + self._clock()) // 2
        late_ms = at_ms % HOUR_MS
        return (at_ms - late_ms if late_ms <= ON_THE_HOUR_MS else at_ms), value

    def _note(self, meter: str, reading: Shown) -> None:
        pending = [each for each in self._pending[meter] if each[0] < reading[0]]
        if len(pending) < len(self._pending[meter]):
            _log.warning("readings of a clock that was ahead are left out", meter=meter)
        last = pending[-1] if pending else self._last.get(meter)
        if last and reading[1] < last[1]:
            why = "it has wrapped, or was reset or exchanged: then nobody knows what went through meanwhile"
            _log.warning("register is lower than before", meter=meter, was=last[1], now=reading[1], why=why)
        self._pending[meter] = [*pending, reading][-PENDING_MOST:]
        self._last[meter] = reading

    def _tell(self, meter: str) -> int:
        """Send what is pending of a meter in order, some at a time. Raises Later."""
        count = 0
        while pending := self._pending[meter]:
            some = [each for each in pending[:_AT_ONCE] if each[0] - pending[0][0] <= _SPAN_MS]
            try:
                self._send(meter, some)
            except (NotFound, Denied) as error:
                self._say(meter, error.message)
                break
            self._pending[meter] = pending[len(some) :]
            self._save()
            count += len(some)
        return count

    def _send(self, meter: str, some: Sequence[Shown]) -> None:
        unit = "mL" if self._sources[meter].water else "J"
        told = tuple(NewReading(end=rfc3339(at_ms), value=str(value)) for at_ms, value in some)
        try:
            self._link.send_readings(meter, NewReadings(unit=unit, readings=told))
        except (NotFound, Denied):
            raise  # nobody has registered it yet, or given it to us
        except Refused as error:
            if len(some) == 1:
                # One reading that the platform will never take must not hold up all others.
                _log.error("reading refused", meter=meter, at=some[0][0], why=error.message)
                return
            middle = len(some) // 2
            self._send(meter, some[:middle])
            self._send(meter, some[middle:])

    def _say(self, meter: str, why: str) -> None:
        if self._told.get(meter) != why:
            self._told[meter] = why
            _log.warning("meter is not read, or not told", meter=meter, why=why)

    def _save(self) -> None:
        state = {
            name: {"last": self._last.get(name), "pending": pending}
            for name, pending in self._pending.items()
        }
        keep(self._path, state, "readings of meters are not written down")


def _shown(told: object) -> Shown | None:
    """Return a reading as it was written down, None if it is none."""
    match told:
        case [int(at_ms), int(value)] if at_ms > 0 and value >= 0:
            return at_ms, value
    return None
