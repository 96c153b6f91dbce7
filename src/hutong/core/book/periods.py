"""Billing periods: which one a transaction books in, and the way from open to closed (L9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hutong.core.kernel.errors import Conflict


class PeriodState(StrEnum):
    """`closing` still takes its own late facts; `closed` takes nothing, ever."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Period:
    """A month of the operator's zone as two instants `[from, until)`; `note` says why it was closed so."""

    id: str
    from_ms: int
    until_ms: int
    state: PeriodState = PeriodState.OPEN
    by: str = ""
    note: str = ""

    @property
    def closed(self) -> bool:
        """True if nothing may be booked in it any more."""
        return self.state is PeriodState.CLOSED


def moment_to_book(periods: Sequence[Period], effective_ms: int) -> int:
    """Return the moment whose period takes a fact: its own, or the first one after all closed periods."""
    return max([effective_ms, *(each.until_ms for each in periods if each.closed)])


def period_at(periods: Sequence[Period], at_ms: int) -> Period | None:
    """Return the known period that a moment lies in."""
    return next((each for each in periods if each.from_ms <= at_ms < each.until_ms), None)


def fitted(periods: Sequence[Period], new: Period, at_ms: int) -> Period:
    """Return a new period about a moment, cut to overlap no known one (the zone may have changed)."""
    from_ms = max([new.from_ms, *(each.until_ms for each in periods if each.until_ms <= at_ms)])
    until_ms = min([new.until_ms, *(each.from_ms for each in periods if each.from_ms > at_ms)])
    taken = {each.id for each in periods}
    name = new.id
    while name in taken:
        name += "+"
    return Period(name, from_ms, until_ms)


def moved(
    periods: Sequence[Period], name: str, state: PeriodState, now_ms: int, open_items: int, by: str, note: str
) -> Period | None:
    """Return the period in its next state, None where it is in that state already; raises Conflict.

    A period closes after its end and after the ones before it; with suspended use in it, only with a note.
    """
    period = next((each for each in periods if each.id == name), None)
    if period is None:
        raise Conflict("no_period", f"nothing was ever booked in a period {name!r}")
    if period.state is state:
        return None
    if period.closed or state is PeriodState.OPEN:
        raise Conflict("period_closed", f"period {name} is {period.state.value}: it never opens again")
    if now_ms < period.until_ms:
        raise Conflict("period_runs", f"period {name} has not ended yet")
    if state is PeriodState.CLOSED:
        if period.state is PeriodState.OPEN:
            raise Conflict("period_open", f"period {name} must be closing before it is closed")
        before = [each.id for each in periods if each.until_ms <= period.from_ms and not each.closed]
        if before:
            raise Conflict("period_order", f"period {before[0]} comes before {name} and is not closed")
        if open_items and not note:
            raise Conflict(
                "suspense_open",
                f"{open_items} records of use of {name} are in suspense: match them, or sign off with a note",
            )
    return Period(period.id, period.from_ms, period.until_ms, state, by, note or period.note)
