"""Whether more nodes can delay anybody: never in a strict queue of whole nodes; with back-fill, yes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Backfill
from hutong.sim import fused
from hutong.sim.rules import Queueing
from hutong.sim.runs import Run
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import cluster_of, prepare

whole_nodes = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(1, 4)), min_size=1, max_size=20
)


def trace_of(rows: list[tuple[int, int, int]]) -> Trace:
    """Return jobs that take whole nodes: when, for how long, how many."""
    submit_s, run_s, nodes = zip(*rows, strict=True)
    return make_trace(
        "whole nodes", "a test", submit_s=submit_s, run_s=run_s, nodes=nodes, cards_per_node=[8] * len(rows)
    )


def run(trace: Trace, nodes: int, backfill: Backfill) -> Run:
    cluster = cluster_of({"all": nodes}, 8)
    return fused.run(prepare(trace, cluster, Queueing.FIFO, backfill, isolated=False))


@settings(max_examples=300, deadline=None)
@given(whole_nodes, st.integers(4, 8), st.integers(1, 3))
def test_in_a_strict_queue_for_whole_nodes_another_node_delays_nobody(
    rows: list[tuple[int, int, int]], nodes: int, more: int
) -> None:
    """By induction: let nodes be sorted by when they are free. Those of the larger pool are never later,
    place by place; a job that takes the first k of them starts when the k-th is free, and leaves it so.
    """
    trace = trace_of(rows)
    few, many = (run(trace, count, Backfill.NONE) for count in (nodes, nodes + more))
    assert (many.start_s <= few.start_s).all()


@settings(max_examples=150, deadline=None)
@given(whole_nodes, st.integers(4, 8))
def test_in_a_strict_queue_for_whole_nodes_a_shorter_job_delays_nobody(
    rows: list[tuple[int, int, int]], nodes: int
) -> None:
    trace = trace_of(rows)
    shorter = trace_of([(at, length // 2, count) for at, length, count in rows])
    before, after = run(trace, nodes, Backfill.NONE), run(shorter, nodes, Backfill.NONE)
    assert (after.start_s <= before.start_s).all()


def test_with_back_fill_a_fourth_node_makes_three_jobs_take_longer() -> None:
    """Graham's anomaly (1966): two jobs of two nodes and 1 s, one of one node and 3 s, all there at 0.

    On three nodes the long one slips in beside the first. On four, the first two fill the pool.
    """
    trace = trace_of([(0, 1, 2), (0, 1, 2), (0, 3, 1)])

    def starts_and_end(nodes: int) -> tuple[list[int], int]:
        found = run(trace, nodes, Backfill.EASY)
        starts: Ints = found.start_s
        return starts.tolist(), int(np.max(found.finish_s))

    assert starts_and_end(3) == ([0, 1, 0], 3)
    assert starts_and_end(4) == ([0, 0, 1], 4)


def test_a_strict_queue_is_not_safe_from_it_over_two_pools_nor_with_parts_of_nodes() -> None:
    """Best fit decides where a job goes, and a node more may lead it where a later one would fit."""
    gangs = make_trace(
        "two pools", "found by search", submit_s=[0, 1, 1, 2, 3], run_s=[3, 4, 5, 5, 4],
        nodes=[2, 2, 2, 1, 3], cards_per_node=[8] * 5,
    )  # fmt: skip
    parts = make_trace(
        "parts", "found by search", submit_s=[0, 3, 5, 6, 6, 7, 7], run_s=[10, 6, 10, 2, 11, 5, 5],
        cards_per_node=[6, 4, 4, 8, 2, 2, 8],
    )  # fmt: skip
    found = []
    for trace, few, many in ((gangs, {"a": 3, "b": 3}, {"a": 4, "b": 3}), (parts, {"a": 2}, {"a": 3})):
        for nodes in (few, many):
            scene = prepare(trace, cluster_of(nodes, 8), Queueing.FIFO, Backfill.NONE, isolated=False)
            found.append(int(fused.run(scene).start_s[-1]))
    assert found == [5, 6, 12, 13]
