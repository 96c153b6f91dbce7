"""The money of vouchers: settled lines as spends, lots that they and claims fill, and what is taken back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from hutong.core.book.money import (
    ISSUED,
    Entry,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
    overrun_account,
)
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Broken, Conflict, Problem, Refused
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.subsidies.parties import Claim, Contract, Spend, Voucher
from hutong.server.debts import open_lot

Row = TypeVar("Row", UsageRecord, Txn)

LINES_AT_MOST = 2000
LOTS_AT_MOST = 1000
SUBSIDY_DAYS = 3650
_TRIES = 20
_LINE = {"card_ms": "compute"}
_OTHER_LINE = "model-service"


def spends_of(store: Store, project: str, from_ms: int, upto_ms: int) -> tuple[Spend, ...]:
    """Return what a project was charged for use that ended in `[from, upto)`; Refused where that is too much.

    A spend counts as subsidised if a voucher's lot paid any of what its job (or request) cost in that time.
    """
    owner, span = ProjectId(project), (from_ms, upto_ms)
    vouchers = {lot_account(lot.id) for lot in store.lots(owner) if lot.kind is LotKind.VOUCHER}
    txns = _read_all(partial(store.txns, owner, "", span=span)) if vouchers else []
    subsidised = {txn.cause for txn in txns if any(each.account in vouchers for each in txn.entries)}
    return tuple(
        Spend(
            id=record.id,
            site=record.site,
            line=_LINE.get(record.unit, _OTHER_LINE),
            charge_micro=record.charge_micro,
            from_ms=record.from_ms,
            upto_ms=record.upto_ms,
            subsidised=record.key in subsidised,
        )
        for record in _read_all(partial(store.usage, owner, "", span=span))
        if record.charge_micro
    )


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
    _open(store, lot, voucher.face_micro, f"voucher:{voucher.id}", now_ms)


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
    _open(store, lot, claim.amount_micro, f"claim:{claim.id}", now_ms)


def take_back_subsidy(store: Store, claim: Claim, now_ms: int) -> None:
    """Take what a claim paid from its lot; what is not there any more, the project owes."""
    lot_id = LotId(subsidy_lot(claim.id))
    for _ in range(_TRIES):
        lot = _lot(store, ProjectId(claim.project), lot_id)
        there = min(claim.amount_micro, max(0, lot.available_micro))
        legs = [
            (lot_account(lot_id), -there),
            (overrun_account(lot.project), there - claim.amount_micro),
            (ISSUED, claim.amount_micro),
        ]
        if _take(store, lot, legs, f"claw-back:{lot_id}", f"claim:{claim.id}", now_ms):
            return
    raise Conflict("busy", f"the money of lot {lot_id} moves all the time; try again")


def unspent(store: Store, voucher: Voucher, contract: Contract, now_ms: int, *, take: bool) -> int:
    """Return what a voucher's lot has not paid; with `take`, take it back first, but for what is held.

    Without `take`, Conflict while work that runs holds a part of it: that may still be paid.
    """
    project, lot_id = ProjectId(contract.project), LotId(voucher.lot)
    cause = f"voucher:{voucher.id}"
    for _ in range(_TRIES):
        lot = _lot(store, project, lot_id)
        if not take:
            if lot.held_micro:
                raise Conflict("in_use", f"work that runs holds a part of voucher {voucher.id}")
            return lot.posted_micro
        legs = [(lot_account(lot_id), -lot.available_micro), (ISSUED, lot.available_micro)]
        if lot.available_micro <= 0 or _take(store, lot, legs, f"claw-back:{lot_id}", cause, now_ms):
            break
    taken = store.txns(project, cause, "", 10)
    account = lot_account(lot_id)
    return -sum(
        entry.amount_micro
        for txn in taken
        if txn.id == f"claw-back:{lot_id}"
        for entry in txn.entries
        if entry.account == account
    )


def _take(store: Store, lot: Lot, legs: list[tuple[str, int]], name: str, cause: str, now_ms: int) -> bool:
    """Book a transaction under its name, or find it booked; False if a hold was faster."""
    entries = tuple(Entry(account, amount) for account, amount in legs if amount)
    try:
        store.post(Posting(txns=(Txn(name, "claw_back", lot.project, now_ms, cause, entries),)))
    except Conflict as conflict:
        if conflict.code != "insufficient_funds":
            raise
        return False
    return True


def _open(store: Store, lot: Lot, amount_micro: int, cause: str, now_ms: int) -> None:
    lots = store.lots(lot.project)
    if any(each.id == lot.id for each in lots):
        return
    if len(lots) >= LOTS_AT_MOST:
        raise Conflict("too_many", f"a project has at most {LOTS_AT_MOST} lots")
    entries = (Entry(ISSUED, -amount_micro), Entry(lot_account(lot.id), amount_micro))
    open_lot(store, lot, Txn(f"fill:{lot.id}", lot.kind.value, lot.project, now_ms, cause, entries), now_ms)


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
