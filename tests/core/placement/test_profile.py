"""Conservative back-filling: no job starts later than it was promised, and a pass can be taken back."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement import columns as c
from hutong.core.placement import kernel
from hutong.core.placement.board import Account, Class, Rules, Shelves, make_board
from hutong.core.placement.columns import Arrays, Backfill, Order

Ask = tuple[int, int, int, tuple[int, ...]]
"""When a job comes, how long it runs (as everybody knows), its cards, and the pools that it may use."""


def board_of(
    pools: list[int], asks: list[Ask], backfill: Backfill = Backfill.CONSERVATIVE, fit: int = 1
) -> Arrays:
    """Return pools with so many cards each, on nodes that nobody knows, and jobs still to come, in order.

    Without weight for a tight fit, the first of several pools is the best.
    """
    base = -np.arange(len(pools)) * (1 - fit)
    kinds = sorted({(cards, able) for _, _, cards, able in asks})
    classes = [
        Class(1, np.array([cards * (at in able) for at in range(len(pools))]), base, fit)
        for cards, able in kinds
    ]
    free = np.array(pools, np.int64)
    shelves = Shelves(free, np.ones_like(free), np.full_like(free, c.NEVER))
    rules, lanes = Rules(Order.KEY, backfill), [(kind, 0) for kind in range(len(kinds))]
    board = make_board(rules, shelves, classes, lanes, [Account()], jobs=len(asks), running=len(asks))
    for job, (_, run, cards, able) in enumerate(asks):
        kind = kinds.index((cards, able))
        board.jobs[job, [c.CLASS, c.LANE, c.EXPECTED, c.KEY]] = kind, kind, run, job
    return board


def kept(board: Arrays) -> dict[int, int]:
    """Return from when on cards are kept for each job that waits."""
    rows = board.ends[len(board.ends) - board.state[c.KEPT] :]
    return dict(zip(rows[:, c.KEPT_FOR].tolist(), rows[:, c.KEPT_FROM].tolist(), strict=True))


def lived(
    pools: list[int], asks: list[Ask], backfill: Backfill = Backfill.CONSERVATIVE, fit: int = 1
) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Return when each job starts, and what it was promised from pass to pass."""
    board = board_of(pools, asks, backfill, fit)
    starts: dict[int, int] = {}
    promises: dict[int, list[int]] = {job: [] for job in range(len(asks))}
    ends: list[tuple[int, int]] = []
    coming = list(range(len(asks)))
    while coming or ends:
        now = min([asks[job][0] for job in coming[:1]] + [end for end, _ in ends])
        for each in [each for each in ends if each[0] == now]:
            ends.remove(each)
            kernel.release(board, each[1])
        while coming and asks[coming[0]][0] == now:
            kernel.enqueue(board, coming.pop(0))
        kernel.begin(board, now)
        while (job := kernel.next_start(board, now)) >= 0:
            starts[job] = now
            ends.append((now + asks[job][1], job))
        for job, promised in kept(board).items():
            promises[job].append(promised)
    return starts, promises


def jobs(able: st.SearchStrategy[tuple[int, ...]]) -> st.SearchStrategy[list[Ask]]:
    """Return up to thirty jobs in the order in which they come."""
    each = st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(1, 8), able)
    return st.lists(each, min_size=1, max_size=30).map(lambda found: sorted(found, key=lambda ask: ask[0]))


