"""The scheduling pass against a plain one, in both of its loops, and what must hold of any run."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.plain import Job, Plain

from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.sim import fused, world
from hutong.sim.city import Footprint
from hutong.sim.compare import Result
from hutong.sim.figures import span
from hutong.sim.measures import interval, jain, measure
from hutong.sim.predict import Predictor
from hutong.sim.report import write_report
from hutong.sim.rules import Queueing
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import Cluster, cluster_of, pooled, prepare

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
# LEAST goes with GREEDY alone, and stops jobs: see `test_rest`.
orders = st.sampled_from([Queueing.FIFO, Queueing.SJF, Queueing.FAIR])
rules = st.tuples(orders, st.sampled_from(Backfill), st.booleans())


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
        scene = prepare(trace, CLUSTER, queueing, backfill, isolated=isolated, expected_s=expected)
        found = loop(scene)
        assert found.start_s.tolist() == start_s
        assert found.pool.tolist() == pool


@pytest.mark.parametrize("queueing", [Queueing.SJF, Queueing.FIFO])
def test_a_deep_queue_is_served_in_the_order_of_the_plain_rules(queueing: Queueing) -> None:
    """Scores in line and dozens that run, so that chains are entered and left on all their levels."""
    random = np.random.default_rng(3)
    rows = [
        (int(at), int(run), int(beyond), int(cards), "a")
        for at, run, beyond, cards in zip(
            random.integers(0, 30, 160), random.integers(1, 60, 160), random.integers(-9, 40, 160),
            random.choice([1, 1, 1, 2, 4, 8], 160), strict=True,
        )
    ]  # fmt: skip
    trace, expected = traced(rows)
    cluster = cluster_of({"a": 8}, WIDTH)
    start_s, _ = plainly(trace, expected, cluster, queueing, Backfill.EASY, isolated=True)
    for loop in (world.run, fused.run):
        scene = prepare(trace, cluster, queueing, Backfill.EASY, isolated=True, expected_s=expected)
        assert loop(scene).start_s.tolist() == start_s
    assert sum(each > 40 for each in start_s) > 70, "they do wait"


@settings(max_examples=60, deadline=None)
@given(jobs, rules)
def test_no_card_is_given_twice_and_every_job_runs(
    rows: list[tuple[int, int, int, int, str]], chosen: tuple[Queueing, Backfill, bool]
) -> None:
    """Checked from the outside, by the jobs' times alone; a gang holds all its cards or none."""
    queueing, backfill, isolated = chosen
    trace, expected = traced(rows)
    scene = prepare(trace, CLUSTER, queueing, backfill, isolated=isolated, expected_s=expected)
    found = fused.run(scene)
    assert (found.start_s >= trace.submit_s).all(), "every job of a bounded load starts some time"
    changes: dict[tuple[int, int], int] = defaultdict(int)
    for job in range(len(trace)):
        if trace.run_s[job]:
            changes[int(found.pool[job]), int(found.start_s[job])] += int(trace.cards[job])
            changes[int(found.pool[job]), int(found.start_s[job] + trace.run_s[job])] -= int(trace.cards[job])
    for pool, nodes in enumerate(CLUSTER.nodes):
        held = np.cumsum([change for (where, _), change in sorted(changes.items()) if where == pool])
        assert (held <= nodes * WIDTH).all()
    assert scene.board.pools[:, 0].tolist() == [nodes * WIDTH for nodes in CLUSTER.nodes], (
        "all are given back"
    )


