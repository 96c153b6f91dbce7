"""Links between centres, their regions and the platform's own store: over what width bytes come to a site.

It is declared, and learnt from what came there (ADR 66).

Ends are `platform` (the store through which all content goes), `site/ID` and `region/NAME`. A link goes both
ways; that of a region to itself is what joins the centres within it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hutong.core.capacity.sites import Site, Transfer
from hutong.core.kernel.quantities import DAY_MS

PLATFORM = "platform"
MOST_LINKS = 2_000

HALF_LIFE_MS = 7 * DAY_MS
"""After so long a transfer weighs half: ways are widened, and get full. Our choice, not a measured figure."""

_FRESH = 1 << 8  # the weight of a transfer of this week: one of nine weeks ago has none left
_ENOUGH = 5 * _FRESH
_AWAY = 16  # no figure is taken for wrong by more than this


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


@dataclass(frozen=True, slots=True)
class Learnt:
    """How fast bytes came to a site, by so many transfers of late; it counts where those are `enough`."""

    bits_per_s: int
    transfers: int
    at_ms: int
    enough: bool


def learnt_from(transfers: Sequence[Transfer], now_ms: int) -> Learnt | None:
    """Return the median of how fast transfers were, the older the lighter; None of none.

    It is enough if they weigh as much as five of this week. Of a clock that runs ahead all are of this week.
    """
    weighed = sorted(
        (8000 * each.size_bytes // max(1, each.took_ms), _FRESH >> age, min(each.at_ms, now_ms))
        for each in transfers
        if (age := max(0, now_ms - each.at_ms) // HALF_LIFE_MS) <= _FRESH.bit_length() - 1
    )
    total, so_far = sum(weight for _, weight, _ in weighed), 0
    for bits_per_s, weight, _ in weighed:
        so_far += weight
        if 2 * so_far >= total:
            newest_ms = max(at_ms for _, _, at_ms in weighed)
            return Learnt(bits_per_s, len(weighed), newest_ms, total >= _ENOUGH)
    return None


def way_by(figure: int, learnt: Learnt | None) -> tuple[int, int]:
    """Return the bits per second that count for a way, and the transfers that they are learnt from.

    That is none, and the figure, where too little is known. What is learnt counts within a sixteenth and
    sixteen times the figure: a centre that errs, or lies, moves a choice by no more.
    """
    if learnt is None or not learnt.enough:
        return figure, 0
    return max(figure // _AWAY, 1, min(learnt.bits_per_s, figure * _AWAY)), learnt.transfers


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
