"""What sites did to the attempts that ran there: for how long, and how many they broke."""

from collections.abc import Iterable
from dataclasses import dataclass

from hutong.core.kernel.quantities import DAY_MS

HALF_LIFE_MS = 30 * DAY_MS
"""After so long half is forgotten: sites are repaired, and get old. Our choice, not a measured figure."""

PRIOR_NODE_MS = 6_334 * 3_600_000
"""A site of which nothing is known breaks one run in so much node-time.

419 unexpected interruptions in 54 days on 16,384 H100, which are 2,048 nodes of eight (The Llama 3 Herd of
Models, Meta, July 2024, table 5): 54 x 24 h x 2,048 / 419 = 6,334 node-hours. That this counts as much as
one break that was seen is assumed.
"""

_MOST_S = 9_000_000_000_000  # times 10^6 it still fits into 64 bits; 10^5 nodes come to 4 x 10^11
_ONE_PPM = 1_000_000
_WHOLE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stay:
    """The time of one attempt at a site, times its nodes, and whether the site broke it."""

    site: str
    node_ms: int
    broke: bool


@dataclass(frozen=True, slots=True)
class Stays:
    """What is remembered of the attempts at a site; `breaks_ppm` are breaks x 10^6: they fade in parts."""

    node_ms: int = 0
    breaks_ppm: int = 0


def counted(before: Stays, some: Iterable[Stay]) -> Stays:
    """Return what is known of a site after some more stays there."""
    node_ms, breaks_ppm = before.node_ms, before.breaks_ppm
    for each in some:
        node_ms, breaks_ppm = node_ms + each.node_ms, breaks_ppm + _ONE_PPM * each.broke
    return Stays(node_ms, breaks_ppm)


def faded(stays: Stays, since_ms: int, now_ms: int) -> Stays:
    """Return what is left of it: it fades by the day, so that how often it is written changes nothing.

    A clock that went back changes nothing either.
    """
    days = now_ms // DAY_MS - since_ms // DAY_MS
    if days <= 0:
        return stays
    left = round(_WHOLE * 2.0 ** (-days * DAY_MS / HALF_LIFE_MS))
    return Stays(stays.node_ms * left // _WHOLE, stays.breaks_ppm * left // _WHOLE)


def mtbf_s(stays: Stays) -> int:
    """Return the node-seconds in which a site is expected to break one run.

    Its inverse is the mean of the rate, by a Gamma prior of one break in `PRIOR_NODE_MS` and what was seen.
    """
    found_ms = (stays.node_ms + PRIOR_NODE_MS) * _ONE_PPM // (stays.breaks_ppm + _ONE_PPM)
    return max(1, min(found_ms // 1000, _MOST_S))


PRIOR_MTBF_S = mtbf_s(Stays())
