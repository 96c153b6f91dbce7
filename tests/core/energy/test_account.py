"""Energy by the hour: parts sum, slicing changes nothing, the arithmetic is the textbook's."""

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.sites import Supply
from hutong.core.energy.account import Energy, energy_of
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS, hour_slices

supplies = st.builds(
    Supply,
    green_ppm=st.lists(st.integers(0, 1_000_000), min_size=24, max_size=24).map(tuple),
    grams_per_kwh=st.lists(st.integers(0, 1000), min_size=24, max_size=24).map(tuple),
    source=st.just("test"),
)


def test_one_card_hour_of_a_kilowatt_is_a_kilowatt_hour() -> None:
    supply = Supply((250_000,) * 24, (600,) * 24, "test")
    energy = energy_of(supply, cards=1, tdp_w=1000, pue_milli=1000, start_ms=0, run_ms=HOUR_MS)
    assert energy == Energy(3_600_000, 900_000, 600_000)


def test_pue_adds_what_the_building_takes() -> None:
    supply = Supply((0,) * 24, (0,) * 24, "test")
    energy = energy_of(supply, cards=8, tdp_w=700, pue_milli=1250, start_ms=0, run_ms=HOUR_MS)
    assert energy.energy_j == 8 * 700 * 3600 * 125 // 100


@given(supplies, st.integers(0, 2 * DAY_MS), st.lists(st.integers(0, 2 * DAY_MS), max_size=6))
def test_slices_telescope(supply: Supply, start_ms: int, cuts: list[int]) -> None:
    total = 0
    summed = Energy(0, 0, 0)
    for cut in cuts:
        before = energy_of(supply, 3, 350, 1300, start_ms, total)
        total += cut
        part = energy_of(supply, 3, 350, 1300, start_ms, total).minus(before)
        summed = Energy(
            summed.energy_j + part.energy_j, summed.green_j + part.green_j, summed.co2_mg + part.co2_mg
        )
        assert min(part.energy_j, part.green_j, part.co2_mg) >= 0
    assert summed == energy_of(supply, 3, 350, 1300, start_ms, total)
    assert summed.green_j <= summed.energy_j


@given(supplies, st.integers(0, 2 * DAY_MS), st.integers(0, 5 * DAY_MS))
def test_the_short_way_over_whole_days_equals_the_hour_by_hour_sum(
    supply: Supply, start_ms: int, run_ms: int
) -> None:
    green = sum(
        2 * 400 * 1100 * part * supply.green_ppm[hour // HOUR_MS % 24]
        for hour, part in hour_slices(start_ms, start_ms + run_ms)
    )
    assert energy_of(supply, 2, 400, 1100, start_ms, run_ms).green_j == green // 10**12
