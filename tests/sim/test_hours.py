"""A supply that differs from hour to hour: what a simulated policy sees of it, and what is accounted."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.ahead import Hours
from hutong.core.placement.columns import Backfill
from hutong.core.placement.judge import judge, table_of
from hutong.core.placement.request import Policy, Request, day_parts, mean_over, view_pool
from hutong.core.work.spec import Ask
from hutong.sim import fused, world
from hutong.sim.chance import wrong_carbon, wrong_forecast
from hutong.sim.city import City, city_of, co2_by_hour, footprint, green_by_hour, scores_of
from hutong.sim.rules import Queueing
from hutong.sim.scores import Scores, mean_ahead
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import World, prepare

GREENEST = Policy("greenest", fit=1, price=1, wait=1, distance=1, green=20)
HOUR_S = 3600


def city(*supplies: list[int]) -> City:
    """Return a site of 100 nodes for each supply; they differ in nothing else."""
    return city_of(
        [
            Site(
                SiteId(f"site-{number}"), "", "", "north", 10, "local",
                (Pool(PoolId("main"), "H100", 100, 8, 10_000_000, 1200, "cuda"),),
                Supply(tuple(supply), (500,) * 24, "a test"),
            )
            for number, supply in enumerate(supplies)
        ]
    )  # fmt: skip


DAY_AND_NIGHT = city([900_000] * 12 + [100_000] * 12, [100_000] * 12 + [900_000] * 12)


def hourly_jobs(run_s: int) -> Trace:
    """Return a job an hour, for two days."""
    hours = np.arange(48)
    return make_trace("hours", "a test", submit_s=hours * HOUR_S, run_s=[run_s] * 48, cards_per_node=[8] * 48)


def ready(trace: Trace, where: City, seen: np.ndarray | None = None) -> World:
    scores = scores_of(where, GREENEST, green_ppm=seen)
    return prepare(trace, where.cluster, Queueing.FIFO, Backfill.EASY, isolated=False, scores=scores)


def test_jobs_go_where_the_hours_to_come_are_green() -> None:
    short, long = hourly_jobs(600), hourly_jobs(6 * HOUR_S)
    night = (np.arange(48) % 24 >= 12).astype(int)
    assert world.run(ready(short, DAY_AND_NIGHT)).pool.tolist() == night.tolist()
    found = world.run(ready(long, DAY_AND_NIGHT)).pool.tolist()
    assert found[:9] == [0] * 9, "at 8 most of the next six hours are green in the first place"
    assert found[10:21] == [1] * 11, "at 10 most of them are in the other"


def test_the_machine_loop_sees_the_same_hours() -> None:
    for trace in (hourly_jobs(600), hourly_jobs(5 * HOUR_S + 100)):
        slow, fast = (loop(ready(trace, DAY_AND_NIGHT)) for loop in (world.run, fused.run))
        assert slow.digest == fast.digest
        assert set(slow.pool.tolist()) == {0, 1}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1_000_000), min_size=24, max_size=24), st.integers(1, 86_400))
def test_what_a_policy_sees_of_the_hours_is_what_the_live_turn_sees(supply: list[int], run_s: int) -> None:
    where = city(supply)
    ahead = mean_ahead(green_by_hour(where), run_s)
    live = [mean_over(supply, day_parts(hour * HOUR_MS, run_s * 1000)) for hour in range(24)]
    assert ahead[:, 0].tolist() == live


MIXED = (("H100", 1200), ("Ascend910B", 1350), ("MLU370", 1150), ("X9", 1100))
CLEAN = Policy("clean", fit=1, price=2, wait=1, distance=1, green=3, speed=2, carbon=7, energy=5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 5000), min_size=24, max_size=24), min_size=4, max_size=4),
    st.lists(
        st.just([]) | st.lists(st.integers(0, 99_999_999), min_size=24, max_size=24), min_size=4, max_size=4
    ),
    st.integers(1, 90_000),
    st.integers(1, 8),
)
def test_every_part_of_a_score_is_what_the_live_turn_would_say(
    grams: list[list[int]], prices: list[list[int]], run_s: int, cards: int
) -> None:
    """The bases of the simulator are those of `judge` for the live request, hour by hour, to the bit."""
    sites = [
        replace(
            each,
            pools=(replace(each.pools[0], accelerator=chip, pue_milli=pue_milli),),
            supply=replace(each.supply, grams_per_kwh=tuple(emits), price_micro_per_kwh=tuple(paid)),
        )
        for (chip, pue_milli), emits, paid, (each, _) in zip(
            MIXED, grams, prices, city(*[[250_000 + 1000 * at] * 24 for at in range(4)]).pools, strict=True
        )
    ]
    where = city_of(sites)
    trace = make_trace("one", "a test", submit_s=[0], run_s=[run_s], cards_per_node=[cards])
    found = prepare(
        trace, where.cluster, Queueing.FIFO, Backfill.EASY, isolated=False, scores=scores_of(where, CLEAN)
    )
    views = tuple(view_pool(site, pool, pool.cards, 0, reachable=True) for site, pool in where.pools)
    asks = tuple(Ask(chip, cards) for chip in sorted(chip for chip, _ in MIXED))
    request = Request(1, asks, False, 0, 0, run_s * 1000, "batch", (), (), None)
    hours = Hours([site for site, _ in where.pools])
    for hour in range(24):
        live = judge(request, CLEAN, table_of(views), hours.over(hour * HOUR_MS, run_s * 1000))
        assert found.hourly[hour, 0].tolist() == live.base.tolist()


def test_no_centre_has_a_past_and_reliability_changes_nothing() -> None:
    trace, sure = hourly_jobs(5 * HOUR_S + 100), replace(GREENEST, reliability=7)
    scores = scores_of(DAY_AND_NIGHT, sure)
    assert scores.weights == scores_of(DAY_AND_NIGHT, GREENEST).weights + 7
    with_it = prepare(
        trace, DAY_AND_NIGHT.cluster, Queueing.FIFO, Backfill.EASY, isolated=False, scores=scores
    )
    assert world.run(with_it).digest == world.run(ready(trace, DAY_AND_NIGHT)).digest


def test_jobs_go_where_the_work_emits_least_and_a_wrong_forecast_errs_in_that_too() -> None:
    two = [
        replace(each, supply=replace(each.supply, grams_per_kwh=tuple(grams)))
        for (each, _), grams in zip(
            city([500_000] * 24, [500_000] * 24).pools, ([100] * 12 + [900] * 12, [500] * 24), strict=True
        )
    ]
    where, trace = city_of(two), hourly_jobs(600)
    policy = replace(GREENEST, carbon=10)
    night = (np.arange(48) % 24 >= 12).astype(int)

    def start(scores: Scores) -> World:
        return prepare(trace, where.cluster, Queueing.FIFO, Backfill.EASY, isolated=False, scores=scores)

    right = world.run(start(scores_of(where, policy)))
    assert right.pool.tolist() == night.tolist()
    assert fused.run(start(scores_of(where, policy))).digest == right.digest
    names = [site.id for site, _ in where.pools]
    seen = wrong_carbon(co2_by_hour(where), names, 900_000, seed=3)
    assert seen.shape == (28 * 24, 2)
    green = np.tile(green_by_hour(where), (28, 1))
    wrong = world.run(start(scores_of(where, policy, green_ppm=green, co2_mg_per_kwh=seen)))
    assert wrong.pool.tolist() != night.tolist()
    emitted = [footprint(where, trace, each, 0).carbon_kg for each in (right, wrong)]
    assert emitted[0] < emitted[1], "what is accounted is the true supply"


def test_jobs_go_where_electricity_is_cheaper_and_the_bill_is_told_where_all_say_prices() -> None:
    day, night = [300_000] * 12 + [900_000] * 12, [900_000] * 12 + [300_000] * 12
    two = [
        replace(each, supply=replace(each.supply, price_micro_per_kwh=tuple(prices)))
        for (each, _), prices in zip(city([0] * 24, [0] * 24).pools, (day, night), strict=True)
    ]
    where, trace = city_of(two), hourly_jobs(600)

    def start(place: City, policy: Policy) -> World:
        return prepare(
            trace,
            place.cluster,
            Queueing.FIFO,
            Backfill.EASY,
            isolated=False,
            scores=scores_of(place, policy),
        )

    thrifty = replace(GREENEST, energy=10)
    found = world.run(start(where, thrifty))
    assert found.pool.tolist() == (np.arange(48) % 24 >= 12).astype(int).tolist()
    assert fused.run(start(where, thrifty)).digest == found.digest
    told, other = (footprint(where, trace, world.run(start(where, each)), 0) for each in (thrifty, GREENEST))
    paid = [each.electricity_yuan for each in (told, other)]
    assert paid[0] is not None
    assert paid[1] is not None
    assert abs(paid[0] - told.energy_kwh * 0.3) < 1e-6, "always by the lower price"
    assert abs(paid[1] - other.energy_kwh * 0.6) < 1e-6, "one site by day and by night"
    half = city_of([two[0], replace(two[1], supply=replace(two[1].supply, price_micro_per_kwh=()))])
    assert footprint(half, trace, found, 0).electricity_yuan is None
    none = city_of([each for each, _ in city([0] * 24, [0] * 24).pools])
    assert scores_of(none, thrifty).weights == scores_of(none, GREENEST).weights, "it counts nowhere"
    assert world.run(start(none, thrifty)).digest == world.run(start(none, GREENEST)).digest


def test_a_wrong_forecast_changes_where_jobs_go_and_never_what_is_accounted() -> None:
    even = city([500_000] * 24, [510_000] * 24)
    trace = hourly_jobs(600)
    names = [site.id for site, _ in even.pools]
    seen = wrong_forecast(green_by_hour(even), names, 200_000, seed=3)
    right, wrong = world.run(ready(trace, even)), world.run(ready(trace, even, seen))
    assert right.pool.tolist() == [1] * 48
    assert set(wrong.pool.tolist()) == {0, 1}
    told = footprint(even, trace, wrong, 0)
    shares = np.where(wrong.pool == 1, 0.51, 0.5)
    assert abs(told.green_share - shares.mean()) < 1e-9
    assert fused.run(ready(trace, even, seen)).digest == wrong.digest


def test_a_forecast_is_as_wrong_as_asked_for_by_site_and_the_same_by_seed() -> None:
    green = np.full((24, 3), 400_000, np.int64)
    seen = wrong_forecast(green, ["a", "a", "b"], 100_000, seed=1)
    assert seen.shape == (28 * 24, 3)
    assert (seen[:, 0] == seen[:, 1]).all()
    assert (seen[:, 0] != seen[:, 2]).any()
    errors = seen[:, [0, 2]] / 400_000 - 1
    assert 0.08 < errors.std() < 0.12
    assert np.corrcoef(errors[1:, 0], errors[:-1, 0])[0, 1] > 0.8, "it lasts for hours"
    assert (wrong_forecast(green, ["a", "a", "b"], 100_000, seed=1) == seen).all()
    assert (wrong_forecast(green, ["a", "a", "b"], 100_000, seed=2) != seen).any()
    assert (wrong_forecast(green, ["a", "a", "b"], 0, seed=1) == 400_000).all()
    bright = replace(DAY_AND_NIGHT.pools[0][0].supply, green_ppm=(990_000,) * 24)
    much = wrong_forecast(np.array([bright.green_ppm]).T, ["a"], 900_000, seed=1)
    assert (much.min(), much.max()) == (1, 1_000_000)
