"""Maintenance of a site: what is placed before it, what is stopped at its begin, what becomes of that."""

from dataclasses import replace

import pytest
from tests.core.control.scene import (
    JOB,
    PLACED,
    RUNNING,
    SPEC,
    T0,
    YUAN,
    ended,
    history,
    kinds,
    only,
    receipt,
    snapshot,
)

from hutong.core.book.snapshot import Command
from hutong.core.capacity.sites import Maintenance
from hutong.core.kernel.ids import attempt_key
from hutong.core.work import facts as f
from hutong.core.work.states import AttemptState, Category, JobState

NOW = T0 + 10_000
HOUR_MS = 3_600_000
SOON = Maintenance(NOW + HOUR_MS, NOW + 2 * HOUR_MS, "cooling")
NOW_ON = Maintenance(NOW - 1, NOW + HOUR_MS, "cooling", stop_jobs=True)
SHORT = replace(SPEC, max_duration_s=3600)


def test_a_job_that_would_reach_into_it_goes_to_a_site_that_costs_more() -> None:
    assert only(snapshot(history(), maintenance=(SOON,))).after.attempt.site == "tj"
    assert only(snapshot(history(), spec=SHORT, maintenance=(SOON,))).after.attempt.site == "bj"
    over = Maintenance(NOW - HOUR_MS, NOW, "over")
    assert only(snapshot(history(), maintenance=(over,))).after.attempt.site == "bj"


def test_of_several_the_next_one_counts() -> None:
    later = Maintenance(NOW + 5 * HOUR_MS, NOW + 6 * HOUR_MS, "power")
    assert only(snapshot(history(), maintenance=(SOON, later))).after.attempt.site == "tj"
    assert only(snapshot(history(), maintenance=(later,))).after.attempt.site == "bj"


def test_where_no_other_site_is_in_reach_it_waits_and_is_told_what_would_fit() -> None:
    outcome = only(snapshot(history(), maintenance=(SOON,), seen={"bj": NOW}))
    assert outcome.after.waiting_code == "maintenance"
    assert "max_duration: 60m or less" in outcome.after.waiting_text


def test_the_receipt_knows_of_it_and_replays() -> None:
    opened = receipt(snapshot(history(), maintenance=(SOON,)))
    assert opened.now.pools[0].closing is not None
    assert opened.now.decision.rows[0].why_not is not None
    assert opened.now.decision.rows[0].why_not.code == "maintenance"
    assert (opened.now_digest, opened.differences) == (opened.digest, ())


@pytest.mark.parametrize("state", ["dispatched", "running"])
def test_what_is_there_when_it_begins_is_stopped_only_if_it_says_so(state: str) -> None:
    events = RUNNING if state == "running" else (f.Queued(), PLACED, f.Dispatched(1))
    left = only(snapshot(history(*events), maintenance=(replace(NOW_ON, stop_jobs=False),)))
    assert left.commands == ()
    outcome = only(snapshot(history(*events), maintenance=(NOW_ON,), held_micro=400 * YUAN))
    assert outcome.commands == (Command(attempt_key(JOB, 1), "bj", "stop"),)
    stop = next(fact.event for fact in outcome.facts if isinstance(fact.event, f.StopSent))
    assert (stop.category, "cooling" in stop.reason) == (Category.PREEMPTED, True)


def test_it_is_stopped_once() -> None:
    job = history(*RUNNING, f.StopSent(1, Category.PREEMPTED, "maintenance"))
    assert only(snapshot(job, maintenance=(NOW_ON,), held_micro=400 * YUAN)).commands == ()


def test_the_loop_looks_again_when_it_begins() -> None:
    soon = replace(SOON, from_ms=NOW + 30_000, stop_jobs=True)
    outcome = only(snapshot(history(*RUNNING), maintenance=(soon,), held_micro=400 * YUAN))
    assert outcome.due_ms == NOW + 30_000
    assert outcome.commands == ()


def test_a_stopped_job_is_tried_elsewhere_and_its_users_retries_are_not_spent() -> None:
    job = history(
        *RUNNING,
        f.StopSent(1, Category.PREEMPTED, "maintenance"),
        ended(AttemptState.PREEMPTED, Category.PREEMPTED),
    )
    outcome = only(snapshot(job, now_ms=T0 + 70_000, maintenance=(NOW_ON,), held_micro=400 * YUAN))
    assert kinds(outcome) == ["metered", "queued", "placed"]
    assert (outcome.after.state, outcome.after.attempt.site) == (JobState.PLACED, "tj")
    assert outcome.after.restarts_of(Category.USER) == 0
