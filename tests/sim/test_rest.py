"""Least expected rest first: who waits stops who is expected to hold cards far longer, and all of it ends."""

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.test_yielding import ends
from typer.testing import CliRunner

from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.main import cli
from hutong.sim import fused, rest, world
from hutong.sim.compare import Ground, simulate
from hutong.sim.cuts import END, JOB, LOST, START, STOPPED
from hutong.sim.faults import Outage
from hutong.sim.predict import Predictor
from hutong.sim.rest import RESTART_S, TIMES
from hutong.sim.rules import Lengths, Queueing
from hutong.sim.runs import Run
from hutong.sim.settled import Agreed, PowerLimit, Preemptible, settle
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import Cluster, prepare

SIZES = {"a": 2, "b": 1}
CARDS = 4


def traced(rows: list[tuple[int, int, int, int, str]]) -> Trace:
    """Return a trace of (s after the one before, runs for, nodes, cards a node, group)."""
    return make_trace(
        "made", "by hand", submit_s=np.cumsum([row[0] for row in rows]).tolist(),
        run_s=[row[1] for row in rows], nodes=[row[2] for row in rows],
        cards_per_node=[row[3] for row in rows], group=[row[4] for row in rows],
    )  # fmt: skip


def run(
    trace: Trace,
    cluster: Cluster,
    outages: tuple[Outage, ...] = (),
    *,
    isolated: bool = True,
    may: Preemptible | None = None,
) -> Run:
    agreed = None if may is None else Agreed(preemptible=may)
    settled = settle(agreed, trace, Ground(cluster).views, cluster.names) if agreed else None
    ready = prepare(trace, cluster, Queueing.LEAST, Backfill.GREEDY, isolated=isolated, settled=settled)
    return world.run(ready, Predictor(), outages)


# Lengths and gaps spread over decades, as in real traces, or nobody would be worth a stop.
gaps, lengths = st.sampled_from([0, 1, 600, 10_000]), st.sampled_from([0, 1, 600, 10_000, 200_000])
jobs = st.lists(
    st.tuples(gaps, lengths, st.just(1), st.integers(1, 4), st.sampled_from("aab"))
    | st.tuples(gaps, lengths, st.just(2), st.integers(1, 4), st.just("a")),
    min_size=12,
    max_size=25,
)
outages = st.lists(
    st.builds(
        lambda from_s, lasts_s, nodes, first: Outage(0, from_s, from_s + lasts_s, nodes, first),
        st.integers(0, 30_000), st.integers(1, 30_000), st.integers(1, 2), st.integers(0, 1),
    ),
    max_size=2,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    jobs, outages, st.booleans(), st.none() | st.builds(Preemptible, share_ppm=st.just(500_000)),
    st.sampled_from([0, 1, TIMES]),
)  # fmt: skip
def test_every_run_ends_and_all_work_is_done_once_however_small_the_factor(
    rows: list[tuple[int, int, int, int, str]],
    away: list[Outage],
    isolated: bool,
    may: Preemptible | None,
    times: int,
) -> None:
    trace = traced(rows)
    cluster = Cluster(tuple(SIZES), tuple(SIZES.values()), (CARDS, CARDS))
    with patch.object(rest, "TIMES", times):
        found, again = (run(trace, cluster, tuple(away), isolated=isolated, may=may) for _ in range(2))
    assert again.digest == found.digest
    assert (found.start_s >= trace.submit_s).all()
    held, cut = found.attempts, found.cut
    for job in range(len(trace)):
        mine = cut[cut[:, JOB] == job]
        kept = (mine[:, END] - mine[:, START] - mine[:, LOST]).sum()
        assert kept + found.finish_s[job] - found.start_s[job] == trace.run_s[job]
    stopped = cut[cut[:, STOPPED] == 1]
    assert (stopped[:, LOST] == RESTART_S).all()
    assert (stopped[:, END] > stopped[:, START]).all(), "what starts at a moment is not stopped at it"
    assert may is None or may.of(trace)[stopped[:, JOB]].all()
    moments = list(zip(stopped[:, JOB].tolist(), stopped[:, END].tolist(), strict=True))
    assert len(set(moments)) == len(moments), "nobody is stopped twice at a moment"
    for at_s in set(held.start_s.tolist()):
        runs = (held.start_s <= at_s) & (at_s < held.end_s)
        for pool, nodes in enumerate(cluster.nodes):
            here = runs & (held.pool == pool)
            assert trace.cards[held.job[here]].sum() <= nodes * CARDS


ONE = Cluster(("a",), (1,), (CARDS,))
LONG = (0, 100_000, 1, 4, "a")


def test_a_short_job_takes_the_cards_of_one_that_went_on_for_long_which_then_goes_on() -> None:
    found = run(traced([LONG, (50_000, 60, 1, 1, "a")]), ONE)
    assert ends(found, 1) == [(50_000, 50_060)]
    assert ends(found, 0) == [(0, 50_000), (50_060, 100_060 + RESTART_S)]


