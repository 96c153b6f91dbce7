"""The ledger seen as charges: use, credits that pay for it, money paid in advance. One view for all exports.

An institution is billed what no award or voucher paid: the sum of `billed_micro` of all charges is what it
owes more than before, plus what it paid in advance.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hutong.core.book.money import (
    ISSUED,
    OVERRUN,
    REFUNDED,
    RERATING,
    REVENUE,
    WAIVED,
    Lot,
    LotKind,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.kernel.money import largest_remainder

CHARGING = frozenset({"usage", "tokens"})
TOLD_BY_RECORDS = CHARGING | {"reversal", RERATING}
"""Kinds of transactions of which records of use tell what was charged, or taken back."""

COSTS = frozenset({REVENUE, WAIVED, REFUNDED})


class Category(StrEnum):
    """What a charge is, in the words of FOCUS."""

    USAGE = "Usage"
    CREDIT = "Credit"
    PURCHASE = "Purchase"
    ADJUSTMENT = "Adjustment"


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of what a project is charged. Amounts are micro-yuan; a credit's are negative.

    `billed_micro` is asked of the institution, `effective_micro` is what the work cost: they differ for what
    was paid in advance. `record` is there for use; `source` names the lot or the account of a credit, `kind`
    its kind. `correction` is true if it mends something of an earlier period.
    """

    id: str
    project: str
    category: Category
    cause: str
    from_ms: int
    upto_ms: int
    billed_micro: int
    effective_micro: int
    record: UsageRecord | None = None
    source: str = ""
    kind: str = ""
    correction: bool = False


def charges_of(
    txn: Txn, records: Sequence[UsageRecord], lots: Mapping[str, Lot], opens_ms: int
) -> Iterator[Charge]:
    """Yield the charges of a transaction; none if it moves money that nothing was charged for.

    `records` are the records of use that it booked or took back, `lots` the project's by account, `opens_ms`
    is when the period begins in which it is booked. Where records do not explain what was charged, an
    adjustment does: sums are always those of the ledger.
    """
    correction = txn.effective_ms < opens_ms
    if any(leg.account in COSTS for leg in txn.entries):
        if txn.kind in TOLD_BY_RECORDS:
            yield from _use(txn, records, lots, correction=correction)
        yield from _credits(txn, lots, correction=correction)
        return
    owed = -sum(leg.amount_micro for leg in txn.entries if leg.account.startswith(OVERRUN))
    if owed:  # a debt that was paid back, or what must be given back
        yield _line(txn, 0, Category.CREDIT, owed, txn.cause, txn.kind, correction=correction)
    if any(leg.account == ISSUED for leg in txn.entries):
        yield from _paid_in_advance(txn, lots)


def _use(
    txn: Txn, records: Sequence[UsageRecord], lots: Mapping[str, Lot], *, correction: bool
) -> Iterator[Charge]:
    prepaid = -sum(leg.amount_micro for leg in txn.entries if _is_advance(lots.get(leg.account)))
    weights = [abs(record.charge_micro) for record in records]
    sign = -1 if prepaid < 0 else 1
    shares = largest_remainder(abs(prepaid), weights) if any(weights) else (0,) * len(records)
    for record, share in zip(records, shares, strict=True):
        yield Charge(
            id=record.id,
            project=record.project,
            category=Category.USAGE,
            cause=record.key,
            from_ms=record.from_ms,
            upto_ms=record.upto_ms,
            billed_micro=record.charge_micro - sign * share,
            effective_micro=record.charge_micro,
            record=record,
            kind="usage",
            correction=correction,
        )
    charged = sum(leg.amount_micro for leg in txn.entries if leg.account == REVENUE)
    unexplained = charged - sum(record.charge_micro for record in records)
    if unexplained or (prepaid and not any(weights)):
        told = 0 if any(weights) else prepaid
        yield _line(
            txn, -1, Category.ADJUSTMENT, unexplained - told, REVENUE, txn.kind, correction=correction
        )


def _credits(txn: Txn, lots: Mapping[str, Lot], *, correction: bool) -> Iterator[Charge]:
    """Yield what awards and vouchers paid or got back, and what was charged without a record of use."""
    told = txn.kind in TOLD_BY_RECORDS
    for at, leg in enumerate(txn.entries):
        lot = lots.get(leg.account)
        if leg.account in COSTS and not (told and leg.account == REVENUE):
            source, kind = leg.account, txn.kind
        elif lot is not None and not (told and _is_advance(lot)):
            source, kind = lot.id, lot.kind.value
        else:
            continue  # of use, what was paid in advance is taken off its own line
        yield _line(txn, at, Category.CREDIT, leg.amount_micro, source, kind, correction=correction)


def _paid_in_advance(txn: Txn, lots: Mapping[str, Lot]) -> Iterator[Charge]:
    for at, leg in enumerate(txn.entries):
        lot = lots.get(leg.account)
        if lot is not None and _is_advance(lot):
            line = _line(txn, at + 1, Category.PURCHASE, leg.amount_micro, lot.id, txn.kind, correction=False)
            yield replace(line, effective_micro=0)


def _is_advance(lot: Lot | None) -> bool:
    return lot is not None and lot.kind is LotKind.TOPUP


def _line(
    txn: Txn, at: int, category: Category, amount_micro: int, source: str, kind: str, *, correction: bool
) -> Charge:
    return Charge(
        id=f"{txn.id}/{at}" if at >= 0 else f"{txn.id}/rest",
        project=txn.project,
        category=category,
        cause=txn.cause,
        from_ms=txn.effective_ms,
        upto_ms=txn.effective_ms,
        billed_micro=amount_micro,
        effective_micro=amount_micro,
        source=source,
        kind=kind,
        correction=correction,
    )


def by_account(lots: Iterable[Lot]) -> dict[str, Lot]:
    """Return lots by the name of their ledger account."""
    return {lot_account(lot.id): lot for lot in lots}
