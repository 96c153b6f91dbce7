"""The prices of a snapshot, from documents of the registry."""

from collections.abc import Iterable, Mapping

from hutong.adapters.store.codec import decode_books, decode_institution, decode_timeline
from hutong.core.accounts.institutions import kind_at
from hutong.core.book.prices import PriceList


def price_list(
    books: str | None, timelines: Iterable[str], institutions: Mapping[str, str], now_ms: int
) -> PriceList:
    """Return the prices of cards that are in force or will be, from documents of the registry."""
    found = tuple(
        timeline
        for timeline in map(decode_timeline, timelines)
        if timeline.sku.startswith("card:") and any(each.upto_ms > now_ms for each in timeline.prices)
    )
    if not found or books is None:
        return PriceList()
    kinds = ((name, kind_at(decode_institution(text), now_ms)) for name, text in sorted(institutions.items()))
    return PriceList(decode_books(books).books, found, tuple(kinds))
