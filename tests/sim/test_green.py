"""What moving work to green hours comes to, and GAIA's conventions held against trying every tick."""

import heapq
from pathlib import Path

import numpy as np
import pytest

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.core.placement.shifting import LOWEST_WINDOW, RULES, prefix_sums
from hutong.sim import gaia, green
from hutong.sim.importers.grid import columns_of, disturb, read_signal
from hutong.sim.trace import Trace, make_trace

WEEK = 7 * 24


def _signal(hours: int = 3 * WEEK, seed: int = 3) -> Ints:
    return np.random.default_rng(seed).integers(100, 900, hours) * 1000


def _trace(count: int = 60, seed: int = 5) -> Trace:
    chance = np.random.default_rng(seed)
    return make_trace(
        "made", "made here", submit_s=np.sort(chance.integers(0, 5 * 86_400, count)),
        run_s=np.maximum(300, np.exp(chance.normal(8, 1.3, count)).astype(np.int64)).clip(300, 200_000),
        cards_per_node=chance.integers(1, 9, count),
    )  # fmt: skip


TRACE, SIGNAL = _trace(), _signal()


def test_ticks_cut_times_and_tell_the_queues_apart() -> None:
    trace = make_trace("t", "t", submit_s=[0, 7, 14], run_s=[304, 7200, 14_407], cards_per_node=[1, 2, 3])
    ticks = gaia.in_ticks(trace)
    assert ticks.arrival.tolist() == [0, 1, 2]
    assert ticks.length.tolist() == [60, 1440, 2881]
    assert ticks.wait.tolist() == [4320, 17_280, 17_280]
    # The job of exactly two hours counts in both means.
    assert ticks.expected.tolist() == [
        int((60.8 + 1440) / 2),
        int((1440 + 2881.4) / 2),
        int((1440 + 2881.4) / 2),
    ]


def _every_tick(policy: int, ticks: gaia.Ticks, each: Ints, job: int) -> list[int]:
    """Return the ticks in which a job runs, by trying everything."""
    a, n = int(ticks.arrival[job]), int(ticks.length[job])
    wait, expected = int(ticks.wait[job]), int(ticks.expected[job])
    hours = range(a, a + wait + 1, gaia.HOUR)
    if policy == gaia.WAIT_AWHILE:
        return sorted(sorted(range(a, a + n + wait), key=lambda at: (each[at], at))[:n])
    if policy == gaia.THRESHOLD:
        bound, ran, at = np.quantile(each[a : a + gaia.DAY], 0.3), [], a
        while len(ran) < n:
            if each[at] < bound or wait <= 0:
                ran.append(at)
            else:
                wait -= 1
            at += 1
        return ran
    if policy == gaia.LOWEST_SLOT:
        start = a + int(each[a : a + wait + 1].argmin())
    elif policy == gaia.WINDOW:
        start = min(hours, key=lambda at: int(each[at : at + expected].sum()))
    else:
        now = int(each[a : a + expected].sum())
        start = max(hours, key=lambda at: (now - int(each[at : at + expected].sum())) / (at + expected - a))
    return list(range(start, start + n))


@pytest.mark.parametrize(
    "policy", [gaia.LOWEST_SLOT, gaia.WINDOW, gaia.CARBON_TIME, gaia.THRESHOLD, gaia.WAIT_AWHILE]
)
def test_a_policy_of_gaia_runs_in_the_ticks_that_trying_all_gives(policy: int) -> None:
    ticks = gaia.in_ticks(TRACE.take(np.arange(0, 60, 6)))
    each = np.repeat(SIGNAL, gaia.HOUR)
    carbon, start, end = gaia.shift_all(
        SIGNAL, prefix_sums(SIGNAL), policy, ticks.arrival, ticks.length, ticks.expected, ticks.wait
    )
    for job in range(len(ticks.arrival)):
        ran = _every_tick(policy, ticks, each, job)
        assert (start[job], end[job]) == (ran[0], ran[-1] + 1)
        assert carbon[job] == each[ran].sum()


