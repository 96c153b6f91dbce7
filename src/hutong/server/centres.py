"""The registry of centres in the store: one document each, written with the version that was read."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime

from hutong.core.accounts.identifiers import uscc_fault
from hutong.core.accounts.registry import Institution
from hutong.core.book.store import Record, Store
from hutong.core.capacity.agreement import cards_by_site
from hutong.core.capacity.centre_rows import Remark
from hutong.core.capacity.centre_table import Drafts, hold_duplicates, read_centres, refuse
from hutong.core.capacity.centres import Centre, check_changes, check_plans
from hutong.core.capacity.duplicates import Known
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.registry import document, every, load, read

KIND = "centre"
CENTRES_MAX = 5000
SITES_MAX = 1000


def day_of(at_ms: int) -> str:
    """Return the day of a UTC millisecond."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).date().isoformat()


def all_centres(store: Store, region: str = "") -> list[Centre]:
    """Return every centre, or those of a region."""
    return [read(Centre, row) for row in every(store, KIND, region, CENTRES_MAX)]


def record_of(centre: Centre) -> Record:
    """Return the document of a centre; it is grouped by region."""
    return Record(KIND, centre.id, document(centre), parent=centre.region)


def enter(store: Store, centre: Centre, now_ms: int) -> Centre:
    """Write a new centre; one that came of the same document before stays as it has become since.

    Raises Refused or Conflict.
    """
    there = store.get(KIND, centre.id)
    if there is not None:
        known = read(Centre, there)
        if known.origin == centre.origin:
            return known
        raise Conflict("exists", f"there is another centre {centre.id!r} already")
    check_references(store, centre)
    today = day_of(now_ms)
    for at, phase in enumerate(centre.phases):
        check_changes(phase.changes, today, f"/phases/{at}/changes")
        check_plans(phase.plans, today, f"/phases/{at}/plans")
    _refuse_too_many(store, 1)
    try:
        store.put(record_of(centre), expect=0)
    except Conflict:
        known = load(store, KIND, centre.id, Centre)
        if known.origin != centre.origin:
            raise
        return known
    return centre


def declared_cards(store: Store, day: str, now_ms: int) -> dict[str, Counter[str]]:
    """Return the cards of each site by model: as they are now, or as they were noted at the end of a day."""
    end_ms = (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_MS + DAY_MS
    if end_ms > now_ms:
        sites = (read(Site, row) for row in every(store, "site", "", SITES_MAX))
        return cards_by_site((site.id, pool.accelerator, pool.cards) for site in sites for pool in site.pools)
    notes = store.pool_notes((end_ms - 1, end_ms))
    return cards_by_site((each.site, each.accelerator, each.installed) for each in notes if each.installed)


def check_references(store: Store, centre: Centre) -> None:
    """Raise Refused where a centre names a site or an institution that is none."""
    for at, site in enumerate(centre.sites):
        if store.get("site", site) is None:
            _unknown(f"/sites/{at}", f"there is no site {site!r}")
    for name, party in (("owner", centre.owner), ("operator", centre.operator)):
        record = store.get("institution", party.institution) if party.institution else None
        if party.institution and record is None:
            _unknown(f"/{name}/institution", f"there is no institution {party.institution!r}")
        code = read(Institution, record).uscc if record else ""
        if code and party.uscc and code != party.uscc:
            problem = Problem(f"/{name}/uscc", f"{party.institution!r} has the credit code {code}", code)
            raise Refused("bad_identifier", problem.message, (problem,))


def draft_import(
    store: Store, csv: str, source: str, signed: tuple[int, str], *, keep_duplicates: bool
) -> tuple[Drafts, int]:
    """Return what a table would enter, and how many of its centres are there already by the same rows."""
    drafts = read_centres(csv, day_of(signed[0]), signed, uscc_fault, source)
    known = {each.id: each for each in all_centres(store)}
    there = {each.id for each in drafts.centres if each.id in known}
    origins = {each.id: each.origin for each in drafts.centres}
    same = {id for id in there if origins[id] == known[id].origin}
    others = {
        id: Remark("error", "exists", "id", f"there is another centre {id!r} already", "add to its phases")
        for id in there - same
    }
    fresh = refuse(drafts, others)
    fresh = replace(fresh, centres=tuple(each for each in fresh.centres if each.id not in same))
    return hold_duplicates(fresh, Known.of(known.values()), keep=keep_duplicates), len(same)


def store_import(store: Store, drafts: Drafts) -> None:
    """Write the centres of a table, all of them or none; raises Conflict if another entered one meanwhile."""
    _refuse_too_many(store, len(drafts.centres))
    if drafts.centres:
        store.put_all([(record_of(each), 0) for each in drafts.centres])


def _refuse_too_many(store: Store, more: int) -> None:
    if len(every(store, KIND, "", CENTRES_MAX)) + more > CENTRES_MAX:
        raise Refused("too_many", f"the registry holds no more than {CENTRES_MAX} centres")


def _unknown(path: str, message: str) -> None:
    raise Refused("unknown_reference", message, (Problem(path, message, "enter it first, or leave it out"),))
