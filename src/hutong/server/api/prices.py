"""Price books, the prices in them over time, and what a project pays for cards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from hutong.core.accounts.approvals import Change
from hutong.core.accounts.registry import InstitutionKind
from hutong.core.accounts.roles import Principal
from hutong.core.book.prices import PRICE, Book, Price, Tier, Timeline
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import parse_micro
from hutong.core.ledger import prices as p
from hutong.server import prices
from hutong.server.api.access import Allowed, Here, InProject
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.api.shapes.prices import base_units, paid_shape, price_shape
from hutong.server.api.shapes.sites import PRICE_AT_MOST_MICRO
from hutong.server.api.shapes.times import read_time
from hutong.server.approvals import Wanted, require_second
from hutong.server.registry import document, read, shape_of
from hutong.server.services import Services
from hutong.wire import prices as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1", tags=["prices"])

Pages = Annotated[Paging, Depends(paging)]
Setter = Annotated[Principal, Depends(Allowed("price.write"))]
Named = Annotated[w.PriceId, Path(alias="price")]


@dataclass(frozen=True, slots=True)
class PriceOrder:
    """A price to be set in a book; one that begins at 0 begins when it is set."""

    book: str
    sku: str
    price: Price
    replaces: bool


@router.get("/price-books", dependencies=[Depends(Allowed("price.read"))])
def list_books(here: Here, pages: Pages) -> Page[w.PriceBook]:
    """List the price books in order of their ids."""
    found = sorted(prices.books(here.store).books, key=lambda book: book.id)
    rows = [book for book in found if book.id > pages.after][: pages.limit + 1]
    return pages.page(rows, lambda book: book.id, _book_shape)


@router.post("/price-books", status_code=201, dependencies=[Depends(Allowed("price.write"))])
def create_book(here: Here, body: w.PriceBook) -> w.PriceBook:
    """Make a price book. A repeat with the same body changes nothing; a book is never changed."""
    kinds = tuple(InstitutionKind(each) for each in dict.fromkeys(body.kinds))
    book = Book(body.id, body.title, kinds, tuple(dict.fromkeys(body.institutions)))
    return _book_shape(prices.make_book(here.store, book))


@router.get("/prices", dependencies=[Depends(Allowed("price.read"))])
def list_prices(
    here: Here,
    pages: Pages,
    book: Annotated[Slug | None, Query()] = None,
    sku: Annotated[w.SkuText | None, Query()] = None,
) -> Page[w.PriceTimeline]:
    """List timelines of prices in order of book and sku: what was, is and will be paid."""
    if sku is not None:
        p.parse_sku(sku)
        names = [book] if book is not None else sorted(each.id for each in prices.books(here.store).books)
        found = (here.store.get(PRICE, Timeline(name, sku).id) for name in names)
        rows = tuple(row for row in found if row is not None and row.id > pages.after)[: pages.limit + 1]
    else:
        rows = here.store.records(PRICE, book or "", pages.after, pages.limit + 1)
    now_ms = here.clock()
    return pages.page(rows, lambda row: row.id, lambda row: _timeline(read(Timeline, row), now_ms))


@router.post("/prices", status_code=201, responses=TWO_PEOPLE)
def create_price(here: Here, principal: Setter, body: w.NewPrice, key: IdempotencyKey = "") -> w.Price:
    """Set a price that begins now or later; what has begun is never changed, only ended."""
    sku = p.parse_sku(body.sku)
    if body.book not in {each.id for each in prices.books(here.store).books}:
        problem = Problem("/book", f"there is no price book {body.book!r}", "make the book first")
        raise Refused("unknown_reference", problem.message, (problem,))
    prices.check_sku(here.store, sku)
    unique = digest_of("price", principal.id, key)[:26] if key else here.new_id().lower()
    price = Price(
        id=f"{body.book}.{unique}",
        from_ms=read_time(body.starts, "/starts") if body.starts else 0,
        upto_ms=p.forever(read_time(body.ends, "/ends") if body.ends else None),
        micro=_micro(body.amount.amount, "/amount/amount"),
        per=p.PER[sku.family],
        reason=body.reason,
        by=principal.id,
        at_ms=0,
        tiers=tuple(
            Tier(
                base_units(each.above, sku.family, f"/tiers/{at}/above"),
                _micro(each.amount.amount, f"/tiers/{at}/amount"),
            )
            for at, each in enumerate(body.tiers)
        ),
    )
    p.check_price(price, sku)
    order = PriceOrder(body.book, body.sku, price, body.replace)
    # Whatever stands against it is said before anybody is asked.
    begins_ms = p.find(
        _placed(here, order)(prices.line_of(here.store, body.book, body.sku)), price.id
    ).from_ms
    wanted = Wanted(Change.PRICE, "price.write", _moves(here, order, begins_ms), document(order))
    require_second(here, principal, wanted, unique)
    return _set(here, order)


def write_price(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """Set the price that an approved request describes; if its start has passed meanwhile, from now on."""
    order = shape_of(PriceOrder, request)
    late = order.price.from_ms <= here.clock()
    _set(here, replace(order, price=replace(order.price, from_ms=0)) if late else order)


def _placed(here: Services, order: PriceOrder) -> Callable[[Timeline], Timeline]:
    """Return what sets a price: from now on where it does not say from when."""
    now_ms = here.clock()

    def work(before: Timeline) -> Timeline:
        begins_ms = order.price.from_ms or max(now_ms, before.seen_ms)
        price = replace(order.price, from_ms=begins_ms, at_ms=now_ms)
        return p.set_price(before, price, now_ms, replace_last=order.replaces)

    return work


def _set(here: Services, order: PriceOrder) -> w.Price:
    line = prices.change(here.store, order.book, order.sku, _placed(here, order), make=True)
    here.pools.forget()
    here.bell.ring()
    return price_shape(line, p.find(line, order.price.id), here.clock())


@router.post("/prices/{price}/end", responses=TWO_PEOPLE)
def end_price(here: Here, principal: Setter, price: Named, body: w.EndPrice) -> w.Price:
    """End a price, now or later; an ended one is never reopened."""
    line, there = prices.find(here.store, price)
    now_ms = here.clock()
    upto_ms = read_time(body.ends, "/ends") if body.ends else 0
    # Whatever stands against it is said before anybody is asked.
    if p.end_price(line, price, upto_ms or max(now_ms, line.seen_ms), now_ms) != line:
        request: dict[str, object] = {"price": price, "ends_ms": upto_ms}
        size = _falls(here, line, there, upto_ms or now_ms)
        wanted = Wanted(Change.PRICE_END, "price.write", size, request)
        require_second(here, principal, wanted, digest_of("end", request, principal.id)[:26], anew=True)
    return _end(here, price, upto_ms)


def write_price_end(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """End the price that an approved request names; if that time has passed meanwhile, now."""
    ends_ms = request["ends_ms"]
    late = not isinstance(ends_ms, int) or ends_ms <= here.clock()
    _end(here, str(request["price"]), 0 if late else int(str(ends_ms)))


def _end(here: Services, price: str, ends_ms: int) -> w.Price:
    line, _ = prices.find(here.store, price)
    now_ms = here.clock()
    upto_ms = ends_ms or max(now_ms, line.seen_ms)
    after = prices.change(
        here.store, line.book, line.sku, lambda before: p.end_price(before, price, upto_ms, now_ms)
    )
    here.pools.forget()
    here.bell.ring()
    return price_shape(after, p.find(after, price), now_ms)


@router.delete("/prices/{price}", status_code=204, dependencies=[Depends(Allowed("price.write"))])
def withdraw_price(here: Here, price: Named) -> Response:
    """Withdraw a price that has not begun."""
    line, _ = prices.find(here.store, price)
    now_ms = here.clock()
    prices.change(here.store, line.book, line.sku, lambda before: p.withdraw(before, price, now_ms))
    return Response(status_code=204)


@router.get("/projects/{project}/prices", dependencies=[Depends(InProject("bill.read"))])
def list_paid(here: Here, project: Annotated[Slug, Path()], pages: Pages) -> Page[w.PaidPrice]:
    """List what the project pays for a card of each pool now, beside the pool's own price."""
    now_ms = here.clock()
    tariff, tenant = prices.tariff_now(here.store, now_ms), prices.tenant_of(here.store, project, now_ms)
    rows = [
        (f"{site.id}/{pool.id}", site, pool)
        for site in here.pools.load(now_ms).sites
        for pool in site.pools
        if f"{site.id}/{pool.id}" > pages.after
    ]
    rows.sort(key=lambda row: row[0])
    return pages.page(
        rows[: pages.limit + 1],
        lambda row: row[0],
        lambda row: paid_shape(tariff, tenant, row[1], row[2]),
    )