def test_jobs_of_one_arrival_wait_in_the_order_that_pythons_heap_gives() -> None:
    chance = np.random.default_rng(1)
    arrival = np.sort(chance.integers(0, 40, 30))
    length, cards = chance.integers(5, 60, 30), chance.integers(1, 5, 30)
    wait = chance.integers(10, 300, 30)

    class Item:
        def __init__(self, job: int) -> None:
            self.job = job

        def __lt__(self, other: "Item") -> bool:
            return bool(arrival[self.job] < arrival[other.job])

    heap: list[Item] = []
    start, back, free, tick, arrived = np.full(30, -1), np.zeros(2000, int), 9, 0, 0
    while (start < 0).any():
        while arrived < 30 and arrival[arrived] <= tick:
            heapq.heappush(heap, Item(arrived))
            arrived += 1
        kept: list[Item] = []
        while heap:
            each = heapq.heappop(heap)
            job = each.job
            if free < cards[job] and tick < arrival[job] + wait[job]:
                heapq.heappush(kept, each)
                continue
            start[job] = tick
            if free >= cards[job]:
                free -= cards[job]
                back[tick + length[job]] += cards[job]
        heap = kept
        free += back[tick]
        tick += 1
    assert gaia.all_wait(arrival, length, cards, wait, 9).tolist() == start.tolist()


def test_no_wait_is_one_and_every_policy_has_a_name() -> None:
    ticks = gaia.in_ticks(TRACE)
    base = gaia.run_policy(ticks, SIGNAL, gaia.NO_WAIT)
    assert (base.wait_h, base.finish_delay_h) == (0, 0)
    for name, policy in gaia.POLICIES.items():
        found = gaia.run_policy(ticks, SIGNAL, policy)
        assert found.finish_delay_h <= 24, name
        assert found.carbon > 0, name
    assert set(gaia.PUBLISHED) < set(gaia.POLICIES)
    assert set(gaia.parity(TRACE, np.tile(SIGNAL, 18))) == {*gaia.PUBLISHED, "wait_awhile"}


def test_what_is_learnt_does_not_know_the_job_itself_nor_what_comes_later() -> None:
    work = green.deferrable(TRACE)
    learnt = green.learn(work)
    for job in (0, 30, 59):
        length = work.length.copy()
        # A different length of the same queue, for this job and all after it.
        length[job:] = np.where(work.queue[job:] == 0, 400, 190_000)
        other = green.learn(green.Work(work.arrival, length, work.cards, work.queue, work.wait))
        assert np.array_equal(learnt.curves[: learnt.row[job] + 1], other.curves[: learnt.row[job] + 1])


def test_history_is_learnt_from() -> None:
    alike = make_trace(
        "alike",
        "made",
        submit_s=np.arange(200) * 3600,
        run_s=np.full(200, 4 * 3600),
        cards_per_node=[1] * 200,
    )
    work = green.deferrable(alike)
    expected = green.expected_lengths(work, green.learn(work), 500_000)
    assert expected[0] > 5 * 3600
    assert expected[-1] == 4 * 3600


def test_no_job_is_late_and_restores_are_not_free() -> None:
    work, grid = green.deferrable(TRACE), green.perfect(SIGNAL)
    learnt = green.learn(work)
    free, dear = (green.run_pauses(work, grid, learnt, 0, resume_s=each) for each in (0, 900))
    assert free.late == dear.late == 0
    assert free.carbon < dear.carbon < 1
    assert free.resumes > dear.resumes > 0
    once = green.run_pauses(work, grid, learnt, 0, once=True)
    assert once.resumes == 0
    assert once.delay_h == once.wait_h


def test_a_higher_price_of_delay_buys_shorter_delays() -> None:
    work, grid = green.deferrable(TRACE), green.perfect(SIGNAL)
    learnt = green.learn(work)
    found = [green.run_pauses(work, grid, learnt, price) for price in (0, 50_000, 200_000, 10**9)]
    delays = [each.delay_h for each in found]
    assert delays == sorted(delays, reverse=True)
    assert (found[-1].carbon, found[-1].delay_h) == (1.0, 0.0)


