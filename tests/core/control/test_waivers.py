"""What a turn gives back: of an attempt that its site broke, once, the last of it, and of no other."""

import pytest
from tests.core.control.scene import RUNNING, T0, ended, history, only, snapshot

from hutong.core.book.money import Waiver
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.work import facts as f
from hutong.core.work.states import AttemptState, Category

FAILED = AttemptState.FAILED
NOW_MS = T0 + 100_000


def waiver(*events: f.Event) -> Waiver | None:
    return only(snapshot(history(*events), now_ms=NOW_MS)).waiver


def test_what_a_site_broke_is_given_back_with_the_reason() -> None:
    outcome = only(snapshot(history(*RUNNING, ended(FAILED, Category.INFRA)), now_ms=NOW_MS))
    assert outcome.waiver is not None
    assert outcome.waiver.key == outcome.after.key(outcome.after.attempts[0])
    assert outcome.waiver.project == outcome.project
    assert outcome.waiver.from_ms == 0 or outcome.waiver.from_ms < T0
    assert outcome.waiver.reason.startswith("infra at bj: ")
    assert only(snapshot(outcome.after, now_ms=NOW_MS + 1)).waiver is None, "once"


@pytest.mark.parametrize("category", [Category.USER, Category.OOM, Category.FUNDS])
def test_what_is_not_the_sites_doing_is_paid(category: Category) -> None:
    assert waiver(*RUNNING, ended(FAILED, category, code=1)) is None
    assert waiver(*RUNNING, ended()) is None


def test_an_end_after_a_stop_is_paid() -> None:
    stop = f.StopSent(1, Category.CANCELLED, "asked")
    assert waiver(*RUNNING, stop, ended(FAILED, Category.INFRA)) is None


def test_of_a_long_run_the_end_is_given_back() -> None:
    shot = snapshot(history(*RUNNING, ended(FAILED, Category.INFRA)), now_ms=NOW_MS)
    (outcome,) = turn(shot, Rules(waive_ms=1000)).jobs
    assert outcome.waiver is not None
    assert outcome.waiver.from_ms == outcome.after.attempts[0].metered_upto_ms - 1000
