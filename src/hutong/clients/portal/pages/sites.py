"""Centres: what they have, what it costs, how green they are now, and whether they can be reached."""

from starlette.responses import Response

from hutong.clients.portal import charts
from hutong.clients.portal.visit import Visit
from hutong.wire.sites import PoolUse

_SITES_AT_MOST = 500


async def all_sites(visit: Visit) -> Response:
    """Show every centre."""
    await visit.signed_in()
    sites = [site async for site in visit.api.sites.list(limit=_SITES_AT_MOST)]
    return visit.render(
        "sites.html", {"sites": sites, "ppm": charts.percent_ppm, "use": _use, "stack": charts.stack}
    )


def _use(pool: PoolUse) -> tuple[charts.Segment, ...]:
    return charts.stack([("used", pool.cards_in_use, "")], pool.cards)
