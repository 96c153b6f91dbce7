"""Price books in the store: read for a moment, and changed under their versions."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution, Project
from hutong.core.book.prices import BOOK, BOOKS_ID, PRICE, TIMELINES_MAX, Book, Books, Price, Timeline
from hutong.core.book.store import Record, Store
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Conflict, Later, NotFound, Problem, Refused
from hutong.core.ledger.prices import ListPrices, Sku, Tariff, Tenant, add_book, list_prices, tariff_at
from hutong.server.registry import document, every, read

_TRIES = 50


def books(store: Store) -> Books:
    """Return all price books."""
    record = store.get(BOOK, BOOKS_ID)
    return Books() if record is None else read(Books, record)


def tariff_now(store: Store, now_ms: int) -> Tariff:
    """Return the prices in force now."""
    lines = [read(Timeline, record) for record in every(store, PRICE, "", TIMELINES_MAX)]
    return tariff_at(books(store).books if lines else (), lines, now_ms)


def listed_in(store: Store) -> ListPrices:
    """Return the list prices of all times."""
    lines = [read(Timeline, record) for record in every(store, PRICE, "", TIMELINES_MAX)]
    return list_prices(books(store).books if lines else (), lines)


def tenant_of(store: Store, project: str, at_ms: int) -> Tenant:
    """Return who pays for a project, as of a time."""
    record = store.get("project", project)
    if record is None:
        return Tenant()
    name = read(Project, record).institution
    found = store.get("institution", name)
    return Tenant(name, None if found is None else kind_at(read(Institution, found), at_ms))


def make_book(store: Store, book: Book) -> Book:
    """Write a book; a repeat changes nothing. Raises Refused for an institution that there is not."""
    problems = tuple(
        Problem(f"/institutions/{at}", f"there is no institution {name!r}", "create it first")
        for at, name in enumerate(book.institutions)
        if store.get("institution", name) is None
    )
    if problems:
        raise Refused("unknown_reference", problems[0].message, problems)
    for _ in range(_TRIES):
        record = store.get(BOOK, BOOKS_ID)
        before = Books() if record is None else read(Books, record)
        after = add_book(before, book)
        if after == before:
            return book
        made = Record(BOOK, BOOKS_ID, document(after))
        try:
            store.put(made, expect=record.version if record else 0)
        except Conflict:
            continue
        return book
    raise Later("the price books are being changed by others", 1)


def line_of(store: Store, book: str, sku: str) -> Timeline:
    """Return the timeline of a sku in a book, without prices where it has none."""
    record = store.get(PRICE, Timeline(book, sku).id)
    return Timeline(book, sku) if record is None else read(Timeline, record)


def change(
    store: Store, book: str, sku: str, work: Callable[[Timeline], Timeline], *, make: bool = False
) -> Timeline:
    """Change a timeline as it is when nobody else does; `make` it where it is not there.

    `work` may be called again with what others wrote meanwhile.
    """
    id_ = Timeline(book, sku).id
    for _ in range(_TRIES):
        record = store.get(PRICE, id_)
        if record is None and not make:
            raise NotFound("not_found", f"there is no price of {sku} in {book}")
        before = Timeline(book, sku) if record is None else read(Timeline, record)
        after = work(before)
        if after == before:
            return before
        if record is None and len(every(store, PRICE, "", TIMELINES_MAX)) >= TIMELINES_MAX:
            raise Conflict("too_many", f"{TIMELINES_MAX} things have a price in some book already")
        made = Record(PRICE, id_, document(after), book) if record is None else record
        try:
            store.put(replace(made, doc=document(after)), expect=record.version if record else 0)
        except Conflict:
            continue
        return after
    raise Later(f"the prices of {sku} are being changed by others", 1)


def find(store: Store, id_: str) -> tuple[Timeline, Price]:
    """Return a price by its id, `BOOK.UNIQUE`, with its timeline; raises NotFound."""
    for record in every(store, PRICE, id_.partition(".")[0], TIMELINES_MAX):
        line = read(Timeline, record)
        for price in line.prices:
            if price.id == id_:
                return line, price
    raise NotFound("not_found", f"there is no price {id_!r}")


def check_sku(store: Store, sku: Sku) -> None:
    """Raise Refused that names `/sku` for a card, site, pool or deployment that there is not."""
    if sku.family == "card" and sku.name not in ACCELERATORS:
        raise _unknown(f"there is no accelerator {sku.name!r}", f"one of {', '.join(sorted(ACCELERATORS))}")
    if sku.site:
        record = store.get("site", sku.site)
        if record is None:
            raise _unknown(f"there is no site {sku.site!r}", "register it first")
        pools = {str(pool.id): pool for pool in read(Site, record).pools}
        pool = pools.get(sku.pool) if sku.pool else None
        if sku.pool and pool is None:
            raise _unknown(f"{sku.site} has no pool {sku.pool!r}", f"one of {', '.join(sorted(pools))}")
        if pool is not None and pool.accelerator != sku.name:
            raise _unknown(
                f"{sku.site}/{sku.pool} has {pool.accelerator}, not {sku.name}", "the pool's own accelerator"
            )
    if sku.family not in {"card", "storage"} and sku.name and store.get("deployment", sku.name) is None:
        raise _unknown(f"there is no deployment {sku.name!r}", "PROJECT/NAME of one that there is")


def own_prices(sites: Iterable[Site], sku: Sku) -> tuple[int, ...]:
    """Return the pools' own prices of the cards that a sku names, micro-yuan a card-hour."""
    return tuple(
        pool.price_micro_per_card_hour
        for site in sites
        for pool in site.pools
        if sku.name == pool.accelerator and sku.site in {"", site.id} and sku.pool in {"", pool.id}
    )


def _unknown(message: str, hint: str) -> Refused:
    return Refused("unknown_reference", message, (Problem("/sku", message, hint),))
