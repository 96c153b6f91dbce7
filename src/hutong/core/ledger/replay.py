"""L15: replaying every record from zero reproduces every balance, by a second and independent way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hutong.core.book.money import RERATING, REVENUE, Txn, UsageRecord
from hutong.core.kernel.rating import rate_moved

EARNING = ("usage", "tokens", "reversal", RERATING)


@dataclass(frozen=True, slots=True)
class Replay:
    """Balances by account from transactions alone, revenue from usage alone, and what does not agree."""

    balances: Mapping[str, int]
    revenue_micro: int
    faults: tuple[str, ...]


def replay(txns: Iterable[Txn], usage: Iterable[UsageRecord]) -> Replay:
    """Recompute all balances from transactions and all charges from usage records, and compare the two.

    Each subject's charge is rated anew from its total quantity at its price, as if it had never been sliced
    nor corrected. What was waived or refunded leaves revenue alone; a centre's share of it is no use.
    """
    balances: dict[str, int] = {}
    faults: list[str] = []
    booked: dict[str, int] = {}
    for txn in txns:
        if sum(entry.amount_micro for entry in txn.entries):
            faults.append(f"{txn.id} does not balance")
        for entry in txn.entries:
            balances[entry.account] = balances.get(entry.account, 0) + entry.amount_micro
            if entry.account == REVENUE and txn.kind in EARNING:
                booked[txn.cause] = booked.get(txn.cause, 0) + entry.amount_micro
    totals: dict[tuple[str, str, int, int], int] = {}
    for record in usage:
        name = (record.key, record.unit, record.price_micro, record.per)
        totals[name] = totals.get(name, 0) + record.quantity
    charged: dict[str, int] = {}
    for (key, _, price, per), quantity in totals.items():
        charged[key] = charged.get(key, 0) + rate_moved(quantity, price, per)
    faults += [
        f"{key}: usage rates to {charged.get(key, 0)}, the ledger booked {booked.get(key, 0)}"
        for key in sorted(charged.keys() | booked.keys())
        if charged.get(key, 0) != booked.get(key, 0)
    ]
    return Replay(balances, sum(charged.values()), tuple(faults))
