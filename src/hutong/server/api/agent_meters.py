"""Meters at the agents' door: registers that a site's agent reads, where the operator said that it may."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.core.book.meters import METER, Batch, Meter
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Later, NotFound, Problem, Refused
from hutong.core.kernel.ids import SiteId
from hutong.server import energy as desk
from hutong.server.api.access import Here, OfSite
from hutong.server.api.shapes import energy as shapes
from hutong.server.registry import every, load, read
from hutong.wire import energy as w
from hutong.wire.base import Slug

router = APIRouter(prefix="/v1/agent", tags=["sites"])

Mine = Annotated[SiteId, Depends(OfSite())]
MeterName = Annotated[Slug, Path(alias="meter")]


@router.get("/meters")
def list_agent_meters(here: Here, site: Mine) -> w.SiteMeters:
    """Return the meters of the caller's site that its agent may read."""
    region = load(here.store, desk.SITE, site, Site).region
    found = (read(Meter, row) for row in every(here.store, METER, region, desk.DOCUMENTS_MAX))
    mine = (each for each in found if each.by_agent and each.site == site)
    return w.SiteMeters(items=tuple(shapes.meter_shape(each) for each in mine))


@router.post("/meters/{meter}/readings")
def receive_readings(here: Here, site: Mine, meter: MeterName, body: w.NewReadings) -> w.Taken:
    """Keep what a register showed, in any order, all or none. A repeat changes nothing."""
    row = here.store.get(METER, meter)
    there = read(Meter, row) if row else None
    if there is None or not there.by_agent or there.site != site:
        raise NotFound("not_found", f"there is no meter {meter!r} that the agent of {site} reads")
    if body.correct:
        problem = Problem("/correct", "an agent corrects nothing", "a person with `energy.write` does")
        raise Refused("bad_reading", problem.message, (problem,))
    now_ms = here.clock()
    readings = shapes.read_readings(there, body)
    ahead_ms = max(each.upto_ms for each in readings) - now_ms
    if ahead_ms > 0:
        raise Later(f"the site's clock is {ahead_ms} ms ahead of the platform's", -(-ahead_ms // 1000))
    found = here.store.read_meter(Batch(there, readings, f"site:{site}", now_ms))
    return w.Taken(news=found.news, repeats=found.repeats, hours=found.hours)
