"""Limits of a centre's power: what they leave is never exceeded, is told, and receipts replay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_bookings import begun, booking, decide, moment
from tests.core.control.test_preemption import outcome as preempting
from tests.core.control.test_preemption import running, stopped
from tests.core.control.test_queue import MIN, NOW, placed, receipts, site, waiting, why

from hutong.core.book.snapshot import JobRow, PoolUse, Running
from hutong.core.capacity.sites import Pool, PowerLimit, Site
from hutong.core.control.forecast import plan
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import PoolId, ProjectId
from hutong.core.placement import columns as c
from hutong.core.placement.board import Caps, make_board, shelves_of
from hutong.core.placement.board import Rules as Pass
from hutong.core.placement.columns import Backfill

OTHER = ProjectId("b")
CARD_W = 840  # an H100 of 700 W at a PUE of 1.2


def limit(kw: int, start: int | None = None, end: int | None = None) -> PowerLimit:
    """Return a limit from and until so many minutes from now; a standing one if left out."""
    from_ms, until_ms = (0 if each is None else NOW + each * MIN for each in (start, end))
    return PowerLimit(f"{start}-{end}", kw, from_ms, until_ms, "demand response")


def test_no_job_is_placed_that_would_still_run_without_the_power_for_it_and_it_is_told_so() -> None:
    sites = (site("bj", 16, power_limits=(limit(7, 60, 240),)),)  # 7 kW are 8 cards
    queue = [waiting(1, 6, 120), waiting(2, 4, 120, "b"), waiting(3, 4, 60, "c"), waiting(4, 2, 600, "d")]
    assert placed(decide(moment(sites, queue))) == {1: "bj/p0", 3: "bj/p0", 4: "bj/p0"}
    outcome = decide(moment(sites, queue[:2]))
    assert placed(outcome) == {1: "bj/p0"}
    code, text = why(outcome, 2)
    assert code == "power"
    assert (
        "10 cards free, but the centre's power is limited to 7 kW from 2027-01-15 09:00 UTC until "
        "2027-01-15 12:00 UTC: at most 2 cards more"
    ) in text
    assert "ask for at most 2 of its cards, or max_duration: 60m or less fits before it" in text


def test_what_runs_beyond_counts_and_what_ends_before_does_not() -> None:
    sites = (site("bj", 32, power_limits=(limit(7, 60, 240),)),)
    runs = [Running(OTHER, "bj", "p0", 6, NOW + 90 * MIN), Running(OTHER, "bj", "p0", 8, NOW + 60 * MIN)]
    assert placed(decide(moment(sites, [waiting(1, 3, 120), waiting(2, 2, 120)], runs))) == {2: "bj/p0"}
    assert placed(decide(moment(sites, [waiting(1, 3, 120), waiting(2, 2, 30)], runs[1:]))) == {
        1: "bj/p0", 2: "bj/p0",
    }  # fmt: skip
    too_many = [Running(OTHER, "bj", "p0", 16, NOW + 600 * MIN)]  # they ran when the limit was declared
    outcome = decide(moment(sites, [waiting(1, 1, 120), waiting(2, 8, 60)], too_many))
    assert placed(outcome) == {2: "bj/p0"}
    assert "at most 0 cards more; max_duration: 60m" in why(outcome, 1)[1]


def test_a_standing_limit_is_of_the_whole_centre_and_of_no_other() -> None:
    sites = (site("bj", 16, 8, power_limits=(limit(7),)), site("tj", 8))
    outcome = decide(moment(sites, [waiting(n, 4, 60, str(n)) for n in range(6)]))
    assert sorted(placed(outcome).values()) == ["bj/p0", "bj/p0", "tj/p0", "tj/p0"]
    code, text = why(outcome, 5)
    assert code == "power"
    assert "the centre's power is limited to 7 kW now: at most 0 cards more; wait until other jobs" in text


def test_a_card_that_the_catalogue_does_not_know_draws_nothing_as_in_metering() -> None:
    odd = Pool(PoolId("p0"), "Odd", 2, 8, 10**6, 1200, "cuda")
    sites = (replace(site("bj", 8, power_limits=(limit(1),)), pools=(odd,)),)
    row = waiting(1, 8, 60)
    needs = replace(row.spec.resources, asks=(replace(row.spec.resources.asks[0], accelerator="Odd"),))
    row = replace(row, spec=replace(row.spec, resources=needs))
    assert placed(decide(moment(sites, [row]))) == {1: "bj/p0"}


def test_the_first_that_waits_for_power_is_not_overtaken_by_small_ones_without_end() -> None:
    # Power for 11 cards, of which 8 are drawn; the cards themselves are plenty, in both pools.
    sites = (site("bj", 64, 64, power_limits=(limit(10),)),)
    runs = [Running(OTHER, "bj", "p1", 8, NOW + 60 * MIN)]
    first = waiting(1, 8, 600)
    for small in (waiting(2, 3, 600, "c"), waiting(2, 3, 60, "c")):
        assert set(placed(decide(moment(sites, [first, small], runs)))) == {2}
    sites = (site("bj", 64, 64, power_limits=(limit(8),)),)  # 9: beside the first there is power for one
    runs = [Running(OTHER, "bj", "p1", 7, NOW + 60 * MIN)]
    outcome = decide(moment(sites, [first, waiting(2, 1, 600, "c"), waiting(3, 1, 600, "d")], runs))
    assert set(placed(outcome)) == {2}
    assert "kept for a job that came first from 2027-01-15 09:00 UTC: at most 0 cards" in why(outcome, 3)[1]
    outcome = decide(moment(sites, [first, waiting(2, 2, 600, "c")], runs))
    assert placed(outcome) == {}
    code, text = why(outcome, 2)
    assert code == "power"
    assert "power is kept for a job that came first from 2027-01-15 09:00 UTC: at most 1 cards beside" in text
    assert "ask for at most 1 of its cards, or max_duration: 60m or less fits before it" in text
    assert set(placed(decide(moment(sites, [first, waiting(2, 2, 60, "c")], runs)))) == {2}


def test_power_is_kept_in_an_idle_pool_too() -> None:
    sites = (site("bj", 64, power_limits=(limit(10), limit(5, -60, 60))),)  # 11 cards, and 5 for an hour
    first = waiting(1, 8, 600)
    for cards, minutes, begins in ((3, 600, True), (4, 600, False), (4, 60, True)):
        outcome = decide(moment(sites, [first, waiting(2, cards, minutes, "c")]))
        assert set(placed(outcome)) == ({2} if begins else set())


def test_the_tightest_limit_is_told_and_a_length_that_fits_before_all() -> None:
    sites = (site("bj", 64, power_limits=(limit(10, 30, 90), limit(7, 60, 120))),)
    _, text = why(decide(moment(sites, [waiting(1, 8, 600, num_nodes=2)])), 1)
    assert "limited to 7 kW from 2027-01-15 09:00 UTC until 2027-01-15 10:00 UTC: at most 8 cards" in text
    assert "max_duration: 30m or less fits before it, or wait until 2027-01-15 10:00 UTC" in text


def test_a_pass_that_looks_at_groups_of_pools_alone_takes_no_limits() -> None:
    rows = np.zeros((2, c.LIMIT_COLUMNS), np.int64)
    one, two = np.array([0], np.int64), np.array([2], np.int64)
    with pytest.raises(Broken, match="nothing else in common"):
        make_board(
            Pass(whole=False), shelves_of([np.array([8], np.int64)]), [], [], [], jobs=1, running=1,
            caps=Caps(rows, one, two, two),
        )  # fmt: skip


def test_what_could_not_be_paid_for_draws_nothing() -> None:
    sites = (site("bj", 16, power_limits=(limit(7),)),)
    shot = moment(sites, [waiting(1, 8, 60, "poor"), waiting(2, 8, 60, "rich")])
    shot = replace(shot, lots={name: lots for name, lots in shot.lots.items() if name != "poor"})
    assert placed(decide(shot)) == {2: "bj/p0"}


def test_a_look_ahead_says_what_a_turn_would() -> None:
    sites = (site("bj", 16, power_limits=(limit(7, 60, 240),)),)
    runs = [Running(OTHER, "bj", "p0", 4, NOW + 90 * MIN)]
    for row in (waiting(1, 5, 120), waiting(2, 5, 60), waiting(3, 4, 120)):
        shot = moment(sites, [row], runs)
        told = preview(shot, row.spec, row.project, Rules())
        assert told.code == ("" if placed(decide(shot)) else "power")


def test_a_job_that_limits_hold_up_starts_when_they_end() -> None:
    sites = (site("bj", 8, power_limits=(limit(4, 30, 60), limit(3, 90, 120))),)
    assert [each.wait_ms for each in plan(moment(sites, [waiting(1, 8, 45)]), Rules())] == [120 * MIN]
    assert [each.wait_ms for each in plan(moment(sites, [waiting(1, 8, 30)]), Rules())] == [0]
    sites = (site("bj", 8, power_limits=(limit(4),)),)
    assert [each.wait_ms for each in plan(moment(sites, [waiting(1, 8, 45)]), Rules())] == [None]


def test_room_is_made_where_that_frees_the_power_and_nobody_is_stopped_in_vain() -> None:
    def stops(power: Sequence[PowerLimit], full: int, *cards: int) -> list[int]:
        home = site("one", 64, power_limits=tuple(power))
        victims = [running(10 + n, many, 5 + n) for n, many in enumerate(cards)]
        done = preempting([waiting(1, 8, 600)], victims, full, sites=(home,))
        assert 1 not in placed(done)
        return stopped(done)

    assert stops([limit(27)], 32, 8, 8) == [10], "27 kW are 32 cards, and cards are free"
    assert stops([limit(24)], 32, 8, 8) == [10, 11], "24 kW are 28: four have to go beside the eight"
    assert stops([limit(24)], 40, 8, 8) == [], "that would not be enough"
    assert stops([limit(7)], 32, 8, 8, 8) == [], "nor that"
    assert stops([limit(27, 60, 120)], 32, 8, 8) == [], "those that run may have ended by then"
    assert stops([limit(60), limit(27, -60, 60)], 32, 8, 8) == [10]


def test_power_that_is_being_freed_is_waited_for() -> None:
    home = site("one", 64, power_limits=(limit(27),))
    queue = [waiting(1, 8, 600), waiting(2, 8, 600, "c")]
    victims = [running(10, 8, 5), running(11, 8, 6)]
    clearing = (PoolUse("one", "p0", 8),)
    assert stopped(preempting(queue[:1], victims, 32, sites=(home,), clearing=clearing)) == []
    assert stopped(preempting(queue, victims, 32, sites=(home,), clearing=clearing)) == [10]


def test_where_a_limit_asks_for_it_the_least_is_stopped_until_it_holds() -> None:
    def stops(power: Sequence[PowerLimit], full: int, *cards: int, **changes: object) -> list[int]:
        home = site("one", 64, power_limits=tuple(power))
        victims = [running(10 + n, many, 5 + n) for n, many in enumerate(cards)]
        return stopped(preempting([], victims, full, sites=(home,), **changes))

    due = replace(limit(20, -1, 60), stop_jobs=True)  # 23 cards
    assert stops([due], 32, 8, 8, 8) == [10, 11], "nine have to go; those that began last lost least"
    assert stops([due], 32, 16, 8) == [10], "nobody in vain"
    assert stops([due], 64, 8, 8) == [10, 11], "as far as it goes"
    assert stops([due], 23, 8, 8) == []
    assert stops([due], 32, 8, 8, clearing=(PoolUse("one", "p0", 8),)) == [10], "one is on its way out"
    assert stops([replace(due, stop_jobs=False)], 32, 8, 8) == []
    assert stops([replace(due, from_ms=NOW + 1)], 32, 8, 8) == []
    assert stops([replace(due, until_ms=NOW)], 32, 8, 8) == []
    assert stops([replace(due, limit_kw=25), limit(1)], 32, 8, 8) == [10], "of those that ask, the tightest"
    assert stops([replace(limit(20), stop_jobs=True)], 32, 8, 8, 8) == [10, 11]


def test_who_is_stopped_for_power_is_not_stopped_for_room_too() -> None:
    home = site("one", 64, power_limits=(replace(limit(27), stop_jobs=True),))  # 32 cards
    victims = [running(10 + n, 8, 5 + n) for n in range(4)]
    done = preempting([waiting(1, 8, 600)], victims, 40, sites=(home,))
    assert stopped(done) == [10, 11], "eight for the limit, and eight for the job that waits"


asked = st.lists(
    st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 400), st.integers(0, 90)),
    min_size=1,
    max_size=10,
)
spans = st.one_of(
    st.tuples(st.integers(1, 30), st.none(), st.none()),
    st.tuples(st.integers(1, 30), st.integers(0, 120), st.integers(1, 200)),
)
limits = st.lists(spans, min_size=1, max_size=3).map(
    lambda found: tuple(
        limit(kw, start, None if start is None or length is None else start + length)
        for kw, start, length in found
    )
)


def moments(
    sites: tuple[Site, ...],
    queue: Sequence[JobRow],
    comes: Mapping[str, int],
    rules: Rules,
    *,
    stop: bool,
    runs: Sequence[Running] = (),
    served: Mapping[str, int] | None = None,
) -> Iterator[tuple[int, list[Running], set[int]]]:
    """Yield (time, what runs, what was placed) of turns at every moment at which something changes."""
    runs, left, now_ms = list(runs), list(queue), NOW
    settled = {at for each in sites for p in each.power_limits for at in (p.from_ms, p.until_ms) if at > NOW}
    settled |= {at for each in sites for b in each.bookings for at in (b.from_ms, b.until_ms) if at > NOW}
    while True:
        there = [row for row in left if comes.get(row.job.id, NOW) <= now_ms]
        outcome = decide(replace(moment(sites, there, runs, now_ms), served=served or {}), rules)
        gone = set(placed(outcome))
        runs += begun(outcome, now_ms)
        left = [row for row in left if int(row.job.id[3:]) not in gone]
        yield now_ms, list(runs), gone
        ahead = {*settled, *(each.until_ms for each in runs), *comes.values()}
        ahead = {at for at in ahead if at > now_ms}
        if not ahead or (stop and not left):
            return
        now_ms = min(ahead)
        runs = [each for each in runs if each.until_ms > now_ms]


@settings(max_examples=150, deadline=None)
@given(asked, limits, st.sampled_from(Backfill), st.booleans())
def test_at_no_moment_more_is_drawn_than_the_limit(
    asks: list[tuple[int, int, int, int]], power: tuple[PowerLimit, ...], backfill: Backfill, booked: bool
) -> None:
    bookings = (booking(8, 30, 90, "project/b"),) if booked else ()
    sites = (site("bj", 24, 16, power_limits=power, bookings=bookings), site("tj", 8))
    queue = [waiting(n, cards, run, "abc"[n % 3], num_nodes=g) for n, (cards, g, run, _) in enumerate(asks)]
    comes = {row.job.id: NOW + late * MIN for row, (*_, late) in zip(queue, asks, strict=True)}
    for now_ms, runs, _ in moments(sites, queue, comes, Rules(backfill=backfill), stop=False):
        drawn_w = sum(each.cards * CARD_W for each in runs if each.site == "bj")
        for each in power:
            if each.from_ms <= now_ms and not each.is_over(now_ms):
                assert drawn_w <= each.limit_kw * 1000


@settings(max_examples=150, deadline=None)
@given(asked, limits, st.sampled_from([Backfill.EASY, Backfill.GREEDY, Backfill.CONSERVATIVE]), st.booleans())
def test_the_plan_knows_of_limits(
    asks: list[tuple[int, int, int, int]], power: tuple[PowerLimit, ...], backfill: Backfill, booked: bool
) -> None:
    bookings = (booking(8, 30, 90, "project/b"),) if booked else ()
    sites, rules = (site("bj", 24, 16, power_limits=power, bookings=bookings),), Rules(backfill=backfill)
    # One project, for what it uses would change the order.
    queue = [waiting(n, cards, run, num_nodes=gang) for n, (cards, gang, run, _) in enumerate(asks)]
    told = {int(each.job[3:]): each.wait_ms for each in plan(moment(sites, queue), rules)}
    found: dict[int, int | None] = dict.fromkeys(range(len(queue)))
    for now_ms, _, gone in moments(sites, queue, {}, rules, stop=True):
        found |= dict.fromkeys(gone, now_ms - NOW)
    assert told == found


@settings(max_examples=60, deadline=None)
@given(asked, limits, st.sampled_from(Backfill))
def test_without_money_nothing_is_left_counted(
    asks: list[tuple[int, int, int, int]], power: tuple[PowerLimit, ...], backfill: Backfill
) -> None:
    sites = (site("bj", 24, 16, power_limits=power),)
    queue = [waiting(n, cards, run, "ab"[n % 2], num_nodes=g) for n, (cards, g, run, _) in enumerate(asks)]
    shot = moment(sites, queue)
    outcome = turn(replace(shot, lots={ProjectId("a"): shot.lots[ProjectId("a")]}), Rules(backfill=backfill))
    assert outcome.broken == ()
    assert all(opened.differences == () for opened in receipts(outcome))


@settings(max_examples=120, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(30, 400),
    limits,
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 300), st.sampled_from(["p0", "p1"])), max_size=4),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 400), st.integers(0, 200)), max_size=12),
    st.sampled_from([Backfill.EASY, Backfill.CONSERVATIVE]),
)
def test_who_comes_later_does_not_delay_the_first_that_waits_for_power(
    cards: int,
    minutes: int,
    power: tuple[PowerLimit, ...],
    before: list[tuple[int, int, str]],
    later: list[tuple[int, int, int]],
    backfill: Backfill,
) -> None:
    rules = Rules(backfill=backfill)
    sites = (site("bj", 64, 64, power_limits=power),)
    runs = [Running(OTHER, "bj", pool, many, NOW + length * MIN) for many, length, pool in before]
    first = waiting(0, cards, minutes)
    (alone,) = plan(moment(sites, [first], runs), rules)
    if alone.wait_ms is None:
        return
    small = [waiting(n, many, length, "b") for n, (many, length, _) in enumerate(later, 1)]
    comes = {row.job.id: NOW + at * MIN for row, (*_, at) in zip(small, later, strict=True)}
    used = {"project/b": 10**12}  # so that the first stays the first
    for now_ms, _, gone in moments(sites, [first, *small], comes, rules, stop=True, runs=runs, served=used):
        if 0 in gone:
            assert now_ms - NOW <= alone.wait_ms
            return
    raise AssertionError("it never started")


@settings(max_examples=150, deadline=None)
@given(asked, limits)
def test_conservatively_nobody_who_waits_for_power_is_delayed_by_those_after_it(
    asks: list[tuple[int, int, int, int]], power: tuple[PowerLimit, ...]
) -> None:
    sites, rules = (site("bj", 24, power_limits=power),), Rules(backfill=Backfill.CONSERVATIVE)
    queue = [waiting(n, cards, run, num_nodes=gang) for n, (cards, gang, run, _) in enumerate(asks)]
    told = [each.wait_ms for each in plan(moment(sites, queue), rules)]
    for count in range(1, len(queue)):
        alone = plan(moment(sites, queue[:count]), rules)[-1].wait_ms
        with_others = told[count - 1]
        assert alone is None or (with_others is not None and with_others <= alone)
