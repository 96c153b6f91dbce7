"""What charges still cost after their months were rerated, read from the book (ADR 46)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hutong.core.book.money import COMMITTED, TIERED, UNFORGIVEN, Txn, UsageRecord
from hutong.core.book.periods import Period
from hutong.core.book.store import Store
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.charges import COSTS
from hutong.core.ledger.giving_back import amount_of, is_charge
from hutong.core.ledger.rerated import Rerated, saved_of
from hutong.core.ledger.rerating import count_payers
from hutong.server.statements import booked_in, find_period

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Terms:
    """How much of a charge a rerating gave back, and what each account pays of its month there, net."""

    saved_micro: int = 0
    paid: dict[str, int] | None = None

    def left_micro(self, charge: Txn, given_back_micro: int) -> int:
        """Return what can still be given back of a charge: what it costs, and what is paid of its month."""
        left = max(0, amount_of(charge) - self.saved_micro - given_back_micro)
        if self.paid is None:
            return left
        return min(left, sum(max(0, part) for name, part in self.paid.items() if name not in COSTS))

    def count(self, piece: Txn) -> None:
        """Note what was given back, for the next charge of the same month and site."""
        if self.paid is not None:
            count_payers({piece.site: self.paid}, piece)


_AS_CHARGED = Terms()


def terms_of(store: Store, project: ProjectId, charges: Sequence[Txn]) -> Mapping[str, Terms]:
    """Return the terms of each charge of a project by its id.

    A month that was rerated is read once, as its closing reads it, with what was given back of it later.
    """
    found: dict[str, Terms] = {}
    for period in sorted({charge.period for charge in charges}):
        mine = [charge for charge in charges if charge.period == period]
        if not is_rerated(store, project, period):
            found |= {charge.id: _AS_CHARGED for charge in mine}
            continue
        month = Rerated()
        for txn, records in paid_in(store, project, find_period(store, period)):
            month.add(txn, records)
        saved = month.saved()
        for start in range(0, len(mine), _PAGE):
            page = mine[start : start + _PAGE]
            behind = store.records_of(page)
            for charge in page:
                less = saved_of(behind.get(charge.id, ()), month.used, saved)
                less = min(less, amount_of(charge))
                found[charge.id] = Terms(less, month.payers.setdefault(charge.site, {}))
    return found


def is_rerated(store: Store, project: ProjectId, period: str) -> bool:
    """True if commitments or tiers changed what a project pays for a period."""
    for prefix in (COMMITTED, TIERED):
        first = store.booked(project, period, prefix, 1)
        if first and first[0].id.startswith(prefix):
            return True
    return False


def paid_in(
    store: Store, project: ProjectId, period: Period
) -> Iterator[tuple[Txn, tuple[UsageRecord, ...]]]:
    """Yield what was booked in a period, and what was given back of it later, each with its records of use.

    What is given back of a closed month is booked in the open one; it still lowers what was paid for it.
    """
    charges: list[str] = []
    for txn, records in booked_in(store, project, period):
        yield txn, records
        if period.closed and is_charge(txn):
            charges.append(txn.id)
    if not period.closed:
        return
    for start in range(0, len(charges), _PAGE):
        for txn in store.reversals(charges[start : start + _PAGE]):
            if txn.period != period.id:
                yield txn, ()
    for txn in _unforgiven(store, project):
        if period.from_ms <= txn.effective_ms < period.until_ms and txn.period != period.id:
            yield txn, ()


def _unforgiven(store: Store, project: ProjectId) -> Iterator[Txn]:
    after = "unforgiven:"
    while txns := store.txns(project, f"debt:{project}", after, _PAGE):
        yield from (txn for txn in txns if txn.kind == UNFORGIVEN)
        after = txns[-1].id