def test_knowing_the_lengths_is_a_bound_and_a_longer_wait_lowers_it() -> None:
    grid = green.perfect(SIGNAL)
    bounds = []
    for hours in (0, 3, 6, 12, 24):
        work = green.deferrable(TRACE, hours * 3600, hours * 3600)
        # Quanta as fine as the shortest jobs, so that rounding a length up hardly matters.
        bounds.append(green.run_pauses(work, grid, green.knowing(work, 300), 0).carbon)
        assert bounds[-1] <= green.run_pauses(work, grid, green.learn(work), 0).carbon + 0.01
    assert bounds[0] == 1
    assert bounds == sorted(bounds, reverse=True)


def test_every_rule_starts_jobs_within_their_wait() -> None:
    work, grid = green.deferrable(TRACE), green.perfect(SIGNAL)
    for rule in range(len(RULES)):
        found = green.run_starts(work, grid, rule, work.length)
        assert found.late == 0
    lowest = green.run_starts(work, grid, LOWEST_WINDOW, work.length)
    assert lowest.carbon <= green.run_starts(work, grid, 3, work.length).carbon <= 1


def test_without_queues_all_may_wait_alike() -> None:
    work = green.deferrable(TRACE, queues=False)
    assert set(work.wait.tolist()) == {24 * 3600}
    found = green.run_pauses(work, green.perfect(SIGNAL), green.learn(work, queues=False), 0)
    assert found.late == 0
    assert found.carbon < 1


def test_a_wrong_forecast_costs_and_is_counted_on_the_true_signal() -> None:
    work = green.deferrable(TRACE)
    learnt = green.learn(work)
    right = green.run_pauses(work, green.perfect(SIGNAL), learnt, 0)
    wrong = green.run_pauses(work, green.Grid(SIGNAL, disturb(SIGNAL, 500_000, 1)), learnt, 0)
    assert right.carbon < wrong.carbon
    assert np.array_equal(disturb(SIGNAL, 0, 1), SIGNAL)
    assert np.array_equal(disturb(SIGNAL, 100_000, 7), disturb(SIGNAL, 100_000, 7))
    assert not np.array_equal(disturb(SIGNAL, 100_000, 7), disturb(SIGNAL, 100_000, 8))
    with pytest.raises(Refused, match="at least 0 ppm"):
        disturb(SIGNAL, -1, 1)


def test_the_fused_loops_equal_their_plain_selves() -> None:
    work, grid = green.deferrable(TRACE.take(np.arange(8))), green.perfect(SIGNAL)
    learnt = green.learn(work, 3600)
    given = (
        grid.signal, grid.sums, grid.seen, grid.seen_sums, grid.slot, 3600, work.arrival, work.length,
        work.queue, work.wait, learnt.curves, learnt.row, learnt.steps, work.cards * 100, 60, False,
    )  # fmt: skip
    fast, slow = green._pause_all(*given), green._pause_all.py_func(*given)  # type: ignore[attr-defined]
    assert all(np.array_equal(a, b) for a, b in zip(fast, slow, strict=True))
    sums = prefix_sums(SIGNAL)
    ticks = gaia.in_ticks(TRACE.take(np.arange(8)))
    for policy in range(8):
        args = (SIGNAL, sums, policy, ticks.arrival, ticks.length, ticks.expected, ticks.wait)
        fast3, slow3 = gaia.shift_all(*args), gaia.shift_all.py_func(*args)  # type: ignore[attr-defined]
        assert all(np.array_equal(a, b) for a, b in zip(fast3, slow3, strict=True))


def test_a_signal_is_read_by_its_column(tmp_path: Path) -> None:
    path = tmp_path / "grid.csv"
    path.write_text("hour,DE,KR\n2022-01-01 00:00:00,216.56,484.31\n2022-01-01 01:00:00,210,1\n")
    assert read_signal(path, "DE").tolist() == [216_560, 210_000]
    assert read_signal(path, "KR", scale=1).tolist() == [484, 1]
    assert columns_of(path) == ("hour", "DE", "KR")
    with pytest.raises(Refused, match="FR"):
        read_signal(path, "FR")
