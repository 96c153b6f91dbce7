"""Which records of use stand behind a transaction: those that it charged, or took back."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hutong.core.book.money import RERATING, Txn, UsageRecord, charging_txn


@dataclass(slots=True)
class Wanted:
    """Transactions by the names under which their records are found.

    A charge of cards has the id of its record, one of tokens and a rerating are known by the key of their
    records, and a reversal by the record of the charge that it takes back.
    """

    ids: dict[str, str] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    reversed: dict[str, str] = field(default_factory=dict)

    def txn_of(self, record: UsageRecord) -> str:
        """Return the transaction that a found record belongs to, empty for none of them."""
        if record.reverses:
            return self.reversed.get(record.reverses, "")
        if record.id in self.ids:
            return self.ids[record.id]
        charge = charging_txn(record)
        return charge if charge in self.keys.get(record.key, ()) else ""


def wanted(txns: Iterable[Txn]) -> Wanted:
    """Return what to look for."""
    found = Wanted()
    for txn in txns:
        if txn.kind == "reversal":
            found.reversed[txn.reverses] = txn.id
        elif txn.kind in {"usage", "tokens"}:
            found.ids[txn.id] = txn.id
            if txn.id == f"tokens:{txn.cause}":
                found.keys.setdefault(txn.cause, set()).add(txn.id)
        elif txn.kind == RERATING:
            found.keys.setdefault(txn.cause, set()).add(txn.id)
    return found


def by_txn(look: Wanted, records: Iterable[UsageRecord]) -> dict[str, tuple[UsageRecord, ...]]:
    """Return found records by the transaction that they belong to, each in order of their ids."""
    found: dict[str, list[UsageRecord]] = {}
    for record in sorted(records, key=lambda each: each.id):
        if txn := look.txn_of(record):
            found.setdefault(txn, []).append(record)
    return {txn: tuple(those) for txn, those in found.items()}
