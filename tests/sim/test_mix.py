"""The best mix of cards: of least cost under power, budget and domestic share, in whole numbers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.catalogue import CATALOGUE
from hutong.core.capacity.convert import Terms
from hutong.core.capacity.mixes import PPM, Offer, Wish, check_mix
from hutong.core.capacity.units import P_GOPS
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.money import MICRO
from hutong.sim.mix import best_mix

BARE = Terms(pue_milli=1000)


def offer(model: str, yuan: int = 0, most: int = 0) -> Offer:
    return Offer(CATALOGUE[model], yuan * MICRO, most)


def test_the_cheapest_cards_are_taken_as_far_as_there_are_any() -> None:
    offers = (offer("H100", 200_000), offer("MLU370", 10_000, 1_000))
    found = best_mix(Wish(300 * P_GOPS), offers)
    assert found.least == "cost"
    assert found.cards == {"H100": 207, "MLU370": 993}, (
        "fewer MLU370 than there are: 207 H100 are needed anyhow"
    )
    assert found.cost_micro == (207 * 200_000 + 993 * 10_000) * MICRO


def test_a_domestic_share_by_cards_costs_less_than_the_same_by_p() -> None:
    offers = (offer("H100", 200_000), offer("MLU370", 40_000))
    by_cards = best_mix(Wish(3000 * P_GOPS, domestic_ppm=900_000), offers)
    by_p = best_mix(Wish(3000 * P_GOPS, domestic_ppm=900_000, domestic_by="p"), offers)
    assert by_cards.mix.domestic_cards_ppm >= 900_000 > by_cards.mix.domestic_p_ppm.likely
    assert by_p.mix.domestic_p_ppm.likely >= 900_000
    assert by_cards.cost_micro < by_p.cost_micro


def test_power_binds_and_without_prices_the_least_power_wins() -> None:
    offers = (offer("H100"), offer("H20"))
    assert best_mix(Wish(500 * P_GOPS, terms=BARE), offers).cards == {"H100": 506}
    with pytest.raises(Refused, match="no mix") as caught:
        best_mix(Wish(500 * P_GOPS, watts_max=300_000, terms=BARE), offers)
    assert [each.path for each in caught.value.problems] == ["--max-power"]


def test_figures_that_conflict_count_only_where_that_is_said() -> None:
    offers = (offer("Ascend910B"), offer("S60"))
    with pytest.raises(Refused) as caught:
        best_mix(Wish(500 * P_GOPS), offers)
    assert "conflicting" in caught.value.problems[0].message
    assert best_mix(Wish(500 * P_GOPS, unverified=True), offers).cards == {"Ascend910B": 1_597}


def test_two_bounds_that_bar_together_are_told() -> None:
    with pytest.raises(Refused) as caught:
        best_mix(Wish(500 * P_GOPS, budget_micro=1, watts_max=1), (offer("H100", 1),))
    assert caught.value.problems[0].path == "--card"


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 5_000),
    st.lists(st.tuples(st.integers(1, 400_000), st.integers(0, 40_000)), min_size=4, max_size=4),
    st.sampled_from([0, 300_000, 900_000, PPM]),
    st.sampled_from(["cards", "p"]),
)
def test_what_is_found_holds_to_the_wish_in_whole_numbers(
    p: int, prices: list[tuple[int, int]], share: int, by: str
) -> None:
    models = ("H100", "H20", "MLU370", "K100_AI")
    offers = tuple(offer(model, *price) for model, price in zip(models, prices, strict=True))
    wish = Wish(p * P_GOPS, domestic_ppm=share, domestic_by=by)
    try:
        found = best_mix(wish, offers)
    except Refused as refusal:
        assert refusal.code == "no_mix"  # noqa: PT017 - either a mix or this refusal
        return
    assert not check_mix(found.mix, wish, {each.card.model: each.price_micro for each in offers})
    assert found.cost_micro == sum(found.cards.get(each.card.model, 0) * each.price_micro for each in offers)
