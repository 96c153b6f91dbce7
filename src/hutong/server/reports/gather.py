"""What a report is made of, read from sums that the book keeps: never from the records themselves."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution, Project
from hutong.core.book import rollups as r
from hutong.core.book.energy import SiteEnergy
from hutong.core.book.store import Store
from hutong.core.book.waits import DEFERRED, GONE, STARTED
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.agreement import agreements
from hutong.core.capacity.catalogue import find_card
from hutong.core.capacity.rollups import roll_up
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.reports import report as shapes
from hutong.core.reports.kinds import Needs
from hutong.core.witnesses.levels import yield_of
from hutong.server.centres import all_centres, day_of, declared_cards
from hutong.server.registry import every, read

PROJECTS_MOST = 20_000
SEGMENTS_MOST = 50
SITES_MOST = 1000
FIRSTS_MOST = 20_000
_PAGE = 1000
_CARDS: Mapping[str, frozenset[r.Name]] = {"unit": frozenset({"card_ms"})}

Owners = Mapping[str, Institution]


def gather(store: Store, hours: tuple[int, int], now_ms: int, needs: Needs) -> shapes.Facts:
    """Return what reports of a span of hours are made of: what of it is needed.

    Raises Refused if that is too much at once.
    """
    span = (hours[0] * HOUR_MS, hours[1] * HOUR_MS)
    owners = _owners(store) if needs.tenants else {}
    used: list[shapes.Used] = []
    served: list[shapes.Used] = []
    moved: list[shapes.Moved] = []
    for segment in segments(owners, hours) if needs.fields & _CUT else ():
        tenants = tenants_at(owners, segment[0] * HOUR_MS)
        used += _used(store, segment, needs.use, tenants) if "used" in needs.fields else ()
        served += _used(store, segment, ("project",), tenants) if "served" in needs.fields else ()
        moved += _moved(store, segment, tenants) if "moved" in needs.fields else ()
    seen = tuple(_seen(store, hours)) if "seen" in needs.fields else ()
    centres = all_centres(store) if "registered" in needs.fields else ()
    day = day_of(min(now_ms, span[1] - 1))
    return shapes.Facts(
        span=span,
        cut_ms=now_ms,
        used=tuple(used),
        served=tuple(served),
        moved=tuple(moved),
        metered=_metered(store, hours) if "metered" in needs.fields else (),
        told=tuple(_told(store, hours, needs.work)) if "told" in needs.fields else (),
        waiting=store.waiting(hours) if "waiting" in needs.fields else (),
        notes=store.pool_notes(span) if "notes" in needs.fields else (),
        seen=seen,
        registered=roll_up(centres, day, "region"),
        agreed=agreements(centres, declared_cards(store, day, now_ms), day) if centres else (),
        firsts=tuple(_firsts(store, span)) if "firsts" in needs.fields else (),
        people=_people(store, hours) if "people" in needs.fields else {},
        tenants=tenants_at(owners, span[1] - 1),
        chips=_CHIPS,
        yields=_yields({each.accelerator for each in seen}),
    )


_CUT = frozenset({"used", "served", "moved"})
_CHIPS = {
    card.model: shapes.Chip(
        card.domestic, card.fp16.gops if card.fp16 else 0, card.fp16.basis if card.fp16 else ""
    )
    for card in ACCELERATORS.values()
    if card.stack != "cpu"
}


def _metered(store: Store, hours: tuple[int, int]) -> tuple[SiteEnergy, ...]:
    sites = [row.id for row in every(store, "site", "", SITES_MOST)]
    return store.site_energy(sites, hours)


def _seen(store: Store, hours: tuple[int, int]) -> Iterator[shapes.Sampled]:
    for group in store.rollup(r.RollupQuery(r.SEEN, hours, r.SEEN.names)):
        site, accelerator, method = map(str, group.key)
        *_, counted, busy = group.sums
        yield shapes.Sampled(site, accelerator, method, counted, busy)


def _yields(accelerators: Iterable[str]) -> dict[str, int]:
    cards = {each: find_card(each) for each in accelerators}
    found = {each: yield_of(card.figures) for each, card in cards.items() if card}
    return {each: share for each, share in found.items() if share is not None}


def _people(store: Store, hours: tuple[int, int]) -> dict[str, frozenset[str]]:
    """Return who used cards, by project."""
    found: dict[str, set[str]] = {}
    for group in store.rollup(r.RollupQuery(r.PEOPLE, hours, ("project", "person"), _CARDS)):
        found.setdefault(str(group.key[0]), set()).add(str(group.key[1]))
    return {project: frozenset(some) for project, some in found.items()}


def _owners(store: Store) -> dict[str, Institution]:
    """Return the institution of each project."""
    institutions = {row.id: read(Institution, row) for row in every(store, "institution", "", PROJECTS_MOST)}
    projects = (read(Project, row) for row in every(store, "project", "", PROJECTS_MOST))
    return {each.id: institutions[each.institution] for each in projects if each.institution in institutions}


def segments(owners: Owners, hours: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the spans of hours in which no institution changed its kind: use in the hour of a change counts

    as before it. Raises Refused for too many.
    """
    changes = {
        -(-period.from_ms // HOUR_MS) for each in owners.values() for period in each.kinds if period.from_ms
    }
    cuts = sorted(at for at in changes if hours[0] < at < hours[1])
    if len(cuts) >= SEGMENTS_MOST:
        problem = Problem("?to", f"institutions changed their kind {len(cuts)} times in it", "a shorter span")
        raise Refused("bad_span", problem.message, (problem,))
    return list(zip([hours[0], *cuts], [*cuts, hours[1]], strict=True))


def tenants_at(owners: Owners, at_ms: int) -> dict[str, shapes.Tenant]:
    """Return whose each project is, with what that institution was at a time."""
    return {
        project: shapes.Tenant(each.id, kind_at(each, at_ms).value, each.uscc[2:8])
        for project, each in owners.items()
    }


_NOBODY = shapes.Tenant("", "", "")


def _used(
    store: Store, hours: tuple[int, int], by: tuple[str, ...], tenants: Mapping[str, shapes.Tenant]
) -> Iterator[shapes.Used]:
    for group in store.rollup(r.RollupQuery(r.USE, hours, by, _CARDS)):
        of = dict(zip(by, map(str, group.key), strict=True))
        project = of.get("project", "")
        tenant = tenants.get(project, _NOBODY)
        yield shapes.Used(project, tenant, of.get("site", ""), of.get("sku", ""), *group.sums)


def _moved(
    store: Store, hours: tuple[int, int], tenants: Mapping[str, shapes.Tenant]
) -> Iterator[shapes.Moved]:
    for group in store.rollup(r.RollupQuery(r.MONEY, hours, ("project", "txn", "lot"))):
        project, txn, lot = map(str, group.key)
        yield shapes.Moved(tenants.get(project, _NOBODY), txn, lot, *group.sums)


def _told(store: Store, hours: tuple[int, int], by: tuple[str, ...]) -> Iterator[shapes.Told]:
    wanted: Mapping[str, frozenset[r.Name]] = {"what": frozenset({STARTED, DEFERRED, GONE})}
    for group in store.rollup(r.RollupQuery(r.WORK, hours, by, wanted)):
        of: dict[str, Any] = dict(zip(by, group.key, strict=True))
        jobs, wait_ms, card_ms = group.sums
        yield shapes.Told(jobs, wait_ms, card_ms, **of)


def _firsts(store: Store, span: tuple[int, int]) -> Iterator[r.FirstUse]:
    after, count = ("", ""), 0
    while page := store.first_uses(span, after, _PAGE):
        yield from page
        count += len(page)
        if count > FIRSTS_MOST:
            problem = Problem("?to", f"more than {FIRSTS_MOST:,} came for the first time", "a shorter span")
            raise Refused("bad_span", problem.message, (problem,))
        after = (page[-1].scope, page[-1].name)
