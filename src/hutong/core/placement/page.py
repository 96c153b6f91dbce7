"""What one turn's placements rest on, kept once a turn: the pools as they stood, and what was taken in order.

A receipt names the page and a step in it; from both, and the sites as they were declared, every pool can be
seen as the decision saw it.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, wraps
from hashlib import sha256
from operator import is_
from typing import TypeVar, overload

from hutong.core.book.stays import PRIOR_MTBF_S
from hutong.core.capacity.sites import Site
from hutong.core.capacity.spread import Levels, taken
from hutong.core.kernel.documents import LATE, decode, encode, encode_document, to_document
from hutong.core.kernel.errors import Broken
from hutong.core.placement.request import (
    Beside,
    Cap,
    Closing,
    Kept,
    Policy,
    PoolView,
    Request,
    closing_of,
    day_parts,
    length_ms,
    mean_over,
    view_pool,
)

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Grounds:
    """The sites as they were declared, in the order of their ids; it seldom changes."""

    sites: tuple[Site, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for, and by which policy the answers were weighed; many jobs ask the same."""

    request: Request
    policy: Policy


@dataclass(frozen=True, slots=True)
class Page:
    """The pools at one moment: `free`, `wait_s` by pool; `reachable`, `trouble`, `offers`, `mtbf_s` by site.

    `grounds` is the digest of the sites. `takes` are (pool, cards, question) by index, in the order in which
    the turn gave them away; `kept` are (step, pool, from_ms, spare): before that take, cards of the pool were
    kept for a job that waits. Those of a later step are all that was then kept in that pool.
    `offers` is left out where no question asks for data. `tdp_w` is the nameplate
    power of each accelerator as it was known then: what is put right in the catalogue later changes no
    receipt. Pages from before leave it to the catalogue, and `mtbf_s` to the prior (`book.stays`).
    `stock` (of what questions ask for), `bits_per_s` and `learnt`, by site, are left out where no question
    has cargo; `learnt` also where no width is.
    `strict` are the pools, by index, in which no guess of a length counted. `levels` are the nodes of each
    pool by their free cards, empty where nobody says; left out where no centre says anything of its nodes.
    `lacks`, by site, is what its engine cannot do; left out where each can do what is asked for.
    """

    at_ms: int
    grounds: str
    reachable: tuple[bool, ...]
    trouble: tuple[str, ...]
    free: tuple[int, ...]
    wait_s: tuple[int, ...]
    questions: tuple[Question, ...] = ()
    takes: tuple[tuple[int, int, int], ...] = ()
    kept: tuple[tuple[int, int, int, int], ...] = ()
    offers: tuple[tuple[str, ...] | None, ...] = field(default=(), metadata=LATE)
    tdp_w: tuple[tuple[str, int], ...] = field(default=(), metadata=LATE)
    mtbf_s: tuple[int, ...] = field(default=(), metadata=LATE)
    stock: tuple[tuple[str, ...], ...] = field(default=(), metadata=LATE)
    bits_per_s: tuple[int, ...] = field(default=(), metadata=LATE)
    strict: tuple[int, ...] = field(default=(), metadata=LATE)
    levels: tuple[Levels, ...] = field(default=(), metadata=LATE)
    learnt: tuple[int, ...] = field(default=(), metadata=LATE)
    lacks: tuple[tuple[str, ...], ...] = field(default=(), metadata=LATE)


class Views(Sequence[PoolView]):
    """Every pool as it stood after so many takes, for a run of that length; made when it is looked at."""

    def __init__(self, grounds: Grounds, page: Page, step: int, run_ms: int) -> None:
        self._page = page
        self._sites = grounds.sites
        self._places = [(at, pool) for at, site in enumerate(grounds.sites) for pool in site.pools]
        self._taken: Counter[int] = Counter()
        for where, cards, _ in page.takes[:step]:
            self._taken[where] += cards
        self._kept, self._tdp_w, self._strict = _kept(page, step), dict(page.tdp_w), frozenset(page.strict)
        self._levels = _levels(page, step)
        self._parts = day_parts(page.at_ms, run_ms)
        self._supplies: dict[int, tuple[int, int, int, Closing | None]] = {}
        self._made: dict[int, PoolView] = {}

    def __len__(self) -> int:
        """Return how many pools there are."""
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> PoolView: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[PoolView, ...]: ...
    def __getitem__(self, at: int | slice) -> PoolView | tuple[PoolView, ...]:
        """Return a pool by its index, or some."""
        if isinstance(at, slice):
            return tuple(self[each] for each in range(len(self))[at])
        at = range(len(self))[at]
        found = self._made.get(at)
        if found is None:
            found = self._made[at] = self._view(at)
        return found

    def _view(self, at: int) -> PoolView:
        page, (place, pool) = self._page, self._places[at]
        green_ppm, co2_mg_per_kwh, price_micro_per_kwh, closing = self._of_site(place)
        return view_pool(
            self._sites[place],
            pool,
            page.free[at] - self._taken[at],
            green_ppm,
            page.wait_s[at],
            closing,
            reachable=page.reachable[place],
            trouble=page.trouble[place],
            kept=self._kept.get(at, ()),
            offers=page.offers[place] if page.offers else None,
            tdp_w=self._tdp_w.get(pool.accelerator),
            co2_mg_per_kwh=co2_mg_per_kwh,
            mtbf_s=page.mtbf_s[place] if page.mtbf_s else PRIOR_MTBF_S,
            stock=page.stock[place] if page.stock else (),
            bits_per_s=page.bits_per_s[place] if page.bits_per_s else 0,
            learnt=page.learnt[place] if page.learnt else 0,
            strict=at in self._strict,
            levels=self._levels[at] if self._levels else (),
            price_micro_per_kwh=price_micro_per_kwh,
            lacks=page.lacks[place] if page.lacks else (),
        )

    def _of_site(self, place: int) -> tuple[int, int, int, Closing | None]:
        """Return a site's green share, CO2 and price of a kWh over the run, and when it closes."""
        found = self._supplies.get(place)
        if found is None:
            site = self._sites[place]
            green_ppm = mean_over(site.supply.green_ppm, self._parts)
            co2_mg_per_kwh = mean_over(site.supply.mg_per_kwh, self._parts)
            priced = site.supply.price_micro_per_kwh
            price = mean_over(priced, self._parts) if priced else -1
            closing = closing_of(site, self._page.at_ms)
            found = self._supplies[place] = green_ppm, co2_mg_per_kwh, price, closing
        return found


