"""The part of the book's protocol that reports read: see `hutong.core.book.store`."""

from typing import Protocol

from hutong.core.book.rollups import FirstUse, Group, PoolNote, RollupQuery
from hutong.core.book.waits import WaitGroup


class Rolled(Protocol):
    """Sums by hour, day and month, kept by the transactions that write what they sum."""

    def rollup(self, query: RollupQuery) -> tuple[Group, ...]:
        """Return sums in groups, in the order of their keys. Raises Refused for too many groups."""
        ...

    def waiting(self, hours: tuple[int, int]) -> tuple[WaitGroup, ...]:
        """Return the jobs that wait for their first start, submitted in these hours, in groups."""
        ...

    def first_uses(self, span: tuple[int, int], after: tuple[str, str], limit: int) -> tuple[FirstUse, ...]:
        """Return who used something first in a span of UTC ms, in order of scope and name above `after`."""
        ...

    def pool_notes(self, span: tuple[int, int]) -> tuple[PoolNote, ...]:
        """Return what pools were in a span of UTC ms: of each the last note before it, and all in it."""
        ...

    def note_pools(self, now_ms: int) -> int:
        """Note what pools are now where it is another than before; return how many notes that made."""
        ...

    def rebuild_rollups(self) -> int:
        """Make the sums anew from all that they sum; return of how much. Writers wait."""
        ...
