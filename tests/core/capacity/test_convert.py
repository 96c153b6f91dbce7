"""Conversions: the cards behind a quantity, the way back inside its interval, and mixes added up by kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.catalogue import CATALOGUE
from hutong.core.capacity.convert import Terms, convert, draw_of
from hutong.core.capacity.mixes import PPM, mix_of
from hutong.core.capacity.units import P_GOPS, Amount, parse_amount
from hutong.core.kernel.errors import Refused

WITH_FP16 = sorted(model for model, card in CATALOGUE.items() if card.choice("FP16"))
WITH_POWER = sorted(model for model in WITH_FP16 if CATALOGUE[model].tdp_w)
terms_of = st.builds(
    Terms,
    cards_per_rack=st.integers(1, 200),
    load_milli=st.integers(1, 1000),
    pue_milli=st.integers(1000, 3000),
    host_milli=st.integers(0, 2000),
)


@pytest.mark.parametrize(
    ("model", "cards"),
    [("Ascend910B", 9_579), ("H100", 3_034), ("H20", 20_271), ("MLU370", 31_250), ("A100", 9_616)],
)
def test_the_cards_behind_3000_p(model: str, cards: int) -> None:
    chain = convert(parse_amount("3000 P"), CATALOGUE[model])
    assert chain.cards.likely == cards
    assert chain.cards.low <= cards <= chain.cards.high


def test_the_interval_is_of_the_claims_that_conflict_and_sparse_is_told_apart() -> None:
    chain = convert(parse_amount("3000 P"), CATALOGUE["Ascend910B"])
    assert (chain.cards.low, chain.cards.high) == (7_500, 11_719)
    assert convert(parse_amount("3000 P"), CATALOGUE["H100"]).cards_if_sparse == 1_516
    assert convert(parse_amount("500 P"), CATALOGUE["A100"]).cards.likely == 1_603


def test_power_and_energy_of_3000_p() -> None:
    chain = convert(parse_amount("3000 P"), CATALOGUE["Ascend910B"])
    assert chain.it_watts.likely == 9_579 * 350
    assert round(chain.watt_hours.likely / 1e9, 1) == 33.7
    # 35 GWh, as is also told, is of the 364.5 W that were measured of a card.
    assert 364_500 in CATALOGUE["Ascend910B"].watts_milli
    assert draw_of(CATALOGUE["Ascend910B"]).high == 400_000
    assert round(9_579 * 364.5 * 8760 * 0.85 * 1.35 / 1e9, 1) == 35.1
    assert chain.watt_hours.low < 35.1e9 < chain.watt_hours.high


@given(st.sampled_from(WITH_FP16), st.integers(1, 10**11))
def test_from_power_to_cards_and_back_is_at_most_a_card_more(model: str, gops: int) -> None:
    there = convert(Amount("gops", gops), CATALOGUE[model])
    rate = there.choice.span
    for cards, each in (
        (there.cards.low, rate.high),
        (there.cards.likely, rate.likely),
        (there.cards.high, rate.low),
    ):
        assert (cards - 1) * each < gops <= cards * each
    back = convert(Amount("cards", there.cards.likely), CATALOGUE[model]).gops
    assert back.low - rate.low < gops <= back.high + rate.high


@given(st.sampled_from(WITH_POWER), st.integers(1, 10**6), terms_of)
def test_from_cards_to_power_and_energy_and_back(model: str, cards: int, terms: Terms) -> None:
    card = CATALOGUE[model]
    there = convert(Amount("cards", cards), card, terms=terms)
    for what, value in (("watts", there.watts.likely), ("watt_hours", there.watt_hours.likely)):
        back = convert(Amount(what, value), card, terms=terms)
        assert back.cards.likely == cards
        assert back.cards.low <= cards <= back.cards.high
        assert back.gops.low <= there.gops.likely <= back.gops.high
    racks = convert(Amount("racks", there.racks.likely), card, terms=terms)
    assert 0 <= racks.cards.likely - cards < terms.cards_per_rack


@given(st.sampled_from(WITH_POWER), st.integers(1, 10**10), terms_of)
def test_what_fits_under_a_power_draws_no_more(model: str, watts: int, terms: Terms) -> None:
    card = CATALOGUE[model]
    chain = convert(Amount("watts", watts), card, terms=terms)
    assert convert(Amount("cards", chain.cards.likely), card, terms=terms).watts.likely <= watts


def test_what_is_not_known_is_refused_and_not_taken_for_zero() -> None:
    with pytest.raises(Refused, match="no figure"):
        convert(parse_amount("1 P"), CATALOGUE["S60"])
    with pytest.raises(Refused, match="power"):
        convert(parse_amount("1 MW"), CATALOGUE["N100"])
    with pytest.raises(Refused):
        Terms(pue_milli=900)


@given(st.dictionaries(st.sampled_from(sorted(CATALOGUE)), st.integers(1, 10**5), min_size=1, max_size=6))
def test_a_mix_counts_every_card_once_and_adds_only_like_figures(cards: dict[str, int]) -> None:
    mix = mix_of(cards, CATALOGUE)
    assert sum(each.cards for each in mix.totals) + sum(count for _, count in mix.without_figure) == sum(
        cards.values()
    )
    kinds = [(each.precision, each.sparsity, each.basis) for each in mix.totals]
    assert len(kinds) == len(set(kinds))
    for total in mix.totals:
        parts = [part for part in mix.parts if part.choice.figure.basis == total.basis]
        assert total.gops.likely == sum(part.cards * part.choice.figure.gops for part in parts)
    share = mix.domestic_p_ppm
    assert 0 <= share.low <= share.likely <= share.high <= PPM


def test_ninety_per_cent_of_cards_is_another_share_of_p() -> None:
    mix = mix_of({"MLU370": 900, "H100": 100}, CATALOGUE)
    assert mix.domestic_cards_ppm == 900_000
    assert mix.domestic_p_ppm.likely == 900 * 96 * PPM // (900 * 96 + 100 * 989) < 500_000
    both = mix_of({"Ascend910B": 1, "H100": 1}, CATALOGUE)
    assert {each.basis for each in both.totals} == {"nominal", "tool"}
    unsure = mix_of({"Ascend910B": 1, "L40S": 1}, CATALOGUE).domestic_p_ppm
    assert (unsure.low, unsure.high) == (256 * PPM // (256 + 366), 400 * PPM // (400 + 362))
    assert both.totals[0].gops.likely < P_GOPS
