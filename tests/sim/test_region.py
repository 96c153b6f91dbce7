"""Where and when together: sites keep their cards, jobs follow the green power, pinned ones stay near."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement.arrays import Ints
from hutong.sim import green, region
from hutong.sim.green import HOUR_S, Work

NEVER = np.zeros(48, np.int64)
WINDY_LATER = np.array([0, 0, 0, *[100_000] * 45], np.int64)


def _sites(*green_w: Ints, cards: int = 8) -> region.Region:
    count = len(green_w)
    return region.Region(
        tuple("abcd"[:count]),
        np.full(count, cards),
        np.full(count, 1000),
        np.full(count, 600_000),
        np.stack(green_w),
    )


def _work(arrival: list[int], length: list[int], cards: list[int], wait_h: int = 6) -> Work:
    count = len(arrival)
    queue = np.array([0 if each < 2 * HOUR_S else 1 for each in length])
    return Work(np.array(arrival), np.array(length), np.array(cards), queue, np.full(count, wait_h * HOUR_S))


def _run(work: Work, sites: region.Region, policy: int = region.BEST_PLACE, price: int = 0) -> region.Outcome:
    nobody = np.zeros(len(work), np.bool_)
    return region.run_region(work, sites, green.learn(work, HOUR_S), nobody, policy, price=price)


def test_the_first_site_with_room_or_the_one_with_green_power() -> None:
    work = _work([0], [3600], [4])
    sites = _sites(NEVER, NEVER + 100_000)
    first, best = _run(work, sites, region.IN_ORDER), _run(work, sites)
    assert first.energy_kwh == (4.0, 0.0)
    assert (first.carbon_kg, first.green) == (2.4, 0.0)
    assert best.energy_kwh == (0.0, 4.0)
    assert (best.carbon_kg, best.green) == (0.0, 1.0)


def test_a_job_waits_for_the_wind_if_that_is_worth_its_price_and_within_its_wait() -> None:
    work, sites = _work([0], [3600], [4]), _sites(WINDY_LATER)
    assert _run(work, sites).wait_h == 3
    assert _run(work, sites).green == 1
    assert _run(work, sites, price=10_000_000).wait_h == 0
    assert _run(_work([0], [3600], [4], wait_h=2), sites).wait_h <= 2


def test_green_power_that_others_use_is_not_there() -> None:
    # The second site has green power for one of the jobs: the other is better off with the first's.
    work = _work([0, 0], [3600, 3600], [4, 4], wait_h=0)
    found = _run(work, _sites(NEVER + 3000, NEVER + 4000))
    assert found.energy_kwh == (4.0, 4.0)
    assert found.green == 7 / 8


def test_a_job_that_waits_takes_the_power_of_one_that_ended_early() -> None:
    # When the second job comes, the first is expected to need what green power there is for long.
    windy_tomorrow = np.array([*[4000] * 20, *[100_000] * 28], np.int64)
    work = _work([0, 600], [2 * HOUR_S, 2 * HOUR_S], [4, 4], wait_h=24)
    found = _run(work, _sites(windy_tomorrow))
    assert found.green == 1
    assert found.wait_h == (2 * HOUR_S - 600) / HOUR_S / 2


def test_pinned_jobs_start_near_and_at_once() -> None:
    work = _work([0, 60], [3600, 1800], [4, 4])
    sites = _sites(NEVER, NEVER, NEVER + 100_000)
    pinned = np.array([False, True])
    found = region.run_region(work, sites, green.learn(work, HOUR_S), pinned, region.BEST_PLACE)
    assert found.violations == 0
    assert sum(found.energy_kwh[:2]) == 2.0
    assert found.energy_kwh[2] == 4.0


def test_what_is_not_pinned_makes_room_and_goes_on_elsewhere_from_its_checkpoint() -> None:
    # Two jobs fill the near site; the latest is stopped for the pinned one after 1 h 50 min of its work.
    work = _work([0, 600, 7200], [4 * HOUR_S, 4 * HOUR_S, 1800], [4, 4, 3], wait_h=0)
    sites, pinned = _sites(NEVER + 100_000, NEVER), np.array([False, False, True])
    learnt = green.learn(work, HOUR_S)
    plain = region.run_region(work, sites, learnt, pinned, region.BEST_PLACE, near=1)
    found = region.run_region(work, sites, learnt, pinned, region.BEST_PLACE, near=1, make_room=True)
    assert (plain.violations, plain.stops) == (1, 0)
    assert (found.violations, found.stops, found.unplaced) == (0, 1, 0)
    # 50 minutes are worked again, after a restore of ten, from the next step on.
    assert found.delay_h == (50 * 60 + region.RESTORE_S + region.STEP_S) / HOUR_S / 3
    assert found.wait_h == 0


def test_no_job_is_stopped_if_that_frees_too_few_cards() -> None:
    work = _work([0, 60, 7200], [4 * HOUR_S, 4 * HOUR_S, 1800], [5, 2, 4], wait_h=0)
    sites, pinned = _sites(NEVER), np.array([True, False, True])
    found = region.run_region(
        work, sites, green.learn(work, HOUR_S), pinned, region.BEST_PLACE, near=1, make_room=True
    )
    assert (found.stops, found.violations, found.unplaced) == (0, 1, 0)


def _busy(seed: int) -> tuple[Work, region.Region]:
    chance = np.random.default_rng(seed)
    length = chance.integers(300, 40_000, 80)
    arrival = np.sort(chance.integers(0, 86_400, 80))
    work = _work(arrival.tolist(), length.tolist(), chance.integers(1, 6, 80).tolist())
    return work, _sites(chance.integers(0, 9000, 48), chance.integers(0, 9000, 48), cards=24)


def test_no_site_ever_runs_more_cards_than_it_has() -> None:
    for seed in range(3):
        work, sites = _busy(seed)
        learnt = green.learn(work, (HOUR_S, region.STEP_S, HOUR_S // 4)[seed])
        pinned = np.array([each % 5 == 0 and seed > 0 for each in range(80)])
        start, stops, cut, *last = region._run(
            work.arrival, work.length, work.cards, work.queue, np.where(pinned, 0, work.wait),
            pinned.astype(np.int64), learnt.curves, learnt.row, learnt.steps, learnt.quantum, sites.cards,
            sites.pue_milli, sites.mg_per_kwh, sites.green_w, 1000, region.BEST_PLACE, np.zeros(80, np.int64),
            1, np.array([3, 3]), seed > 0,
        )  # fmt: skip
        assert (last[0] >= 0).all()
        assert (start >= work.arrival).all()
        assert bool(stops.sum()) == (seed > 0)
        ran = np.concatenate([cut, np.stack([np.arange(80), *last], axis=1)])
        worked = np.bincount(ran[:, region.JOB], ran[:, region.UNTIL] - ran[:, region.FROM])
        assert (worked >= work.length).all()
        assert (worked <= work.length + stops * (region.CHECKPOINT_S + region.RESTORE_S)).all()
        assert not stops[pinned].any()
        for moment in ran[:, region.FROM]:
            now = ran[(ran[:, region.FROM] <= moment) & (moment < ran[:, region.UNTIL])]
            assert len(set(now[:, region.JOB])) == len(now)
            for each in range(2):
                assert work.cards[now[now[:, region.SITE] == each, region.JOB]].sum() <= 24


def test_a_job_that_fits_nowhere_is_left_and_counted() -> None:
    work = _work([0, 0], [3600, 3600], [4, 99])
    found = _run(work, _sites(NEVER))
    assert found.unplaced == 1
    assert found.energy_kwh == (4.0,)


def test_one_that_ends_within_the_hour_leaves_the_rest_of_its_power() -> None:
    windy_later = np.array([4000, *[100_000] * 47], np.int64)
    work = _work([0, 1800], [1800, 1800], [4, 4])
    nobody = np.zeros(2, np.bool_)
    known = green.knowing(work, HOUR_S // 4)
    found = region.run_region(work, _sites(windy_later), known, nobody, region.BEST_PLACE, price=1)
    assert (found.green, found.wait_h) == (1, 0)


def test_who_chooses_again_counts_with_who_is_due() -> None:
    # Green power for one job in the third hour and for another in the fourth.
    windy = np.array([0, 0, 4000, 4000, *[0] * 44], np.int64)
    work = _work([0, 60], [HOUR_S, HOUR_S], [4, 4])
    nobody, known = np.zeros(2, np.bool_), green.knowing(work, HOUR_S // 4)
    found = region.run_region(work, _sites(windy), known, nobody, region.BEST_PLACE, price=1000)
    assert found.green == 1
    assert found.delay_h == (2 + 3 - 60 / HOUR_S) / 2


def test_each_job_may_have_its_own_price_of_an_hour() -> None:
    work, sites = _work([0, 0], [HOUR_S, HOUR_S], [4, 4]), _sites(WINDY_LATER)
    nobody, known = np.zeros(2, np.bool_), green.knowing(work, HOUR_S // 4)
    prices = np.array([10_000_000, 1000])
    found = region.run_region(work, sites, known, nobody, region.BEST_PLACE, price=prices)
    assert (found.wait_h, found.green) == (1.5, 0.5)


@given(
    st.integers(1, 40),
    st.sampled_from((1, 2, 4, 12)),
    st.integers(0, 11),
    st.lists(st.integers(0, 1_000_000), max_size=30),
)
@settings(max_examples=50)
def test_the_hours_of_a_run_add_up_to_its_expected_length(
    cards: int, an_hour: int, begin: int, alive: list[int]
) -> None:
    curve = np.array([1_000_000, *sorted(alive, reverse=True), 0], np.int64)
    slots = float((curve[1:] + curve[:-1]).sum()) / 2_000_000
    hours, plan = np.empty((len(curve) + 2, 2), np.int64), np.zeros(256, np.int64)
    count = region._by_hour(curve, begin % an_hour, an_hour, hours)
    # What has hardly a chance is cut off, and integers are rounded down.
    assert abs(float((hours[:count, 0] * hours[:count, 1]).sum()) / 1e12 - slots / an_hour) < 1e-4
    region._expect(plan, begin % an_hour, an_hour, curve, 0, cards)
    assert abs(float(plan.sum()) / 1e6 - cards * slots / an_hour) < 1e-3
    assert not plan[count:].any()


def test_a_choice_does_not_know_the_jobs_length() -> None:
    work, sites = _work([0], [3 * HOUR_S], [4], wait_h=24), _sites(WINDY_LATER)
    longer = replace(work, length=np.array([30 * HOUR_S]))
    assert _run(work, sites, price=100_000).wait_h == _run(longer, sites, price=100_000).wait_h
