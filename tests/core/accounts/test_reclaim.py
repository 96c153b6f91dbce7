"""Use it or lose it: the published bands, cumulative, once a part of the time, never what is held."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.accounts import allocations as al
from hutong.core.accounts import reclaim as r
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.policies import load_reclaim

NREL = load_reclaim(Path(__file__).parents[3] / "policies")
YEAR_MS = 400 * DAY_MS
FRESH = al.Allocation("a", "p", "c", "a", "lot", 0, YEAR_MS, 30)
GRANTED = 100_000


def at_end_of(part: int) -> int:
    return YEAR_MS // 4 * part


@pytest.mark.parametrize(
    ("used_percent", "cut"),
    [(0, 80), (19, 80), (20, 55), (39, 55), (40, 35), (54, 35), (55, 20), (69, 20), (70, 0), (200, 0)],
)
def test_the_published_bands(used_percent: int, cut: int) -> None:
    judged = r.assess(FRESH, GRANTED, 250 * used_percent, GRANTED, at_end_of(1), NREL)
    assert [each.cut_micro for each in judged.cuts] == ([250 * cut] if cut else [])
    assert judged.assessed == 1


def test_a_cut_before_counts_and_a_part_of_the_time_is_judged_once() -> None:
    first = r.assess(FRESH, GRANTED, 0, GRANTED, at_end_of(1), NREL)
    assert r.assess(first, GRANTED, 0, GRANTED, at_end_of(1) + DAY_MS, NREL) == first
    second = r.assess(first, GRANTED, 0, GRANTED, at_end_of(2), NREL)
    assert [each.cut_micro for each in second.cuts] == [20_000, 20_000], "40,000 of 50,000, 20,000 before"
    waived = al.answer_cut(al.appeal_cut(first, 1, "down", at_end_of(1)), 1, "x", "so it was", waived=True)
    assert r.assess(waived, GRANTED, 0, GRANTED, at_end_of(2), NREL).cuts[1].cut_micro == 40_000


def test_the_plan_says_what_should_have_been_used() -> None:
    late = replace(FRESH, plan=(0, 0, 50, 50))
    assert r.assess(late, GRANTED, 0, GRANTED, at_end_of(2), NREL).cuts == ()
    assert r.assess(late, GRANTED, 0, GRANTED, at_end_of(3), NREL).cuts[0].cut_micro == 40_000


@given(
    st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12),
    st.integers(0, YEAR_MS * 2), st.lists(st.integers(0, 100), max_size=12),
)  # fmt: skip
def test_no_cut_is_more_than_what_nobody_holds(
    granted: int, used: int, free: int, now_ms: int, plan: list[int]
) -> None:
    judged = r.assess(replace(FRESH, plan=tuple(plan)), granted, used, free, now_ms, NREL)
    assert sum(each.cut_micro for each in judged.cuts) <= free
    assert all(each.cut_micro > 0 for each in judged.cuts)
    assert r.assess(judged, granted, used, free, now_ms, NREL) == judged


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, YEAR_MS * 2),
    st.booleans(),
    st.integers(0, 2),
)
def test_every_change_of_phase_stands_in_the_table(
    free: int, held: int, now_ms: int, suspended: bool, closed: int
) -> None:
    known = replace(FRESH, suspended=suspended, closed_ms=closed and now_ms // closed)
    now = al.phase_of(known, free, held, now_ms)
    for later_ms in (now_ms + DAY_MS, now_ms + 100 * DAY_MS, now_ms + YEAR_MS):
        then = al.phase_of(known, free, held, later_ms)
        assert then is now or then in al.PHASES[now]


def test_each_notice_of_the_end_is_given_once_and_again_after_an_extension() -> None:
    found = FRESH
    for day in range(400):
        found = al.notify(found, day * DAY_MS)
    assert [each.at_ms // DAY_MS for each in found.notices] == [310, 370, 393]
    assert (
        al.notify(replace(FRESH, ends_ms=YEAR_MS), YEAR_MS - 5 * DAY_MS)
        .notices[0]
        .text.startswith("it ends within 7")
    )
    longer = replace(found, ends_ms=YEAR_MS + 50 * DAY_MS)
    assert len(al.notify(longer, YEAR_MS).notices) == 4


def test_a_cut_is_appealed_in_time_only_and_not_taken_before_the_answer() -> None:
    cut = r.assess(FRESH, GRANTED, 0, GRANTED, at_end_of(1), NREL)
    until_ms = cut.cuts[0].appeal_until_ms
    assert al.due_cuts(cut, until_ms - 1) == ()
    assert [each.n for each in al.due_cuts(cut, until_ms)] == [1]
    appealed = al.appeal_cut(cut, 1, "down", until_ms - 1)
    assert al.due_cuts(appealed, until_ms + YEAR_MS) == ()
    with pytest.raises(Conflict, match="over"):
        al.appeal_cut(cut, 1, "down", until_ms)
    upheld = al.answer_cut(appealed, 1, "x", "no", waived=False)
    assert [each.n for each in al.due_cuts(upheld, until_ms)] == [1]
