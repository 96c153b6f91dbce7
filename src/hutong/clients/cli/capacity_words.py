"""Computing power, power and energy for people, with their intervals."""

from collections.abc import Callable
from decimal import Decimal

from hutong.wire.capacity import Span

_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def interval(span: Span, tell: Callable[[int], str]) -> str:
    """Return the likely value and, where it is not known exactly, from where to where it may be."""
    return (
        tell(span.likely)
        if span.low == span.high
        else f"{tell(span.likely)} [{tell(span.low)}, {tell(span.high)}]"
    )


def power(span: Span) -> str:
    """Return computing power in P, or in TF where it is less."""
    return interval(span, gigaops)


def gigaops(gops: int) -> str:
    """Return giga-operations a second in P, or in TF where it is less than one."""
    return f"{_short(gops, 10**6)} P" if gops >= 10**6 else f"{_short(gops, 1000)} TF"


def watts(value: int) -> str:
    """Return power with its unit; nothing where it is not known."""
    return _scaled(value, "W") if value else "?"


def energy(value: int) -> str:
    """Return energy with its unit; nothing where it is not known."""
    return _scaled(value, "Wh") if value else "?"


def cards_in(value: int) -> str:
    """Return a number of cards or racks."""
    return f"{value:,}"


def percent(ppm: int) -> str:
    """Return a share in per cent."""
    return f"{ppm / 10_000:.1f} %"


def _scaled(value: int, unit: str) -> str:
    size, letter = next(((size, letter) for size, letter in _UNITS if value >= size), (1, ""))
    return f"{_short(value, size)} {letter}{unit}"


def _short(value: int, size: int) -> str:
    rounded = round(Decimal(value) / size, 2)
    return f"{rounded:,}".rstrip("0").rstrip(".") if "." in f"{rounded}" else f"{rounded:,}"
