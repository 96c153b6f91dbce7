"""Settling closed periods with the centres: idempotent, after the fact, never in the way of a charge."""

from dataclasses import dataclass

from hutong.core.book.money import Posting, Txn, settlement_account
from hutong.core.book.periods import Period
from hutong.core.book.store import Store
from hutong.core.kernel.errors import Conflict
from hutong.core.ledger.settlement import Share, pay_out, settle_period
from hutong.server.registry import every, read

KIND = "revenue-share"
SITES_AT_MOST = 2000


@dataclass(frozen=True, slots=True)
class Shares:
    """A centre's shares, oldest first."""

    site: str
    shares: tuple[Share, ...] = ()


def settle_closed(store: Store, period: Period) -> int:
    """Book what each centre gets for a closed period; return how many were not settled yet.

    The takings of a closed period never change, so each transaction is the same whenever it is made.
    """
    rows = [read(Shares, record) for record in every(store, KIND, "", SITES_AT_MOST)]
    shares = {each.site: each.shares for each in rows}
    txns = settle_period(period, store.takings(period.id), shares)
    return sum(store.post(Posting((txn,))) for txn in txns)


@dataclass(frozen=True, slots=True)
class Payout:
    """A payment to a centre in micro-yuan, under the reference of its bank transfer."""

    site: str
    amount_micro: int
    reference: str


def payment_of(store: Store, order: Payout, now_ms: int) -> Txn | None:
    """Return the transaction of a payment, None if it is booked; Conflict if booked otherwise or not owed."""
    booked = store.txn(f"payout:{order.site}:{order.reference}")
    if booked is None:
        owed_micro = store.balances([settlement_account(order.site)])[0].amount_micro
        return pay_out(order.site, order.amount_micro, owed_micro, order.reference, now_ms)
    if booked.entries[-1].amount_micro != order.amount_micro:
        raise Conflict("payout_differs", f"{order.reference} was booked with another amount")
    return None


def pay(store: Store, order: Payout, now_ms: int) -> None:
    """Book a payment; a repeat books nothing. Raises Conflict as `payment_of`."""
    txn = payment_of(store, order, now_ms)
    if txn is not None:
        store.post(Posting((txn,)))
