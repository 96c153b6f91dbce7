"""Times and numbers as the wire writes them."""

from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.base import parse_rfc3339, rfc3339


def time_or_none(at_ms: int) -> str | None:
    """Return RFC 3339, or None for a time that is not known (0)."""
    return rfc3339(at_ms) if at_ms else None


def read_time(text: str, path: str) -> int:
    """Return the UTC millisecond of an RFC 3339 time; raises Refused that names the field."""
    try:
        at_ms = parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        problem = Problem(path, f"{text[:100]!r} is not a time", "RFC 3339, such as 2026-11-22T08:00:00Z")
        raise Refused("bad_time", f"{text[:100]!r} is not a time", (problem,)) from error
    if not 0 <= at_ms < 1 << 47:
        problem = Problem(path, f"{text[:100]!r} is out of range", "a time after 1970")
        raise Refused("bad_time", f"{text[:100]!r} is out of range", (problem,))
    return at_ms


def thousandths(value: int) -> str:
    """Return a number of thousandths as a decimal string without needless zeros: 1150 is `1.15`."""
    whole, part = divmod(value, 1000)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")


def percent(value_ppm: int) -> str:
    """Return parts per million as a percentage with at most four decimals, such as `37.5`."""
    whole, part = divmod(value_ppm, 10_000)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".")
