"""How wide the way from the platform's store to each site is."""

from hypothesis import given
from hypothesis import strategies as st
from tests.core.control.test_queue import site

from hutong.core.capacity.links import PLATFORM, Link, widths

SITES = tuple(site(name, 8) for name in ("bj", "hu", "tj"))  # all in region r
ENDS = (PLATFORM, "site/bj", "site/hu", "site/tj", "region/r", "region/far")


def link(one: str, other: str, bits_per_s: int) -> Link:
    """Return a link with its ends in order."""
    return Link(*sorted((one, other)), bits_per_s, 0, "a test")


def test_a_site_goes_by_its_own_link_and_others_by_their_region() -> None:
    assert widths((), SITES) == (0, 0, 0)
    assert widths((link(PLATFORM, "site/hu", 5),), SITES) == (0, 5, 0)
    assert widths((link(PLATFORM, "region/r", 40), link(PLATFORM, "site/hu", 5)), SITES) == (40, 5, 40)
    assert widths((link(PLATFORM, "region/r", 40), link("region/r", "region/r", 7)), SITES) == (7, 7, 7)


def test_bytes_take_the_widest_way_and_it_is_as_wide_as_its_narrowest_link() -> None:
    found = (
        link(PLATFORM, "region/far", 100),
        link("region/far", "region/r", 20),
        link(PLATFORM, "region/r", 3),
    )
    assert widths(found, SITES) == (20, 20, 20)
    assert widths(found[1:2], SITES) == (0, 0, 0), "no way leads to the platform"


def _widest(edges: dict[frozenset[str], int], end: str, seen: frozenset[str], so_far: int) -> int:
    """Return the widest way from an end to the platform by trying all."""
    if end == PLATFORM:
        return so_far
    best = 0
    for pair, bits in edges.items():
        for other in pair - {end} if end in pair else ():
            if other not in seen:
                best = max(best, _widest(edges, other, seen | {other}, min(so_far, bits)))
    return best


pairs = st.dictionaries(
    st.tuples(st.sampled_from(ENDS), st.sampled_from(ENDS)).map(lambda pair: tuple(sorted(pair))),
    st.integers(1, 9),
    max_size=8,
)


@given(pairs)
def test_no_way_is_wider_than_the_one_that_is_told(found: dict[tuple[str, str], int]) -> None:
    told = {pair: bits for pair, bits in found.items() if pair[0] != pair[1] or pair[0].startswith("region/")}
    links = tuple(link(*pair, bits) for pair, bits in told.items())
    edges = {frozenset(pair): bits for pair, bits in told.items() if pair[0] != pair[1]}
    named = {end for pair in told for end in pair}
    within = told.get(("region/r", "region/r"), 99)
    for name in ("site/bj", "site/hu", "site/tj"):
        if name not in named and "region/r" in named:
            edges[frozenset((name, "region/r"))] = within
    wanted = tuple(_widest(edges, f"site/{each.id}", frozenset((f"site/{each.id}",)), 99) for each in SITES)
    assert widths(links, SITES) == wanted
