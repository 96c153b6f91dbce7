"""Retries wait: longer with each failure in a row, in sight of the user, and in nobody's way."""

from dataclasses import replace

import pytest
from tests.core.control.scene import (
    JOB,
    LAB,
    PLACED,
    RULES,
    SPEC,
    T0,
    history,
    kinds,
    only,
    snapshot,
)

from hutong.core.book.snapshot import JobOutcome, Snapshot
from hutong.core.control.retries import back_off_ms
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.work import facts as f
from hutong.core.work.fold import Job, apply
from hutong.core.work.spec import Retry, Wish
from hutong.core.work.states import AttemptState, Category, JobState

NOW = T0 + 3_600_000
FAILED, WITHDRAWN = AttemptState.FAILED, AttemptState.WITHDRAWN


def tried(
    *ends: tuple[AttemptState, Category, int], last: tuple[f.Event, ...] = (f.Collected(1),)
) -> tuple[f.Event, ...]:
    """Return what happened to a job whose attempts ended like this, each (outcome, category, ran_ms)."""
    events: list[f.Event] = [f.Queued()]
    for number, (outcome, category, ran_ms) in enumerate(ends, 1):
        if number > 1:
            events.append(f.Queued("why", Category.INFRA))
        events.append(replace(PLACED, attempt=number))
        if outcome is not WITHDRAWN:
            events += [f.Dispatched(number), f.Started(number, T0)]
        events.append(f.Ended(number, outcome, category, "the node died", T0, T0 + ran_ms, ran_ms))
        events.append(f.Metered(number, T0 + ran_ms, 8 * ran_ms, 0, final=True))
    return (*events, *last)


def infra(times: int, ran_ms: int = 1000) -> list[tuple[AttemptState, Category, int]]:
    return [(FAILED, Category.INFRA, ran_ms)] * times


def looked_at(job: Job, now_ms: int, **changes: object) -> Snapshot:
    """Return a snapshot in which a queued job asks for a look."""
    shot = snapshot(job, now_ms=now_ms)
    (row,) = (*shot.due, *shot.queue)
    return replace(shot, due=(replace(row, **changes),), queue=())  # type: ignore[arg-type]


def waiting(failures: int = 2, **changes: object) -> JobOutcome:
    """Return what a turn decides about a job whose last attempt failed: it backs off."""
    job = history(*tried(*infra(failures)))
    shot = snapshot(job, now_ms=NOW)
    return only(replace(shot, due=(replace(shot.due[0], **changes),)))  # type: ignore[arg-type]


