"""Each kind of contradiction between the witnesses of a day is found, and honest days are left alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.kernel.chain import ChainFault
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.ledger.reconciling import Column, Difference, Report
from hutong.core.ledger.reconciling import Kind as Drift
from hutong.core.witnesses.clocks import skew_of
from hutong.core.witnesses.detect import detect
from hutong.core.witnesses.electricity import line_of
from hutong.core.witnesses.shapes import Bounds, DaySeen, Hour, Kind, Sure, Timed

DAY, CARDS, WATTS = 20_000, 100, 400
BASE_MS = DAY * DAY_MS
BOUNDS = Bounds()


def start(key: str, at_s: int, length_s: int, cards: int = 1, record: str = "", skew_s: int = 0) -> Timed:
    """A job that began a minute after the site had it, and whose start and end were seen within seconds."""
    begin, end = BASE_MS + at_s * 1000, BASE_MS + (at_s + length_s) * 1000
    shift = skew_s * 1000
    told = (begin + shift, end + shift, cards * length_s * 1000)
    return Timed(key, record or key, *told, begin - 60_000, begin + 5_000, end + 5_000)


def hour(at: int, load: float, metered_j: float | None) -> Hour:
    full = CARDS * WATTS * 3600
    return Hour(at, int(load * full), full, None if metered_j is None else int(metered_j))


def load_of(at: int) -> float:
    return 0.4 + 0.3 * ((at * 7) % 24) / 24


def noise_of(at: int) -> float:
    """Up to one part in a hundred, another for each day."""
    return 1 + ((at // 24 * 37) % 21 - 10) / 1000


def metered(at: int) -> float:
    return CARDS * WATTS * 3600 * (0.5 + 0.9 * load_of(at)) * noise_of(at)


def day(**change: object) -> DaySeen:
    past = tuple(hour(at, load_of(at), metered(at)) for at in range(24 * (DAY - 28), 24 * DAY))
    today = tuple(hour(at, load_of(at), metered(at)) for at in range(24 * DAY, 24 * DAY + 24))
    starts = tuple(start(f"job-{n}", n * 3600, 3000, cards=2) for n in range(20))
    honest = DaySeen("a", DAY, CARDS, WATTS, starts=starts, hours=today, past=past)
    return replace(honest, **change)  # type: ignore[arg-type]


def kinds(seen: DaySeen) -> set[Kind]:
    return {each.kind for each in detect(seen, BOUNDS)}


def test_an_honest_day_has_no_findings() -> None:
    assert detect(day(), BOUNDS) == ()


def test_nothing_known_is_nothing_found() -> None:
    assert detect(DaySeen("a", DAY, 0, 0), BOUNDS) == ()


def test_energy_that_no_use_explains_is_side_use_with_its_size() -> None:
    extra = 0.2 * CARDS * WATTS * 3600 * 0.9
    hours = [replace(each, metered_j=(each.metered_j or 0) + int(extra)) for each in day().hours]
    (found,) = detect(day(hours=hours), BOUNDS)
    assert (found.kind, found.about, found.sure) == (Kind.SIDE_USE, "day", Sure.LIKELY)
    assert found.size == pytest.approx(0.2 * CARDS * DAY_MS, rel=0.2)


def test_use_without_energy_is_over_reporting() -> None:
    hours = [replace(each, nameplate_j=each.nameplate_j * 13 // 10) for each in day().hours]
    assert kinds(day(hours=hours)) == {Kind.OVER_REPORTED}


def test_a_burst_of_a_quarter_of_a_day_is_found_where_the_day_is_not() -> None:
    one = CARDS * WATTS * 3600 // 10
    hours = [
        replace(each, metered_j=(each.metered_j or 0) + (one if at < 6 else 0))
        for at, each in enumerate(day().hours)
    ]
    assert [each.about for each in detect(day(hours=hours), BOUNDS)] == ["hours-0"]


def test_too_few_past_days_or_no_meter_judge_nothing_by_the_past() -> None:
    hours = [replace(each, nameplate_j=each.nameplate_j * 13 // 10) for each in day().hours]
    assert kinds(day(hours=hours, past=day().past[-24 * 13 :])) == set()
    assert kinds(day(hours=[replace(each, metered_j=None) for each in hours])) == set()


def test_cards_in_use_cannot_draw_less_than_when_idle_nor_all_more_than_they_can() -> None:
    none = [replace(each, metered_j=1000) for each in day().hours]
    (found,) = detect(day(hours=none, past=()), BOUNDS)
    assert (found.kind, found.about, found.sure) == (Kind.OVER_REPORTED, "least", Sure.CERTAIN)
    much = [replace(each, metered_j=each.installed_j * 6) for each in day().hours]
    (found,) = detect(day(hours=much, past=()), BOUNDS)
    assert (found.kind, found.about) == (Kind.SIDE_USE, "most")


@given(skew_s=st.integers(-50_000, 50_000), cleanup_s=st.integers(0, 59))
@settings(max_examples=40, deadline=None)
def test_a_skew_is_bounded_by_moments_on_both_sides(skew_s: int, cleanup_s: int) -> None:
    starts = [start(f"j{n}", n * 900, 600 + cleanup_s, skew_s=skew_s) for n in range(9)]
    least, most = skew_of(starts, 60_000)
    assert least is not None
    assert most is not None
    assert least <= skew_s * 1000 <= most
    found = [each for each in detect(day(starts=starts), BOUNDS) if each.kind is Kind.CLOCK_SKEW]
    if skew_s >= 66 or skew_s < -120:
        assert [each.about for each in found] == ["ahead" if skew_s > 0 else "behind"]
        assert found[0].size <= abs(skew_s) * 1000
    elif -120 <= skew_s <= 60:
        assert found == []


def test_one_odd_record_is_no_clock() -> None:
    starts = [*day().starts, start("odd", 70_000, 60, skew_s=9000)]
    assert Kind.CLOCK_SKEW not in kinds(day(starts=starts))


def test_an_attempt_that_has_its_cards_twice_at_once_is_a_replay() -> None:
    starts = [*day().starts, start("job-3", 3 * 3600, 3000, cards=2, record="again")]
    found = [each for each in detect(day(starts=starts), BOUNDS) if each.kind is Kind.REPLAYED]
    assert [(each.about, each.size) for each in found] == [("job-3", 2 * 3000 * 1000)]


def test_a_requeued_attempt_is_no_replay() -> None:
    starts = [*day().starts, start("job-3", 3 * 3600 + 3000, 600, cards=2, record="second")]
    assert kinds(day(starts=starts)) == set()


def test_more_cards_than_there_are_cannot_be_in_use() -> None:
    starts = [start(f"big-{n}", 0, 3600, cards=60) for n in range(2)]
    found = [each for each in detect(day(starts=starts), BOUNDS) if each.about == "cards"]
    assert [each.size for each in found] == [20 * HOUR_MS]


def test_what_does_not_wait_in_the_reconciliation_is_a_finding() -> None:
    told = (
        Difference(Drift.UNRECORDED, "no record", "ask", "ht-1", card_ms=-70),
        Difference(Drift.DIFFERS, "less", "correct", "ht-2", card_ms=-30),
        Difference(Drift.DIFFERS, "more", "correct", "ht-3", card_ms=30),
        Difference(Drift.UNRECORDED, "no record", "ask", "ht-4", card_ms=-70, waits=True),
        Difference(Drift.SUSPENDED, "unknown", "resolve", "ht-5", "r5", 1),
    )
    report = Report("a", DAY, None, Column(), Column(), 0, 0, told)
    found = detect(day(report=report), BOUNDS)
    assert [(each.kind, each.about, each.size) for each in found] == [
        (Kind.GHOST, "ht-1", 70),
        (Kind.OVER_REPORTED, "ht-2", 30),
        (Kind.GHOST, "ht-5", 0),
    ]


def test_the_ledger_may_book_little_more_than_the_agent_saw() -> None:
    whole = CARDS * DAY_MS
    assert kinds(day(booked_card_ms=whole // 50, reported_card_ms=0)) == set()
    assert kinds(day(booked_card_ms=whole // 50 + 1, reported_card_ms=0)) == {Kind.OVER_REPORTED}
    assert kinds(day(booked_card_ms=whole)) == set()


def test_faults_of_the_chain_are_findings() -> None:
    (found,) = detect(day(faults=(ChainFault(7, "event 7 was changed"),)), BOUNDS)
    assert (found.kind, found.about, found.evidence) == (Kind.BROKEN_CHAIN, "7", "event 7 was changed")


def test_a_line_needs_two_unlike_hours_and_a_slope_that_can_be() -> None:
    assert line_of([]) is None
    assert line_of([hour(at, 0.5, 1e9) for at in range(9)]) is None
    assert line_of([hour(at, at / 100, 1e9) for at in range(50)]) is None
