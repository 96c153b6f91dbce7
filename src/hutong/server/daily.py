"""Once a day, beside the loop: calls are settled and the use of allocations is reviewed, page by page."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from hutong.core.accounts import calls as c
from hutong.core.accounts.reclaim import ReclaimPolicy
from hutong.core.book.audit import Author
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, HutongError, Later
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.allocations import review_page
from hutong.server.applications import settle_call
from hutong.server.audited import audited
from hutong.server.calls import KIND as CALL
from hutong.server.registry import document, read

PASS = "daily_pass"  # noqa: S105 - a kind of document
_FORGET_MS = 90 * DAY_MS
_CALLS_AT_ONCE = 100
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a day's pass is: the last call that is settled, the last row within what it works on.

    Allocations come after the last call.
    """

    day: str
    call: str = ""
    after: str = ""
    calls_done: bool = False
    done: bool = False


@dataclass(frozen=True, slots=True)
class DailyDesk:
    """Does a day's pass once, whoever leads. Killed at any line, the same page is done again: no harm.

    The policy is read when it is needed: a file of it that is wrong delays the pass, and nothing else.
    """

    store: Store
    clock: Callable[[], int]
    zone: str
    policy: Callable[[], ReclaimPolicy]

    def step(self) -> bool:
        """Do the next page of today's pass; False where nothing is left of it, or another was faster."""
        now_ms = self.clock()
        today = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(self.zone)).date().isoformat()
        record = self.store.get(PASS, "all")
        progress = Progress("") if record is None else read(Progress, record)
        if progress.day < today:
            progress = Progress(today)
        elif progress.done or progress.day > today:  # a clock that was set back
            return False
        progress = self._review(progress, now_ms) if progress.calls_done else self._settle(progress, now_ms)
        made = record or Record(PASS, "all", {})
        try:
            self.store.put(replace(made, doc=document(progress)), expect=made.version)
        except Conflict:  # another process did the same page
            return False
        return not progress.done

    def _settle(self, progress: Progress, now_ms: int) -> Progress:
        """Settle a page of the next call that is not long over."""
        rows = self.store.records(CALL, "", progress.call, _CALLS_AT_ONCE)
        for row in rows:
            after = self._settle_page(row, progress.after, now_ms)
            if after:
                return replace(progress, after=after)
            progress = replace(progress, call=row.id, after="")
            if after is not None:
                return progress
        return replace(progress, calls_done=len(rows) < _CALLS_AT_ONCE)

    def _settle_page(self, row: Record, after: str, now_ms: int) -> str | None:
        """Settle a page of a call; return where the next one begins: "" after the last; None: long over."""
        try:
            if now_ms >= read(c.Call, row).ends_ms + _FORGET_MS:
                return None
            changed, after, faults = settle_call(self._told(now_ms), row.id, after, now_ms)
        except Later:  # the whole pass waits a moment
            raise
        except HutongError as error:  # one call's trouble does not hold up the others
            changed, after, faults = 0, "", (str(error),)
        _tell("call_settled", row.id, changed, faults)
        return after

    def _review(self, progress: Progress, now_ms: int) -> Progress:
        changed, after, faults = review_page(self._told(now_ms), progress.after, now_ms, self.policy())
        _tell("allocations_reviewed", progress.day, changed, faults)
        return replace(progress, after=after, done=not after)

    def _told(self, now_ms: int) -> Store:
        """Return the store that tells the audit of what the pass changes."""
        author = Author("platform", now_ms, reason="the daily pass")
        return audited(self.store, lambda _: author)


def _tell(what: str, name: str, changed: int, faults: tuple[str, ...]) -> None:
    if changed:
        log.info(what, name=name, changed=changed)
    for fault in faults:
        log.warning("daily_pass_fault", name=name, detail=fault)
