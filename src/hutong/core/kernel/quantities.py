"""Quantities as people write them (`256GB`, `12h`, `32+`) and as we keep them (integers)."""

import re
from types import MappingProxyType

_SIZE = re.compile(r"^\s*(\d{1,15})(?:\.(\d{1,3}))?\s*([KMGTP]?)(i?)B?\s*$", re.IGNORECASE)
_TIME = re.compile(r"^\s*(\d{1,9})\s*(ms|s|m|min|h|d|w)?\s*$", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BASE_UNITS = MappingProxyType(
    {"J": 1, "Wh": 3600, "kWh": 3_600_000, "MWh": 3_600_000_000, "mL": 1, "L": 1000, "m3": 1_000_000}
)
"""Units of meters, in joules, or of water in millilitres."""


def parse_bytes(text: str, default_unit: str = "") -> int | None:
    """Return bytes, or None where `text` is not a size. `GB` is 10^9, `GiB` 2^30.

    A bare number takes `default_unit` (SkyPilot writes memory as a number of gigabytes).
    """
    match = _SIZE.match(text)
    if match is None:
        return None
    whole, part, letter, binary = match.groups()
    unit = letter.upper() or default_unit
    base = 1024 if binary else 1000
    scale: int = base ** _POWERS[unit]
    thousandths = int(whole) * 1000 + int((part or "").ljust(3, "0") or 0)
    return thousandths * scale // 1000


def parse_seconds(text: str, default_unit: str = "s") -> int | None:
    """Return whole seconds of `90`, `10m`, `12h`, `2d`, or None where `text` is not a time."""
    match = _TIME.match(text)
    if match is None or match[2] == "ms":
        return None
    return int(match[1]) * _SECONDS[(match[2] or default_unit).lower()]


def hour_slices(start_ms: int, end_ms: int) -> tuple[tuple[int, int], ...]:
    """Cut `[start, end)` at whole UTC hours: pairs of (hour's first millisecond, milliseconds in it)."""
    slices = []
    cursor = start_ms
    while cursor < end_ms:
        hour = cursor - cursor % HOUR_MS
        upto = min(end_ms, hour + HOUR_MS)
        slices.append((hour, upto - cursor))
        cursor = upto
    return tuple(slices)
