"""Moving work to green hours: what the kernels promise, held against trying everything."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.capacity.sites import Supply
from hutong.core.energy.account import energy_of
from hutong.core.placement import lengths, shifting
from hutong.core.placement.arrays import Ints
from hutong.core.placement.lengths import ALIVE, JOB
from hutong.core.placement.pausing import best_pauses, known_length, segments
from hutong.core.placement.shifting import best_start, best_starts, latest_start, prefix_sums, used

SLOT = 4
few = settings(max_examples=40, deadline=None)
signals = st.lists(st.integers(0, 9), min_size=2, max_size=9).map(lambda each: np.array(each, np.int64))
falling = st.lists(st.integers(0, ALIVE), max_size=3).map(
    lambda each: np.array([ALIVE, *sorted(each, reverse=True), 0], np.int64)
)


def _slow(signal: Ints, start: int, end: int) -> int:
    return sum(int(signal[moment // SLOT % len(signal)]) for moment in range(start, end))


@few
@given(signals, st.integers(0, 40), st.integers(0, 90))
def test_what_a_span_uses_is_the_sum_over_its_moments(signal: Ints, start: int, length: int) -> None:
    assert used(signal, prefix_sums(signal), SLOT, start, start + length) == _slow(
        signal, start, start + length
    )


@few
@given(signals, st.integers(0, 20), st.integers(1, 30), st.integers(0, 30), st.integers(0, 3))
def test_no_start_costs_less_than_the_lowest_window(
    signal: Ints, arrival: int, length: int, wait: int, price: int
) -> None:
    start = best_start(
        signal, prefix_sums(signal), SLOT, shifting.LOWEST_WINDOW, arrival, length, arrival + wait, price
    )
    tried = [
        (_slow(signal, at, at + length) + price * (at - arrival), at)
        for at in range(arrival, arrival + wait + 1)
    ]
    assert start == min(tried)[1]


@few
@given(signals, st.integers(0, 20), st.integers(1, 30), st.integers(0, 30))
def test_no_start_saves_more_per_delay(signal: Ints, arrival: int, length: int, wait: int) -> None:
    now = _slow(signal, arrival, arrival + length)

    def rate(at: int) -> int:
        return (now - _slow(signal, at, at + length)) * 1000 // (at + length - arrival)

    start = best_start(
        signal, prefix_sums(signal), SLOT, shifting.SAVING_PER_DELAY, arrival, length, arrival + wait, 0
    )
    assert rate(start) == max(rate(at) for at in range(arrival, arrival + wait + 1))


@few
@given(signals, st.integers(0, 20), st.integers(0, 30), st.integers(0, 10))
def test_the_lowest_slot_and_the_threshold_are_found_at_their_first_moment(
    signal: Ints, arrival: int, wait: int, threshold: int
) -> None:
    value = {at: int(signal[at // SLOT % len(signal)]) for at in range(arrival, arrival + wait + 1)}
    sums = prefix_sums(signal)
    lowest = best_start(signal, sums, SLOT, shifting.LOWEST_SLOT, arrival, 1, arrival + wait, 0)
    assert lowest == min(value, key=lambda at: (value[at], at))
    below = best_start(signal, sums, SLOT, shifting.BELOW_THRESHOLD, arrival, 1, arrival + wait, threshold)
    assert below == next((at for at in value if value[at] < threshold), arrival + wait)


@few
@given(signals, st.integers(0, 20), st.integers(1, 30), st.integers(0, 30), st.sampled_from(range(5)))
def test_a_start_keeps_the_wait_and_a_deadline_that_can_be_kept(
    signal: Ints, arrival: int, length: int, wait: int, rule: int
) -> None:
    end = arrival + length + 7
    latest = latest_start(arrival, length, wait, end)
    start = best_start(signal, prefix_sums(signal), SLOT, rule, arrival, length, latest, 3)
    assert arrival <= start <= arrival + wait
    assert start + length <= end


def test_a_deadline_that_cannot_be_kept_asks_for_a_start_now() -> None:
    assert latest_start(10, 50, 100, 20) == 10
    assert latest_start(10, 50, 100) == 110


def test_a_sites_signal_counts_as_its_energy_account_does() -> None:
    supply = Supply(tuple(range(0, 24_000, 1000)), tuple(range(400, 880, 20)), "made")
    now_s, run_s = 1_790_000_123, 100_000
    account = energy_of(supply, 3, 700, 1200, now_s * 1000, run_s * 1000)
    carbon, lack = shifting.carbon_signal(supply), shifting.ungreen_signal(supply)
    watts = 3 * 700 * 1.2
    mg = used(carbon, prefix_sums(carbon), 3600, now_s, now_s + run_s) * watts / 1000 / 3600
    assert abs(account.co2_mg - mg) <= 1
    missing_j = used(lack, prefix_sums(lack), 3600, now_s, now_s + run_s) * watts / 1e6
    assert abs(account.energy_j - account.green_j - missing_j) <= 1


def test_smoothing_averages_with_neighbours_around_the_end() -> None:
    signal = np.array([4, 8, 0, 12], np.int64)
    assert shifting.smoothed(signal, 1).tolist() == signal.tolist()
    assert shifting.smoothed(signal, 2).tolist() == [7, 5, 5, 7]
    assert shifting.smoothed(np.full(6, 5, np.int64), 3).tolist() == [5] * 6


def _expected_cost(
    signal: Ints, arrival: int, quantum: int, alive: Ints, price: int, resume: int, pauses: tuple[int, ...]
) -> int:
    cost, at = 0, arrival
    for r, pause in enumerate(pauses):
        at += pause * quantum
        cost += pause * (price * quantum * int(alive[r]) // ALIVE)
        if pause and r:
            cost += _slow(signal, at - resume, at) * int(alive[r]) // ALIVE
        cost += _slow(signal, at, at + quantum) * int(alive[r]) // ALIVE
        at += quantum
    return cost


@few
@given(
    signals, st.integers(0, 9), st.integers(2, 5), falling, st.integers(0, 3), st.integers(0, 2),
    st.integers(0, 1), st.booleans(),
)  # fmt: skip
def test_no_list_of_pauses_is_cheaper_in_expectation(
    signal: Ints, arrival: int, quantum: int, alive: Ints, most: int, price: int, resume: int, once: bool
) -> None:
    # Large values, so that what integers cut off cannot decide.
    signal = signal * 1_000_003
    price *= 1_000_003
    found = best_pauses(signal, prefix_sums(signal), SLOT, arrival, quantum, alive, most, price, resume, once)
    every = [
        each
        for each in product(range(most + 1), repeat=len(alive) - 1)
        if sum(each) <= most and not (once and any(each[1:]))
    ]
    costs = {each: _expected_cost(signal, arrival, quantum, alive, price, resume, each) for each in every}
    chosen = tuple(found.tolist())
    assert chosen in costs
    assert costs[chosen] <= min(costs.values()) + len(alive) * 4


@few
@given(
    signals,
    st.integers(0, 9),
    st.integers(2, 5),
    falling,
    st.integers(0, 4),
    st.integers(1, 40),
    st.integers(0, 1),
)
def test_a_paused_job_does_all_its_work_and_ends_within_its_wait(
    signal: Ints, arrival: int, quantum: int, alive: Ints, most: int, length: int, resume: int
) -> None:
    pauses = best_pauses(signal, prefix_sums(signal), SLOT, arrival, quantum, alive, most, 0, resume, False)
    spans = segments(pauses, arrival, quantum, length, resume)
    assert (spans[:, 1] > spans[:, 0]).all()
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    assert arrival <= spans[0, 0]
    assert int((spans[:, 1] - spans[:, 0]).sum()) == length + resume * (len(spans) - 1)
    assert spans[-1, 1] <= arrival + length + most * quantum


def test_a_job_that_outlasts_its_curve_runs_on_without_a_pause() -> None:
    signal = np.array([9, 1, 9, 1, 9, 9, 1, 1], np.int64)
    pauses = best_pauses(signal, prefix_sums(signal), SLOT, 0, SLOT, known_length(2), 4, 0, 0, False)
    assert segments(pauses, 0, SLOT, 8, 0).tolist() == [[4, 8], [12, 16]]
    assert segments(pauses, 0, SLOT, 20, 0).tolist() == [[4, 8], [12, 28]]
    assert segments(pauses, 0, SLOT, 3, 0).tolist() == [[4, 7]]


@few
@given(signals, st.integers(0, 20), st.integers(1, 6))
def test_a_longer_wait_never_costs_more_when_all_is_known(signal: Ints, arrival: int, quanta: int) -> None:
    sums, length = prefix_sums(signal), quanta * SLOT
    whole, parts = [], []
    for wait in range(6):
        latest = arrival + wait * SLOT
        start = best_start(signal, sums, SLOT, shifting.LOWEST_WINDOW, arrival, length, latest, 0)
        whole.append(_slow(signal, start, start + length))
        pauses = best_pauses(signal, sums, SLOT, arrival, SLOT, known_length(quanta), wait, 0, 0, False)
        spans = segments(pauses, arrival, SLOT, length, 0)
        parts.append(sum(_slow(signal, int(a), int(b)) for a, b in spans))
    assert whole == sorted(whole, reverse=True)
    assert parts == sorted(parts, reverse=True)


def test_a_pause_that_saves_less_than_its_restore_is_not_made() -> None:
    signal = np.array([5, 6, 5], np.int64)
    free = best_pauses(signal, prefix_sums(signal), SLOT, 0, SLOT, known_length(2), 1, 0, 0, False)
    assert free.tolist() == [0, 1]
    dear = best_pauses(signal, prefix_sums(signal), SLOT, 0, SLOT, known_length(2), 1, 0, 1, False)
    assert dear.tolist() == [0, 0]


def test_a_curve_without_running_jobs_is_the_share_that_lasted_longer() -> None:
    none = np.zeros(4, np.int64)
    ended = np.array([1, 2, 0, 1], np.int64) * JOB
    assert lengths.survival(ended, none, none).tolist() == [ALIVE, 750_000, 250_000, 250_000, 0]
    assert lengths.survival(none, none, none).tolist() == [ALIVE] * 5


def test_jobs_that_still_run_make_the_curve_longer() -> None:
    none = np.zeros(3, np.int64)
    ended = np.array([1, 0, 1], np.int64) * JOB
    running = np.array([0, 2, 0], np.int64) * JOB
    assert lengths.survival(ended, running, none).tolist() == [ALIVE, 750_000, 750_000, 0]


def test_quantile_and_mean_of_a_curve() -> None:
    curve = np.array([ALIVE, 750_000, 250_000, 0], np.int64)
    assert [lengths.quantile(curve, ppm) for ppm in (0, 250_000, 250_001, 500_000, 900_000)] == [
        0,
        1,
        2,
        2,
        3,
    ]
    assert lengths.quantile(np.array([ALIVE, 900_000], np.int64), 500_000) == 1
    assert lengths.mean(curve) == 2
    assert lengths.mean(np.array([ALIVE, 0], np.int64)) == 1


def test_a_prior_spreads_its_jobs_over_ever_longer_ones() -> None:
    prior = lengths.spread_prior(2, 10, 3)
    assert prior[:2].tolist() == [0, 0]
    assert sorted(prior[2:].tolist(), reverse=True) == prior[2:].tolist()
    assert 3 * JOB - 10 <= prior.sum() <= 3 * JOB


SIGNAL = np.array([7, 3, 8, 2, 9, 4], np.int64)
SUMS = prefix_sums(SIGNAL)
CURVE = np.array([ALIVE, 800_000, 300_000, 0], np.int64)
KERNELS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (shifting.used_until, (SIGNAL, SUMS, SLOT, 31)),
    (shifting.used, (SIGNAL, SUMS, SLOT, 3, 31)),
    (shifting.lowest_slot, (SIGNAL, SLOT, 1, 20)),
    (shifting.below_threshold, (SIGNAL, SLOT, 1, 20, 3)),
    (shifting.lowest_window, (SIGNAL, SUMS, SLOT, 1, 5, 20, 1)),
    (shifting.saving_per_delay, (SIGNAL, SUMS, SLOT, 1, 5, 20)),
    *((best_start, (SIGNAL, SUMS, SLOT, rule, 1, 5, 20, 1)) for rule in range(5)),
    (best_starts, (SIGNAL, SUMS, SLOT, 2, SIGNAL, SIGNAL, SIGNAL + 9, SIGNAL)),
    (best_pauses, (SIGNAL, SUMS, SLOT, 1, 3, CURVE, 3, 1, 1, False)),
    (segments, (np.array([1, 0, 2], np.int64), 1, 3, 20, 1)),
    (lengths.survival, (SIGNAL, SIGNAL, SIGNAL)),
    (lengths.quantile, (CURVE, 600_000)),
    (lengths.mean, (CURVE,)),
]


@pytest.mark.parametrize(("kernel", "given"), KERNELS)
def test_compiled_equals_plain(kernel: Callable[..., Any], given: tuple[Any, ...]) -> None:
    plain = kernel.py_func  # type: ignore[attr-defined]
    assert np.array_equal(kernel(*given), plain(*given))
