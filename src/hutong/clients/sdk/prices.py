"""Calls about price books and prices (operators, finance), and what a project pays."""

from hutong.clients.sdk.call import Call, Listing, nothing, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import prices as p
from hutong.wire.base import Page


def create_book(book: p.PriceBook) -> Call[p.PriceBook]:
    """Make a price book."""
    return post(path_of("price-books"), shape(p.PriceBook), book, keyed=False)


def list_books(*, limit: int | None = None) -> Listing[p.PriceBook]:
    """List the price books."""
    return Listing(path_of("price-books"), shape(Page[p.PriceBook]), most=limit)


def set_price(price: p.NewPrice, *, key: str = "") -> Call[p.Price]:
    """Set a price; `key` makes it the same price when asked for again."""
    return post(path_of("prices"), shape(p.Price), price, key=key)


def list_prices(
    book: str | None = None, sku: str | None = None, *, limit: int | None = None
) -> Listing[p.PriceTimeline]:
    """List timelines of prices, of one book or of one sku."""
    query = query_of(book=book, sku=sku)
    return Listing(path_of("prices"), shape(Page[p.PriceTimeline]), query, most=limit)


def end_price(price: str, ends: str | None = None) -> Call[p.Price]:
    """End a price, now where no time is given."""
    return post(path_of("prices", price, "end"), shape(p.Price), p.EndPrice(ends=ends), keyed=False)


def withdraw_price(price: str) -> Call[None]:
    """Withdraw a price that has not begun."""
    return Call("DELETE", path_of("prices", price), nothing)


def paid(project: str, *, limit: int | None = None) -> Listing[p.PaidPrice]:
    """List what a project pays for a card of each pool now."""
    return Listing(path_of("projects", project, "prices"), shape(Page[p.PaidPrice]), most=limit)


class PriceVerbs:
    """Price books, their prices over time, and what a project pays."""

    create_book = Verb(create_book)
    list_books = ListVerb(list_books)
    set = Verb(set_price)
    list = ListVerb(list_prices)
    end = Verb(end_price)
    withdraw = Verb(withdraw_price)
    paid = ListVerb(paid)


class Prices(PriceVerbs, Group):
    """Price books, their prices over time, and what a project pays."""


class AsyncPrices(PriceVerbs, AsyncGroup):
    """Price books, their prices over time, and what a project pays."""
