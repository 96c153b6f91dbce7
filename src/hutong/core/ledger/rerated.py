"""What charges of a month still cost after its use was rerated: so much, and no more, can be given back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hutong.core.book.money import COMMITTED, RERATING, TIERED, Txn, UsageRecord
from hutong.core.ledger.commitments import Group
from hutong.core.ledger.rerating import count_payers


@dataclass(slots=True)
class Rerated:
    """Sums of what a project was booked in a period: use and its price, what moved, who paid, by site."""

    used: dict[Group, int] = field(default_factory=dict)
    moved: dict[str, dict[Group, tuple[int, int]]] = field(default_factory=dict)
    payers: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, txn: Txn, records: Iterable[UsageRecord]) -> None:
        """Count a transaction that was booked in the period, with its records."""
        count_payers(self.payers, txn)
        for each in records:
            group = group_of(each)
            if txn.kind == RERATING:
                lines = self.moved.setdefault(txn.cause, {})
                quantity, micro = lines.get(group, (0, 0))
                lines[group] = quantity + each.quantity, micro + each.charge_micro
            elif not txn.cause.startswith((COMMITTED, TIERED)):
                self.used[group] = self.used.get(group, 0) + each.quantity

    def saved(self) -> dict[Group, int]:
        """Return by how many micro-yuan use at each price became cheaper; dearer counts as nothing."""
        found: dict[Group, int] = {}
        for lines in self.moved.values():
            came = [line for line in lines.values() if line[0] > 0]
            quantity, micro = sum(line[0] for line in came), sum(line[1] for line in came)
            for group, (left, charged) in lines.items():
                if left < 0 < quantity:
                    less = max(0, -charged - micro * -left // quantity)
                    found[group] = found.get(group, 0) + less
        return found


def group_of(record: UsageRecord) -> Group:
    """Return what a record of use is a part of when its month is rerated."""
    return Group(record.project, record.site, record.sku, record.unit, record.price_micro, record.per)


def saved_of(records: Sequence[UsageRecord], used: Mapping[Group, int], saved: Mapping[Group, int]) -> int:
    """Return the part of what was saved that belongs to these records: by quantity, rounded up.

    Rounded up, so that all charges of a month, given back one by one, return no more than was paid.
    """
    total = 0
    for each in records:
        group = group_of(each)
        if each.quantity > 0 and used.get(group, 0) > 0:
            part = -(-saved.get(group, 0) * each.quantity // used[group])
            total += min(part, each.charge_micro)
    return total
