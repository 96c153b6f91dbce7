"""What a tenant pays: the rules of price books, and the price of a thing at a moment (invariant L12).

A sku names what is paid for:

| sku | is |
|---|---|
| `card:MODEL`, `card:MODEL@SITE`, `card:MODEL@SITE/POOL` | an hour of a card |
| `token_in`, `token_in:PROJECT/NAME`, and `token_out` likewise | a million tokens of a deployment |
| `service_request`, `service_request:PROJECT/NAME` | a request that a deployment answered |
| `storage` | a GB (10^9 bytes) kept for a day |

The book that names the institution goes before the one of its kind, and that before the one for everybody;
within a book the most specific sku goes first. Where no book says anything, the pool's or the deployment's
own price is paid; nothing is paid for requests and storage then.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hutong.core.accounts.registry import FOREVER_MS, InstitutionKind
from hutong.core.book.money import REQUEST
from hutong.core.book.prices import PRICES_MAX, Book, Books, Price, Tier, Timeline
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.core.kernel.rating import CARD_HOUR_MS, MILLION_TOKENS, rate

BOOKS_MAX = 500
TIERS_MAX = 20
GB_DAY_BYTE_HOURS = 24 * 10**9
PER: Mapping[str, int] = {
    "card": CARD_HOUR_MS,
    "token_in": MILLION_TOKENS,
    "token_out": MILLION_TOKENS,
    REQUEST: 1,
    "storage": GB_DAY_BYTE_HOURS,
}
"""Base units that a price is for, by family: card-milliseconds, tokens, requests, byte-hours."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"
_SLUG = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SKU = re.compile(
    rf"(?:(card):({_NAME})(?:@({_SLUG})(?:/({_SLUG}))?)?|(token_in|token_out|service_request)(?::({_SLUG}/{_SLUG}))?|(storage))\Z"
)
_LOOKS = (
    "card:MODEL[@SITE[/POOL]], token_in[:PROJECT/NAME], token_out[:PROJECT/NAME], "
    "service_request[:PROJECT/NAME], or storage"
)


@dataclass(frozen=True, slots=True)
class Sku:
    """A sku in its parts; `name` is an accelerator or a deployment, empty for all."""

    family: str
    name: str = ""
    site: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who pays: an institution of a kind; both unknown for a project that is not in the registry."""

    institution: str = ""
    kind: InstitutionKind | None = None


def parse_sku(text: str) -> Sku:
    """Return a sku in its parts; raises Refused that names `/sku`."""
    found = _SKU.match(text)
    if found is None:
        raise Refused("bad_sku", f"{text!r} is no sku", (Problem("/sku", f"{text!r} is no sku", _LOOKS),))
    card, model, site, pool, token, deployment, storage = (each or "" for each in found.groups())
    return Sku(card or token or storage, model or deployment, site, pool)


def skus_of_pool(accelerator: str, site: str, pool: str) -> tuple[str, ...]:
    """Return the skus under which a pool's cards may have a price, the most specific first."""
    return f"card:{accelerator}@{site}/{pool}", f"card:{accelerator}@{site}", f"card:{accelerator}"


def skus_of_tokens(family: str, deployment: str) -> tuple[str, ...]:
    """Return the skus under which a deployment's tokens or requests may have a price, nearest first."""
    return f"{family}:{deployment}", family


def add_book(before: Books, book: Book) -> Books:
    """Return the books with one more; a repeat changes nothing, and no book is ever changed.

    Raises Refused for a book for tenants that another is for: what they pay would hang on the order.
    """
    there = next((each for each in before.books if each.id == book.id), None)
    if there is not None:
        if there == book:
            return before
        raise Conflict("exists", f"there is another price book {book.id!r} already")
    if len(before.books) >= BOOKS_MAX:
        raise Conflict("too_many", f"there are {BOOKS_MAX} price books already")
    problems = tuple(_clashes(before.books, book))
    if problems:
        raise Refused("bad_book", "another book is for these tenants", problems)
    return Books((*before.books, book))