ALONE = st.sampled_from([(0,), (1,), (2,)])
ANY = st.sampled_from([(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.tuples(jobs(ALONE), st.just(1)), st.tuples(jobs(ANY), st.just(0))))
def test_no_job_starts_later_than_it_was_promised(found: tuple[list[Ask], int]) -> None:
    """Each runs as long as it said and may use one pool, or takes the first that it can; later is behind."""
    asks, fit = found
    starts, promises = lived([8, 8, 13], asks, fit=fit)
    assert len(starts) == len(asks)
    for job, promised in promises.items():
        assert all(now <= before for before, now in pairwise(promised))
        if promised:
            assert starts[job] <= promised[0]
        else:
            assert starts[job] == asks[job][0], "whoever waits is promised a start"


def test_a_choice_of_pools_may_cost_a_later_job_its_promise() -> None:
    """The first of two equal starts is promised, and the tighter fit is taken when they come."""
    both: tuple[int, ...] = (0, 1)
    asks = [
        (0, 10, 6, (0,)), (0, 10, 5, (1,)),  # both pools are taken until 10
        (1, 9, 1, both), (2, 20, 5, (0,)), (3, 20, 5, (1,)),
    ]  # fmt: skip
    starts, promises = lived([6, 5], asks)
    assert [promises[job][0] for job in (2, 3, 4)] == [10, 10, 10]
    assert [starts[job] for job in (2, 3, 4)] == [10, 10, 19]


def test_only_conservative_back_fill_keeps_what_the_second_that_waits_was_promised() -> None:
    asks = [(0, 60, 12, (0,)), (1, 60, 12, (0,)), (2, 60, 16, (0,)), (3, 600, 4, (0,)), (4, 50, 4, (0,))]
    easy, _ = lived([16], asks, Backfill.EASY)
    starts, promises = lived([16], asks)
    assert [easy[job] for job in range(5)] == [0, 60, 603, 3, 120]
    assert [starts[job] for job in range(5)] == [0, 60, 120, 180, 4]
    assert [promises[job][:1] for job in range(1, 5)] == [[60], [120], [180], []]


def test_a_pass_keeps_cards_for_so_many_and_those_after_them_delay_none() -> None:
    asks = (
        [(0, 100, 7, (0,))] + [(0, 100, 8, (0,))] * (c.MOST_KEPT + 3) + [(0, 200, 1, (0,)), (0, 99, 1, (0,))]
    )
    board = board_of([8], asks)
    for job in range(len(asks)):
        kernel.enqueue(board, job)
    kernel.begin(board, 0)
    started = []
    while (job := kernel.next_start(board, 0)) >= 0:
        started.append(job)
    assert started == [0, len(asks) - 1]
    assert kept(board) == {job: 100 * job for job in range(1, c.MOST_KEPT + 1)}


@settings(max_examples=150, deadline=None)
@given(jobs(st.sampled_from([(0,), (1,), (0, 1)])), st.integers(0, 29), st.integers(0, 40))
def test_a_placement_that_is_taken_back_leaves_no_trace(asks: list[Ask], poor: int, now: int) -> None:
    """The rest of the pass is as if that job had not been there."""

    def starts(without: int) -> tuple[list[tuple[int, int]], dict[int, int], list[list[int]]]:
        board = board_of([8, 9], asks)
        for job in range(len(asks)):
            if job % 3 == 0 and asks[job][3] == (0, 1) and board.pools[1, c.FREE] >= asks[job][2]:
                board.jobs[job, [c.POOL, c.CARDS, c.UNTIL]] = 1, asks[job][2], asks[job][0] + asks[job][1]
                board.pools[1, c.FREE] -= asks[job][2]
                held = [[1], [asks[job][2]], [asks[job][0]], [0], [asks[job][0] + asks[job][1]], [-1], [1]]
                kernel.occupy(board, job, np.array(held, np.int64))
            elif job != without:
                kernel.enqueue(board, job)
        found, gone = [], False
        kernel.begin(board, now)
        while (job := kernel.next_start(board, now)) >= 0:
            if job == poor:
                kernel.undo(board, job)
                gone = True
            else:
                found.append((job, int(board.jobs[job, c.POOL])))
        return (found if gone or without >= 0 else []), kept(board), board.pools[:, [c.FREE]].tolist()

    found, promised, free = starts(-1)
    if found:
        assert (found, promised, free) == starts(poor)
