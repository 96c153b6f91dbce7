"""Centres: phases go forward only, history is kept, days are as they are told, sums add like with like."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.catalogue.claims import CLAIMS
from hutong.core.capacity.centres import (
    NEXT,
    Capacity,
    CardLine,
    Centre,
    Change,
    Evidence,
    Party,
    Phase,
    PhaseState,
    Plan,
    Withdrawal,
    add_change,
    add_phase,
    add_plan,
    last_day,
    withdraw,
)
from hutong.core.capacity.coverage import cover
from hutong.core.capacity.figures import Figure, Span
from hutong.core.capacity.holdings import holdings, is_domestic, power_of, totals_of
from hutong.core.capacity.rollups import KEYS, delays, plan_against_actual, roll_up
from hutong.core.kernel.documents import decode, encode
from hutong.core.kernel.errors import Conflict, Refused

TODAY = "2026-11-29"
S = PhaseState
SHOWN = Evidence("news", "doc 7", "the city's office")
SAID = Evidence("news")


def figure(p: int, precision: str = "FP16", *, sparse: bool = False, assumed: bool = False) -> Figure:
    return Figure(p * 10**6, precision, sparse, "nominal", "news", TODAY, "C", "machine", assumed)


def change(state: S, on: str, evidence: Evidence = SAID, capacity: Capacity | None = None) -> Change:
    return Change(state, on, evidence, 1, "op", capacity)


def phase(id: str, capacity: Capacity, *changes: Change, plans: tuple[Plan, ...] = ()) -> Phase:
    return Phase(id, "", capacity, changes, plans)


def plan(due: str, told: str, capacity: Capacity | None = None) -> Plan:
    return Plan(due, told, "notice", 1, "op", capacity)


def centre(*phases: Phase, **more: Any) -> Centre:
    facts = {"id": "a", "name_zh": "", "name_en": "A", "region": "Beijing", **more}
    return Centre(**facts, phases=phases)


def test_a_phase_goes_through_its_states_and_every_day_answers_as_it_was() -> None:
    there = add_phase(centre(), phase("1", Capacity(stated=figure(500)), change(S.PLANNED, "2023-12")), TODAY)
    there = add_change(there, "1", change(S.UNDER_CONSTRUCTION, "2024-02-10"), TODAY)
    there = add_change(there, "1", change(S.ACCEPTED, "2024-05-31", SHOWN), TODAY)
    less = Capacity(stated=figure(480))
    there = add_change(there, "1", change(S.IN_SERVICE, "2024-06", capacity=less), TODAY)
    there = add_change(there, "1", change(S.RETIRED, "2026"), TODAY)
    found = there.phase("1")
    days = ["2023-12-30", "2023-12-31", "2024-02-10", "2024-06-01", "2024-06-30", "2026-12-30", "2026-12-31"]
    assert [found.state_at(day) for day in days] == [
        None, S.PLANNED, S.UNDER_CONSTRUCTION, S.ACCEPTED, S.IN_SERVICE, S.IN_SERVICE, S.RETIRED,
    ]  # fmt: skip
    assert (found.proved_at("2024-05-30"), found.proved_at("2024-05-31")) == (False, True)
    assert (found.capacity_at("2024-06-29"), found.capacity_at("2024-06-30")) == (found.capacity, less)
    assert decode(Centre, encode(there)) == there


@given(st.lists(st.sampled_from(list(S)), min_size=1, max_size=6))
@settings(max_examples=60)
def test_only_what_may_follow_follows_and_a_repeat_changes_nothing(states: list[S]) -> None:
    there = add_phase(centre(), phase("1", Capacity(), change(states[0], "2020-01-01")), TODAY)
    for at, state in enumerate(states[1:], 2):
        before = there.phase("1")
        new = change(state, f"2020-01-{at:02d}")
        if state in NEXT[before.changes[-1].state]:
            there = add_change(there, "1", new, TODAY)
            assert there.phase("1").changes == (*before.changes, new)
            assert add_change(there, "1", replace(new, at_ms=9, by="other"), TODAY) == there
        else:
            with pytest.raises(Refused) as refused:
                add_change(there, "1", new, TODAY)
            assert refused.value.code == "illegal_transition"


def test_what_cannot_be_is_refused() -> None:
    there = centre(phase("1", Capacity(), change(S.PLANNED, "2024-01")))
    for bad, code in (
        (change(S.ACCEPTED, "2023-12-31"), "out_of_order"),
        (change(S.ACCEPTED, "2026-11-30"), "bad_date"),
        (change(S.ACCEPTED, "soon"), "bad_date"),
        (change(S.ACCEPTED, "2025-02-30"), "bad_date"),
        (change(S.IN_SERVICE, "2025"), "illegal_transition"),
    ):
        with pytest.raises(Refused) as refused:
            add_change(there, "1", bad, TODAY)
        assert refused.value.code == code
    with pytest.raises(Refused, match="from the beginning"):
        add_phase(there, phase("2", Capacity()), TODAY)
    with pytest.raises(Conflict):
        add_phase(there, phase("1", Capacity(), change(S.PLANNED, "2024-02")), TODAY)
    with pytest.raises(Refused):
        add_plan(add_plan(there, "1", plan("2025", "2024-05"), TODAY), "1", plan("2026", "2024-04"), TODAY)
    gone = withdraw(there, "1", Withdrawal("entered twice", 5, "op"))
    assert withdraw(gone, "1", Withdrawal("again", 6, "op")) == gone
    assert gone.phase("1").state_at(TODAY) is None
    with pytest.raises(Conflict):
        add_change(gone, "1", change(S.ACCEPTED, "2025"), TODAY)


def test_a_month_is_sure_at_its_end() -> None:
    days = [last_day(each) for each in ("2024-02", "2023-02", "2025", "2025-03-04")]
    assert days == ["2024-02-29", "2023-02-28", "2025-12-31", "2025-03-04"]


def town() -> list[Centre]:
    proved = change(S.IN_SERVICE, "2025-01-01", SHOWN)
    said = change(S.IN_SERVICE, "2025-01-01")
    return [
        centre(
            phase("1", Capacity((CardLine("A100", 100), CardLine("Ascend910B", 300))), proved),
            phase("2", Capacity(), said),
            id="a", owner=Party("City"),
        ),
        centre(phase("1", Capacity(stated=figure(500, assumed=True)), said), id="b", region="Tianjin"),
        centre(phase("1", Capacity(stated=figure(700, "INT8")), said), id="c"),
        centre(phase("1", Capacity((CardLine("MLU370", 10),), figure(1)), said), id="d"),
        centre(phase("1", Capacity(stated=figure(9)), change(S.PLANNED, "2025-01-01")), id="e"),
    ]  # fmt: skip


def test_unlike_figures_stand_in_rows_of_their_own_with_what_is_proved() -> None:
    (everything,) = roll_up(town(), TODAY, "all")
    rows = {each.kind: each for each in everything.rows}
    nominal, int8 = ("FP16", "dense", "nominal"), ("INT8", "dense", "nominal")
    assert rows.keys() == {nominal, ("FP16", "dense", "tool"), int8}
    # A stated figure beside cards that all have one is set aside: 10 MLU370 are 0.96 P, not 1.96.
    assert rows[nominal].evidence == Span.exactly(31_200_000)
    assert rows[nominal].declared == Span.exactly(500_000_000 + 960_000)
    assert rows[nominal].assumed_gops == 500_000_000
    assert rows[nominal].evidence_ppm == 31_200_000 * 10**6 // 532_160_000
    assert (everything.centres, everything.phases, everything.silent, everything.cards) == (4, 5, 1, 410)
    shares = everything.shares
    assert (shares.domestic_cards, shares.foreign_cards) == (310, 100)
    assert shares.cards_ppm == 310 * 10**6 // 410
    assert shares.gops_ppm == (300 * 313_200 + 960_000) * 10**6 // (300 * 313_200 + 960_000 + 31_200_000)
    assert shares.unknown_gops == 1_200_000_000
    chips = {each.key: each.cards for each in roll_up(town(), TODAY, "chip")}
    assert chips == {"(not said)": 0, "A100": 100, "Ascend910B": 300, "MLU370": 10}
    assert [each.key for each in roll_up(town(), TODAY, "domestic")] == ["(not said)", "domestic", "foreign"]
    assert [each.key for each in roll_up(town(), "2024-12-31", "region")] == []
    assert is_domestic("MLU370-X8") is True
    assert is_domestic("nobody's") is None
    assert power_of("A100", 2) == (nominal, Span.exactly(624_000))


@given(st.sampled_from(sorted(KEYS)), st.sets(st.sampled_from(list(S))), st.permutations(range(5)))
@settings(max_examples=60)
def test_however_it_is_cut_the_parts_are_the_whole(by: str, states: set[S], order: list[int]) -> None:
    centres = [town()[at] for at in order]
    parts = roll_up(centres, TODAY, by, frozenset(states))
    assert parts == roll_up(town(), TODAY, by, frozenset(states))
    sums: dict[tuple[str, str, str], int] = {}
    for row in (row for part in parts for row in part.rows):
        sums[row.kind] = sums.get(row.kind, 0) + row.evidence.likely + row.declared.likely
    whole = totals_of(holdings(town(), TODAY, frozenset(states)))
    assert sums == {(each.precision, each.sparsity, each.basis): each.gops.likely for each in whole}
    assert sum(part.cards for part in parts) == sum(
        each.cards for each in holdings(town(), TODAY, frozenset(states))
    )


def test_a_plan_is_set_beside_what_came_of_it() -> None:
    late = phase(
        "late", Capacity(stated=figure(100)), change(S.PLANNED, "2023-12"), change(S.ACCEPTED, "2025-05"),
        change(S.IN_SERVICE, "2025-06-30", capacity=Capacity(stated=figure(80))),
        plans=(plan("2024-03", "2023-12"), plan("2025-03", "2024-06", Capacity(stated=figure(90)))),
    )  # fmt: skip
    due = phase(
        "due", Capacity(stated=figure(10)), change(S.PLANNED, "2024"), plans=(plan("2026-12", "2024"),)
    )
    given_up = phase(
        "up", Capacity(stated=figure(7)), change(S.PLANNED, "2023"), change(S.RETIRED, "2024"),
        plans=(plan("2024-06", "2023"),),
    )  # fmt: skip
    extra = phase("extra", Capacity(stated=figure(5)), change(S.IN_SERVICE, "2024-01"))
    centres = [centre(late, due, given_up, extra)]
    days = ("2024-03-31", "2025-03-31", "2025-06-30", "2026-12-31")
    points = plan_against_actual(centres, days, TODAY)
    told = [
        tuple(getattr(row, name).likely // 10**6 for name in ("first", "latest", "actual", "unplanned"))
        for point in points
        for row in point.rows
    ]
    assert told == [(100, 0, 0, 5), (107, 97, 0, 5), (107, 97, 80, 5), (117, 107, 0, 0)]
    early = plan_against_actual(centres, days[:1], "2024-01-31")[0].rows[0]
    assert (early.first, early.latest) == (Span.exactly(100_000_000), Span.exactly(100_000_000))
    found = {each.phase.id: each.late_days for each in delays(centres, TODAY)}
    assert found == {"late": 456, "due": None, "up": None}
    overdue = {each.phase.id: each.late_days for each in delays(centres, "2025-03-31")}
    assert overdue["late"] == 365


def test_coverage_counts_a_centre_by_its_sites_or_its_phases_never_both() -> None:
    to_come = phase(
        "2", Capacity(stated=figure(1000)), change(S.PLANNED, "2025-01"), plans=(plan("2025-12", "2025-01"),)
    )
    after = phase(
        "3", Capacity(stated=figure(4000)), change(S.PLANNED, "2025"), plans=(plan("2027", "2025"),)
    )
    proved = phase("1", Capacity(stated=figure(300)), change(S.IN_SERVICE, "2025-02", SHOWN))
    centres = [*town(), centre(proved, to_come, after, id="f")]
    found = cover(CLAIMS["beijing-2025"], CLAIMS["beijing-2025-q1"], (), None, centres, TODAY)
    like = {True: 0, False: 0}
    for proof, rows in ((True, found.evidence), (False, found.declared)):
        like[proof] += sum(row.total.gops.likely for row in rows if row.like)
    assert like == {True: 331_200_000, False: 500_960_000}
    assert [row.total.gops.likely for row in found.planned] == [1_000_000_000]
    assert found.left_gops == 45_000_000_000 - 331_200_000
    assert found.growth is not None
    assert found.growth.planned
    unlike = [row for row in found.declared if not row.like]
    assert [row.total.precision for row in unlike] == ["INT8"]