def _clashes(books: Sequence[Book], book: Book) -> Iterable[Problem]:
    for each in books:
        if not (book.kinds or book.institutions or each.kinds or each.institutions):
            yield Problem("/kinds", f"book {each.id} is for everybody already", "name kinds or institutions")
        for at, kind in enumerate(book.kinds):
            if kind in each.kinds:
                yield Problem(f"/kinds/{at}", f"book {each.id} is for {kind.value} already", "another kind")
        for at, name in enumerate(book.institutions):
            if name in each.institutions:
                yield Problem(
                    f"/institutions/{at}", f"book {each.id} is for {name} already", "another institution"
                )


def set_price(before: Timeline, price: Price, now_ms: int, *, replace_last: bool = False) -> Timeline:
    """Return a timeline with one more price; a repeat under its id changes nothing.

    With `replace_last` the price that is in force when it begins ends then. Raises Refused for one that
    would begin in the past or overlap another, Conflict for another price under its id.
    """
    there = next((each for each in before.prices if each.id == price.id), None)
    if there is not None:
        if _asked(there) == _asked(price):
            return before
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    now_ms = max(now_ms, before.seen_ms)
    if price.from_ms < now_ms:
        raise _refused("/starts", "a price does not begin in the past", "now, or a later time")
    if price.upto_ms <= price.from_ms:
        raise _refused("/ends", "it would be over before it begins", "a time after `starts`")
    if len(before.prices) >= PRICES_MAX:
        raise Conflict("too_many", f"{before.sku} had {PRICES_MAX} prices in this book already")
    prices = before.prices
    if replace_last:
        prices = tuple(
            replace(each, upto_ms=price.from_ms) if each.from_ms < price.from_ms < each.upto_ms else each
            for each in prices
        )
    for each in prices:
        if each.from_ms < price.upto_ms and price.from_ms < each.upto_ms:
            text = f"price {each.id} is in force for a part of that time"
            raise _refused("/starts", text, "end or withdraw that one, or replace it")
    made = tuple(sorted((*prices, price), key=lambda each: each.from_ms))
    return replace(before, prices=made, seen_ms=now_ms)


def _asked(price: Price) -> Price:
    """Return what was asked for: an end and a time of asking may be another by now."""
    return replace(price, upto_ms=0, from_ms=0, at_ms=0)


def end_price(before: Timeline, id_: str, upto_ms: int, now_ms: int) -> Timeline:
    """Return a timeline in which a price ends; the same end again changes nothing.

    Raises Refused for an end in the past, before it begins, or later than its end: none is reopened.
    """
    price = find(before, id_)
    now_ms = max(now_ms, before.seen_ms)
    if upto_ms == price.upto_ms:
        return before
    if price.upto_ms <= now_ms:
        raise Conflict("ended", f"price {id_} has ended, and is never reopened")
    if upto_ms < now_ms or upto_ms <= price.from_ms:
        raise _refused("/ends", "a price ends after it begins, and not in the past", "now, or a later time")
    if upto_ms > price.upto_ms:
        raise _refused("/ends", "its end is set, and is never put off", "set a new price from then on")
    prices = tuple(replace(each, upto_ms=upto_ms) if each.id == id_ else each for each in before.prices)
    return replace(before, prices=prices, seen_ms=now_ms)


def withdraw(before: Timeline, id_: str, now_ms: int) -> Timeline:
    """Return a timeline without a price that has not begun; raises Conflict for one that has."""
    price = find(before, id_)
    now_ms = max(now_ms, before.seen_ms)
    if price.from_ms <= now_ms:
        raise Conflict("started", f"price {id_} has begun: it can be ended, not withdrawn")
    kept = tuple(each for each in before.prices if each.id != id_)
    return replace(before, prices=kept, seen_ms=now_ms)


def find(timeline: Timeline, id_: str) -> Price:
    """Return a price of a timeline; raises NotFound."""
    for each in timeline.prices:
        if each.id == id_:
            return each
    raise NotFound("not_found", f"there is no price {id_!r}")


