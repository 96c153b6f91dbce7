"""A corrected record of use: the original entries reversed, and a new revision at the original price (L8)."""

from collections.abc import Sequence
from dataclasses import replace

from hutong.core.book.money import (
    REVENUE,
    WAIVED,
    Entry,
    Lot,
    Posting,
    Txn,
    UsageRecord,
    overrun_account,
)
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.rating import rate
from hutong.core.ledger.giving_back import amount_of, draws_of, give_back, undo


def correct(
    records: Sequence[UsageRecord],
    charge: Txn | None,
    reversals: Sequence[Txn],
    lots: Sequence[Lot],
    record: UsageRecord,
    quantity: int,
    reason: str,
    now_ms: int,
) -> Posting:
    """Return the posting that corrects a record to another quantity.

    `records` are all of the record's subject, `charge` the transaction of this one (None: it cost nothing)
    and `reversals` what was given back of it. The lots that paid pay again in their order; what is more than
    before, lots that are open pay, then the project owes it. What was waived is waived again. A record is
    corrected once: see its id.
    """
    same = [each for each in records if (each.unit, each.price_micro) == (record.unit, record.price_micro)]
    total = sum(each.quantity for each in same)
    if quantity < 0 or total - record.quantity + quantity < 0:
        raise Broken(f"{record.id} cannot become {quantity}")
    price, per = record.price_micro, record.per
    after = rate(total - record.quantity + quantity, price, per) - rate(total, price, per)
    charge_micro = record.charge_micro + after
    revision = record.revision + 1
    name = f"{record.id.partition('~')[0]}~r{revision}"
    counter = replace(_scaled(record, -1, 1), id=f"{name}-", revision=revision, reverses=record.id)
    fresh = _scaled(record, quantity, max(1, record.quantity))
    fresh = replace(fresh, id=name, revision=revision, quantity=quantity, charge_micro=charge_micro)
    txns: list[Txn] = []
    back = undo(charge, reversals, reason) if charge is not None else None
    if back is not None:
        txns.append(back)
    if charge_micro:
        draws = _draws(charge, back, charge_micro, lots, record, now_ms)
        legs = (*(Entry(account, -amount) for account, amount in draws.items()), Entry(REVENUE, charge_micro))
        kind = charge.kind if charge else "usage"
        txns.append(
            Txn(name, kind, record.project, record.upto_ms, record.key, legs, reason=reason, site=record.site)
        )
        txns.extend(_waived_again(txns[-1], reversals))
    return Posting(tuple(txns), usage=(counter, fresh))


def _waived_again(charge: Txn, reversals: Sequence[Txn]) -> tuple[Txn, ...]:
    """Return the waiver of a corrected charge if the one before was waived: it is still the site's fault."""
    why = next((txn.reason for txn in reversals if txn.kind == "waiver"), None)
    if why is None:
        return ()
    again = give_back(charge, (), amount_of(charge), WAIVED, "waiver", why)
    return (again,) if again else ()


def _draws(
    charge: Txn | None, back: Txn | None, amount: int, lots: Sequence[Lot], record: UsageRecord, now_ms: int
) -> dict[str, int]:
    """Return who pays: in the order of the original charge, with what comes back to each by its reversal."""
    returned = {entry.account: entry.amount_micro for entry in back.entries} if back else {}
    draws: dict[str, int] = {}
    rest = amount
    for each in draws_of(charge) if charge else ():
        part = min(rest, returned.get(each.account, 0))
        if part > 0:
            draws[each.account] = part
            rest -= part
    for lot in lots:
        pays = lot.rate_ppm == 1_000_000 and lot.starts_ms <= now_ms < lot.ends_ms and not lot.clawed
        part = min(rest, max(0, lot.available_micro)) if pays else 0
        if part:
            name = f"lot:{lot.id}"
            draws[name] = draws.get(name, 0) + part
            rest -= part
    if rest:
        owed = overrun_account(record.project)
        draws[owed] = draws.get(owed, 0) + rest
    return draws


def _scaled(record: UsageRecord, by: int, of: int) -> UsageRecord:
    """Return a record with every amount scaled; energy and carbon go with the quantity."""
    return replace(
        record,
        quantity=record.quantity * by // of,
        charge_micro=record.charge_micro * by // of,
        energy_j=record.energy_j * by // of,
        green_j=record.green_j * by // of,
        co2_mg=record.co2_mg * by // of,
    )
