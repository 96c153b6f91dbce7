"""The keeper of the ledger, beside the loop: ended lots expire or return, waivers, storage by the day."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from hutong.core.book.money import Lot, Posting, Waiver
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict, HutongError
from hutong.core.kernel.ids import LotId
from hutong.core.ledger.expiry import Claim, claim_of, claw_back, expire, lot_cause
from hutong.server.budgets import Noticer
from hutong.server.disputes import settle_due
from hutong.server.refunds import read_all, waive
from hutong.server.reports.watching import PoolWatcher
from hutong.server.storage import meter_storage

log = structlog.get_logger(__name__)

AGAIN_MS = 600_000
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Keeper:
    """Does a bounded piece of work at a time; each is safe to repeat, and to do twice at once."""

    store: Store
    clock: Callable[[], int]
    zone: str = "Asia/Shanghai"
    noticer: Noticer | None = None
    watcher: PoolWatcher | None = None

    def step(self) -> int:
        """Look after the lots and waivers that are due; return how many are done with."""
        now_ms = self.clock()
        lots = self.store.due_lots(now_ms, _AT_ONCE)
        for lot in lots:
            end_lot(self.store, lot, now_ms)
        # What running work spends of a claimed lot must be seen once more, when nothing is left in it.
        spends = [lot.id for lot in lots if lot.clawed and lot.posted_micro]
        self.store.rest_lots(spends, now_ms + AGAIN_MS, empty=False)
        rest = [lot.id for lot in lots if lot.id not in spends]
        self.store.rest_lots(rest, now_ms + AGAIN_MS, empty=True)
        disputes = settle_due(self.store)
        stored = meter_storage(self.store, now_ms, self.zone)
        notices = self.noticer.step(now_ms) if self.noticer else 0
        pools = self.watcher.step(now_ms) if self.watcher else 0
        return (
            stored
            + len(lots)
            + disputes
            + notices
            + pools
            + sum(self._waive(waiver) for waiver in self.store.waivers(_AT_ONCE))
        )

    def _waive(self, waiver: Waiver) -> bool:
        try:
            amount = waive(self.store, waiver)
        except HutongError as error:  # the next ones must not wait for this one
            log.warning("waiver_delayed", key=waiver.key, detail=str(error))
            return False
        self.store.drop_waiver(waiver.key)
        log.info("waived", key=waiver.key, amount_micro=amount, reason=waiver.reason)
        return True


def end_lot(store: Store, lot: Lot, now_ms: int, reason: str = "claimed back") -> bool:
    """Let the free rest of an ended lot expire, or take the next step of claiming it back; True if it did."""
    txn = claw_back(lot, _claim_on(store, lot), now_ms, reason) if lot.clawed else expire(lot, now_ms)
    if txn is None:
        return False
    try:
        done = store.post(Posting((txn,)))
    except Conflict as conflict:  # somebody moved the lot's money: look again later
        log.info("lot_busy", lot=lot.id, detail=conflict.message)
        return False
    if done:
        log.info(txn.kind, lot=lot.id, amount_micro=-txn.entries[0].amount_micro)
    return done


def _claim_on(store: Store, lot: Lot) -> Claim:
    txns = read_all(lambda after, limit: store.txns(lot.project, lot_cause(lot.id), after, limit))
    return claim_of(lot, txns)


def claimable_micro(store: Store, lot: Lot) -> int:
    """Return how much a claim on a lot takes back: what was put into it, without what expired."""
    there = _claim_on(store, lot)
    return there.filled_micro - there.returned_micro


def claim(store: Store, name: LotId, now_ms: int, reason: str) -> Lot:
    """Claim a lot back: what is free returns now, the rest when what holds it is over. A repeat does no more.

    That it is claimed is written first: if we are killed after it, the keeper goes on.
    """
    lot = store.claim_lot(name, now_ms)
    end_lot(store, lot, now_ms, reason)
    return next(each for each in store.lots(lot.project) if each.id == name)
