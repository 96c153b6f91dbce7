"""What a project owes, and new money that pays it back first."""

from dataclasses import replace

from hutong.core.book.money import Lot, Txn, lot_account, overrun_account
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.funding import repay

_TRIES = 20


def owed_micro(store: Store, project: ProjectId) -> int:
    """Return what a project owes for use that no lot could pay."""
    return -sum(entry.amount_micro for entry in store.balances([overrun_account(project)]))


def open_lot(store: Store, lot: Lot, fill: Txn, now_ms: int) -> bool:
    """Open a lot with what fills it and, in the same transaction, pay back what the project owes.

    False if it was opened before. A lot that is not open yet pays back when it is: see `core.control.turn`.
    """
    account = lot_account(lot.id)
    amount = sum(entry.amount_micro for entry in fill.entries if entry.account == account)
    for _ in range(_TRIES):
        owed = owed_micro(store, lot.project)
        paid = repay([replace(lot, posted_micro=amount)], owed, f"repay:{lot.id}", now_ms)
        try:
            return store.open_lot(lot, fill, *([paid] if paid else []))
        except Conflict as conflict:
            if conflict.code != "debt_repaid":
                raise  # else somebody was faster: look at what is left to pay
    raise Later("others pay back the debt of this project at the same time", 1)
