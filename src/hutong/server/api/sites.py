"""Sites: registered by their operators, shown with their present condition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.core.accounts.registry import Project
from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import Limits
from hutong.core.book.stays import Stays
from hutong.core.book.store import Record
from hutong.core.capacity.sites import Admission, Site, SiteStatus
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here, Somewhere
from hutong.server.api.once import IdempotencyKey
from hutong.server.api.paging import Paging, paging
from hutong.server.api.sessions import issue_token
from hutong.server.api.shapes.bookings import add_booking, remove_booking
from hutong.server.api.shapes.power import add_power_limit, remove_power_limit
from hutong.server.api.shapes.sites import (
    add_maintenance,
    read_site,
    set_domains,
    set_electricity,
    site_shape,
)
from hutong.server.registry import create, document, read
from hutong.server.services import Services
from hutong.wire import accounts as a
from hutong.wire import sites as w
from hutong.wire.base import Page, Slug

TOKEN_DAYS = 366
_TRIES = 20

router = APIRouter(prefix="/v1/sites", tags=["sites"])

SiteName = Annotated[Slug, Path(alias="site")]


@dataclass(frozen=True, slots=True)
class _Now:
    """How all sites are at one moment."""

    at_ms: int
    reach_ms: int
    statuses: Mapping[str, SiteStatus]
    stays: Mapping[str, Stays]
    use: Mapping[str, Mapping[str, int]]

    def shape(self, site: Site) -> w.Site:
        status, stays = self.statuses.get(site.id), self.stays.get(site.id, Stays())
        return site_shape(site, status, stays, self.use.get(site.id, {}), self.at_ms, self.reach_ms)


def _now(here: Services) -> _Now:
    now_ms = here.clock()
    snapshot = here.store.snapshot(now_ms, Limits(due=0, queue=0))
    use: dict[str, dict[str, int]] = {}
    for each in snapshot.use:
        use.setdefault(each.site, {})[each.pool] = each.cards
    return _Now(now_ms, here.rules.reach_ms, snapshot.statuses, snapshot.stays, use)


@router.post("", status_code=201, dependencies=[Depends(Allowed("site.write"))])
def create_site(here: Here, body: w.NewSite) -> w.Site:
    """Register a centre. A repeat with the same body changes nothing."""
    site = read_site(body)
    create(here.store, Record("site", site.id, document(site)), "site")
    here.pools.forget()
    here.bell.ring()
    return _now(here).shape(site)


@router.get("", dependencies=[Depends(Somewhere("site.read"))])
def list_sites(here: Here, pages: Annotated[Paging, Depends(paging)]) -> Page[w.Site]:
    """List the centres in order of their ids."""
    rows = here.store.records("site", "", pages.after, pages.limit + 1)
    now = _now(here)
    return pages.page(rows, lambda row: row.id, lambda row: now.shape(read(Site, row)))


@router.get("/{site}", dependencies=[Depends(Somewhere("site.read"))])
def get_site(here: Here, site: SiteName) -> w.Site:
    """Return one centre."""
    return _now(here).shape(read(Site, _record(here, site)))


@router.put("/{site}/admission", dependencies=[Depends(Allowed("site.write"))])
def put_admission(here: Here, site: SiteName, body: w.AdmissionChange) -> w.Site:
    """Open the centre to new work, drain it, or close it; running work goes on."""
    return _change(here, site, lambda found: replace(found, admission=Admission(body.admission)))


@router.put("/{site}/domains", dependencies=[Depends(Allowed("site.write"))])
def put_domains(here: Here, site: SiteName, body: w.DomainsChange) -> w.Site:
    """Say in which failure domains the centre is, or one of its pools, in place of what was said before."""
    return _change(here, site, lambda found: set_domains(found, body))


@router.put("/{site}/electricity", dependencies=[Depends(Allowed("site.write"))])
def put_electricity(here: Here, site: SiteName, body: w.ElectricityChange) -> w.Site:
    """Say what the centre pays for electricity by hour of day, in place of what was said before."""
    return _change(here, site, lambda found: set_electricity(found, body))


@router.post("/{site}/maintenance", dependencies=[Depends(Allowed("site.write"))])
def post_maintenance(here: Here, site: SiteName, body: w.Maintenance) -> w.Site:
    """Announce a maintenance: from now on no job is placed there that may still run when it begins."""
    return _change(here, site, lambda found: add_maintenance(found, body, here.clock()))


@router.delete("/{site}/maintenance", dependencies=[Depends(Allowed("site.write"))])
def delete_maintenance(here: Here, site: SiteName) -> w.Site:
    """Cancel every maintenance that goes on or is to come."""
    return _change(here, site, lambda found: replace(found, maintenance=()))


@router.post("/{site}/bookings", dependencies=[Depends(Allowed("site.write"))])
def post_booking(here: Here, site: SiteName, body: w.NewBooking) -> w.Site:
    """Book cards of a pool ahead: others have them only for what ends before it begins."""
    kind, _, name = body.holder.partition("/")
    if here.store.get(kind, name) is None:
        problem = Problem("/holder", f"there is no {kind} {name!r}", f"create the {kind} first")
        raise Refused("unknown_reference", problem.message, (problem,))
    return _change(
        here, site, lambda found: add_booking(found, body, here.clock(), _kin_of(here, body.holder))
    )


def _kin_of(here: Services, holder: str) -> Callable[[str], bool]:
    """Return what says of an other holder whether jobs of both may be the same."""

    def institution(name: str) -> str:
        kind, _, id_ = name.partition("/")
        record = here.store.get(kind, id_) if kind == "project" else None
        return f"institution/{read(Project, record).institution}" if record else name

    def kin(other: str) -> bool:
        mixed = holder.startswith("project/") != other.startswith("project/")
        return mixed and institution(holder) == institution(other)

    return kin


@router.delete("/{site}/bookings/{booking}", dependencies=[Depends(Allowed("site.write"))])
def delete_booking(here: Here, site: SiteName, booking: Annotated[str, Path(max_length=64)]) -> w.Site:
    """Take a booking away; what runs on its cards goes on."""
    return _change(here, site, lambda found: remove_booking(found, booking))


@router.post("/{site}/power-limits", dependencies=[Depends(Allowed("site.write"))])
def post_power_limit(here: Here, site: SiteName, body: w.NewPowerLimit) -> w.Site:
    """Limit the centre's power: no job is placed that may run while the limit leaves no power for it."""
    return _change(here, site, lambda found: add_power_limit(found, body, here.clock()))