def check_price(price: Price, sku: Sku) -> None:
    """Raise Refused that names the field for a price that cannot be one.

    Tiers of cards and tokens are counted when a month is closed, by records that know no pools.
    """
    if price.tiers and sku.pool:
        text = "a price by volume is for all pools of a site or of all sites"
        raise _refused("/tiers", text, "card:MODEL or card:MODEL@SITE, or leave them out")
    if len(price.tiers) > TIERS_MAX:
        raise _refused("/tiers", f"more than {TIERS_MAX} tiers", "fewer")
    above = 0
    known = {price.micro}
    for at, tier in enumerate(price.tiers):
        if tier.above <= above:
            raise _refused(f"/tiers/{at}/above", "tiers begin at rising amounts, above 0", "more than before")
        if tier.micro in known:
            raise _refused(f"/tiers/{at}/amount", "two tiers have one price", "another price for each")
        known.add(tier.micro)
        above = tier.above


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices in force at one moment, by book and sku."""

    books: tuple[Book, ...]
    prices: Mapping[str, Mapping[str, Price]]

    def price(self, tenant: Tenant, skus: Sequence[str]) -> Price | None:
        """Return what a tenant pays for a thing, `skus` being its names, the most specific first."""
        found = self.find(tenant, skus)
        return None if found is None else found[1]

    def find(self, tenant: Tenant, skus: Sequence[str]) -> tuple[str, Price] | None:
        """Return the book by which a tenant pays for a thing, and the price; None where no book says."""
        for book in books_for(self.books, tenant):
            in_book = self.prices.get(book.id, {})
            for sku in skus:
                if sku in in_book:
                    return book.id, in_book[sku]
        return None


def books_for(books: Sequence[Book], tenant: Tenant) -> tuple[Book, ...]:
    """Return the books that are for a tenant: its own, that of its kind, that for everybody."""
    own = [each for each in books if tenant.institution and tenant.institution in each.institutions]
    kind = [each for each in books if tenant.kind in each.kinds and each not in own]
    return (*own, *kind, *(each for each in books if not each.kinds and not each.institutions))


def tariff_at(books: Sequence[Book], timelines: Iterable[Timeline], at_ms: int) -> Tariff:
    """Return the prices in force at a time."""
    prices: dict[str, dict[str, Price]] = {}
    for each in timelines:
        price = each.at(at_ms)
        if price is not None:
            prices.setdefault(each.book, {})[each.sku] = price
    return Tariff(tuple(books), prices)


@dataclass(frozen=True, slots=True)
class ListPrices:
    """What the book for everybody says at any time, by sku."""

    lines: Mapping[str, Timeline] = field(default_factory=dict)

    def at(self, skus: Sequence[str], at_ms: int) -> Price | None:
        """Return the list price of a thing, `skus` being its names, the most specific first."""
        found = (self.lines[sku].at(at_ms) for sku in skus if sku in self.lines)
        return next((price for price in found if price is not None), None)


def list_prices(books: Sequence[Book], timelines: Iterable[Timeline]) -> ListPrices:
    """Return the list prices: those of the book that is for everybody, if there is one."""
    public = {each.id for each in books_for(books, Tenant())}
    return ListPrices({each.sku: each for each in timelines if each.book in public})


def in_tiers(price: Price, total: int) -> tuple[tuple[int, int], ...]:
    """Split a running total of base units into its tiers: (price, quantity), the first tier first."""
    steps = (Tier(0, price.micro), *price.tiers)
    found = []
    for at, step in enumerate(steps):
        end = steps[at + 1].above if at + 1 < len(steps) else None
        part = max(0, (total if end is None else min(total, end)) - step.above)
        found.append((step.micro, part))
    return tuple(found)


def rate_tiers(price: Price, total: int) -> int:
    """Return the charge of a running total: each tier is rated as its own total, rounded once."""
    return sum(rate(part, micro, price.per) for micro, part in in_tiers(price, total))


def highest(price: Price) -> int:
    """Return the most that `per` base units cost by a price, micro-yuan."""
    return max([price.micro, *(tier.micro for tier in price.tiers)])


def forever(upto_ms: int | None) -> int:
    """Return the end of a price, that of one without an end where none is given."""
    return FOREVER_MS if upto_ms is None else upto_ms


def _refused(path: str, message: str, hint: str) -> Refused:
    return Refused("bad_price", message, (Problem(path, message, hint),))
