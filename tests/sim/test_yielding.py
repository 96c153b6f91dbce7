"""Preemption in a simulated run: who is stopped, what that costs, and what must hold of any run."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.test_settled import GROUND, NAMES, SIZES, agreements, jobs, rules, scene, spans, traced

from hutong.core.accounts.quotas import INSTITUTION, Allotment, Quota
from hutong.core.control.room import STOPS_MAX
from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.sim import fused, world
from hutong.sim.compare import Ground
from hutong.sim.cuts import END, FOR_MAINTENANCE, JOB, LOST, POOL, START, STOPPED
from hutong.sim.faults import Outage
from hutong.sim.measures import measure
from hutong.sim.rules import Queueing
from hutong.sim.runs import Run
from hutong.sim.settled import Agreed, Maintenance, Preemptible, settle
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import World, cluster_of, prepare
from hutong.sim.yielding import RULES

preemptible = st.builds(
    Preemptible,
    st.sampled_from([("a",), ("b", "c")]), st.sampled_from([0, 500_000]), st.sampled_from([0, 2, 30]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(jobs, agreements, rules, preemptible, st.sampled_from([0, 3]), st.booleans())
def test_all_work_is_done_only_who_may_be_is_stopped_and_no_card_is_given_twice(
    rows: list[tuple[int, int, int, int, str, str]],
    agreed: Agreed,
    chosen: tuple[Queueing, Backfill, bool],
    may: Preemptible,
    checkpoint_s: int,
    fails: bool,
) -> None:
    chosen = (chosen[0], chosen[1], chosen[2] or fails)
    outages = [Outage(0, 10, 25, 1)] if fails else []
    trace, expected = traced(rows)
    agreed = replace(agreed, preemptible=may)
    found, again = (
        world.run(scene(trace, expected, agreed, chosen), None, outages, checkpoint_s) for _ in range(2)
    )
    assert found.digest == again.digest
    assert not found.stops[~may.of(trace)].any()
    assert found.stops.max() <= STOPS_MAX
    for job in np.flatnonzero(found.start_s >= 0).tolist():
        cut = found.cut[found.cut[:, JOB] == job]
        kept = (cut[:, END] - cut[:, START] - cut[:, LOST]).sum()
        assert kept + found.finish_s[job] - found.start_s[job] == trace.run_s[job]
        assert (cut[:, LOST] >= 0).all()
    held = found.attempts
    for at_s in set(held.start_s.tolist()):
        runs = (held.start_s <= at_s) & (at_s < held.end_s)
        for pool, name in enumerate(NAMES):
            assert trace.cards[held.job[runs & (held.pool == pool)]].sum() <= SIZES[name]
    calm = world.run(
        scene(trace, expected, replace(agreed, preemptible=Preemptible()), chosen), None, outages
    )
    assert ((found.start_s >= 0) == (calm.start_s >= 0)).all(), "what makes room starts in the end"


windows = st.builds(
    lambda site, span, stops, before: Maintenance(site, span[0], span[1], stops, max(0, span[0] - before)),
    st.sampled_from(["bj", "tj"]), spans, st.booleans(), st.sampled_from([0, 5, 60]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    jobs, agreements, rules, preemptible, st.lists(windows, min_size=1, max_size=3), st.sampled_from([0, 3])
)
def test_at_a_site_that_is_maintained_nothing_starts_and_what_is_to_be_stopped_runs_for_its_grace_at_most(
    rows: list[tuple[int, int, int, int, str, str]],
    agreed: Agreed,
    chosen: tuple[Queueing, Backfill, bool],
    may: Preemptible,
    closed: list[Maintenance],
    checkpoint_s: int,
) -> None:
    trace, expected = traced(rows)
    agreed = replace(agreed, preemptible=may, maintenance=tuple(closed))
    expected = np.maximum(expected, 1)  # as a walltime
    found = world.run(scene(trace, expected, agreed, chosen), None, (), checkpoint_s)
    site_of = np.array([name.partition("/")[0] for name in NAMES])
    held, grace_s = found.attempts, may.grace_s if checkpoint_s else 0
    for window in closed:
        here = site_of[held.pool] == window.site
        begun = here & (window.from_s <= held.start_s) & (held.start_s < window.until_s)
        assert not begun.any()
        runs = here & (held.start_s < window.from_s) & (held.end_s > window.from_s)
        if window.stop_jobs:
            assert (held.end_s[runs] <= window.from_s + grace_s).all()
    cut = found.cut[found.cut[:, STOPPED] == FOR_MAINTENANCE]
    for at_s, pool in zip(cut[:, END].tolist(), cut[:, POOL].tolist(), strict=True):
        assert any(
            each.stop_jobs and each.site == site_of[pool] and each.from_s <= at_s - grace_s < each.until_s
            for each in closed
        )
    for job in np.flatnonzero(found.start_s >= 0).tolist():
        mine = found.cut[found.cut[:, JOB] == job]
        kept = (mine[:, END] - mine[:, START] - mine[:, LOST]).sum()
        assert kept + found.finish_s[job] - found.start_s[job] == trace.run_s[job]


def made(*rows: tuple[int, int, int, str]) -> Trace:
    """Return a trace of (submitted, runs for, cards, group)."""
    return make_trace(
        "made", "by hand", submit_s=[row[0] for row in rows], run_s=[row[1] for row in rows],
        nodes=[1] * len(rows), cards_per_node=[row[2] for row in rows], group=[row[3] for row in rows],
    )  # fmt: skip


def world_of(trace: Trace, may: Preemptible, nodes: int = 1, quotas: tuple[Quota, ...] = ()) -> World:
    """Return one pool of nodes with eight cards each; institutions are called as their one project."""
    cluster = cluster_of({"all": nodes}, 8)
    of = tuple((name, (name,)) for name in trace.groups) if quotas else ()
    settled = settle(Agreed(of, quotas, preemptible=may), trace, Ground(cluster).views, cluster.names)
    return prepare(trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False, settled=settled)


def ends(found: Run, job: int) -> list[tuple[int, int]]:
    """Return from when until when each attempt of a job ran."""
    held = found.attempts
    spans = zip(held.job.tolist(), held.start_s.tolist(), held.end_s.tolist(), strict=True)
    return sorted((start_s, end_s) for each, start_s, end_s in spans if each == job)


SPOT = Preemptible(("spot",), grace_s=10)


def test_the_job_with_which_the_least_is_lost_makes_room_and_goes_to_the_end_of_the_queue() -> None:
    trace = made((0, 1000, 4, "spot"), (50, 1000, 4, "spot"), (100, 200, 4, "lab"), (100, 100, 4, "spot"))
    found = world.run(world_of(trace, SPOT))
    assert ends(found, 2) == [(100, 300)]
    assert ends(found, 0) == [(0, 1000)], "it had done more"
    assert ends(found, 3) == [(300, 400)], "it came as the other was stopped"
    assert ends(found, 1) == [(50, 100), (400, 1400)]
    assert found.cut[:, [JOB, LOST, STOPPED]].tolist() == [[1, 50, 1]]
    figures = measure(trace, found, cluster_of({"all": 1}, 8))
    assert (figures.stops, figures.restarts, figures.stop_lost_card_s) == (1, 1, 4 * 50)


def test_who_saves_holds_its_cards_for_its_grace_and_loses_no_more() -> None:
    trace = made((0, 500, 8, "spot"), (100, 50, 8, "lab"))
    assert ends(world.run(world_of(trace, SPOT)), 0) == [(0, 100), (150, 650)]
    saving = world.run(world_of(trace, SPOT), checkpoint_s=60)
    assert ends(saving, 0) == [(0, 110), (160, 560)]
    assert ends(saving, 1) == [(110, 160)]
    assert saving.cut[:, LOST].tolist() == [10]
    at_once = world.run(world_of(trace, replace(SPOT, grace_s=0)), checkpoint_s=60)
    assert ends(at_once, 0) == [(0, 100), (150, 590)], "it goes on from its last checkpoint"
    soon = made((0, 105, 8, "spot"), (100, 50, 8, "lab"))
    assert ends(world.run(world_of(soon, SPOT), checkpoint_s=60), 0) == [(0, 105)], "it ends in its grace"


def test_who_has_saved_before_is_stopped_rather_than_who_may_lose_all() -> None:
    rows = ((0, 3000, 4, "spot"), (100, 50, 4, "lab"), (100, 50, 4, "lab"), (400, 3000, 4, "spot"))
    trace = made(*rows, (420, 50, 4, "lab"))
    saving = world.run(world_of(trace, SPOT), checkpoint_s=60)
    assert saving.stops.tolist() == [2, 0, 0, 0, 0]
    losing = world.run(world_of(trace, SPOT))
    assert losing.stops.tolist() == [1, 0, 0, 1, 0]


def test_a_job_is_stopped_four_times_and_waits_longer_each_time() -> None:
    rows = [(0, 100_000, 8, "spot"), *((100 + 400 * n, 20, 8, "lab") for n in range(6))]
    spans = ends(world.run(world_of(made(*rows), SPOT)), 0)
    assert len(spans) == STOPS_MAX + 1
    assert spans[0] == (0, 100)
    soon = made((0, 100_000, 8, "spot"), *((100 + 30 * n, 5, 8, "lab") for n in range(4)))
    begins = [start_s for start_s, _ in ends(world.run(world_of(soon, SPOT)), 0)]
    assert begins == [0, 105, 140, 180, 230], (
        "after the second stop in a row it waits for 10 s, then 20, then 40"
    )


def test_what_an_institution_is_promised_is_taken_back_from_who_borrows() -> None:
    trace = made((0, 500, 8, "rich"), (100, 50, 4, "poor"))
    all_may = Preemptible(share_ppm=1_000_000)
    promise = Quota(INSTITUTION, "poor", 1000, (Allotment("card", 4),))
    assert ends(world.run(world_of(trace, all_may, quotas=(promise,))), 1) == [(100, 150)]
    nothing = Quota(INSTITUTION, "poor", 1000, (Allotment("card", 0),))
    assert ends(world.run(world_of(trace, all_may, quotas=(nothing,))), 1) == [(500, 550)]
    assert ends(world.run(world_of(trace, all_may)), 1) == [(500, 550)], "nobody is promised anything"


def test_a_node_that_goes_takes_a_job_that_is_stopping() -> None:
    trace = made((0, 500, 8, "spot"), (100, 50, 8, "lab"))
    found = world.run(world_of(trace, SPOT), None, [Outage(0, 105, 120, 1)], 60)
    assert found.cut[:, [JOB, END, STOPPED]].tolist() == [[0, 105, 0], [0, 130, 1]]
    assert ends(found, 0) == [(0, 105), (120, 130), (180, 620)], "what an outage took keeps its place"
    assert ends(found, 1) == [(130, 180)]


def closed_world(trace: Trace, *windows: Maintenance, grace_s: int = 10) -> World:
    """Return two pools of eight cards that are sites of their own, of which windows close some."""
    cluster = cluster_of({"one": 1, "two": 1}, 8)
    agreed = Agreed(preemptible=Preemptible(grace_s=grace_s), maintenance=windows)
    settled = settle(agreed, trace, Ground(cluster).views, cluster.names)
    return prepare(trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False, settled=settled)


def test_a_window_is_kept_clear_once_it_is_known_and_stops_what_runs_all_the_same() -> None:
    trace = made((0, 100, 8, "lab"), (0, 300, 8, "lab"), (120, 60, 8, "lab"), (120, 200, 4, "lab"))
    window = Maintenance("one", 200, 250)
    assert ends(world.run(closed_world(trace, window)), 1) == [(0, 300)], "it took the other pool"
    late = Maintenance("two", 200, 250, announced_s=50)
    spans = [ends(world.run(closed_world(trace, late)), job) for job in range(4)]
    assert spans == [[(0, 100)], [(0, 300)], [(120, 180)], [(180, 380)]], "what runs there runs on"
    stopping = replace(late, stop_jobs=True)
    stopped = world.run(closed_world(trace, stopping))
    assert ends(stopped, 1) == [(0, 200), (250, 550)], "the whole run again, at the first place that opens"
    assert stopped.stops_for(FOR_MAINTENANCE).tolist() == [0, 1, 0, 0]
    saving = world.run(closed_world(trace, stopping), checkpoint_s=60)
    assert ends(saving, 1) == [(0, 210), (250, 350)], "it saved as it was told, and held cards for its grace"
    at_once = world.run(closed_world(trace, stopping, grace_s=0), checkpoint_s=60)
    assert ends(at_once, 1) == [(0, 200), (250, 370)], "without one it goes on from its last checkpoint"


def test_a_job_that_is_stopped_too_often_is_given_up_as_live() -> None:
    trace = made((0, 1000, 8, "lab"))
    again = [
        Maintenance(site, at_s, at_s + 10, stop_jobs=True, announced_s=at_s)
        for at_s in range(400, 6000, 400)
        for site in ("one", "two")
    ]
    found = world.run(closed_world(trace, *again))
    assert found.start_s[0] == -1
    assert found.stops[0] == RULES.max_attempts


def test_the_fused_loop_says_that_it_stops_nothing() -> None:
    trace = made((0, 500, 8, "spot"), (100, 50, 8, "lab"))
    with pytest.raises(Refused, match="closes no site"):
        fused.run(closed_world(trace, Maintenance("one", 200, 250)))
    with pytest.raises(Refused, match="the fused loop stops no job"):
        fused.run(world_of(trace, SPOT))
    fused.run(world_of(trace, Preemptible()))


def test_the_part_of_the_jobs_that_may_be_stopped_is_drawn_alike_each_time() -> None:
    trace = made(*((n, 1, 1, "abc"[n % 3]) for n in range(300)))
    may = Preemptible(("b",), 200_000)
    first = may.of(trace)
    assert (may.of(trace) == first).all()
    assert first[1::3].all()
    assert 20 <= first[0::3].sum() + first[2::3].sum() <= 60
    assert not Preemptible().of(trace).any()
    assert GROUND.cluster.names == NAMES
