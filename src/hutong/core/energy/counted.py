"""What counters of a site's engine say that attempts took in an hour: each start, spread over its time.

A start has one number, from its allocation to its end; it is spread evenly over that time. It is IT energy
alone: what a PUE adds is the site's overhead. An attempt is counted if each of its starts is, and all that
was billed of it has a record: else the model stands for the whole of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hutong.core.book.energy import part_in
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.kernel.quantities import HOUR_MS

_NOT_ALL = "not counted: accounting does not tell of all that was billed"


@dataclass(frozen=True, slots=True)
class Taken:
    """Joules by counters, and which; None, and why not."""

    energy_j: int | None
    basis: str


def in_hour(kept: Iterable[Kept], billed_card_ms: Mapping[str, int], hour: int) -> dict[str, Taken]:
    """Return what attempts took in an hour, by key, from their records in force; `billed_card_ms` are totals.

    Attempts whose engine has no counters are left out.
    """
    span = (hour * HOUR_MS, (hour + 1) * HOUR_MS)
    return {
        key: Taken(None, total.basis) if total.energy_j is None else Taken(_in(starts, span), total.basis)
        for key, starts in _by_key(kept).items()
        if (total := _total(starts, billed_card_ms.get(key, 0))).basis
    }


def in_all(kept: Iterable[Kept], billed_card_ms: int) -> Taken:
    """Return what one attempt took in all; an empty basis where its engine has no counters."""
    for starts in _by_key(kept).values():
        return _total(starts, billed_card_ms)
    return Taken(None, "")


def _by_key(kept: Iterable[Kept]) -> dict[str, list[Received]]:
    found: dict[str, list[Received]] = {}
    for each in kept:
        if each.fate in {Fate.CONFIRMED, Fate.CORRECTED}:
            found.setdefault(each.record.key, []).append(each.record)
    return found


def _total(starts: list[Received], billed_card_ms: int) -> Taken:
    open_ = sorted({each.energy_basis for each in starts if each.energy_j is None})
    if open_:
        return Taken(None, "; ".join(filter(None, open_)))
    # A hundredth is for clocks that differ.
    if sum(each.quantity for each in starts) * 100 < billed_card_ms * 99:
        return Taken(None, _NOT_ALL)
    basis = "; ".join(sorted({each.energy_basis for each in starts}))
    return Taken(sum(each.energy_j or 0 for each in starts), basis)


def _in(starts: list[Received], span: tuple[int, int]) -> int:
    here = (each for each in starts if each.from_ms < span[1] and each.upto_ms > span[0])
    return sum(part_in(each.energy_j or 0, (each.from_ms, each.upto_ms), span) for each in here)