@router.delete("/{site}/power-limits/{power_limit}", dependencies=[Depends(Allowed("site.write"))])
def delete_power_limit(
    here: Here, site: SiteName, power_limit: Annotated[str, Path(max_length=64)]
) -> w.Site:
    """Take a limit of the centre's power away."""
    return _change(here, site, lambda found: remove_power_limit(found, power_limit))


def _change(here: Services, site: str, change: Callable[[Site], Site]) -> w.Site:
    """Write a site as a change makes it of what is there, whoever else changes it meanwhile."""
    for _ in range(_TRIES):
        record = _record(here, site)
        changed = change(read(Site, record))
        try:
            here.store.put(replace(record, doc=document(changed)), expect=record.version)
        except Conflict:
            continue
        here.pools.forget()
        here.bell.ring()
        return _now(here).shape(changed)
    raise Conflict("busy", f"{site!r} is being changed by others; try again")


@router.post("/{site}/tokens", status_code=201)
def create_site_token(
    here: Here,
    site: SiteName,
    principal: Annotated[Principal, Depends(Allowed("site.write"))],
    key: IdempotencyKey = "",
) -> a.Token:
    """Make a token for the centre's agent, bound to this site; its secret is in this answer only."""
    _record(here, site)
    return issue_token(here, principal.id, "agent", "site", TOKEN_DAYS, once=key, site=site)


def _record(here: Services, site: str) -> Record:
    record = here.store.get("site", site)
    if record is None:
        raise NotFound("not_found", f"there is no site {site!r}")
    return record
