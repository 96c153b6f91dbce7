"""Deferrable jobs wait for greener hours, never beyond what they allow, by the weights of their policy."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import NOW, scene, site, waiting

from hutong.core.book.snapshot import JobOutcome, JobRow, Snapshot
from hutong.core.capacity.sites import Maintenance, Site, Supply
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.request import Policy
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.spec import Wish
from hutong.core.work.states import JobState

HOUR = NOW // HOUR_MS % 24
POLICIES = {
    "balanced": Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3),
    "fastest": Policy("fastest", fit=1, price=0, wait=3, distance=1, green=0),
}


def green_at(*hours: int, name: str = "one", share: int = 900_000) -> Site:
    """Return a site that has so much green supply at these hours from now, and little otherwise."""
    green = [100_000] * 24
    for hour in hours:
        green[(HOUR + hour) % 24] = share
    return replace(site(name, 64), supply=Supply(tuple(green), (500,) * 24, "a test"))


def fresh(hours: float, objective: str = "balanced", minutes: int = 60, **wish: object) -> JobRow:
    """Return a job that was submitted now and may be deferred so long."""
    row = waiting(0, 8, minutes)
    facts = [f.Fact(row.job.id, 1, NOW, "test", f.Submitted("ada", "sha256:0"))]
    asked = Wish(objective, defer_s=int(hours * 3600), **wish)  # type: ignore[arg-type]
    return replace(row, job=fold(facts), spec=replace(row.spec, wish=asked))


def decided(row: JobRow, *sites: Site, **changes: object) -> JobOutcome:
    """Return what a turn decides about a job that has just come."""
    shot: Snapshot = replace(scene(sites, [row]), due=(row,), queue=(), **changes)  # type: ignore[arg-type]
    (found,) = turn(shot, Rules(policies=POLICIES)).jobs
    return found


def test_a_job_waits_for_the_green_hour_and_says_so() -> None:
    found = decided(fresh(12), green_at(5))
    assert found.after.state is JobState.QUEUED
    assert found.due_ms == found.after.queued_ms == NOW + 5 * HOUR_MS
    assert found.after.waiting_code == "greener"
    assert found.after.waiting_text == "waits for greener hours: 90 % green at one then, 10 % now"
    assert not found.commands


def test_when_its_hour_has_come_it_is_placed() -> None:
    found = decided(fresh(12), green_at(5))
    row = replace(fresh(12), job=found.after)
    shot = scene((green_at(5),), [row], now_ms=NOW + 5 * HOUR_MS)
    shot = replace(
        shot, due=(row,), queue=(), statuses={"one": replace(shot.statuses["one"], seen_ms=shot.now_ms)}
    )
    (then,) = turn(shot, Rules(policies=POLICIES)).jobs
    assert then.after.live is not None


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (fresh(0), "it did not say that it may wait"),
        (fresh(4), "the green hour comes too late"),
        (fresh(12, "fastest"), "its policy does not weigh green"),
        (fresh(12, start_before_s=5 * 3600), "it must start before"),
    ],
)
def test_others_start_at_once(row: JobRow, why: str) -> None:
    assert decided(row, green_at(5)).after.live is not None, why


def test_a_small_gain_is_not_worth_waiting_for() -> None:
    assert decided(fresh(12), green_at(5, share=150_000)).after.live is not None
    assert decided(fresh(12), green_at(0, 5)).after.live is not None


def test_the_nearer_of_equals_is_taken_and_the_greener_place_counts() -> None:
    assert decided(fresh(12), green_at(3, 9)).after.queued_ms == NOW + 3 * HOUR_MS
    found = decided(fresh(12), green_at(9), green_at(6, name="two"))
    assert found.after.queued_ms == NOW + 6 * HOUR_MS
    assert "at two" in found.after.waiting_text
    assert decided(fresh(12), green_at(9), green_at(0, name="two")).after.live is not None


def test_no_job_waits_for_a_place_that_will_be_closed() -> None:
    closed = replace(
        green_at(5), maintenance=(Maintenance(NOW + 5 * HOUR_MS, NOW + 7 * HOUR_MS, "cooling", False),)
    )
    assert decided(fresh(12), closed).after.live is not None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 1_000_000), min_size=24, max_size=24),
    st.floats(0, 48),
    st.integers(1, 3000),
)
def test_a_start_is_never_later_than_allowed_and_never_worse(
    green: list[int], hours: float, minutes: int
) -> None:
    place = replace(site("one", 64), supply=Supply(tuple(green), (500,) * 24, "a test"))
    found = decided(fresh(hours, minutes=minutes), place)
    if found.after.live is None:
        assert found.after.waiting_code == "greener"
        assert NOW < found.after.queued_ms <= NOW + int(hours * 3600) * 1000
        assert found.after.queued_ms % HOUR_MS == 0
