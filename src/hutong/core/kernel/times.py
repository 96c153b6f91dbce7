"""UTC milliseconds as texts."""

from datetime import UTC, datetime


def utc_seconds(at_ms: int) -> str:
    """Return a UTC millisecond as ISO 8601 in whole seconds, rounded down, with `Z`.

    >>> utc_seconds(1_999)
    '1970-01-01T00:00:01Z'
    """
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()[:19]}Z"
