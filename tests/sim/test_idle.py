"""Cards that stand idle though wanted, second by second; and the distinct rows that kinds of jobs are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement.columns import Backfill
from hutong.sim import fused
from hutong.sim.idle import idle_but_wanted
from hutong.sim.rows import distinct
from hutong.sim.rules import Queueing
from hutong.sim.runs import Run
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import Cluster, prepare

UNLIKE = Cluster(("large", "small"), (1, 3), (8, 2))
LIKE = Cluster(("large", "small"), (2, 2), (4, 4))
jobs = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(0, 9),
        st.sampled_from([(1, 1), (1, 2), (1, 3), (2, 1), (3, 2), (1, 8)]),
        st.sampled_from(["large", "small"]),
    ),
    min_size=1,
    max_size=12,
)


def traced(rows: list[tuple[int, int, tuple[int, int], str]]) -> Trace:
    submit, run, shapes, groups = zip(*rows, strict=True)
    nodes, cards = zip(*shapes, strict=True)
    return make_trace("g", "", submit_s=submit, run_s=run, nodes=nodes, cards_per_node=cards, group=groups)


def second_by_second(trace: Trace, run: Run, cluster: Cluster, *, isolated: bool) -> int:
    total = 0
    width = max(cluster.cards_per_node)
    shapes = []
    for nodes, cards in zip(trace.nodes.tolist(), trace.cards_per_node.tolist(), strict=True):
        shapes.append((nodes, cards) if nodes > 1 or cards <= width else (-(-cards // width), width))
    for now in range(int(run.finish_s.max())):
        waits = [job for job in range(len(trace)) if trace.submit_s[job] <= now < run.start_s[job]]
        for at, pool in enumerate(cluster.names):
            here = [
                job
                for job in range(len(trace))
                if run.pool[job] == at and run.start_s[job] <= now < run.finish_s[job]
            ]
            free = cluster.nodes[at] * cluster.cards_per_node[at] - sum(np.prod(shapes[job]) for job in here)
            total += free * any(
                np.prod(shapes[job]) <= free
                and shapes[job][0] <= cluster.nodes[at]
                and shapes[job][1] <= cluster.cards_per_node[at]
                and (not isolated or trace.groups[trace.group[job]] == pool)
                for job in waits
            )
    return total


@settings(max_examples=60, deadline=None)
@given(rows=jobs)
def test_idle_cards_count_while_one_waits_that_could_use_them(
    rows: list[tuple[int, int, tuple[int, int], str]],
) -> None:
    for cluster, isolated in ((UNLIKE, False), (LIKE, False), (LIKE, True)):
        kept = [row for row in rows if fits(cluster, row[2])] + [
            (0, 5, (1, 1), name) for name in cluster.names
        ]
        trace = traced(kept)
        run = fused.run(prepare(trace, cluster, Queueing.FIFO, Backfill.NONE, isolated=isolated))
        found = idle_but_wanted(trace, run, cluster, isolated=isolated)
        assert found == second_by_second(trace, run, cluster, isolated=isolated)


def fits(cluster: Cluster, shape: tuple[int, int]) -> bool:
    sizes = zip(cluster.nodes, cluster.cards_per_node, strict=True)
    wide = max(cluster.cards_per_node)
    if shape[0] == 1 and shape[1] > wide:
        shape = -(-shape[1] // wide), wide
    return any(nodes >= shape[0] and cards >= shape[1] for nodes, cards in sizes)


def test_nobody_is_kept_waiting_by_nodes_that_are_too_small_for_it() -> None:
    # The second job of eight cards waits for the large node, while six cards are free on the small ones.
    trace = traced([(0, 10, (1, 8), "large"), (0, 10, (1, 3), "large")])
    run = fused.run(prepare(trace, UNLIKE, Queueing.FIFO, Backfill.NONE, isolated=False))
    assert run.start_s.tolist() == [0, 10]
    assert idle_but_wanted(trace, run, UNLIKE, isolated=False) == 0
    alike = Cluster(UNLIKE.names, (1, 2), (8, 3))
    held_up = Run(run.start_s, run.pool, run.finish_s)
    assert idle_but_wanted(trace, held_up, alike, isolated=False) == 6 * 10


@given(
    rows=st.lists(st.tuples(*[st.integers(-3, 3)] * 2, st.integers(0, 2)), max_size=30),
    factor=st.sampled_from([1, 10**6, 1 << 60]),
)
@settings(max_examples=60, deadline=None)
def test_distinct_rows_are_those_that_numpy_finds(rows: list[tuple[int, int, int]], factor: int) -> None:
    table = np.array(rows, np.int64).reshape(len(rows), 3) * np.array([1, factor, 1])
    found, which = distinct(*table.T)
    expected, index = np.unique(table, axis=0, return_inverse=True)
    assert found.tolist() == expected.tolist()
    assert which.tolist() == index.ravel().tolist()
