"""The money of vouchers: settled lines as spends, lots that they and claims fill, and what is taken back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from hutong.core.book.money import (
    COMMITTED,
    ISSUED,
    TIERED,
    Entry,
    Lot,
    LotKind,
    Txn,
    UsageRecord,
    charging_txn,
    lot_account,
)
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Broken, Conflict, Problem, Refused
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.money import largest_remainder
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.expiry import claim_of, lot_cause
from hutong.core.ledger.subsidies.parties import Claim, Contract, Spend, Voucher
from hutong.server.debts import open_lot
from hutong.server.rerated import is_rerated, terms_of
from hutong.server.upkeep import claim as claim_back

Row = TypeVar("Row", UsageRecord, Txn)

LINES_AT_MOST = 2000
LOTS_AT_MOST = 1000
SUBSIDY_DAYS = 3650
_LINE = {"card_ms": "compute"}
_OTHER_LINE = "model-service"


def spends_of(store: Store, project: str, from_ms: int, upto_ms: int) -> tuple[Spend, ...]:
    """Return what a project was charged for use that ended in `[from, upto)`; Refused where that is too much.

    A spend counts as subsidised if a voucher's lot paid any of what its job (or request) cost in that time.
    What was corrected counts as its newest revision; what was waived, refunded or given back by commitments
    and tiers is no spend.
    """
    owner, span = ProjectId(project), (from_ms, upto_ms)
    vouchers = {lot_account(lot.id) for lot in store.lots(owner) if lot.kind is LotKind.VOUCHER}
    txns = _read_all(partial(store.txns, owner, "", span=span)) if vouchers else []
    subsidised = {txn.cause for txn in txns if any(each.account in vouchers for each in txn.entries)}
    records = _read_all(partial(store.usage, owner, "", span=span))
    paid = _net(store, owner, records, from_ms)
    return tuple(
        Spend(
            id=record.id,
            site=record.site,
            line=_LINE.get(record.unit, _OTHER_LINE),
            charge_micro=paid[record.id],
            from_ms=record.from_ms,
            upto_ms=record.upto_ms,
            subsidised=record.key in subsidised,
        )
        for record in records
        if paid.get(record.id)
    )


def _net(store: Store, owner: ProjectId, records: Sequence[UsageRecord], from_ms: int) -> dict[str, int]:
    """Return what was charged for each record in force, less what was given back of its charge."""
    gone = {record.reverses for record in records}
    groups: dict[str, list[UsageRecord]] = {}
    for record in records:
        if record.key.startswith((COMMITTED, TIERED)):
            continue  # no use of its own: what is claimed are the lines of the work
        if record.charge_micro > 0 and not record.reverses and record.id not in gone:
            groups.setdefault(charging_txn(record), []).append(record)
    back = _saved(store, owner, list(groups), from_ms)
    for start in range(0, len(groups), 1000):
        for txn in store.reversals(list(groups)[start : start + 1000]):
            given = sum(leg.amount_micro for leg in txn.entries if leg.amount_micro > 0)
            back[txn.reverses] = back.get(txn.reverses, 0) + given
    found = {}
    for name, together in groups.items():
        weights = [record.charge_micro for record in together]
        net = max(0, sum(weights) - back.get(name, 0))
        for record, part in zip(together, largest_remainder(net, weights), strict=True):
            found[record.id] = part
    return found


def _saved(store: Store, owner: ProjectId, names: Sequence[str], from_ms: int) -> dict[str, int]:
    """Return what reratings gave back of charges that were made from a time on."""
    months = [each.id for each in store.periods() if each.until_ms > from_ms]
    if not any(is_rerated(store, owner, month) for month in months):
        return {}
    charges = [txn for name in names if (txn := store.txn(name)) is not None]
    return {name: each.saved_micro for name, each in terms_of(store, owner, charges).items()}


def charge_lot(store: Store, voucher: Voucher, contract: Contract, now_ms: int) -> None:
    """Open the lot by which a voucher pays its share of charges, unless it is there."""
    lot = Lot(
        LotId(voucher.lot),
        ProjectId(contract.project),
        LotKind.VOUCHER,
        voucher.rate_ppm,
        contract.starts_ms,
        contract.ends_ms,
    )
    _open(store, lot, voucher.face_micro, now_ms)


def subsidy_lot(claim: str) -> str:
    """Return the name of the lot that a claim fills."""
    return f"subsidy-{claim}"


def open_subsidy(store: Store, claim: Claim, now_ms: int) -> None:
    """Put what a claim pays on its project's balance, unless it is there."""
    name, project = LotId(subsidy_lot(claim.id)), ProjectId(claim.project)
    lot = Lot(
        name,
        project,
        LotKind.AWARD,
        1_000_000,
        claim.decided_ms,
        claim.decided_ms + SUBSIDY_DAYS * DAY_MS,
    )
    _open(store, lot, claim.amount_micro, now_ms)


def take_back_subsidy(store: Store, claim: Claim, now_ms: int) -> None:
    """Claim back the lot that a claim filled: what was spent, the project owes. A repeat does no more."""
    claim_back(store, LotId(subsidy_lot(claim.id)), now_ms, f"claim {claim.id}")


def unspent(store: Store, voucher: Voucher, contract: Contract, now_ms: int, *, take: bool) -> int:
    """Return what a voucher's lot has not paid; with `take`, claim the lot back first (what it paid is owed).

    Without `take`, Conflict while work that runs holds a part of it: that may still be paid. With it, what is
    held returns when it is let go of.
    """
    project, lot_id = ProjectId(contract.project), LotId(voucher.lot)
    if not take:
        lot = _lot(store, project, lot_id)
        if lot.held_micro:
            raise Conflict("in_use", f"work that runs holds a part of voucher {voucher.id}")
        return lot.posted_micro
    lot = claim_back(store, lot_id, now_ms, f"voucher {voucher.id}")
    return claim_of(lot, store.txns(project, lot_cause(lot_id), "", 1000)).returned_micro


def _open(store: Store, lot: Lot, amount_micro: int, now_ms: int) -> None:
    lots = store.lots(lot.project)
    if any(each.id == lot.id for each in lots):
        return
    if len(lots) >= LOTS_AT_MOST:
        raise Conflict("too_many", f"a project has at most {LOTS_AT_MOST} lots")
    entries = (Entry(ISSUED, -amount_micro), Entry(lot_account(lot.id), amount_micro))
    txn = Txn(f"fill:{lot.id}", lot.kind.value, lot.project, now_ms, lot_cause(lot.id), entries)
    open_lot(store, lot, txn, now_ms)


def _lot(store: Store, project: ProjectId, name: LotId) -> Lot:
    for lot in store.lots(project):
        if lot.id == name:
            return lot
    raise Broken(f"project {project} has no lot {name}")


def _read_all(read: Callable[[str, int], Sequence[Row]]) -> list[Row]:
    rows: list[Row] = []
    while True:
        page = read(rows[-1].id if rows else "", 1000)
        rows.extend(page)
        if len(rows) > LINES_AT_MOST:
            text = f"more than {LINES_AT_MOST} lines were settled in this time"
            raise Refused("claim_too_long", text, (Problem("/end", text, "claim for a shorter time"),))
        if len(page) < 1000:
            return rows
