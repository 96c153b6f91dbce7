"""Nodes that go and come back in a simulated run: against the plain rules, and what must hold of any run."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.plain import Job, Plain
from tests.sim.test_world import CLUSTER, WIDTH, jobs, rules, traced

from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.sim import fused, world
from hutong.sim.cuts import END, JOB, LOST, START
from hutong.sim.faults import Outage
from hutong.sim.measures import measure
from hutong.sim.predict import Predictor
from hutong.sim.report import in_use, waiting
from hutong.sim.rules import Queueing
from hutong.sim.runs import Run
from hutong.sim.trace import make_trace
from hutong.sim.world import cluster_of, prepare

outages = st.lists(
    st.builds(
        lambda pool, begin, length, nodes, first: Outage(
            pool, begin, begin + length, min(nodes, CLUSTER.nodes[pool]), first
        ),
        st.integers(0, 1), st.integers(0, 60), st.integers(1, 40), st.integers(1, 3), st.integers(0, 4),
    ),
    max_size=6,
)  # fmt: skip
checkpoints = st.sampled_from([0, 1, 5])


@settings(max_examples=200, deadline=None)
@given(jobs, rules, outages, checkpoints)
def test_a_run_with_outages_does_what_the_plain_rules_say(
    rows: list[tuple[int, int, int, int, str]],
    chosen: tuple[Queueing, Backfill, bool],
    away: list[Outage],
    checkpoint_s: int,
) -> None:
    queueing, backfill, isolated = chosen
    trace, expected = traced(rows)
    by_length = np.argsort(expected, kind="stable").tolist()
    todo = []
    for number in range(len(trace)):
        cards = int(trace.cards[number])
        nodes = -(-cards // WIDTH)
        home = CLUSTER.names.index(trace.groups[trace.group[number]]) if isolated else -1
        able = tuple(at for at, count in enumerate(CLUSTER.nodes) if count >= nodes and home in {-1, at})
        rank = (by_length.index(number),) if queueing is Queueing.SJF else (number,)
        todo.append(
            Job(
                number, int(trace.submit_s[number]), int(trace.run_s[number]), int(expected[number]),
                nodes, min(cards, WIDTH), able, rank, int(trace.group[number]),
            )
        )  # fmt: skip
    plain = Plain(
        [[WIDTH] * count for count in CLUSTER.nodes], backfill.name.lower(), fair=queueing is Queueing.FAIR
    )
    plain.run(todo, away, checkpoint_s)
    scene = prepare(trace, CLUSTER, queueing, backfill, isolated=isolated, expected_s=expected)
    found = world.run(scene, None, away, checkpoint_s)
    assert found.start_s.tolist() == [job.start_s for job in todo]
    assert found.pool.tolist() == [job.pool for job in todo]
    assert found.finish_s.tolist() == [job.start_s + job.run_s for job in todo]
    assert found.restarts.tolist() == [job.cut for job in todo]


@settings(max_examples=100, deadline=None)
@given(jobs, rules, outages, checkpoints)
def test_no_card_is_given_twice_nor_while_away_and_all_work_is_done(
    rows: list[tuple[int, int, int, int, str]],
    chosen: tuple[Queueing, Backfill, bool],
    away: list[Outage],
    checkpoint_s: int,
) -> None:
    """Checked from the outside, by the times of the attempts alone."""
    queueing, backfill, isolated = chosen
    trace, expected = traced(rows)
    scene = prepare(trace, CLUSTER, queueing, backfill, isolated=isolated, expected_s=expected)
    found = world.run(scene, Predictor() if checkpoint_s else None, away, checkpoint_s)
    held = found.attempts
    ran_s = np.bincount(held.job, held.end_s - held.start_s, len(trace))
    lost_s = np.bincount(found.cut[:, JOB], found.cut[:, LOST], len(trace))
    assert (ran_s - lost_s).tolist() == trace.run_s.tolist(), "what counts in the end is the whole length"
    assert (found.waited_s(trace.submit_s) >= 0).all()
    for pool in range(len(CLUSTER.nodes)):
        changes: dict[int, int] = defaultdict(int)
        for job, where, start, end in zip(*held, strict=True):
            if where == pool and start < end:
                changes[int(start)] += int(trace.cards[job])
                changes[int(end)] -= int(trace.cards[job])
        moments = sorted({*changes, *(each.from_s for each in away), *(each.to_s for each in away)})
        in_use_now = 0
        for now in moments:
            in_use_now += changes[now]
            assert in_use_now <= there(away, pool, now) * WIDTH
        end_s = int(found.finish_s.max())
        assert scene.board.pools[pool, 0] == there(away, pool, end_s) * WIDTH, "all are given back"


def there(away: list[Outage], pool: int, now_s: int) -> int:
    """Return how many nodes of a pool are up."""
    nodes = CLUSTER.nodes[pool]
    gone = {
        (each.first + at) % nodes
        for each in away
        for at in range(each.nodes)
        if each.pool == pool and each.from_s <= now_s < each.to_s
    }
    return nodes - len(gone)


@settings(max_examples=40, deadline=None)
@given(jobs, rules)
def test_an_outage_after_the_last_end_changes_nothing(
    rows: list[tuple[int, int, int, int, str]], chosen: tuple[Queueing, Backfill, bool]
) -> None:
    queueing, backfill, isolated = chosen
    trace, expected = traced(rows)

    def ready() -> world.World:
        return prepare(trace, CLUSTER, queueing, backfill, isolated=isolated, expected_s=expected)

    late = [Outage(0, 10_000, 20_000, 2)]
    assert world.run(ready(), None, late).digest == fused.run(ready()).digest


def test_a_gang_loses_all_of_its_run_with_one_node_and_a_checkpoint_saves_the_most_of_it() -> None:
    trace = make_trace(
        "gang", "a test", submit_s=[0, 0], run_s=[100, 50], cards_per_node=[4, 4], nodes=[2, 1]
    )
    cluster = cluster_of({"a": 3}, 4)
    one_node = [Outage(0, 35, 40, 1, first=1)]

    def run(checkpoint_s: int) -> Run:
        scene = prepare(trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False)
        return world.run(scene, None, one_node, checkpoint_s)

    all_lost, some = run(0), run(10)
    assert all_lost.start_s.tolist() == [40, 0], "two nodes are there again only at 40"
    assert all_lost.finish_s.tolist() == [140, 50]
    assert all_lost.cut[:, [START, END, LOST]].tolist() == [[0, 35, 35]]
    assert (all_lost.lost_card_s(trace.cards), some.lost_card_s(trace.cards)) == (35 * 8, 5 * 8)
    assert some.finish_s.tolist() == [40 + 70, 50]
    figures = measure(trace, all_lost, cluster)
    later = replace(trace, submit_s=trace.submit_s + np.array([0, 1]))
    after = measure(later, all_lost, cluster, warm_up_s=1)
    assert (after.jobs, after.restarts, after.lost_card_s) == (1, 1, 280), "who lost it was of the warm-up"
    assert (figures.restarts, figures.lost_card_s, figures.makespan_s) == (1, 280, 140)
    assert figures.wait_mean_s == pytest.approx(5 / 2), "from the end of the first attempt to the second"
    assert figures.completion_mean_s == pytest.approx((140 + 50) / 2)
    assert figures.slowdown_mean == pytest.approx((1.4 + 1) / 2)
    assert figures.used == pytest.approx((135 * 8 + 50 * 4) / (140 * 12))
    at = np.array([10.0, 37.0, 45.0, 60.0])
    assert in_use(trace, all_lost, at).tolist() == [12, 4, 12, 8]
    assert waiting(trace, all_lost, at).tolist() == [0, 1, 0, 0]


def test_what_was_killed_keeps_its_place_before_those_that_came_after_it() -> None:
    trace = make_trace("queue", "a test", submit_s=[0, 1, 2], run_s=[50, 10, 10], cards_per_node=[4, 4, 4])
    scene = prepare(trace, cluster_of({"a": 1}, 4), Queueing.FIFO, Backfill.EASY, isolated=False)
    found = world.run(scene, None, [Outage(0, 20, 30, 1)])
    assert found.start_s.tolist() == [30, 80, 90]


def test_a_group_pays_for_what_a_killed_job_ran_and_not_for_what_it_was_expected_to() -> None:
    """When the nodes are back, a has used 5 s and b 20 s; charged for 900 s, a would come after b."""
    trace = make_trace(
        "fair", "a test", submit_s=[0, 0, 30, 31, 31], run_s=[900, 20, 100, 10, 10],
        cards_per_node=[4] * 5, group=["a", "b", "c", "b", "a"],
    )  # fmt: skip
    cluster = cluster_of({"a": 2}, 4)
    scene = prepare(trace, cluster, Queueing.FAIR, Backfill.EASY, isolated=False)
    away = [Outage(0, 5, 1000, 1, first=0), Outage(0, 20, 1000, 1, first=1)]
    found = world.run(scene, None, away)
    assert found.cut[:, JOB].tolist() == [0]
    assert found.start_s[2] == 1000, "c has used nothing"
    assert found.start_s[0] == 1000, "and a less than b"


def test_what_is_left_of_a_job_is_what_a_reservation_counts_on() -> None:
    """90 of 100 s are saved, so the wide job is kept for 10 s ahead, and a job of 50 s may not slip in."""
    trace = make_trace(
        "rest", "a test", submit_s=[0, 91, 92], run_s=[100, 10, 50], cards_per_node=[4, 4, 4], nodes=[1, 2, 1]
    )
    cluster = cluster_of({"a": 2}, 4)
    scene = prepare(trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False)
    found = world.run(scene, None, [Outage(0, 90, 95, 2)], 10)
    assert found.start_s.tolist() == [95, 105, 115]


def test_nodes_that_never_come_back_leave_jobs_undone_and_the_figures_say_so() -> None:
    trace = make_trace("end", "a test", submit_s=[0, 0], run_s=[5, 50], cards_per_node=[4, 4])
    cluster = cluster_of({"a": 2}, 4)
    scene = prepare(trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False)
    found = world.run(scene, None, [Outage(0, 20, 1 << 60, 2)])
    assert found.finish_s.tolist() == [5, -1]
    with pytest.raises(Refused, match="1 jobs never started, or were killed"):
        measure(trace, found, cluster)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Outage(2, 0, 5, 1), "of no pool"),
        (Outage(0, 5, 5, 1), "ends before it begins"),
        (Outage(0, 0, 5, 3), "the pool has 2 nodes"),
    ],
)
def test_an_outage_that_does_not_fit_is_refused(wrong: Outage, says: str) -> None:
    trace, expected = traced([(0, 1, 0, 1, "a")])
    scene = prepare(trace, CLUSTER, Queueing.FIFO, Backfill.NONE, isolated=False, expected_s=expected)
    with pytest.raises(Refused, match=says):
        world.run(scene, None, [wrong])


def test_outages_need_pools_whose_nodes_are_known() -> None:
    trace, _ = traced([(0, 1, 0, 1, "a")])
    scene = prepare(trace, CLUSTER, Queueing.FIFO, Backfill.NONE, isolated=False, by_node=False)
    with pytest.raises(Refused, match="whose nodes are known"):
        world.run(scene, None, [Outage(0, 0, 5, 1)])
