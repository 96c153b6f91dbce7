"""The scheduling pass against a plain one, in both of its loops, and what must hold of any run."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.plain import Job, Plain

from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.sim import fused, world
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import Cluster, Queueing, cluster_of, pooled, prepare

WIDTH = 4
CLUSTER = cluster_of({"a": 2, "b": 3}, WIDTH)

jobs = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.integers(0, 30),
        st.integers(-10, 10),
        st.sampled_from([1, 2, 3, 4, 8]),
        st.sampled_from(["a", "b"]),
    ),
    min_size=1,
    max_size=25,
)
rules = st.tuples(st.sampled_from(Queueing), st.sampled_from(Backfill), st.booleans())


def traced(rows: list[tuple[int, int, int, int, str]]) -> tuple[Trace, np.ndarray]:
    """Return a trace, and what the scheduler believes of each job's length."""
    rows = sorted(rows, key=lambda row: row[0])
    trace = make_trace(
        "generated",
        "a test",
        submit_s=[row[0] for row in rows],
        run_s=[row[1] for row in rows],
        cards_per_node=[row[3] for row in rows],
        group=[row[4] for row in rows],
    )
    expected = np.array([max(0, row[1] + row[2]) for row in rows], np.int64)
    return trace, expected


def plainly(
    trace: Trace,
    expected: np.ndarray,
    cluster: Cluster,
    queueing: Queueing,
    backfill: Backfill,
    *,
    isolated: bool,
) -> tuple[list[int], list[int]]:
    todo = []
    by_length = np.argsort(expected, kind="stable").tolist()
    for number in range(len(trace)):
        cards = int(trace.cards[number])
        nodes = -(-cards // WIDTH)
        home = cluster.names.index(trace.groups[trace.group[number]]) if isolated else -1
        able = tuple(at for at, count in enumerate(cluster.nodes) if count >= nodes and home in {-1, at})
        rank = (by_length.index(number),) if queueing is Queueing.SJF else (number,)
        todo.append(
            Job(
                number, int(trace.submit_s[number]), int(trace.run_s[number]), int(expected[number]),
                nodes, min(cards, WIDTH), able, rank, int(trace.group[number]),
            )
        )  # fmt: skip
    pools = [[WIDTH] * count for count in cluster.nodes]
    Plain(pools, backfill.name.lower(), fair=queueing is Queueing.FAIR).run(todo)
    return [job.start_s for job in todo], [job.pool for job in todo]


@settings(max_examples=150, deadline=None)
@given(jobs, rules)
def test_both_loops_do_what_the_plain_rules_say(
    rows: list[tuple[int, int, int, int, str]], chosen: tuple[Queueing, Backfill, bool]
) -> None:
    queueing, backfill, isolated = chosen
    trace, expected = traced(rows)
    start_s, pool = plainly(trace, expected, CLUSTER, queueing, backfill, isolated=isolated)
    for loop in (world.run, fused.run):
        board = prepare(trace, CLUSTER, queueing, backfill, isolated=isolated, expected_s=expected)
        found = loop(trace, board)
        assert found.start_s.tolist() == start_s
        assert found.pool.tolist() == pool


@settings(max_examples=60, deadline=None)
@given(jobs, rules)
def test_no_card_is_given_twice_and_every_job_runs(
    rows: list[tuple[int, int, int, int, str]], chosen: tuple[Queueing, Backfill, bool]
) -> None:
    """Checked from the outside, by the jobs' times alone; a gang holds all its cards or none."""
    queueing, backfill, isolated = chosen
    trace, expected = traced(rows)
    board = prepare(trace, CLUSTER, queueing, backfill, isolated=isolated, expected_s=expected)
    found = fused.run(trace, board)
    assert (found.start_s >= trace.submit_s).all(), "every job of a bounded load starts some time"
    changes: dict[tuple[int, int], int] = defaultdict(int)
    for job in range(len(trace)):
        if trace.run_s[job]:
            changes[int(found.pool[job]), int(found.start_s[job])] += int(trace.cards[job])
            changes[int(found.pool[job]), int(found.start_s[job] + trace.run_s[job])] -= int(trace.cards[job])
    for pool, nodes in enumerate(CLUSTER.nodes):
        held = np.cumsum([change for (where, _), change in sorted(changes.items()) if where == pool])
        assert (held <= nodes * WIDTH).all()
    assert board.pools[:, 0].tolist() == [nodes * WIDTH for nodes in CLUSTER.nodes], "all are given back"


@settings(max_examples=40, deadline=None)
@given(jobs)
def test_first_come_first_served_keeps_the_order_within_a_pool(
    rows: list[tuple[int, int, int, int, str]],
) -> None:
    trace, expected = traced(rows)
    board = prepare(trace, CLUSTER, Queueing.FIFO, Backfill.NONE, isolated=True, expected_s=expected)
    found = world.run(trace, board)
    for pool in range(2):
        starts = found.start_s[found.pool == pool]
        assert (np.diff(starts) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(jobs)
def test_back_fill_by_true_lengths_never_delays_the_first_that_waits(
    rows: list[tuple[int, int, int, int, str]],
) -> None:
    """With exact lengths and one node a pool, EASY starts the first in line no later than without."""
    rows = [(at, run, 0, min(cards, WIDTH), group) for at, run, _, cards, group in rows]
    trace, expected = traced(rows)
    cluster = cluster_of({"a": 1, "b": 1}, WIDTH)
    ends = []
    for backfill in (Backfill.NONE, Backfill.EASY):
        board = prepare(trace, cluster, Queueing.FIFO, backfill, isolated=True, expected_s=expected)
        found = fused.run(trace, board)
        ends.append(int(found.start_s[np.lexsort((np.arange(len(trace)), trace.submit_s))][0]))
    assert ends[1] <= ends[0]


def test_what_fits_nowhere_is_refused_before_the_run() -> None:
    trace, _ = traced([(0, 1, 0, 8, "a"), (0, 1, 0, 1, "b")])
    small = cluster_of({"a": 1, "b": 9}, WIDTH)
    with pytest.raises(Refused, match="2 nodes with 4 cards"):
        prepare(trace, small, Queueing.FIFO, Backfill.NONE, isolated=True)
    with pytest.raises(Refused, match="no pool is called b"):
        prepare(trace, cluster_of({"a": 9}, WIDTH), Queueing.FIFO, Backfill.NONE, isolated=True)
    with pytest.raises(Refused, match="cannot be one pool"):
        pooled(Cluster(("a", "b"), (1, 1), (4, 8)))
    assert pooled(small) == Cluster(("all",), (10,), (4,))


def test_a_run_is_the_same_every_time_and_its_digest_says_so() -> None:
    trace, expected = traced([(at, 7, 3, 1 + at % 4, "ab"[at % 2]) for at in range(40)])
    digests = {
        world.run(
            trace, prepare(trace, CLUSTER, Queueing.FAIR, Backfill.EASY, isolated=False, expected_s=expected)
        ).digest
        for _ in range(3)
    }
    assert len(digests) == 1
