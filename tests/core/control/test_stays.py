"""What a turn counts of an attempt that ended: the time it ran at its site, and whether the site broke it."""

from dataclasses import replace

import pytest
from tests.core.control.scene import PLACED, RUNNING, SPEC, T0, ended, history, only, snapshot

from hutong.core.book.stays import Stay, Stays
from hutong.core.control.rules import Rules
from hutong.core.placement.request import Policy
from hutong.core.work import facts as f
from hutong.core.work.states import AttemptState, Category

MIN = 60_000
FAILED = AttemptState.FAILED


def stay(*events: f.Event, now_ms: int = T0 + 100_000, absence: tuple[int, int] | None = None) -> Stay | None:
    """Return what a turn counts of a job with such a history."""
    return only(snapshot(history(*events), now_ms=now_ms, absence=absence)).stay


def test_node_time_is_counted_and_a_break_with_it() -> None:
    assert stay(*RUNNING, ended()) == Stay("bj", 2 * MIN, broke=False)
    assert stay(*RUNNING, ended(FAILED, Category.INFRA)) == Stay("bj", 2 * MIN, broke=True)


@pytest.mark.parametrize(
    ("outcome", "category"),
    [
        (FAILED, Category.USER),
        (FAILED, Category.OOM),
        (AttemptState.CANCELLED, Category.CANCELLED),
        (AttemptState.PREEMPTED, Category.PREEMPTED),
        (FAILED, Category.FUNDS),
    ],
)
def test_what_is_not_the_sites_doing_breaks_nothing(outcome: AttemptState, category: Category) -> None:
    assert stay(*RUNNING, ended(outcome, category, code=1)) == Stay("bj", 2 * MIN, broke=False)


def test_an_attempt_that_is_proved_lost_was_broken() -> None:
    found = stay(*RUNNING, now_ms=T0 + 30 * MIN, absence=(T0 + 5000 + MIN, 99))
    assert found == Stay("bj", 2 * MIN, broke=True)


def test_what_never_began_says_nothing() -> None:
    begun = (f.Queued(), PLACED, f.Dispatched(1))
    never = replace(ended(FAILED, Category.INFRA, ran_ms=0), started_ms=0)
    assert stay(*begun, never) is None
    assert stay(f.Queued(), PLACED, f.CancelAsked("ada")) is None, "withdrawn"


def test_an_end_after_a_stop_says_nothing_of_the_site() -> None:
    stop = f.StopSent(1, Category.PREEMPTED, "maintenance of bj: cooling")
    assert stay(*RUNNING, stop, ended(FAILED, Category.INFRA)) == Stay("bj", 2 * MIN, broke=False)


def test_no_more_is_counted_than_was_billed() -> None:
    """A site may claim any time; it cannot have run for longer than since it had the command."""
    found = stay(*RUNNING, ended(ran_ms=1000 * MIN), now_ms=T0 + 100_000)
    assert found is not None
    assert found.node_ms < 2 * 3 * MIN


def test_it_is_counted_in_the_turn_that_settles_the_attempt_and_in_no_other() -> None:
    first = only(snapshot(history(*RUNNING, ended(FAILED, Category.INFRA)), now_ms=T0 + 100_000))
    assert first.stay is not None
    assert first.after.attempts[0].settled
    shot = snapshot(first.after, now_ms=T0 + 200_000)
    again = only(shot)
    assert (again.stay, len(again.after.attempts)) == (None, 2), "it is placed again, and nothing is counted"
    assert only(snapshot(history(*RUNNING), now_ms=T0 + 400_000)).stay is None, "metered while it runs"


def test_a_large_job_goes_to_the_steady_site_though_it_is_dearer() -> None:
    policy = Policy("balanced", fit=0, price=1, wait=0, distance=0, green=0, reliability=3)
    rules = Rules(policies={"balanced": policy})
    large, small = (replace(SPEC, num_nodes=n, max_duration_s=s) for n, s in ((4, 7 * 86_400), (1, 3600)))

    def site_of(spec: object, stays: dict[str, Stays]) -> str:
        shot = snapshot(history(f.Queued()), spec=spec)  # type: ignore[arg-type]
        live = only(replace(shot, stays=stays), rules).after.live
        assert live is not None
        return live.site

    broken = {"bj": Stays(2000 * 60 * MIN, 20_000_000), "tj": Stays(2000 * 60 * MIN, 0)}
    assert site_of(large, {}) == "bj", "half the price"
    assert site_of(large, broken) == "tj"
    assert site_of(small, broken) == "bj", "an hour gets through anywhere"
