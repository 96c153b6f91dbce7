"""Links between centres, their regions and the platform's own store: over what width bytes come to a site.

Ends are `platform` (the store through which all content goes), `site/ID` and `region/NAME`. A link goes both
ways; that of a region to itself is what joins the centres within it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hutong.core.capacity.sites import Site

PLATFORM = "platform"
MOST_LINKS = 2_000


@dataclass(frozen=True, slots=True)
class Link:
    """What joins two ends, the smaller name first: its width and round trip, and where the figures are from.

    `rtt_us` is shown to people and decides nothing: a large move is bound by the width. `synthetic`: the
    figures are invented, or assumed.
    """

    one: str
    other: str
    bits_per_s: int
    rtt_us: int
    source: str
    synthetic: bool = False

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.one}|{self.other}"


def of_site(site: str) -> str:
    """Return the end that a site is."""
    return f"site/{site}"


def of_region(region: str) -> str:
    """Return the end that a region is."""
    return f"region/{region}"


def widths(links: Sequence[Link], sites: Sequence[Site]) -> tuple[int, ...]:
    """Return the bits per second at which each site, in its order, gets bytes from the platform's store.

    They take the widest way there is, and that is as wide as its narrowest link. A site without a link of
    its own hangs on its region, as widely as the link of the region to itself says. 0: no way is known.
    """
    if not links:
        return (0,) * len(sites)
    return _widths(tuple(links), tuple((site.id, site.region) for site in sites))


@lru_cache(maxsize=16)
def _widths(links: tuple[Link, ...], sites: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
    named = {end for link in links for end in (link.one, link.other)}
    within = {link.one: link.bits_per_s for link in links if link.one == link.other}
    edges = [(link.bits_per_s, link.one, link.other) for link in links if link.one != link.other]
    widest = max((link.bits_per_s for link in links), default=0)
    for site, region in sites:
        if of_site(site) not in named and of_region(region) in named:
            edges.append((within.get(of_region(region), widest), of_site(site), of_region(region)))
    found = _from_platform(edges)
    return tuple(found.get(of_site(site), 0) for site, _ in sites)


def _from_platform(edges: Sequence[tuple[int, str, str]]) -> dict[str, int]:
    """Return the width of the widest way from the platform to every end that it reaches.

    Groups of ends grow together, the widest edges first: what an edge joins to the platform's group, nothing
    joined by a wider one (the maximum spanning tree of Kruskal).
    """
    group = {end: {end} for end in (PLATFORM, *(end for _, *ends in edges for end in ends))}
    found: dict[str, int] = {}
    for bits_per_s, one, other in sorted(edges, reverse=True):
        left, right = group[one], group[other]
        if left is right:
            continue
        if PLATFORM in left or PLATFORM in right:
            found |= dict.fromkeys(right if PLATFORM in left else left, bits_per_s)
        joined = left | right
        group |= dict.fromkeys(joined, joined)
    return found