def test_whom_it_would_not_pay_to_stop_runs_on() -> None:
    found = run(traced([LONG, (1000, 60, 1, 1, "a")]), ONE)
    assert len(found.cut) == 0, "as long as a job has run for little, it is expected to need little"
    assert ends(found, 1) == [(100_000, 100_060)]


def test_a_job_of_a_batch_stops_none_of_it_and_a_stranger_does() -> None:
    batch = [(0, 200_000, 1, 2, "a"), (0, 200_000, 1, 2, "a"), (1, 200_000, 1, 2, "a")]
    found = run(traced([*batch, (100_000, 60, 1, 1, "a")]), ONE)
    assert found.stops.sum() == 1, "the third is expected to be as long as those that run"
    assert ends(found, 3) == [(100_001, 100_061)]


def test_of_two_nodes_that_would_do_the_one_is_cleared_whose_jobs_need_the_most() -> None:
    rows = [LONG, (40_000, 100_000, 1, 3, "a"), (40_000, 60, 1, 2, "a")]
    found = run(traced(rows), Cluster(("a",), (2,), (CARDS,)))
    assert found.stops.tolist() == [1, 0, 0]
    assert ends(found, 2) == [(80_000, 80_060)]


def test_a_gang_is_stopped_whole_and_a_gang_stops_what_is_on_each_of_its_nodes() -> None:
    two = Cluster(("a",), (2,), (CARDS,))
    gang = run(traced([(0, 100_000, 2, 4, "a"), (50_000, 60, 1, 1, "a")]), two)
    assert gang.stops.tolist() == [1, 0]
    assert ends(gang, 1) == [(50_000, 50_060)]
    rows = [LONG, (0, 100_000, 1, 3, "a"), (90_000, 60, 2, 2, "a")]
    both = run(traced(rows), two)
    assert both.stops.tolist() == [1, 1, 0]
    assert ends(both, 2) == [(90_000, 90_060)]
    assert both.finish_s.tolist() == [100_060 + RESTART_S, 100_060 + RESTART_S, 90_060]


def test_only_who_may_be_is_stopped() -> None:
    trace = traced([(0, 100_000, 1, 4, "a"), (0, 90_000, 1, 4, "b"), (80_000, 60, 1, 1, "a")])
    two = Cluster(("all",), (2,), (CARDS,))
    for project, stops in (("a", [1, 0, 0]), ("b", [0, 1, 0])):
        assert run(trace, two, isolated=False, may=Preemptible((project,))).stops.tolist() == stops
    assert run(trace, two, isolated=False, may=Preemptible()).stops.sum() == 0


def test_what_an_outage_took_is_not_forgotten() -> None:
    found = run(traced([LONG, (50_000, 60, 1, 1, "a")]), ONE, (Outage(0, 50_010, 50_500, 1),))
    assert found.restarts.tolist() == [1, 1]
    assert found.stops.tolist() == [1, 0]
    assert ends(found, 1) == [(50_000, 50_010), (50_500, 50_560)]


def test_the_fused_loop_and_rules_that_do_not_go_with_it_are_refused() -> None:
    trace = traced([LONG])
    with pytest.raises(Refused, match="the fused loop stops no job"):
        fused.run(prepare(trace, ONE, Queueing.LEAST, Backfill.GREEDY, isolated=True))
    with pytest.raises(Refused, match="give --backfill greedy"):
        prepare(trace, ONE, Queueing.LEAST, Backfill.EASY, isolated=True)
    with pytest.raises(Refused, match="give --lengths guessed"):
        simulate(trace, Ground(ONE), Queueing.LEAST, Backfill.GREEDY, Lengths.KNOWN)
    limit = Agreed(power_limits=(PowerLimit("a", 1, 0),))
    with pytest.raises(Refused, match="leave all but preemptible out of --rules"):
        simulate(trace, Ground(ONE), Queueing.LEAST, Backfill.GREEDY, Lengths.GUESSED, agreed=limit)


def test_the_command_line_refuses_before_anything_runs_and_then_does_it(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.csv"
    rows = ["0,u,a,4,COMPLETED,0,100000", "1,u,a,1,COMPLETED,50000,60"]
    jobs.write_text("\n".join(["job_id,user,vc,gpu_num,state,submit_time,duration", *rows]))
    words = ["simulate", "--nodes", "1", "--cards-per-node", "4", "--trace", str(jobs), "--order", "least"]
    refused = CliRunner().invoke(cli, words, env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "--order least keeps no cards for who waits: give --backfill greedy" in refused.output
    done = CliRunner().invoke(cli, [*words, "--backfill", "greedy", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["runs"][0]["measures"]
    assert found["stops"] == 1
    assert found["completion_mean_s"] == (100_060 + RESTART_S + 60) / 2
