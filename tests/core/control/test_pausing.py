"""Pausing in brown hours: who is stopped, until when, and that nobody is paused for nothing."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_deferral import POLICIES, cheap_at, green_at
from tests.core.control.test_queue import MIN, NOW, scene, waiting

from hutong.core.book.snapshot import JobOutcome, JobRow
from hutong.core.capacity.sites import Site, SiteStatus, Supply
from hutong.core.control.deferral import LEAST_GAIN_PPM
from hutong.core.control.pausing import pause_of, signal_of
from hutong.core.control.preemption import STOPS_MAX
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.request import Policy
from hutong.core.work import facts as f
from hutong.core.work.fold import apply, fold
from hutong.core.work.spec import Wish
from hutong.core.work.states import AttemptState, Category, JobState

RULES = Rules(policies=POLICIES)
SAVED = "sha256:" + "0" * 64


def running(
    *, hours: float = 4, ran: float = 2, defer: float = 12, pauses: int = 2, likely: float = 0, **spec: object
) -> JobRow:
    """Return a job of so many hours that began so many hours ago, as soon as it was submitted."""
    row = waiting(0, 8, int(60 * hours), preemptible=True)
    began = NOW - int(ran * HOUR_MS)
    placed = f.Placed(
        1, "one", "p0", "H100", 1, 8, 10**6, 1200, 700,
        run_ms=int(hours * HOUR_MS), preemptible=True, likely_ms=int(likely * HOUR_MS),
    )  # fmt: skip
    events = (
        f.Submitted("ada", "sha256:0"), f.Queued(), placed, f.Dispatched(1),
        f.Accepted(1, "x", adopted=False), f.Started(1, began),
    )  # fmt: skip
    facts = [f.Fact(row.job.id, at, began, "test", event) for at, event in enumerate(events, 1)]
    wish = Wish(defer_s=int(defer * 3600), pauses=pauses)
    return replace(row, job=fold(facts), spec=replace(row.spec, **{"wish": wish, **spec}))  # type: ignore[arg-type]


def decided(row: JobRow, *sites: Site, now_ms: int = NOW, seen_ms: int | None = None) -> JobOutcome:
    """Return what a turn decides about a job that runs."""
    shot = scene(sites, [row], now_ms=now_ms)
    seen = now_ms if seen_ms is None else seen_ms
    statuses = {each.id: SiteStatus(each.id, seen, now_ms) for each in sites}
    (found,) = turn(replace(shot, due=(row,), queue=(), statuses=statuses), RULES).jobs
    return found


def then(row: JobRow, *events: f.Event, at_ms: int = NOW) -> JobRow:
    """Return a job after some more facts."""
    job = row.job
    for event in events:
        job = apply(job, f.Fact(job.id, job.seq + 1, at_ms, "test", event))
    return replace(row, job=job)


def is_paused(found: JobOutcome) -> bool:
    return any(each.kind == "stop" for each in found.commands)


def test_a_job_is_stopped_at_its_checkpoint_until_the_green_hours_and_says_so() -> None:
    found = decided(running(), green_at(3, 4))
    assert is_paused(found)
    (attempt,) = found.after.attempts
    assert attempt.stop_category is Category.PREEMPTED
    assert attempt.resume_ms == NOW + 3 * HOUR_MS
    assert attempt.stop_reason == (
        "pauses for greener hours until 2027-01-15 11:00 UTC: 90 % green at one then, 10 % now"
    )


def test_dear_hours_are_left_to_others_where_a_policy_weighs_what_the_centre_pays() -> None:
    site, row = cheap_at(3, 4), running()
    thrifty = replace(row, spec=replace(row.spec, wish=replace(row.spec.wish, objective="thrifty")))
    found = decided(thrifty, site)
    assert found.after.attempts[0].stop_reason == (
        "pauses for cheaper electricity until 2027-01-15 11:00 UTC: 0 % green at one then, 0 % now, "
        "0.30 CNY a kWh then, 1.20 now"
    )
    assert not is_paused(decided(row, site)), "its policy does not weigh it"
    silent = replace(site, supply=replace(site.supply, price_micro_per_kwh=()))
    assert not is_paused(decided(thrifty, silent))


def test_nothing_is_above_an_hour_without_any_carbon() -> None:
    grams = (0,) * 12 + (500,) * 12
    site = replace(green_at(), supply=Supply((0,) * 24, grams, "a test"))
    signal = signal_of(site, Policy("x", fit=0, price=0, wait=0, distance=0, green=0, carbon=1))
    assert signal is not None
    assert signal.tolist() == [0] * 12 + [1_000_000] * 12


def test_it_stands_in_the_queue_again_in_its_hour_and_is_placed_then() -> None:
    site = green_at(3, 4)
    stopped = replace(running(), job=decided(running(), site).after)
    over = f.Ended(
        1, AttemptState.PREEMPTED, Category.PREEMPTED, "stopped", NOW - 2 * HOUR_MS, NOW, 2 * HOUR_MS
    )
    found = decided(then(stopped, over, f.Collected(1, (), 0, checkpoint=SAVED)), site)
    assert found.after.state is JobState.QUEUED
    assert found.due_ms == found.after.retry_ms == NOW + 3 * HOUR_MS
    assert found.after.waiting_code == "greener"
    again = decided(replace(stopped, job=found.after), site, now_ms=NOW + 3 * HOUR_MS)
    assert again.after.live is not None
    assert again.after.live.number == 2


def test_start_before_does_not_end_a_job_that_was_paused() -> None:
    wish = Wish(defer_s=12 * 3600, pauses=1, start_before_s=3600)
    row = running(wish=wish)
    stopped = replace(row, job=decided(row, green_at(3, 4)).after)
    over = f.Ended(
        1, AttemptState.PREEMPTED, Category.PREEMPTED, "stopped", NOW - 2 * HOUR_MS, NOW, 2 * HOUR_MS
    )
    found = decided(then(stopped, over, f.Collected(1, (), 0, checkpoint=SAVED)), green_at(3, 4))
    assert found.after.state is JobState.QUEUED


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (running(pauses=0), "it did not say that it may be paused"),
        (running(defer=2.5), "the green hours come after its deadline"),
        (running(defer=1), "its deadline is over"),
        (running(ran=0.5), "it began a moment ago"),
        (running(ran=3.5), "little is left"),
        (running(likely=2.5), "little is left by what its work took before"),
        (running(wish=Wish("fastest", defer_s=12 * 3600, pauses=2)), "its policy does not weigh green"),
    ],
)
def test_others_run_on(row: JobRow, why: str) -> None:
    assert not is_paused(decided(row, green_at(3, 4))), why


def test_nobody_is_paused_for_a_small_gain_or_in_green_hours() -> None:
    assert not is_paused(decided(running(), green_at(3, 4, share=170_000)))
    assert not is_paused(decided(running(), green_at(0, 1)))
    assert not is_paused(decided(running(), green_at()))


@pytest.mark.parametrize(
    ("checkpoint", "pauses", "again"), [("", 2, False), (SAVED, 1, False), (SAVED, 2, True)]
)
def test_a_pause_is_the_last_if_the_job_said_so_or_left_no_checkpoint(
    checkpoint: str, pauses: int, again: bool
) -> None:
    site, late = green_at(3, 9, 10), NOW + 6 * HOUR_MS
    row = running(hours=5, pauses=pauses, defer=24)
    stopped = replace(row, job=decided(row, site).after)
    assert stopped.job.attempts[0].resume_ms
    over = f.Ended(
        1, AttemptState.PREEMPTED, Category.PREEMPTED, "stopped", NOW - 2 * HOUR_MS, NOW, 2 * HOUR_MS
    )
    waits = decided(then(stopped, over, f.Collected(1, (), 0, checkpoint=checkpoint)), site)
    second = f.Placed(2, "one", "p0", "H100", 1, 8, 10**6, 1200, 700, run_ms=5 * HOUR_MS, preemptible=True)
    begun = (second, f.Dispatched(2), f.Accepted(2, "y", adopted=False), f.Started(2, late - HOUR_MS))
    runs = then(replace(row, job=waits.after), *begun, at_ms=late - HOUR_MS)
    assert is_paused(decided(runs, site, now_ms=late)) is again


def test_who_was_stopped_often_is_left_alone_and_so_is_who_cannot_be_told() -> None:
    row = running()
    often = replace(row, job=replace(row.job, restarts=((Category.PREEMPTED, STOPS_MAX),)))
    assert not is_paused(decided(often, green_at(3, 4)))
    assert not is_paused(decided(row, green_at(3, 4), seen_ms=NOW - HOUR_MS)), "its site is out of reach"


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 10**6), min_size=24, max_size=24),
    st.lists(st.integers(0, 900), min_size=24, max_size=24),
    st.just([]) | st.lists(st.integers(0, 2 * 10**6), min_size=24, max_size=24),
    st.integers(1, 60),
    st.integers(1, 40),
    st.sampled_from(sorted(POLICIES)),
)
def test_a_pause_ends_by_the_deadline_and_gains_what_it_must(
    green: list[int], grams: list[int], prices: list[int], hours: int, defer: int, objective: str
) -> None:
    supply = Supply(tuple(green), tuple(grams), "a test", price_micro_per_kwh=tuple(prices))
    site = replace(green_at(), supply=supply)
    row, policy = running(hours=hours + 2, defer=defer + 2), POLICIES[objective]
    attempt = row.job.attempts[0]
    found = pause_of(row.job, row.spec, attempt, site, policy, NOW)
    if found is None:
        return
    assert NOW < found.resume_ms <= row.job.submitted_ms + (defer + 2) * HOUR_MS
    signal = signal_of(site, policy)
    assert signal is not None
    hours_now = signal.tolist()
    mean = sum(hours_now[(NOW // MIN + at) // 60 % 24] for at in range(60 * min(hours, 24))) // (
        60 * min(hours, 24)
    )
    assert mean - min(hours_now) >= LEAST_GAIN_PPM - 1, "no plan costs less than the best hour throughout"
