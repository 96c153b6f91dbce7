"""Periods, received use and settlements as the wire shows them."""

from collections.abc import Iterable

from hutong.core.book.periods import Period
from hutong.core.book.received import DayCount, Kept
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.settlements import Shares
from hutong.wire import ledger as w
from hutong.wire.base import Money, rfc3339


def period_shape(period: Period) -> w.Period:
    """Return a period."""
    return w.Period(
        id=period.id,
        start=rfc3339(period.from_ms),
        end=rfc3339(period.until_ms),
        state=period.state.value,
        by=period.by,
        note=period.note,
    )


def settlement_shape(shares: Shares, owed_micro: int) -> w.Settlement:
    """Return what a centre is owed, and by which shares."""
    dated = (w.NewShare(starts=rfc3339(each.from_ms), ppm=each.ppm) for each in shares.shares)
    return w.Settlement(site=shares.site, owed=Money.of(owed_micro), shares=tuple(dated))


def use_shape(kept: Kept) -> w.Use:
    """Return a record that was received and what became of it."""
    record = kept.record
    return w.Use(
        source=record.source,
        record=record.record,
        revision=record.revision,
        key=record.key,
        unit=record.unit,
        quantity=record.quantity,
        start=rfc3339(record.from_ms),
        end=rfc3339(record.upto_ms),
        fate=kept.fate.value,
        reason=kept.reason,
        by=kept.by,
    )


def counts_shape(source: str, counts: Iterable[DayCount]) -> w.DayCounts:
    """Return counts by day, with their sums."""
    days: dict[int, dict[str, int]] = {}
    for each in counts:
        days.setdefault(each.day, {})[each.fate.value] = each.count
    items = (
        w.DayCount.model_validate(
            {"day": rfc3339(day * DAY_MS)[:10], "received": sum(fates.values()), **fates}
        )
        for day, fates in days.items()
    )
    return w.DayCounts(source=source, items=tuple(items))
