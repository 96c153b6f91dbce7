"""Money of calls on its way to lots and back: each step once, however often it is tried."""

from hutong.core.book.money import ISSUED, RECLAIMED, Entry, Lot, LotKind, Posting, Txn, lot_account
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.ledger.expiry import lot_cause
from hutong.server.debts import open_lot

_PPM = 1_000_000
_TRIES = 20
_PAGE = 1000


def filled_micro(store: Store, lot: Lot) -> int:
    """Return what was put into a lot, less what was taken back unused."""
    account = lot_account(lot.id)
    return sum(
        entry.amount_micro
        for txn in lot_txns(store, lot.project, lot.id)
        for entry in txn.entries
        if entry.account == account
    )


def lot_txns(store: Store, project: ProjectId, lot: LotId) -> tuple[Txn, ...]:
    """Return the transactions that filled a lot or took money back; an allocation bounds how many."""
    return store.txns(project, lot_cause(lot), "", _PAGE)


def find_lot(store: Store, project: str, lot: str) -> Lot | None:
    """Return a lot of a project with its balance."""
    return next((each for each in store.lots(ProjectId(project)) if each.id == lot), None)


def open_award(store: Store, lot: Lot, amount_micro: int, now_ms: int) -> bool:
    """Open a lot of an award; False if it is open already."""
    entries = (Entry(ISSUED, -amount_micro), Entry(lot_account(lot.id), amount_micro))
    txn = Txn(f"fill:{lot.id}", "award", lot.project, now_ms, lot_cause(lot.id), entries)
    return open_lot(store, lot, txn, now_ms)


def award_lot(lot: str, project: str, starts_ms: int, ends_ms: int) -> Lot:
    """Return a lot that pays all of each charge."""
    return Lot(LotId(lot), ProjectId(project), LotKind.AWARD, _PPM, starts_ms, ends_ms)


def supplement(store: Store, lot: Lot, amount_micro: int, txn_id: str, now_ms: int) -> bool:
    """Put more money into a lot; False if that was done."""
    entries = (Entry(ISSUED, -amount_micro), Entry(lot_account(lot.id), amount_micro))
    return store.post(Posting((Txn(txn_id, "award", lot.project, now_ms, lot_cause(lot.id), entries),)))


def reclaim(store: Store, lot: Lot, most_micro: int, txn_id: str, now_ms: int) -> int:
    """Take at most that much back from what nobody holds of a lot; return what was taken, now or before."""
    for _ in range(_TRIES):
        taken = taken_micro(store, lot, txn_id)
        if taken is not None:
            return taken
        there = find_lot(store, lot.project, lot.id) or lot
        amount = min(most_micro, max(0, there.available_micro))
        if amount <= 0:
            return 0
        entries = (Entry(lot_account(lot.id), -amount), Entry(RECLAIMED, amount))
        txn = Txn(txn_id, "reclaim", lot.project, now_ms, lot_cause(lot.id), entries)
        try:
            if store.post(Posting((txn,))):
                return amount
        except Conflict as conflict:
            if conflict.code != "insufficient_funds":
                raise  # else somebody held it meanwhile: look again
    raise Later("the lot is in use by others at the same time", 1)


def taken_micro(store: Store, lot: Lot, txn_id: str) -> int | None:
    """Return what a transaction took out of a lot, None if it is not in the book."""
    for txn in lot_txns(store, lot.project, lot.id):
        if txn.id == txn_id:
            account = lot_account(lot.id)
            return -sum(entry.amount_micro for entry in txn.entries if entry.account == account)
    return None


def transfer(store: Store, source: Lot, target: Lot, amount_micro: int, now_ms: int) -> bool:
    """Open a lot of another project with money of this one, in one transaction; False if that was done.

    Raises Conflict (`insufficient_funds`) if the source has not that much free.
    """
    passing = f"transfer:{target.id}"
    into = (Entry(passing, -amount_micro), Entry(lot_account(target.id), amount_micro))
    out = (Entry(lot_account(source.id), -amount_micro), Entry(passing, amount_micro))
    return store.open_lot(
        target,
        Txn(f"fill:{target.id}", "award", target.project, now_ms, lot_cause(target.id), into),
        Txn(f"take:{target.id}", "reclaim", source.project, now_ms, lot_cause(source.id), out),
    )
