"""Bars as plain numbers: drawn by the server as small SVGs, told in words beside."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hutong.core.kernel.money import largest_remainder, parse_micro
from hutong.wire.money import Balance, Paid
from hutong.wire.receipts import Alternative, Part

WIDTH = 1000
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar, in thousandths of its width; `look` names its color in the style sheet."""

    look: str
    start: int
    width: int
    name: str = ""


def stack(parts: Sequence[tuple[str, int, str]], whole: int | None = None) -> tuple[Segment, ...]:
    """Return segments side by side of (look, amount, name); `whole` is the amount of a full bar."""
    amounts = [max(0, amount) for _, amount, _ in parts]
    full = max(sum(amounts), whole or 0)
    if not full:
        return ()
    widths = largest_remainder(WIDTH, [*amounts, full - sum(amounts)])
    segments, start = [], 0
    for (look, amount, name), width in zip(parts, widths, strict=False):
        if amount > 0:
            segments.append(Segment(look, start, width, name))
        start += width
    return tuple(segments)


def score_bar(alternative: Alternative) -> tuple[Segment, ...]:
    """Return what each part adds to a score; a full bar is a perfect score."""
    weights = sum(part.weight for part in alternative.parts)
    parts = [(part.name, part.value_ppm * part.weight, part.name) for part in alternative.parts]
    return stack(parts, weights * PPM) if weights else ()


def points(part: Part, parts: Iterable[Part]) -> str:
    """Return what a part adds to a score of at most 100 points."""
    weights = sum(each.weight for each in parts)
    return f"{part.value_ppm * part.weight / weights / 10_000:.1f}" if weights else "0.0"


def balance_bar(balance: Balance) -> tuple[Segment, ...]:
    """Return a project's four numbers as one bar: spent, in flight, what else is held, available."""
    flight = parse_micro(balance.in_flight.amount)
    held = parse_micro(balance.committed.amount)
    return stack(
        (
            ("settled", parse_micro(balance.settled.amount), "settled"),
            ("flight", min(flight, held), "in_flight"),
            ("committed", held - min(flight, held), "committed"),
            ("available", parse_micro(balance.available.amount), "available"),
        )
    )


def paid_bar(paid: Sequence[Paid]) -> tuple[Segment, ...]:
    """Return who paid how much of a bill."""
    return stack([(each.kind, parse_micro(each.amount.amount), each.kind) for each in paid])


def percent_ppm(text: str) -> int:
    """Return a percentage such as `37.5` as parts per million, within 0 and 100 %."""
    return min(PPM, max(0, parse_micro(text) // 100))
