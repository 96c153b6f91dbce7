"""How wide the way from the platform's store to each site is."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.core.control.test_queue import site

from hutong.core.capacity.links import HALF_LIFE_MS, PLATFORM, Learnt, Link, learnt_from, way_by, widths
from hutong.core.capacity.sites import Transfer

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


NOW_MS = 100 * HALF_LIFE_MS


def transfers(*mbit_s: int, weeks: int = 0) -> tuple[Transfer, ...]:
    """Return a transfer of a second for each rate, so long ago."""
    at_ms = NOW_MS - weeks * HALF_LIFE_MS
    return tuple(Transfer(at_ms, each * 125_000, 1000) for each in mbit_s)


def test_the_middle_of_what_came_is_learnt_and_one_that_was_odd_moves_little() -> None:
    assert learnt_from((), NOW_MS) is None
    found = learnt_from(transfers(900, 1, 1000, 1100, 50_000), NOW_MS)
    assert found == Learnt(10**9, 5, NOW_MS, enough=True)
    few = learnt_from(transfers(900, 1000, 1000, 1100), NOW_MS)
    assert few == Learnt(10**9, 4, NOW_MS, enough=False)


def test_half_of_a_weight_is_gone_with_each_half_life() -> None:
    old, new = transfers(*[100] * 8, weeks=2), transfers(*[200] * 3)
    found = learnt_from((*old, *new), NOW_MS)
    assert found == Learnt(200 * 10**6, 11, NOW_MS, enough=True), "eight of two weeks ago weigh two"
    assert learnt_from(old, NOW_MS) == Learnt(10**8, 8, NOW_MS - 2 * HALF_LIFE_MS, enough=False)
    assert learnt_from(transfers(*[100] * 16, weeks=9), NOW_MS) is None
    ahead = tuple(Transfer(1 << 52, each.size_bytes, each.took_ms) for each in new)
    assert learnt_from(ahead, NOW_MS) == Learnt(200 * 10**6, 3, NOW_MS, enough=False), "a clock that is ahead"


def test_what_is_learnt_counts_within_bounds_and_only_if_it_is_enough() -> None:
    assert way_by(10**9, None) == (10**9, 0)
    assert way_by(10**9, Learnt(10**8, 4, 0, enough=False)) == (10**9, 0)
    assert way_by(10**9, Learnt(3 * 10**8, 5, 0, enough=True)) == (3 * 10**8, 5)
    assert way_by(10**9, Learnt(1, 5, 0, enough=True)) == (62_500_000, 5)
    assert way_by(10**9, Learnt(10**15, 5, 0, enough=True)) == (16 * 10**9, 5)


rows = st.lists(
    st.builds(Transfer, st.integers(0, 2 * NOW_MS), st.integers(0, 1 << 53), st.integers(0, 1 << 53)),
    max_size=16,
)


@given(rows, st.integers(1, 10**15), st.randoms())
def test_no_site_moves_a_figure_beyond_its_bounds(found: list[Transfer], figure: int, dice: Random) -> None:
    learnt = learnt_from(found, NOW_MS)
    width, count = way_by(figure, learnt)
    assert figure // 16 <= width <= 16 * figure
    assert width > 0
    assert bool(count) == (learnt is not None and learnt.enough)
    mixed = list(found)
    dice.shuffle(mixed)
    assert learnt_from(mixed, NOW_MS) == learnt, "the order does not matter"