def views_of(grounds: Grounds, page: Page, step: int, run_ms: int) -> tuple[PoolView, ...]:
    """Return every pool as it stood after so many takes, for a run of that length."""
    return tuple(Views(grounds, page, step, run_ms))


def asked_for(page: Page, questions: tuple[Question, ...]) -> Page:
    """Return a page with its questions, and of what is told of sites only what one of them asks about."""
    digests = {cargo.digest for each in questions for cargo in each.request.cargo}
    needs = {name for each in questions for name in each.request.abilities}
    return replace(
        page,
        questions=questions,
        offers=page.offers if any(each.request.data for each in questions) else (),
        stock=tuple(tuple(one for one in each if one in digests) for each in page.stock) if digests else (),
        bits_per_s=page.bits_per_s if digests else (),
        learnt=page.learnt if digests else (),
        lacks=page.lacks if any(not needs.isdisjoint(each) for each in page.lacks) else (),
    )


def booked(views: tuple[PoolView, ...], beside: Mapping[int, tuple[Beside, ...]]) -> tuple[PoolView, ...]:
    """Return the pools with what bookings leave of them, by index."""
    found = list(views)
    for pool, each in beside.items():
        found[pool] = replace(found[pool], booked=each)
    return tuple(found)


def capped(views: tuple[PoolView, ...], caps: Mapping[int, tuple[Cap, ...]]) -> tuple[PoolView, ...]:
    """Return the pools with what limits of their sites' power leave of them, by index."""
    found = list(views)
    for pool, each in caps.items():
        found[pool] = replace(found[pool], capped=each)
    return tuple(found)


def _kept(page: Page, step: int) -> dict[int, tuple[Kept, ...]]:
    """Return what is kept in each pool at a step, less what later jobs that run beyond it have taken."""
    found: dict[int, tuple[Kept, ...]] = {}
    latest: dict[int, int] = {}
    for since, pool, from_ms, spare in page.kept:
        if since > step:
            continue
        if latest.get(pool) != since:
            latest[pool], found[pool] = since, ()
        beyond = (
            cards
            for where, cards, question in page.takes[since:step]
            if where == pool and page.at_ms + _length_ms(page, question, pool) > from_ms
        )
        each = Kept(max(0, from_ms - page.at_ms), from_ms, spare - sum(beyond))
        found[pool] = (*found[pool], each)
    return found


def _levels(page: Page, step: int) -> list[Levels]:
    """Return the levels of each pool after so many takes; nothing where none are known."""
    levels = list(page.levels)
    for where, cards, question in page.takes[:step] if levels else ():
        nodes = page.questions[question].request.nodes
        levels[where] = taken(levels[where], nodes, cards // nodes)
    return levels


def _length_ms(page: Page, question: int, pool: int) -> int:
    return length_ms(page.questions[question].request, strict=pool in page.strict)


def seal(value: Grounds | Page) -> tuple[str, bytes]:
    """Return `sha256:<hex>` of the canonical document, and the document, packed."""
    return _sealed(encode(value))


def _sealed(document: bytes) -> tuple[str, bytes]:
    return f"sha256:{sha256(document).hexdigest()}", zlib.compress(document, 1)


def remembered(work: Callable[[Grounds], Shape]) -> Callable[[Grounds], Shape]:
    """Return `work` with its last answer kept: sites are mostly the very same as those of the turn before."""
    latest: list[tuple[Grounds, Shape]] = []

    @wraps(work)
    def find(grounds: Grounds) -> Shape:
        for before, answer in latest:
            same = len(before.sites) == len(grounds.sites)
            if same and all(map(is_, before.sites, grounds.sites)):
                return answer
        answer = work(grounds)
        latest[:] = [(grounds, answer)]
        return answer

    return find


def seal_page(page: Page) -> tuple[str, bytes]:
    """Return a page sealed; most of its questions were asked the turn before."""
    told = to_document(replace(page, questions=(), takes=(), levels=()))
    assert isinstance(told, dict)  # noqa: S101 - a page is a dataclass
    told |= {"questions": [_document_of(each) for each in page.questions], "takes": page.takes}
    return _sealed(encode_document(told | ({"levels": page.levels} if page.levels else {})))


@lru_cache(maxsize=1024)
def _document_of(question: Question) -> object:
    return to_document(question)


@remembered
def seal_grounds(grounds: Grounds) -> tuple[str, bytes]:
    """Return the grounds sealed."""
    return seal(grounds)


def unseal(kind: type[Shape], digest: str, packed: bytes) -> Shape:
    """Return what was sealed; raises Broken if it is not what the digest says."""
    try:
        document = zlib.decompress(packed)
    except zlib.error as error:
        raise Broken(f"{digest} cannot be unpacked: {error}") from error
    if f"sha256:{sha256(document).hexdigest()}" != digest:
        raise Broken(f"{digest} does not hold what it says")
    return decode(kind, document)
