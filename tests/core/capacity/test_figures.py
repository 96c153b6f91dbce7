"""Figures: unlike ones are told apart with the reason, and a stated rule picks one where they conflict."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.accelerators import ACCELERATORS, model_of
from hutong.core.capacity.catalogue import CATALOGUE, find_card
from hutong.core.capacity.catalogue.claims import CLAIMS
from hutong.core.capacity.figures import BASES, CONFIDENCES, PRECISIONS, Figure, choose, differences
from hutong.core.capacity.units import P_GOPS, format_gops, parse_amount, parse_figure
from hutong.core.kernel.errors import Refused

figures = st.builds(
    Figure,
    gops=st.integers(1, 10**9),
    precision=st.sampled_from(PRECISIONS[:8]),
    sparse=st.booleans(),
    basis=st.sampled_from(BASES),
    source=st.text(max_size=5),
    dated=st.sampled_from(["2025-01-01", "2026-11-22"]),
    confidence=st.sampled_from(CONFIDENCES),
    of=st.sampled_from(["card", "die"]),
)


def test_shangzhuang_and_frontier_are_unlike_in_precision_and_basis() -> None:
    found = differences(CLAIMS["shangzhuang"].figure, CLAIMS["frontier"].figure)
    assert [each.field for each in found] == ["precision", "basis"]
    assert (found[0].left, found[0].right) == ("FP16", "FP64")
    assert not differences(CLAIMS["beijing-2025-q1"].figure, CLAIMS["beijing-2025"].figure)


@given(figures, figures)
def test_unlike_is_unlike_from_either_side(one: Figure, other: Figure) -> None:
    there, back = differences(one, other), differences(other, one)
    assert [each.field for each in there] == [each.field for each in back]
    assert not differences(one, one)


@given(st.lists(figures, max_size=8))
def test_the_rule_picks_the_same_whatever_the_order_and_stays_in_its_interval(known: list[Figure]) -> None:
    choice = choose(known, "FP16")
    assert choice == choose(known[::-1], "FP16") or len(set(known)) < len(known)
    if choice is None:
        assert not [
            each for each in known if each.precision == "FP16" and not each.sparse and each.of == "card"
        ]
        return
    assert not choice.figure.sparse
    assert choice.figure.of == "card"
    assert choice.span.low <= choice.span.likely == choice.figure.gops <= choice.span.high
    best = min(
        each.confidence for each in known if (each.precision, each.sparse, each.of) == ("FP16", False, "card")
    )
    assert choice.figure.confidence == best


def test_bills_and_the_catalogue_agree() -> None:
    for model, accelerator in ACCELERATORS.items():
        if accelerator.fp16 is None:
            continue
        card = CATALOGUE[model]
        choice = card.choice("FP16")
        assert choice is not None
        assert choice.figure.gops == accelerator.fp16.gops
        assert (card.tdp_w, card.memory_bytes, card.domestic) == (
            accelerator.tdp_w, accelerator.memory_bytes, accelerator.domestic,
        )  # fmt: skip
        for name in accelerator.aliases:
            assert find_card(name) is card
            assert model_of(name) == model


def test_a_measured_figure_with_better_evidence_beats_claims_which_make_its_interval() -> None:
    choice = CATALOGUE["Ascend910B"].choice("FP16")
    assert choice is not None
    assert (choice.figure.gops, choice.figure.basis) == (313_200, "tool")
    assert (choice.span.low, choice.span.high) == (256_000, 400_000)
    assert choice.status == "conflicting"
    measured_below_nominal = CATALOGUE["A100"].choice("FP16")
    assert measured_below_nominal is not None
    assert (measured_below_nominal.span.low, measured_below_nominal.status) == (312_000, "settled")


def test_every_row_of_the_catalogue_says_who_says_so_and_weak_ones_are_marked() -> None:
    names = [name.casefold() for card in CATALOGUE.values() for name in (card.model, *card.aliases)]
    assert len(names) == len(set(names)), "a name means one card"
    for card in CATALOGUE.values():
        assert card.confidence in CONFIDENCES
        for figure in card.figures:
            assert figure.source
            assert figure.dated in {"2026-11-22", "2026-11-29"}
            assert figure.precision in PRECISIONS
            assert figure.basis in BASES
        if card.confidence in "CD" and card.figures:
            assert card.status in {"conflicting", "unverified"}, card.model
    assert CATALOGUE["S60"].status == "unpublished"
    assert CATALOGUE["Ascend910C"].dies == 2


@pytest.mark.parametrize(
    ("text", "gops"),
    [
        ("3,000 P", 3_000 * P_GOPS), ("500PF", 500 * P_GOPS), ("500 PFLOPS", 500 * P_GOPS),
        ("1.194 EFLOPS", 1_194 * P_GOPS), ("4.5万P", 45_000 * P_GOPS), ("1 PFLOP/s", P_GOPS),
        ("989 TFLOPS", 989_000), ("2 petaflops", 2 * P_GOPS), ("45,000 P级", 45_000 * P_GOPS),
    ],
)  # fmt: skip
def test_units_are_read(text: str, gops: int) -> None:
    amount = parse_amount(text)
    assert (amount.what, amount.value, amount.flags) == ("gops", gops, ())


def test_a_petahash_is_flagged_as_the_mistranslation_it_is() -> None:
    amount = parse_amount("12,000 petahashes")
    assert amount.value == 12_000 * P_GOPS
    assert "mistranslation" in amount.flags[0]
    assert "INT8" in parse_amount("1979 TOPS").flags[0]


@pytest.mark.parametrize(
    "text", ["3000", "12 PB", "1,02 P", "P", "-3 P", "1 PFLOPS-day", "5 mW", "9e9 P", "99999999999 P"]
)
def test_what_is_no_quantity_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_amount(text, "?amount")
    assert caught.value.problems[0].path == "?amount"
    assert caught.value.problems[0].hint


@given(st.integers(1, 10**7))
def test_a_quantity_reads_back_as_it_was_written(p: int) -> None:
    assert parse_amount(format_gops(p * P_GOPS)).value == p * P_GOPS


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    for read in (parse_amount, lambda each: parse_figure(each, "2026-11-22")):
        with suppress(Refused):
            read(text)


def test_a_typed_figure_says_what_it_assumes() -> None:
    figure, flags = parse_figure("1194 PF FP64 (HPL)", "2026-11-22")
    assert (figure.precision, figure.basis, figure.assumed, flags) == ("FP64", "benchmark", False, ())
    figure, flags = parse_figure("500 P", "2026-11-22")
    assert (figure.precision, figure.sparse, figure.assumed) == ("FP16", False, True)
    assert "no precision" in flags[0]
