"""UTC days and months as integers, counted from January 1970, and as people write them."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from hutong.core.kernel.quantities import DAY_MS

_EPOCH = date(1970, 1, 1)
DAYS_MOST = 2_932_896
"""The last day that has a date, in the year 9999."""


def day_of(at_ms: int) -> int:
    """Return the UTC day of a moment, in days since 1970."""
    return at_ms // DAY_MS


@lru_cache(maxsize=1024)
def month_of(day: int) -> int:
    """Return the month of a day, in months since January 1970."""
    when = _EPOCH + timedelta(days=day)
    return (when.year - 1970) * 12 + when.month - 1


def month_days(month: int) -> tuple[int, int]:
    """Return the days `[from, to)` of a month."""
    first, after = (date(1970 + each // 12, each % 12 + 1, 1) for each in (month, month + 1))
    return (first - _EPOCH).days, (after - _EPOCH).days


def day_text(day: int) -> str:
    """Return a day as `2026-11-29`."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def month_text(month: int) -> str:
    """Return a month as `2026-11`."""
    return f"{1970 + month // 12:04d}-{month % 12 + 1:02d}"


def utc_day(text: str) -> int | None:
    """Return the day that a text such as `2026-11-29` names, or None."""
    try:
        when = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (when.date() - _EPOCH).days
