"""Settling closed periods with the centres: idempotent, after the fact, never in the way of a charge."""

from dataclasses import dataclass

from hutong.core.book.money import Posting
from hutong.core.book.periods import Period
from hutong.core.book.store import Store
from hutong.core.ledger.settlement import Share, settle_period
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
