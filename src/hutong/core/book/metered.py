"""The part of the book's protocol that compares sources with the ledger: see `hutong.core.book.store`."""

from collections.abc import Sequence
from typing import Protocol

from hutong.core.book.received import Billed, Kept, Tally

NAMES_AT_ONCE = 1000


class Metering(Protocol):
    """Tallies of sources, records by day and attempt, and what was billed for an attempt.

    A record is *in force* in its highest revision.
    """

    def newest(self, source: str, record: str) -> Kept | None:
        """Return a record in force."""
        ...

    def records_on(self, source: str, day: int, after: str, limit: int) -> tuple[Kept, ...]:
        """Return the records in force that ended on a day, in order of their names above `after`."""
        ...

    def records_for(self, source: str, keys: Sequence[str]) -> tuple[Kept, ...]:
        """Return the records in force of some attempts (at most a thousand), in order of their names."""
        ...

    def tally(self, tally: Tally) -> None:
        """Keep what a source's accounting holds of a day, in place of what it was before."""
        ...

    def tallies(self, source: str, days: tuple[int, int]) -> tuple[Tally, ...]:
        """Return the tallies of a source for days in `[from, to)`, in order (at most 1,000)."""
        ...

    def billed_keys(self, site: str, span: tuple[int, int], after: str, limit: int) -> tuple[str, ...]:
        """Return the attempts with use of cards at a site whose record ends in a time, in order."""
        ...

    def billed(self, keys: Sequence[str]) -> tuple[Billed, ...]:
        """Return what is booked for some attempts (at most a thousand) in all, in order of their keys."""
        ...
