"""Embodied carbon of use: a stated figure over a stated lifetime, or none."""

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.energy.embodied import Embodied, embodied_mg
from hutong.core.kernel.quantities import HOUR_MS

FIGURE = Embodied("bj", "a", 150_000, 50_000, "card", "its maker")


def test_a_card_hour_has_its_part_of_the_card() -> None:
    assert embodied_mg([("bj/a", HOUR_MS)], {"bj/a": FIGURE}) == 3_000
    assert embodied_mg([], {}) == 0


def test_a_pool_without_a_figure_leaves_the_whole_open() -> None:
    assert embodied_mg([("bj/a", HOUR_MS), ("bj/b", 1)], {"bj/a": FIGURE, "bj/b": None}) is None


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 10**12))
def test_a_card_used_all_its_life_has_all_of_it_and_no_more(grams: int, hours: int, part_ms: int) -> None:
    figure = Embodied("bj", "a", grams, hours, "card", "s")
    whole_ms = hours * HOUR_MS
    assert embodied_mg([("bj/a", whole_ms)], {"bj/a": figure}) == grams * 1000
    part = embodied_mg([("bj/a", min(part_ms, whole_ms))], {"bj/a": figure})
    assert part is not None
    assert 0 <= part <= grams * 1000
