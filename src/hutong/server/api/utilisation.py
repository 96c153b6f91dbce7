"""Utilisation at the door: four levels of each pool over some days, with their definitions."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from hutong.core.book.sealed import PoolHour
from hutong.core.book.store import Store
from hutong.core.capacity.catalogue import find_card
from hutong.core.capacity.sites import Site
from hutong.core.kernel.days import day_of, day_text, utc_day
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.witnesses.levels import DEFINITIONS, levels_of, share_ppm, yield_of
from hutong.server.api.access import Here, Somewhere
from hutong.server.reconciling import SITES_AT_MOST
from hutong.server.registry import every, read
from hutong.server.sealing import keys_of
from hutong.wire import utilisation as w

DAYS_MOST = 31
_PAGE = 500

router = APIRouter(prefix="/v1", tags=["sites"])

Day = Annotated[str, Query(max_length=20, description="a UTC day such as 2026-11-01")]


@router.get("/utilisation", dependencies=[Depends(Somewhere("site.read"))])
def read_utilisation(
    here: Here,
    start: Annotated[Day, Query(alias="from")] = "",
    end: Annotated[Day, Query(alias="to")] = "",
    site: Annotated[str, Query(max_length=63, description="a site; else all of them")] = "",
) -> w.Utilisation:
    """Return what agents saw of each pool over UTC days `[from, to)`, at most 31; by default of yesterday."""
    days = _days(here.clock(), start, end)
    items = [
        item for each in sites_of(here.store, site) for item in _pools(here.store, each, days)
    ]  # fmt: skip
    return w.Utilisation(
        start=day_text(days[0]), end=day_text(days[1]), definitions=dict(DEFINITIONS), items=tuple(items)
    )


def sites_of(store: Store, name: str) -> list[Site]:
    """Return the site of that name, or all where it is empty; raises NotFound."""
    sites = [read(Site, row) for row in every(store, "site", "", SITES_AT_MOST)]
    if name and name not in {each.id for each in sites}:
        raise NotFound("not_found", f"there is no site {name!r}")
    return [each for each in sites if name in {"", each.id}]


def hours_of(store: Store, site: str, hours: tuple[int, int]) -> Iterator[PoolHour]:
    """Yield what was seen of a site's pools, page by page."""
    after = (-1, "")
    while page := store.pool_hours(site, hours, after, _PAGE):
        yield from page
        after = (page[-1].hour, page[-1].pool)


def _pools(store: Store, site: Site, days: tuple[int, int]) -> Iterator[w.PoolLevels]:
    by_pool: dict[str, list[PoolHour]] = defaultdict(list)
    for each in hours_of(store, site.id, (days[0] * 24, days[1] * 24)):
        by_pool[each.pool].append(each)
    signed = bool(keys_of(store, site.id))
    for pool in site.pools:
        card = find_card(pool.accelerator)
        found = levels_of(by_pool.get(pool.id, ()), yield_of(card.figures) if card else None)
        yield w.PoolLevels(
            site=site.id,
            pool=pool.id,
            accelerator=pool.accelerator,
            cards=pool.cards,
            signed=signed,
            installed_card_ms=found.installed,
            seen_card_ms=found.seen,
            available_card_ms=found.available,
            up_card_ms=found.up,
            allocated_card_ms=found.allocated,
            other_card_ms=found.other,
            busy_card_ms=found.busy,
            effective_card_ms=found.effective,
            methods=found.methods,
            allocated_of_seen_ppm=share_ppm(found.allocated, found.seen),
            allocated_of_available_ppm=share_ppm(found.allocated, found.available),
            busy_of_allocated_ppm=share_ppm(found.busy, found.counted),
        )


def _days(now_ms: int, start: str, end: str) -> tuple[int, int]:
    today = day_of(now_ms)
    first = utc_day(start) if start else today - 1
    until = utc_day(end) if end else today if not start else None if first is None else first + 1
    problems = [
        Problem(f"?{name}", f"{text!r} is no day", "such as 2026-11-01")
        for name, text, day in (("from", start, first), ("to", end, until))
        if text and (day is None or day < 0)
    ]
    if first is None or until is None or problems:
        raise Refused("bad_day", "that is not a span of days", tuple(problems))
    if not 0 < until - first <= DAYS_MOST:
        problem = Problem("?to", "it must be after ?from, and not too far", f"at most {DAYS_MOST} days later")
        raise Refused("bad_span", "that is not a span of days", (problem,))
    return first, until
