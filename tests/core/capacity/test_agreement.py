"""Phases of a centre beside what its sites declare: like with like, no more certain than what was said."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.agreement import Agreement, agreements, cards_by_site, unnamed
from hutong.core.capacity.centres import Capacity, CardLine, Centre, Change, Evidence, Phase, PhaseState
from hutong.core.capacity.figures import Figure
from hutong.core.capacity.holdings import power_of

S = PhaseState
DAY = "2026-11-29"


def phase(id: str, capacity: Capacity, state: S = S.IN_SERVICE) -> Phase:
    return Phase(id, "", capacity, (Change(state, "2025", Evidence("news"), 1, "op"),))


def cards(**counts: int) -> Capacity:
    return Capacity(tuple(CardLine(model, count) for model, count in counts.items()))


def stated(p: int, precision: str = "FP16", basis: str = "nominal", *, assumed: bool = False) -> Capacity:
    return Capacity((), Figure(p * 10**6, precision, False, basis, "news", "2025", "C", "machine", assumed))


def centre(*phases: Phase, **more: Any) -> Centre:
    facts = {"id": "a", "name_zh": "", "name_en": "A", "region": "Beijing", "sites": ("s",), **more}
    return Centre(**facts, phases=phases)


def agree(declared: dict[str, int], *phases: Phase) -> Agreement:
    (found,) = agreements([centre(*phases)], {"s": Counter(declared)}, DAY)
    return found


def told(found: Agreement) -> dict[str, tuple[int, str]]:
    """Return difference and verdict of each model and kind."""
    of_cards: dict[str, tuple[int, str]] = {
        each.model: (each.difference, each.verdict) for each in found.cards
    }
    return of_cards | {"-".join(each.kind): (each.difference, each.verdict) for each in found.power}


@pytest.mark.parametrize(
    ("declared", "difference", "verdict"),
    [(80, -20, "less"), (100, 0, "agrees"), (130, 0, "agrees"), (150, 0, "agrees"), (151, 1, "more")],
)
def test_what_is_in_service_is_declared_and_what_is_accepted_may_be(
    declared: int, difference: int, verdict: str
) -> None:
    phases = (
        phase("1", cards(H100=100)), phase("2", cards(H100=50), S.ACCEPTED),
        phase("3", cards(H100=999), S.PLANNED), phase("4", cards(H100=999), S.RETIRED),
    )  # fmt: skip
    found = agree({"H100": declared}, *phases)
    assert told(found)["H100"] == (difference, verdict)
    assert found.verdict == verdict
    assert told(found)["FP16-dense-nominal"] == (difference * 989_000, verdict)


def test_another_chip_than_was_accepted_is_seen_though_the_power_may_agree() -> None:
    found = agree({"A100": 317}, phase("1", cards(H100=100)))
    assert told(found)["H100"] == (-100, "less")
    assert told(found)["A100"] == (317, "more")
    assert found.verdict == "more"


def test_a_stated_total_agrees_where_the_intervals_of_figures_meet() -> None:
    (_, span) = power_of("H100", 100) or pytest.fail("it has a figure")
    exactly = Capacity((), Figure(span.likely, "FP16", False, "nominal", "news", "2025"))
    found = agree({"H100": 100}, phase("1", exactly))
    assert told(found) == {"H100": (100, "unsure"), "FP16-dense-nominal": (0, "agrees")}
    assert found.notes == ("nobody said which cards phase 1 has",)
    more = agree({"H100": 100}, phase("1", stated(50)))
    assert told(more)["FP16-dense-nominal"] == (span.low - 55 * 10**6, "more")
    less = agree({"H100": 100}, phase("1", stated(500)))
    assert told(less)["FP16-dense-nominal"] == (span.high - 450 * 10**6, "less")


@pytest.mark.parametrize(
    ("stated_p", "difference"), [(500, 0), (499, 0), (498, 700_000), (501, -1_300_000), (1000, -800_000)]
)
def test_a_stated_total_is_as_exact_as_its_last_digit(stated_p: int, difference: int) -> None:
    found = agree({"A100": 1600}, phase("1", stated(stated_p)))  # 499.2 P
    assert found.power[0].difference == difference
    assert found.power[0].in_service.likely == stated_p * 10**6


def test_unlike_figures_are_refused_with_the_reason_and_leave_the_rest_unsure() -> None:
    found = agree({"H100": 100}, phase("1", stated(50, "FP64", "benchmark")))
    assert {each.verdict for each in found.power} == {"unlike"}
    assert [each.field for each in found.power[0].why] == ["precision", "basis"]
    assert all(each.difference or each.why for each in found.power)
    both = agree({"H100": 1000}, phase("1", stated(50, "FP64")), phase("2", stated(90)))
    assert told(both)["FP16-dense-nominal"][1] == "unsure"
    assert both.verdict == "unlike"


def test_what_nobody_said_makes_more_unsure_and_less_stays_certain() -> None:
    silent = phase("2", Capacity())
    more = agree({"H100": 101}, phase("1", cards(H100=100)), silent)
    assert {each for _, each in told(more).values()} == {"unsure"}
    assert more.notes[0] == "nobody said which cards phase 2 has"
    assert agree({"H100": 99}, phase("1", cards(H100=100)), silent).verdict == "less"
    blind = agree({"H100": 99, "X1": 3}, phase("1", cards(H100=99)))
    assert told(blind)["X1"] == (3, "more")
    assert "no computing power is known of X1" in blind.notes
    assert agree({"X1": 3}, phase("1", stated(90))).power[0].verdict == "unsure"
    assert "the precision of phase 1 is assumed" in agree({}, phase("1", stated(1, assumed=True))).notes


def test_sites_that_are_missing_shared_or_of_nobody_are_named() -> None:
    first = centre(phase("1", cards(H100=8)), sites=("s", "gone"))
    second = replace(centre(phase("1", cards(H100=8))), id="b")
    none = replace(first, id="c", sites=())
    declared = cards_by_site([("s", "H100", 8), ("s", "H100", 9), ("s", "CPU", 64), ("t", "A100", 1)])
    assert declared == {"s": Counter(H100=17), "t": Counter(A100=1)}
    found = agreements([second, first, none], declared, DAY)
    assert [each.centre.id for each in found] == ["a", "b"]
    assert found[0].notes == (
        "nothing is known of what site gone declares",
        "site s is named by 2 centres: its cards count for each",
    )
    assert {each.verdict for each in found} == {"unsure"}
    assert unnamed([first, second, none], declared) == ("t",)


COUNTS = st.dictionaries(st.sampled_from(["H100", "A100", "MLU370", "X1"]), st.integers(1, 500), max_size=4)


@given(COUNTS, COUNTS, COUNTS)
def test_within_what_is_in_service_and_accepted_all_agrees_and_beyond_it_does_not(
    serving: dict[str, int], accepted: dict[str, int], declared: dict[str, int]
) -> None:
    found = agree(
        declared, phase("1", cards(**serving)), phase("2", cards(**accepted), S.ACCEPTED)
    )  # fmt: skip
    for row in found.cards:
        low, high = serving.get(row.model, 0), serving.get(row.model, 0) + accepted.get(row.model, 0)
        there = declared.get(row.model, 0)
        assert (row.verdict == "agrees") == (low <= there <= high) == (row.difference == 0)
        assert low <= there - row.difference <= high
    assert len(found.cards) == len({*serving, *accepted, *declared})
