"""Links between centres, regions and the platform's store: how fast inputs come to a site."""

import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from hutong.core.book.store import Record
from hutong.core.capacity.links import MOST_LINKS, PLATFORM, Link, of_region, of_site
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here, Somewhere
from hutong.server.api.paging import Paging, paging
from hutong.server.registry import document, every, read
from hutong.server.services import Services
from hutong.wire import links as w
from hutong.wire.base import Page

KIND = "link"
_SITES_AT_MOST = 100_000

router = APIRouter(prefix="/v1/links", tags=["sites"])


@router.get("", dependencies=[Depends(Somewhere("site.read"))])
def list_links(here: Here, pages: Annotated[Paging, Depends(paging)]) -> Page[w.Link]:
    """List the links in order of their ends."""
    rows = here.store.records(KIND, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: _shape(read(Link, row)))


@router.put("", dependencies=[Depends(Allowed("site.write"))])
def put_link(here: Here, body: w.NewLink) -> w.Link:
    """Declare the link between two ends, in place of the one that was there; the next turn goes by it."""
    one, other = sorted((body.one, body.other))
    if one == other and not one.startswith("region/"):
        text = "an end is joined to itself; only a region may be"
        raise Refused("bad_link", text, (Problem("/other", text, "another end"),))
    problems = _unknown(here, body)
    if problems:
        raise Refused("unknown_reference", problems[0].message, problems)
    link = Link(one, other, body.bits_per_s, body.rtt_us, body.source, body.synthetic)
    if here.store.get(KIND, link.id) is None and len(every(here.store, KIND, "", MOST_LINKS)) >= MOST_LINKS:
        text = f"there are {MOST_LINKS} links already"
        raise Refused("too_many", text, (Problem("", text, "declare links of regions"),))
    here.store.put(Record(KIND, link.id, document(link)))
    here.bell.ring()
    return _shape(link)


@router.delete("", status_code=204, dependencies=[Depends(Allowed("site.write"))])
def delete_link(here: Here, one: Annotated[w.End, Query()], other: Annotated[w.End, Query()]) -> None:
    """Take the link between two ends away."""
    first, last = sorted((one, other))
    if not here.store.remove(KIND, f"{first}|{last}"):
        raise NotFound("not_found", f"no link between {first} and {last} is declared")
    here.bell.ring()


def _unknown(here: Services, body: w.NewLink) -> tuple[Problem, ...]:
    """Return a problem for each end that is neither the platform nor a site or region that is registered."""
    rows: Sequence[Record] = every(here.store, "site", "", _SITES_AT_MOST)
    there = {PLATFORM}
    for row in rows:
        site = read(Site, row)
        there |= {of_site(site.id), of_region(site.region)}
    regions = ", ".join(sorted(end for end in there if end.startswith("region/"))) or "none yet"
    return tuple(
        Problem(
            f"/{name}",
            f"there is no {re.sub('/', ' ', end, count=1)}",
            f"platform, site/ID or a region of: {regions}",
        )
        for name, end in (("one", body.one), ("other", body.other))
        if end not in there
    )


def _shape(link: Link) -> w.Link:
    return w.Link(
        id=link.id,
        one=link.one,
        other=link.other,
        bits_per_s=link.bits_per_s,
        rtt_us=link.rtt_us,
        source=link.source,
        synthetic=link.synthetic,
    )