@settings(max_examples=40, deadline=None)
@given(jobs)
def test_first_come_first_served_keeps_the_order_within_a_pool(
    rows: list[tuple[int, int, int, int, str]],
) -> None:
    trace, expected = traced(rows)
    scene = prepare(trace, CLUSTER, Queueing.FIFO, Backfill.NONE, isolated=True, expected_s=expected)
    found = world.run(scene)
    for pool in range(2):
        starts = found.start_s[found.pool == pool]
        assert (np.diff(starts) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(jobs)
def test_back_fill_by_true_lengths_never_delays_the_first_that_waits(
    rows: list[tuple[int, int, int, int, str]],
) -> None:
    """With exact lengths and one node, the first that must wait starts no later than without back-fill."""
    rows = [(at, run, 0, min(cards, WIDTH), "a") for at, run, _, cards, _ in rows]
    trace, expected = traced(rows)
    cluster = cluster_of({"a": 1}, WIDTH)

    def starts(backfill: Backfill) -> list[int]:
        scene = prepare(trace, cluster, Queueing.FIFO, backfill, isolated=True, expected_s=expected)
        return list(fused.run(scene).start_s.tolist())

    strict, easy = starts(Backfill.NONE), starts(Backfill.EASY)
    waiting = [at for at, start_s in enumerate(strict) if start_s > trace.submit_s[at]]
    if waiting:
        assert easy[waiting[0]] <= strict[waiting[0]]


def test_without_a_reservation_a_wide_job_is_passed_by_for_as_long_as_narrow_ones_come() -> None:
    """What the reservation is for: the same jobs under greedy back-fill."""
    narrow = [(at, 10, 0, 2, "a") for at in range(0, 60, 5)]
    trace, expected = traced([*narrow, (1, 10, 0, 4, "a")])
    wide = int(np.flatnonzero(trace.cards == 4)[0])
    cluster = cluster_of({"a": 1}, WIDTH)
    found = {
        backfill: fused.run(
            prepare(trace, cluster, Queueing.FIFO, backfill, isolated=True, expected_s=expected)
        ).start_s[wide]
        for backfill in (Backfill.EASY, Backfill.GREEDY)
    }
    assert found == {Backfill.EASY: 10, Backfill.GREEDY: 65}


def test_a_report_is_one_page_that_escapes_names_and_says_what_cannot_be_written(tmp_path: Path) -> None:
    trace, expected = traced([(0, 5, 0, 4, "a"), (0, 5, 0, 8, "b")])
    trace = replace(trace, name="<script>alert(1)</script>")
    scene = prepare(trace, CLUSTER, Queueing.FIFO, Backfill.EASY, isolated=True, expected_s=expected)
    found = fused.run(scene)
    costs = Footprint(12.0, 20_000.0, 900.0, 0.25)
    row = Result("fifo & easy", measure(trace, found, CLUSTER), costs, found.digest, found)
    write_report(tmp_path / "report.html", trace, CLUSTER, [row])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "fifo &amp; easy" in page
    assert page.count("<polyline") == 3
    for told in ("slowdown", "<td>20.0 MWh</td><td>900.0 kg</td><td>25.0%</td>"):
        assert told in page
    with pytest.raises(Refused, match="cannot be written: No such file"):
        write_report(tmp_path / "nowhere" / "report.html", trace, CLUSTER, [row])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (119.4, "119 s"),
        (120, "2.0 min"),
        (7199, "120.0 min"),
        (7200, "2.00 h"),
        (-7200, "-2.00 h"),
    ],
)
def test_times_are_told_in_the_unit_that_is_read_best(seconds: float, said: str) -> None:
    assert span(seconds) == said


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
            prepare(trace, CLUSTER, Queueing.FAIR, Backfill.EASY, isolated=False, expected_s=expected)
        ).digest
        for _ in range(3)
    }
    assert len(digests) == 1


def test_lengths_are_guessed_from_those_that_have_ended_and_from_nothing_else() -> None:
    trace, _ = traced([(at * 5, 3 if at % 2 else 40, 0, 4, "ab"[at % 2]) for at in range(30)])
    scene = prepare(trace, CLUSTER, Queueing.SJF, Backfill.EASY, isolated=False)
    found = world.run(scene, Predictor(enough=2, unknown_s=100))
    assert (found.start_s >= trace.submit_s).all()
    expected = scene.board.jobs[:, 1]
    assert expected[:2].tolist() == [100_000, 100_000], "nobody knows anything yet"
    assert set(expected[10:].tolist()) <= {3000, 40_000}


def test_cards_are_fragmented_where_they_are_idle_and_a_waiting_job_asks_for_no_more() -> None:
    # Three of each node's four cards are taken: two are free, and a job that asks for two on one node waits.
    trace, expected = traced([(0, 10, 0, 3, "a"), (0, 10, 0, 3, "a"), (0, 10, 0, 2, "a")])
    cluster = cluster_of({"a": 2, "b": 5}, 4)
    for isolated, idle in ((True, 2 * 10), (False, 0)):
        scene = prepare(trace, cluster, Queueing.FIFO, Backfill.NONE, isolated=isolated, expected_s=expected)
        figures = measure(trace, world.run(scene), cluster, isolated=isolated)
        assert figures.fragmented == pytest.approx(idle / (28 * figures.makespan_s))


def test_the_figures_of_a_run_by_hand() -> None:
    trace, expected = traced([(0, 100, 0, 8, "a"), (0, 5, 0, 8, "b"), (50, 10, 0, 4, "b")])
    scene = prepare(trace, pooled(CLUSTER), Queueing.FIFO, Backfill.NONE, isolated=False, expected_s=expected)
    found = world.run(scene)
    assert found.start_s.tolist() == [0, 0, 50]
    figures = measure(trace, found, CLUSTER)
    assert (figures.jobs, figures.makespan_s, figures.wait_mean_s) == (3, 100, 0.0)
    assert figures.completion_mean_s == pytest.approx(115 / 3)
    assert figures.used == pytest.approx((800 + 40 + 40) / (100 * 20))
    assert (figures.slowdown_mean, figures.jain) == (1.0, 1.0)
    assert measure(trace, found, CLUSTER, warm_up_s=1).jobs == 1
    with pytest.raises(Refused, match="no job was submitted after 51 s"):
        measure(trace, found, CLUSTER, warm_up_s=51)
    with pytest.raises(Refused, match="1 jobs never started"):
        measure(trace, replace(found, start_s=np.array([0, 0, -1])), CLUSTER)
    assert figures.fragmented == 0
    low, high = interval([1.0, 2.0, 3.0])
    assert 1 <= low < 2 < high <= 3
    assert jain(np.array([1.0, 0.0])) == 0.5