def _moves(here: Services, order: PriceOrder, begins_ms: int) -> int:
    """Return by how much a price differs at most from what is paid without it, micro-yuan.

    That is what the book says when it begins, else the pools' own prices; where there is neither, nothing.
    """
    line = prices.line_of(here.store, order.book, order.sku)
    there = line.at(begins_ms)
    sku = p.parse_sku(order.sku)
    if there is not None and there.id != order.price.id:
        before: tuple[int, ...] = (there.micro,)
    else:
        before = prices.own_prices(here.pools.load(here.clock()).sites, sku) or (0,)
    amounts = (order.price.micro, *(tier.micro for tier in order.price.tiers))
    return max(abs(one - two) for one in amounts for two in before)


def _falls(here: Services, line: Timeline, price: Price, at_ms: int) -> int:
    """Return by how much what is paid changes at most when a price ends, micro-yuan.

    Then other books say what is paid, or the pools' own prices; where nobody does, nothing is paid.
    """
    other = [
        prices.line_of(here.store, book.id, line.sku).at(at_ms) for book in prices.books(here.store).books
    ]
    after = [each.micro for each in other if each is not None and each.id != price.id]
    after += prices.own_prices(here.pools.load(here.clock()).sites, p.parse_sku(line.sku))
    amounts = (price.micro, *(tier.micro for tier in price.tiers))
    return max(abs(one - two) for one in amounts for two in after or (0,))


def _micro(text: str, path: str) -> int:
    found = parse_micro(text, path)
    if not 0 <= found <= PRICE_AT_MOST_MICRO:
        raise Refused(
            "bad_price", f"{text} is no price", (Problem(path, "this is no price", "0 to 1000000"),)
        )
    return found


def _book_shape(book: Book) -> w.PriceBook:
    return w.PriceBook.model_validate(
        {
            "id": book.id,
            "title": book.title,
            "kinds": tuple(each.value for each in book.kinds),
            "institutions": book.institutions,
        }
    )


def _timeline(line: Timeline, now_ms: int) -> w.PriceTimeline:
    shapes = tuple(price_shape(line, each, now_ms) for each in line.prices)
    return w.PriceTimeline(book=line.book, sku=line.sku, prices=shapes)
