"""Guessed lengths: how a guess is lengthened, and that nobody waits for ever because of wrong ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement import columns as c
from hutong.core.placement import kernel
from hutong.core.placement.board import Account, Booked, Class, Rules, Shelves, make_board
from hutong.core.placement.columns import Backfill, Order
from hutong.core.placement.expected import ENOUGH, expected_end, quantile_s
from hutong.sim import world
from hutong.sim.rules import Queueing
from hutong.sim.trace import make_trace

times = st.integers(0, 10**13)


@given(times, st.integers(1, 10**10), st.integers(1, 10**10), times)
def test_an_expected_end_is_to_come_and_never_beyond_the_walltime(
    began: int, likely: int, run: int, now: int
) -> None:
    until, now = began + run, max(began, now)
    end = expected_end(began, likely, until, now)
    assert now <= end <= max(now, until)
    assert end == max(until, now) or end > now
    assert expected_end(began, 0, until, now) == max(until, now)


@given(st.integers(1, 10**6), st.integers(1, 10**9))
def test_a_guess_is_lengthened_a_few_times_only(likely: int, run: int) -> None:
    seen, now = set(), 0
    while now < run:
        seen.add(now := expected_end(0, likely, run, now))
    assert len(seen) <= 1 + max(0, (run // likely).bit_length())


def test_a_guess_covers_most_of_what_was_seen() -> None:
    assert quantile_s([5] * (ENOUGH - 1), 80) is None
    assert quantile_s([3, 1, 2], 80) == 3
    assert quantile_s(list(range(100)), 80) == 80
    assert quantile_s([4] * 50, 100) == 4


def test_a_reservation_stands_where_all_of_its_walltime_fits_beside_bookings() -> None:
    """One pool of 8 cards, held until 10; all of it is booked by others from 50 to 200."""

    def kept(likely: int, limit: int) -> list[tuple[int, int]]:
        one, pools = Class(1, np.array([8]), np.array([0])), np.array([0], np.int64)
        rows = np.array([[1, 50, 200, 8, 8]], np.int64)
        board = make_board(
            Rules(Order.KEY, Backfill.CONSERVATIVE), Shelves(pools, pools + 1, pools + c.NEVER),
            [one], [(0, 0)],
            [Account(), Account()], jobs=2, running=2, booked=Booked(rows, pools, pools + 1),
        )  # fmt: skip
        board.jobs[0, [c.CLASS, c.LANE, c.EXPECTED, c.LIKELY, c.KEY, c.QUEUED]] = 0, 0, limit, likely, 0, 0
        board.state[c.PATIENCE] = 1000
        kernel.enqueue_all(board, 1)
        kernel.occupy(board, 1, np.array([[0], [8], [0], [0], [10], [0], [1]], np.int64))
        kernel.begin(board, 0)
        assert kernel.next_start(board, 0) == -1
        reserved = board.ends[len(board.ends) - board.state[c.KEPT] :]
        return [(int(row[c.KEPT_FROM]), int(row[c.KEPT_UNTIL])) for row in reserved]

    assert kept(0, 30) == [(10, 40)]
    assert kept(20, 30) == [(10, 30)]
    assert kept(0, 60) == [(200, 260)]
    assert kept(20, 60) == [(200, 220)], "by its guess it would be over at 30, and may not begin at 10"


def scene(
    jobs: list[tuple[int, int, int, int, int]], backfill: Backfill, patience_s: int, cards: int = 8
) -> world.World:
    """Return one pool and jobs of (submitted, ran, more that was asked for, cards, guess), seconds."""
    jobs = sorted(jobs, key=lambda job: job[0])
    trace = make_trace(
        "guesses", "generated",
        submit_s=[0, *(job[0] for job in jobs)],
        run_s=[1, *(job[1] for job in jobs)],
        limit_s=[1, *(job[1] + job[2] for job in jobs)],
        cards_per_node=[1, *(job[3] for job in jobs)],
    )  # fmt: skip
    found = world.prepare(
        trace, world.cluster_of({"all": 1}, cards), Queueing.FIFO, backfill,
        isolated=False, expected_s=trace.limit_s, by_node=False, patience_s=patience_s,
    )  # fmt: skip
    found.board.jobs[:, c.LIKELY] = [0, *(1000 * job[4] for job in jobs)]
    return found


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5000), st.integers(0, 900), st.integers(0, 900), st.integers(1, 8),
            st.sampled_from([0, 1, 1, 10, 5000]),
        ),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([Backfill.EASY, Backfill.CONSERVATIVE]),
    st.sampled_from([1, 300, 2000]),
)  # fmt: skip
def test_no_guess_delays_a_job_beyond_its_patience_and_one_walltime(
    jobs: list[tuple[int, int, int, int, int]], backfill: Backfill, patience_s: int
) -> None:
    """A job starts when those before it have, and it has lost its patience, and then all ran to the limit."""
    made = scene(jobs, backfill, patience_s)
    trace, found = made.trace, world.run(made)
    assert (found.start_s >= trace.submit_s).all()
    longest, before = int(trace.limit_s.max()), 0
    for submitted, start in zip(trace.submit_s.tolist(), found.start_s.tolist(), strict=True):
        assert start <= max(submitted + patience_s, before) + longest
        before = max(before, start)


@pytest.mark.parametrize("backfill", [Backfill.EASY, Backfill.CONSERVATIVE])
def test_guesses_that_are_always_wrong_starve_a_wide_job_but_for_its_patience(backfill: Backfill) -> None:
    small = [(100 * at, 3600, 600, 1, 1) for at in range(1500)]
    wide = (350, 60, 0, 8, 0)
    started = {}
    for patience_s in (7200, 10**9):
        made = scene([*small, wide], backfill, patience_s, 40)
        made.board.per_node[:, 0] = np.where(made.board.per_node[:, 0] == 8, 40, 1)
        found = world.run(made)
        (place,) = np.flatnonzero(made.trace.cards_per_node == 8)
        started[patience_s] = int(found.start_s[place])
    assert started[7200] <= 350 + 7200 + 4200
    assert started[10**9] > 140_000, "else this day could not harm anybody"
