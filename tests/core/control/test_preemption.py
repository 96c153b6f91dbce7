"""Making room: only preemptible jobs are stopped, the least is lost, and never more than is needed."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_queue import MIN, NOW, placed, scene, site, waiting

from hutong.core.accounts.quotas import Allotment, Quota
from hutong.core.book.snapshot import Holding, JobRow, Outcome, PersonHolding, PoolUse
from hutong.core.control.preemption import AWAITS
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import JobId, ProjectId
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.states import AttemptState, Category

SITE = site("one", 64)


def running(number: int, cards: int, since_min: int, project: str = "b", **changes: object) -> JobRow:
    """Return a preemptible job that began so many minutes ago at the first pool of the site."""
    queued = waiting(number, cards, 600, project, preemptible=True, **changes)
    return replace(queued, job=fold(_began(queued.job.id, cards, since_min)))


def _began(name: JobId, cards: int, since_min: int, stopped_before: int = 0) -> list[f.Fact]:
    events: list[f.Event] = [f.Submitted("ada", "sha256:0"), f.Queued()]
    attempt = 1
    for _ in range(stopped_before):
        events += [*_start(attempt, cards), f.StopSent(attempt, Category.PREEMPTED, "x")]
        end = f.Ended(attempt, AttemptState.PREEMPTED, Category.PREEMPTED, "x", 1, 10 * MIN, 10 * MIN)
        events += [end, f.Metered(attempt, 2, 1, 0, final=True), f.Queued("x", Category.PREEMPTED)]
        attempt += 1
    events += _start(attempt, cards)
    at_ms = NOW - since_min * MIN
    return [f.Fact(name, seq, at_ms, "test", event) for seq, event in enumerate(events, 1)]


def _start(attempt: int, cards: int) -> list[f.Event]:
    plan = f.Placed(attempt, "one", "p0", "H100", 1, cards, 10**7, 1200, 700, 600 * MIN, preemptible=True)
    return [plan, f.Dispatched(attempt), f.Accepted(attempt, "x", adopted=False), f.Started(attempt, NOW)]


def outcome(queue: list[JobRow], runs: list[JobRow], full: int = 64, **changes: object) -> Outcome:
    """Return what a turn decides when so many cards of the pool are taken, some of them by these jobs."""
    owners = {ProjectId("a"): "uni", ProjectId("b"): "lab"}
    shot = scene(
        (SITE,), queue, use=(PoolUse("one", "p0", full),), may_give_way=tuple(runs), institutions=owners
    )
    return turn(replace(shot, **changes), Rules())  # type: ignore[arg-type]


def stopped(done: Outcome) -> list[int]:
    """Return the numbers of the jobs that are stopped."""
    found = [each for each in done.jobs if any(command.kind == "stop" for command in each.commands)]
    for each in found:
        live = each.after.live
        assert live is not None
        assert live.stop_category is Category.PREEMPTED
        assert [command.key for command in each.commands] == [each.after.key(live)]
    return sorted(int(each.job[3:]) for each in found)


def test_a_preemptible_job_gives_way_to_one_that_is_not() -> None:
    done = outcome([waiting(0, 8, 60)], [running(90, 8, 30)])
    assert stopped(done) == [90]
    assert placed(done).keys() == {90}, "its cards are given away by a later turn"
    assert stopped(outcome([waiting(0, 8, 60, preemptible=True)], [running(90, 8, 30)])) == []


def test_nothing_is_stopped_where_enough_is_free_or_being_freed() -> None:
    assert stopped(outcome([waiting(0, 8, 60)], [running(90, 8, 30)], full=56)) == []
    clearing = (PoolUse("one", "p0", 8),)
    assert stopped(outcome([waiting(0, 8, 60)], [running(90, 8, 30)], clearing=clearing)) == []
    two = [waiting(0, 8, 60), waiting(1, 8, 60)]
    assert stopped(outcome(two, [running(90, 8, 30)], clearing=clearing)) == [90]


def test_nothing_is_stopped_in_vain() -> None:
    wide = waiting(0, 8, 60, num_nodes=2)
    assert stopped(outcome([wide], [running(90, 8, 30)])) == []
    assert stopped(outcome([wide], [running(90, 8, 30), running(91, 8, 1)])) == [90, 91]


def test_the_least_work_is_lost() -> None:
    runs = [running(90, 8, 300), running(91, 8, 5), running(92, 8, 30)]
    assert stopped(outcome([waiting(0, 8, 60)], runs)) == [91]
    small = [running(93 + at, 1, 4) for at in range(4)]
    assert stopped(outcome([waiting(0, 4, 60)], [*small, running(99, 8, 5)])) == [93, 94, 95, 96]
    enough = [running(90, 4, 1), running(91, 8, 2)]
    assert stopped(outcome([waiting(0, 8, 60)], enough)) == [91], "the first would be stopped in vain"


def test_a_job_that_has_left_a_checkpoint_loses_its_grace_only() -> None:
    saving = running(90, 8, 300)
    ended = replace(saving.job.attempts[0], state=AttemptState.PREEMPTED, checkpoint="sha256:" + "0" * 64)
    live = replace(saving.job.attempts[0], number=2)
    saving = replace(saving, job=replace(saving.job, attempts=(ended, live)))
    assert stopped(outcome([waiting(0, 8, 60)], [saving, running(91, 8, 5)])) == [90]


def test_within_a_project_a_larger_priority_stops_a_smaller() -> None:
    first = waiting(0, 8, 60, "b", preemptible=True, priority=5)
    assert stopped(outcome([first], [running(90, 8, 30)])) == [90]
    assert stopped(outcome([first], [running(90, 8, 30, priority=5)])) == []
    other = waiting(0, 8, 60, "a", preemptible=True, priority=5)
    assert stopped(outcome([other], [running(90, 8, 30)])) == []


def test_nothing_is_stopped_for_jobs_that_their_quota_would_still_keep_waiting() -> None:
    queue = [waiting(n, 8, 60) for n in range(3)]
    runs = [running(90 + n, 8, 30) for n in range(4)]
    held = {
        "holdings": (Holding(ProjectId("a"), "one", "p0", 8),),
        "person_holdings": (PersonHolding(ProjectId("a"), "ada", "one", "p0", 8),),
    }
    assert len(stopped(outcome(queue, runs))) == 3
    for limit in (Allotment("H100", 0, borrow=16), Allotment("H100", 0, each_person=16)):
        quota = Quota("project", "a", 1000, (limit,))
        assert len(stopped(outcome(queue, runs, quotas=(quota,), **held))) == 1
    clearing = (PoolUse("one", "p0", 8),)
    assert stopped(outcome(queue, runs, quotas=(quota,), clearing=clearing, **held)) == []


def test_what_is_promised_is_taken_back_from_who_borrows() -> None:
    own = waiting(0, 8, 60, "a", preemptible=True)
    holdings = (Holding(ProjectId("b"), "one", "p0", 64),)
    quota = Quota("institution", "uni", 1000, (Allotment("H100", 8),))
    assert stopped(outcome([own], [running(90, 8, 30)], holdings=holdings, quotas=(quota,))) == [90]
    theirs = Quota("institution", "lab", 1000, (Allotment("H100", 64),))
    assert stopped(outcome([own], [running(90, 8, 30)], holdings=holdings, quotas=(quota, theirs))) == []
    more = waiting(0, 8, 60, "a", preemptible=True, num_nodes=2)
    assert stopped(outcome([more], [running(90, 16, 30)], holdings=holdings, quotas=(quota,))) == []


def test_a_job_that_was_stopped_often_is_left_alone() -> None:
    for times, expected in ((3, [90]), (4, [])):
        row = running(90, 8, 30)
        row = replace(row, job=fold(_began(row.job.id, 8, 30, stopped_before=times)))
        assert stopped(outcome([waiting(0, 8, 60)], [row])) == expected


def test_from_its_last_stop_on_a_job_is_held_back_for_nobody() -> None:
    awaits = waiting(0, 8, 60, num_nodes=8)
    awaits = replace(awaits, job=replace(awaits.job, waiting_code=AWAITS))
    for times, expected in ((3, {}), (4, {90: "one/p0"})):
        row = waiting(90, 8, 600, preemptible=True)
        told = _began(row.job.id, 8, 30, stopped_before=times)
        ended = replace(row, job=fold(told[: -len(_start(1, 8)) - 1]))  # this turn puts it into the queue
        assert placed(outcome([awaits], [], full=8, due=(ended,))) == expected


def test_nothing_is_stopped_for_a_job_that_cannot_pay() -> None:
    assert stopped(outcome([waiting(0, 8, 60)], [running(90, 8, 30)], lots={})) == []


def test_a_job_of_this_turn_is_not_decided_twice() -> None:
    row = running(90, 8, 30)
    done = outcome([waiting(0, 8, 60)], [row], due=(row,))
    stops = [fact.event for each in done.jobs for fact in each.facts if isinstance(fact.event, f.StopSent)]
    assert [stop.category for stop in stops] == [Category.FUNDS], "its project has no money: so much is told"
    assert len({each.job for each in done.jobs}) == len(done.jobs)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, 300)), max_size=8),
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3)), min_size=1, max_size=6),
    st.integers(0, 16),
)
def test_who_is_stopped_is_needed(
    runs: list[tuple[int, int]], asks: list[tuple[int, int]], free: int
) -> None:
    rows = [running(50 + at, cards, since) for at, (cards, since) in enumerate(runs)]
    queue = [waiting(at, cards, 60, num_nodes=nodes) for at, (cards, nodes) in enumerate(asks)]
    done = outcome(queue, rows, full=64 - free)
    given_up = set(stopped(done))
    freed = sum(row.job.attempts[0].cards for row in rows if int(row.job.id[3:]) in given_up)
    started = placed(done).keys() - given_up
    left = free - sum(asks[at][0] * asks[at][1] for at in started)
    needs = [cards * nodes for at, (cards, nodes) in enumerate(asks) if at not in started]
    if given_up:
        assert any(left < need <= left + freed for need in needs), "somebody is helped who was not before"
        assert freed <= sum(needs) + 7 * len(needs), "no more than they need, but for the last of each"


def test_a_job_that_is_due_in_the_turn_can_be_stopped_by_it() -> None:
    runs = [running(90, 8, 3), running(91, 8, 300)]
    done = outcome([waiting(0, 8, 60)], runs, due=(runs[0],))
    assert stopped(done) == [90], "it loses least"
    assert len({each.job for each in done.jobs}) == len(done.jobs)
    (told,) = (each for each in done.jobs if each.job == runs[0].job.id)
    assert [type(fact.event) for fact in told.facts][-1] is f.StopSent


def test_nobody_is_beyond_a_promise_where_none_is_made() -> None:
    own = waiting(0, 8, 60, "a", preemptible=True)
    held = (Holding(ProjectId("b"), "one", "p0", 64),)  # known, for somebody has booked cards
    assert stopped(outcome([own], [running(90, 8, 30)], holdings=held)) == []


def test_who_waits_for_freed_cards_goes_on_to_while_any_are_being_freed() -> None:
    # Turns that said and unsaid it would do so for ever: each is news to the next.
    row = waiting(0, 8, 60, num_nodes=4)
    row = replace(row, job=replace(row.job, waiting_code=AWAITS))

    def said(**changes: object) -> list[str]:
        facts = [fact.event for each in outcome([row], [], **changes).jobs for fact in each.facts]
        return [event.code for event in facts if isinstance(event, f.Waiting)]

    assert said(clearing=(PoolUse("one", "p0", 8),)) == []
    assert said() == ["busy"]
