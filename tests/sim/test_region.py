"""Where and when together: sites keep their cards, jobs follow the green power, pinned ones stay near."""

from dataclasses import replace

import numpy as np

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


def _run(work: Work, sites: region.Region, policy: int = region.BEST_PLACE, **more: int) -> region.Outcome:
    nobody = np.zeros(len(work), np.bool_)
    return region.run_region(work, sites, green.learn(work, HOUR_S), nobody, policy, **more)


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


def test_pinned_jobs_start_near_and_at_once() -> None:
    work = _work([0, 60], [3600, 1800], [4, 4])
    sites = _sites(NEVER, NEVER, NEVER + 100_000)
    pinned = np.array([False, True])
    found = region.run_region(work, sites, green.learn(work, HOUR_S), pinned, region.BEST_PLACE)
    assert found.violations == 0
    assert sum(found.energy_kwh[:2]) == 2.0
    assert found.energy_kwh[2] == 4.0


def _busy(seed: int) -> tuple[Work, region.Region]:
    chance = np.random.default_rng(seed)
    length = chance.integers(300, 40_000, 80)
    arrival = np.sort(chance.integers(0, 86_400, 80))
    work = _work(arrival.tolist(), length.tolist(), chance.integers(1, 6, 80).tolist())
    return work, _sites(chance.integers(0, 9000, 48), chance.integers(0, 9000, 48), cards=24)


def test_no_site_ever_runs_more_cards_than_it_has() -> None:
    for seed in range(3):
        work, sites = _busy(seed)
        learnt = green.learn(work, HOUR_S)
        start, site = region._run(
            work.arrival, work.length, work.cards, work.queue, work.wait // HOUR_S, np.zeros(80, np.int64),
            learnt.curves, learnt.row, learnt.steps, sites.cards, sites.pue_milli, sites.mg_per_kwh,
            sites.green_w, 1000, region.BEST_PLACE, 0, 2, 3,
        )  # fmt: skip
        assert (site >= 0).all()
        assert (start >= work.arrival).all()
        for moment in start:
            running = (start <= moment) & (moment < start + work.length)
            for each in range(2):
                assert work.cards[running & (site == each)].sum() <= 24


def test_a_job_that_fits_nowhere_is_left_and_counted() -> None:
    work = _work([0, 0], [3600, 3600], [4, 99])
    found = _run(work, _sites(NEVER))
    assert found.unplaced == 1
    assert found.energy_kwh == (4.0,)


def test_a_choice_does_not_know_the_jobs_length() -> None:
    work, sites = _work([0], [3 * HOUR_S], [4], wait_h=24), _sites(WINDY_LATER)
    longer = replace(work, length=np.array([30 * HOUR_S]))
    assert _run(work, sites, price=100_000).wait_h == _run(longer, sites, price=100_000).wait_h
