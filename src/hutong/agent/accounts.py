"""The engine's own accounting on its way to the platform: read again and again, told until it is there.

Accounting may be late: a row can appear hours after the job ended, with an end before rows that were read
already. So each pass begins two days before the mark that the last one reached, with the first moment of that
UTC day, and what the platform has already is not sent again. The mark moves only when the platform has all
up to there. Losing it, or what is remembered of earlier passes, costs repeats and nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from hutong.adapters.engines.base import Accounted, Use
from hutong.agent.link import Link
from hutong.agent.notes import keep, kept
from hutong.core.kernel.errors import NotFound, Refused
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.wire.usage import TallyDoc

_log = structlog.get_logger("hutong.agent")
OVERLAP_MS = 2 * DAY_MS
_SLICE_MS = 6 * HOUR_MS
_OPEN = "suspended"
_BATCH = 50  # each is weighed before the answer comes


class Accounts:
    """Tells the platform what the engine's accounting says; `step` is one pass, and may be repeated."""

    def __init__(self, path: Path, link: Link, engine: Accounted, clock: Callable[[], int]) -> None:
        self._path = path
        self._link = link
        self._engine = engine
        self._clock = clock
        self._done: dict[str, Use] = {}

    def step(self) -> int:
        """Read from before the mark until now, and tell it; return how many records were sent.

        Raises Later if accounting or the platform does not answer: the next pass begins where this one did.
        """
        now_ms = self._clock()
        mark_ms = self._mark(now_ms)
        from_day = ((now_ms if mark_ms is None else mark_ms) - OVERLAP_MS) // DAY_MS
        sent = 0
        day_uses: list[Use] = []
        read: set[str] = set()
        for from_ms in range(from_day * DAY_MS, now_ms, _SLICE_MS):
            upto_ms = min(from_ms + _SLICE_MS, now_ms)
            uses = self._engine.used(from_ms, upto_ms)
            read |= {use.record for use in uses}
            sent += self._tell(uses)
            if from_ms % DAY_MS == 0:
                day_uses = []
            day_uses += uses
            if upto_ms % DAY_MS == 0 or upto_ms == now_ms:
                self._link.account((), (_tally(from_ms // DAY_MS, day_uses, now_ms),))
            if mark_ms is None or upto_ms > mark_ms:
                self._write(upto_ms)
        self._done = {name: use for name, use in self._done.items() if name in read}
        return sent

    def _tell(self, uses: Sequence[Use]) -> int:
        """Send what is the platform's and not known to be settled there."""
        news = [use for use in uses if use.key and self._done.get(use.record) != use]
        for at in range(0, len(news), _BATCH):
            self._send(news[at : at + _BATCH])
        return len(news)

    def _send(self, batch: Sequence[Use]) -> None:
        try:
            fates = self._link.account(batch, ())
        except NotFound:
            raise  # a platform that has no such route yet
        except Refused as error:
            if len(batch) == 1:
                # One record that the platform will never take must not hold up all others.
                _log.error("record of use refused", record=batch[0].record, why=error.message)
                return
            middle = len(batch) // 2
            self._send(batch[:middle])
            self._send(batch[middle:])
            return
        self._done |= {use.record: use for use, fate in zip(batch, fates, strict=False) if fate != _OPEN}

    def _mark(self, now_ms: int) -> int | None:
        """Return up to when all was told; None if that is not known, or a moment of a clock gone wrong."""
        told = kept(self._path).get("upto_ms")
        return told if isinstance(told, int) and told <= now_ms else None

    def _write(self, upto_ms: int) -> None:
        keep(self._path, {"upto_ms": upto_ms}, "the mark of accounting is not written down")


def _tally(day: int, uses: Sequence[Use], read_ms: int) -> TallyDoc:
    ours = [use for use in uses if use.key]
    return TallyDoc(
        day=day,
        count=len(ours),
        card_ms=sum(use.card_ms or 0 for use in ours),
        uncounted=sum(use.card_ms is None for use in ours),
        others=len(uses) - len(ours),
        read_ms=read_ms,
    )
