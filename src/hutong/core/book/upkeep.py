"""The part of the book's protocol about what is still to be done with money: see `hutong.core.book.store`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hutong.core.accounts.budgets import Budget
from hutong.core.book.audit import Author
from hutong.core.book.money import Lot, Txn, UsageRecord, Waiver
from hutong.core.book.periods import Period, PeriodState
from hutong.core.book.received import DayCount, Fate, Kept, Received
from hutong.core.book.spending import Spending
from hutong.core.book.uses import Use, UseQuery
from hutong.core.kernel.ids import AttemptKey, LotId, ProjectId


class Upkeep(Protocol):
    """Reversals, periods and what was booked in them, received records, lots that have ended, waivers."""

    def txn(self, name: str) -> Txn | None:
        """Return one transaction."""
        ...

    def reversals(self, names: Sequence[str]) -> tuple[Txn, ...]:
        """Return what was given back of some transactions (at most a thousand), in order of what and when."""
        ...

    def periods(self) -> tuple[Period, ...]:
        """Return every period in which anything was booked, in order of time."""
        ...

    def move_period(
        self,
        name: str,
        state: PeriodState,
        now_ms: int,
        by: str,
        note: str = "",
        *,
        author: Author | None = None,
    ) -> bool:
        """Bring a period to `closing` or `closed`; False if it is there. Raises Conflict if not allowed.

        With an author, here and below, a change that is news is told in the audit, in the same transaction.
        When this returns True for `closed`, nothing is booked in the period any more, whoever began to.
        """
        ...

    def takings(self, period: str) -> Mapping[str, int]:
        """Return what work at each site earned in a period, net of corrections and of what was waived."""
        ...

    def booked(self, project: ProjectId, period: str, after: str, limit: int) -> tuple[Txn, ...]:
        """Return transactions of a project that were booked in a period, in order of id above `after`."""
        ...

    def records_of(self, booked: Sequence[Txn]) -> Mapping[str, tuple[UsageRecord, ...]]:
        """Return the records of use that these transactions charged, or took back, by transaction."""
        ...

    def unpriced(
        self, project: ProjectId, span: tuple[int, int], after: tuple[int, str], limit: int
    ) -> tuple[UsageRecord, ...]:
        """Return records of use that ended in a time and that no transaction charges, by end and id.

        `after` is the end and the id of the last one known. A page with fewer than `limit` is the last.
        """
        ...

    def moved(self, project: ProjectId, periods: Sequence[str]) -> Mapping[str, int]:
        """Return by how much each account of a project changed over all of these periods together."""
        ...

    def uses(self, query: UseQuery) -> tuple[Use, ...]:
        """Return what was used by day, in groups, in the order of their keys; only the days are read."""
        ...

    def spendings(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spending, ...]:
        """Return what is spent of those of some budgets that have a period now, in their order."""
        ...

    def rebuild_uses(self) -> int:
        """Make use by day anew from the usage records; return of how many groups. Writers wait meanwhile."""
        ...

    def receive(self, kept: Kept) -> Kept:
        """Keep a record with its fate, unless it is there: then return what is there.

        It is superseded where a later revision is there, and supersedes earlier ones that are suspended.
        """
        ...

    def received(self, source: str, record: str, revision: int) -> Kept | None:
        """Return a record that was received."""
        ...

    def suspended(self, after: tuple[str, str, int], limit: int) -> tuple[Kept, ...]:
        """Return records in suspense in order of source, record and revision, beyond `after`."""
        ...

    def resolve(
        self,
        record: Received,
        fate: Fate,
        reason: str,
        by: str,
        now_ms: int,
        *,
        author: Author | None = None,
    ) -> Kept:
        """Give a suspended record its final fate, or (`suspended`) another reason to wait.

        With a final one, metered hours of its source are due that it says the energy of, or did before.

        Raises NotFound, or Conflict if it has another final one.
        """
        ...

    def day_counts(self, source: str, days: tuple[int, int]) -> tuple[DayCount, ...]:
        """Return how many records of a source had which fate, by day in `[from, to)` (at most 1,000 rows)."""
        ...

    def due_lots(self, now_ms: int, limit: int) -> tuple[Lot, ...]:
        """Return lots that have ended and of which something may be left, longest due first."""
        ...

    def rest_lots(self, names: Sequence[LotId], again_ms: int, *, empty: bool) -> None:
        """Look at ended lots again at `again_ms`; with `empty`, only where something is left or returns."""
        ...

    def claim_lot(self, name: LotId, now_ms: int, *, author: Author | None = None) -> Lot:
        """Claim a lot back: it ends now for whoever would hold of it, and is due at once. Raises NotFound."""
        ...

    def waivers(self, limit: int) -> tuple[Waiver, ...]:
        """Return waivers that are still to be booked, in order of their keys."""
        ...

    def drop_waiver(self, key: AttemptKey) -> None:
        """Forget a waiver whose transactions are in the book."""
        ...
