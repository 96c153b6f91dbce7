"""Price books as they are kept: whom a book is for, and what each thing in it costs when."""

from dataclasses import dataclass

from hutong.core.accounts.registry import InstitutionKind

BOOK, PRICE = "price_book", "price"
"""Kinds of documents in the registry: the one of all books, and a timeline for each book and sku."""

BOOKS_ID = "all"
TIMELINES_MAX = 2_000
PRICES_MAX = 200
"""How many timelines there may be in all, and how many prices in one of them."""


@dataclass(frozen=True, slots=True)
class Book:
    """Whom prices are for: kinds of tenants, single institutions, or (with neither) everybody."""

    id: str
    title: str
    kinds: tuple[InstitutionKind, ...] = ()
    institutions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Books:
    """All books, in one document: that no two are for the same tenant holds in one write."""

    books: tuple[Book, ...] = ()


@dataclass(frozen=True, slots=True)
class Tier:
    """Use of a project beyond `above` base units in a month costs `micro`."""

    above: int
    micro: int


@dataclass(frozen=True, slots=True)
class Price:
    """What `per` base units of a sku cost in `[from_ms, upto_ms)`, micro-yuan; `by` set it at `at_ms`.

    `tiers` have rising `above`; below the first of them `micro` is paid.
    """

    id: str
    from_ms: int
    upto_ms: int
    micro: int
    per: int
    reason: str
    by: str
    at_ms: int
    tiers: tuple[Tier, ...] = ()

    def in_force(self, at_ms: int) -> bool:
        """True if it is what is paid at that time."""
        return self.from_ms <= at_ms < self.upto_ms


@dataclass(frozen=True, slots=True)
class Timeline:
    """The prices of one sku in one book, in the order of time; they never overlap (L12).

    `seen_ms` is the latest time at which somebody changed it: a clock that was set back makes no price
    that has begun one that has not.
    """

    book: str
    sku: str
    prices: tuple[Price, ...] = ()
    seen_ms: int = 0

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.book}|{self.sku}"

    def at(self, at_ms: int) -> Price | None:
        """Return the price in force at a time."""
        return next((each for each in self.prices if each.in_force(at_ms)), None)


@dataclass(frozen=True, slots=True)
class PriceList:
    """All that a turn knows of prices of cards: the books, their timelines, and each tenant's kind now."""

    books: tuple[Book, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    kinds: tuple[tuple[str, InstitutionKind], ...] = ()
