"""The three-way reconciliation: what a site's day holds is read and compared, and the drift kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from hutong.core.book.metered import NAMES_AT_ONCE
from hutong.core.book.received import Billed, Fate, Kept
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, HutongError
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.metering import Limits
from hutong.core.ledger.reconciling import LATE_MS, Report, Seen, reconcile
from hutong.server.metering import unsettled
from hutong.server.registry import document, every, read

log = structlog.get_logger(__name__)

KIND = "drift"
SITES_AT_MOST = 500
STARTS_AT_MOST = 50_000
_LOOK_BACK_DAYS = 7
_Row = TypeVar("_Row", Kept, str)


@dataclass(frozen=True, slots=True)
class Drift:
    """How many differences of a site's last day that accounting can no longer change will stay."""

    site: str
    day: int
    count: int


def sources(store: Store) -> tuple[str, ...]:
    """Return every site, in order."""
    return tuple(record.id for record in every(store, "site", "", SITES_AT_MOST))


def reconcile_day(store: Store, source: str, day: int, limits: Limits, now_ms: int) -> Report:
    """Compare the three columns of a site and a day. Raises Conflict if the day has too many starts."""
    records = records_of_day(store, source, day)
    span = (day * DAY_MS, (day + 1) * DAY_MS)
    ended = tuple(_pages(lambda after: store.billed_keys(source, span, after, NAMES_AT_ONCE), str))
    keys = sorted({kept.record.key for kept in records} | set(ended))
    billed: dict[str, Billed] = {}
    elsewhere: set[str] = set()
    for at in range(0, len(keys), NAMES_AT_ONCE):
        some = keys[at : at + NAMES_AT_ONCE]
        billed |= {each.key: each for each in store.billed(some)}
        elsewhere |= {each.record.key for each in store.records_for(source, some) if each.record.day != day}
    of_records = {kept.record.key for kept in records}
    # What still runs ends on another day; it is looked at then.
    billed = {
        key: each for key, each in billed.items() if key in of_records or span[0] <= each.upto_ms < span[1]
    }
    tallies = {each.day: each for each in store.tallies(source, (day - _LOOK_BACK_DAYS, day + 1))}
    waiting = [kept.record.key for kept in records if kept.fate is Fate.SUSPENDED]
    seen = Seen(
        source, day, now_ms, tallies.get(day), records, billed, frozenset(elsewhere),
        accounted=bool(tallies or records), unsettled=unsettled(store, sorted(set(waiting))),
    )  # fmt: skip
    return reconcile(seen, limits)


def records_of_day(store: Store, source: str, day: int) -> tuple[Kept, ...]:
    """Return the records in force that ended on a day. Raises Conflict if there are too many."""
    return tuple(_pages(lambda after: store.records_on(source, day, after, NAMES_AT_ONCE), _record))


def _record(kept: Kept) -> str:
    return kept.record.record


def _pages(read_page: Callable[[str], tuple[_Row, ...]], name: Callable[[_Row], str]) -> Iterator[_Row]:
    after, count = "", 0
    while True:
        page = read_page(after)
        yield from page
        count += len(page)
        if len(page) < NAMES_AT_ONCE:
            return
        if count >= STARTS_AT_MOST:
            raise Conflict("too_many", f"the day has more than {STARTS_AT_MOST} starts")
        after = name(page[-1])


def drifts(store: Store) -> tuple[Drift, ...]:
    """Return what the reconciler found last, by site."""
    return tuple(read(Drift, record) for record in every(store, KIND, "", SITES_AT_MOST))


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares each site's last day that is complete."""

    store: Store
    limits: Limits
    clock: Callable[[], int]

    def step(self) -> int:
        """Compare once; return how many differences there are that will stay."""
        now_ms = self.clock()
        day = (now_ms - LATE_MS) // DAY_MS - 1
        total = 0
        for site in sources(self.store):
            try:
                report = reconcile_day(self.store, site, day, self.limits, now_ms)
            except HutongError as error:  # the next ones must not wait for this one
                log.warning("not_reconciled", site=site, day=day, detail=str(error))
                continue
            found = document(Drift(site, day, report.drifts))
            before = self.store.get(KIND, site)
            if before is None or before.doc != found:
                self.store.put(Record(KIND, site, found))
            if report.drifts:
                log.warning("drift", site=site, day=day, count=report.drifts)
            total += report.drifts
        return total
