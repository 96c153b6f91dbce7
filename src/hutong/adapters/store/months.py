"""Months of an IANA zone as spans of UTC: how billing periods are cut."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hutong.core.book.periods import Period
from hutong.core.kernel.errors import Problem, Refused

_LAST_MS = 253_000_000_000_000  # the year 9987: later moments are booked with it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_zone(name: str) -> str:
    """Return the name of a zone; Refused if there is none of that name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        problem = Problem("/zone", f"there is no time zone {name!r}", "an IANA name, such as Asia/Shanghai")
        raise Refused("bad_zone", f"there is no time zone {name!r}", (problem,)) from error
    return name


def month_of(at_ms: int, zone: str) -> Period:
    """Return the month that a moment lies in by the clocks of a zone, as an open period such as `2026-11`."""
    where = ZoneInfo(zone)
    moment = (_EPOCH + timedelta(milliseconds=min(max(at_ms, 0), _LAST_MS))).astimezone(where)
    first = datetime(moment.year, moment.month, 1, tzinfo=where)
    turn, month = divmod(moment.month, 12)
    following = datetime(moment.year + turn, month + 1, 1, tzinfo=where)
    return Period(f"{moment.year:04d}-{moment.month:02d}", _ms(first), _ms(following))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