def test_each_failure_in_a_row_doubles_the_wait_up_to_a_limit() -> None:
    waits = [back_off_ms(history(*tried(*infra(n))), RULES) // 1000 for n in range(1, 10)]
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_the_limits_are_rules() -> None:
    rules = Rules(retry_ms=1000, retry_most_ms=3000)
    waits = [back_off_ms(history(*tried(*infra(n, ran_ms=1))), rules) for n in range(1, 6)]
    assert waits == [0, 1000, 2000, 3000, 3000]


def test_a_long_run_begins_the_row_anew() -> None:
    long = (FAILED, Category.PREEMPTED, RULES.retry_most_ms + 1)
    assert back_off_ms(history(*tried(*infra(5), long)), RULES) == 0
    assert back_off_ms(history(*tried(*infra(5), long, *infra(1))), RULES) == RULES.retry_ms


def test_an_attempt_that_no_agent_took_is_no_failure() -> None:
    gone = (WITHDRAWN, Category.NO_CAPACITY, 0)
    assert back_off_ms(history(*tried(*infra(3), gone, last=())), RULES) == 0
    assert back_off_ms(history(*tried(*infra(1), gone, gone, *infra(1))), RULES) == RULES.retry_ms


def test_the_first_retry_follows_at_once_and_the_second_waits_and_says_so() -> None:
    assert kinds(waiting(1)) == ["queued", "placed"]
    outcome = waiting(2)
    assert kinds(outcome) == ["queued", "waiting"]
    assert outcome.after.state is JobState.QUEUED
    assert (outcome.after.waiting_code, outcome.after.waiting_text) == (
        "retry",
        "retry in 10 s: the node died",
    )
    assert outcome.due_ms == outcome.after.retry_ms == outcome.after.queued_ms == NOW + 10_000
    assert not outcome.commands


@pytest.mark.parametrize(
    "category", [Category.INFRA, Category.LOST, Category.PREEMPTED, Category.NO_CAPACITY]
)
def test_whatever_the_centre_did_the_job_backs_off(category: Category) -> None:
    job = history(*tried((FAILED, category, 1), (FAILED, category, 1)))
    assert only(snapshot(job, now_ms=NOW)).after.waiting_code == "retry"


def test_restarts_after_the_jobs_own_errors_back_off_within_their_budget() -> None:
    own = (FAILED, Category.USER, 1000)
    job = history(*tried(own, own))
    spec = replace(SPEC, retry=Retry(max_restarts_on_errors=5))
    assert only(snapshot(job, now_ms=NOW, spec=spec)).due_ms == NOW + 10_000
    assert only(snapshot(job, now_ms=NOW)).after.state is JobState.FAILED


def test_a_job_that_backs_off_is_placed_when_its_time_has_come_and_not_before() -> None:
    job = waiting(2).after
    early = only(looked_at(job, NOW + 9_999))
    assert (early.facts, early.due_ms) == ((), NOW + 10_000)
    ready = only(looked_at(job, NOW + 10_000))
    assert kinds(ready) == ["placed"]
    assert (ready.after.retry_ms, ready.after.waiting_code) == (0, "")


def test_a_cancel_during_the_back_off_works_at_once() -> None:
    job = waiting(3).after
    asked = f.Fact(JOB, job.seq + 1, NOW + 1, "user:ada", f.CancelAsked("ada"))
    outcome = only(looked_at(apply(job, asked), NOW + 1))
    assert outcome.after.state is JobState.CANCELLED
    assert outcome.due_ms is None


def test_a_hold_and_a_release_do_not_shorten_the_back_off() -> None:
    job = waiting(3).after
    for number, event in enumerate((f.HoldAsked("ada"), f.Released("ada")), 1):
        job = apply(job, f.Fact(JOB, job.seq + 1, NOW + number, "user:ada", event))
    outcome = only(looked_at(job, NOW + 3))
    assert (outcome.facts, outcome.due_ms) == ((), NOW + 20_000)


def test_start_before_still_holds_and_comes_first() -> None:
    late_s = (NOW - T0) // 1000 + 4
    outcome = waiting(2, spec=replace(SPEC, wish=Wish(start_before_s=late_s)))
    assert outcome.due_ms == T0 + late_s * 1000 < outcome.after.retry_ms
    at_ms = T0 + late_s * 1000
    over = only(looked_at(outcome.after, at_ms, spec=replace(SPEC, wish=Wish(start_before_s=late_s))))
    assert over.after.state is JobState.EXPIRED
    assert "retry in 10 s: the node died" in over.after.reason


def test_a_job_that_backs_off_does_not_block_the_one_behind_it() -> None:
    job = waiting(4).after
    other = replace(history(f.Queued()), id=type(JOB)(JOB[:-1] + "1"))
    shot = snapshot(job, other, now_ms=NOW + 1)
    urgent = replace(shot.queue[0], spec=replace(SPEC, priority=1000), project=LAB)
    outcome = turn(replace(shot, queue=(urgent, shot.queue[1])), RULES)
    assert [each.job for each in outcome.jobs if each.commands] == [other.id]


def test_a_job_withdrawn_from_a_site_that_went_away_does_not_wait() -> None:
    job = history(*tried(*infra(2), last=(f.Queued("why", Category.INFRA), replace(PLACED, attempt=3))))
    late = NOW + RULES.take_within_ms
    outcome = only(snapshot(job, now_ms=late, seen={"bj": T0, "tj": late}))
    assert kinds(outcome) == ["ended", "metered", "queued", "placed"]
