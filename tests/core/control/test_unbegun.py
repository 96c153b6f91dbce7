"""Attempts that a site took and never began: the platform gets out, and never so that two of them run."""

import pytest
from tests.core.control.scene import (
    KEY,
    RULES,
    RUNNING,
    T0,
    YUAN,
    history,
    kinds,
    only,
    snapshot,
)  # fmt: skip

from hutong.core.book.snapshot import Command
from hutong.core.work import facts as f
from hutong.core.work.states import AttemptState, Category

TAKEN = RUNNING[:3]
TAKEN_MS = T0 + 3000
HELD = 80 * YUAN
STOP = f.StopSent(1, Category.INFRA, "it does not begin")
LEASE_MS = 60_000  # of an agent on a start command: hutong.agent.habits


def test_an_attempt_that_its_site_has_had_for_too_long_is_stopped() -> None:
    late = TAKEN_MS + RULES.accept_within_ms
    patient = only(snapshot(history(*TAKEN), now_ms=late, held_micro=HELD))
    assert not patient.facts
    outcome = only(snapshot(history(*TAKEN), now_ms=late + 1, held_micro=HELD))
    assert outcome.commands == (Command(KEY, "bj", "stop"),)
    live = outcome.after.live
    assert live is not None
    assert (live.stop_category, live.stop_reason) == (
        Category.INFRA,
        "bj had the job for 360 min and did not start it",
    )


def test_a_site_that_was_not_heard_since_may_have_begun_it() -> None:
    late = TAKEN_MS + 2 * RULES.accept_within_ms
    outcome = only(snapshot(history(*TAKEN), now_ms=late, observed_ms=TAKEN_MS + 60_000, held_micro=HELD))
    assert not outcome.facts


def test_what_has_begun_is_not_stopped_for_its_slow_start() -> None:
    late = TAKEN_MS + 2 * RULES.accept_within_ms
    assert not only(snapshot(history(*RUNNING[:4]), now_ms=late, held_micro=HELD)).facts


def test_an_attempt_that_an_agent_could_still_start_is_stopped_before_it_is_lost() -> None:
    now = T0 + 3_600_000
    absence = (now - RULES.lost_after_ms, RULES.lost_polls)
    outcome = only(snapshot(history(*TAKEN), now_ms=now, absence=absence, held_micro=HELD))
    assert kinds(outcome) == ["stop_sent"]
    assert outcome.commands == (Command(KEY, "bj", "stop"),)
    assert outcome.after.live is not None
    again = only(snapshot(outcome.after, now_ms=now + 1000, absence=absence, held_micro=HELD))
    assert not again.facts


@pytest.mark.parametrize(("after_ms", "lost"), [(-1, False), (0, True)])
def test_it_is_lost_when_an_observation_from_after_every_lease_shows_nothing(
    after_ms: int, lost: bool
) -> None:
    assert RULES.lost_after_ms > LEASE_MS
    job = history(*TAKEN, STOP)
    seen_ms = T0 + 4000 + RULES.lost_after_ms + after_ms
    shot = snapshot(job, now_ms=seen_ms + 60_000, observed_ms=seen_ms, absence=(T0, 99), held_micro=HELD)
    outcome = only(shot)
    assert ("ended" in kinds(outcome)) is lost
    if lost:
        first = outcome.after.attempts[0]
        assert (first.state, first.category) == (AttemptState.LOST, Category.LOST)
        live = outcome.after.live
        assert live is not None
        assert live.site == "tj"


def test_a_cancel_whose_mark_cannot_be_written_ends_by_the_same_proof() -> None:
    job = history(*TAKEN, f.CancelAsked("ada"), f.StopSent(1, Category.CANCELLED, "by ada"))
    now = T0 + 3_600_000
    outcome = only(snapshot(job, now_ms=now, absence=(T0, 99), held_micro=HELD))
    assert outcome.after.state == "CANCELLED"
