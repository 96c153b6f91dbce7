"""UTC milliseconds as dates and back, and the months of a time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def utc_seconds(at_ms: int) -> str:
    """Return a UTC millisecond as ISO 8601 in whole seconds, rounded down, with `Z`.

    >>> utc_seconds(1_999)
    '1970-01-01T00:00:01Z'
    """
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def month_span(year: int, month: int, zone: str) -> tuple[int, int]:
    """Return the span `[from, upto)` of a calendar month in a time zone, as UTC milliseconds.

    >>> month_span(2026, 11, "Asia/Shanghai")
    (1793462400000, 1796054400000)
    """
    begin = datetime(year, month, 1, tzinfo=ZoneInfo(zone))
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=ZoneInfo(zone))
    return int(begin.timestamp()) * 1000, int(end.timestamp()) * 1000


def month_of(at_ms: int, zone: str) -> tuple[int, int]:
    """Return the (year, month) in a time zone in which a UTC millisecond lies."""
    moment = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(zone))
    return moment.year, moment.month
