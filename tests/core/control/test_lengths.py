"""Lengths guessed from history in a turn: what goes ahead by them, what never does, and what is learnt."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.control.test_bookings import booking
from tests.core.control.test_deferral import POLICIES, fresh, green_at
from tests.core.control.test_queue import MIN, NOW, placed, receipts, scene, site, waiting, why

from hutong.core.accounts.quotas import Allotment, Quota
from hutong.core.book.lengths import Length, work_of
from hutong.core.book.snapshot import Holding, JobRow, PoolUse, Running, Snapshot
from hutong.core.capacity.sites import Maintenance
from hutong.core.control.forecast import plan
from hutong.core.control.rules import Rules, RunLengths
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.columns import Backfill
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.states import AttemptState, Category

PREDICTED = Rules(lengths=RunLengths.PREDICTED)
WALLTIME = Rules()
B = ProjectId("b")


def day(
    *,
    ran_min: tuple[int, ...] = (20,) * 5,
    running: tuple[int, int] = (60, 0),
    cards: int = 16,
    **more: object,
) -> Snapshot:
    """Return two nodes of which one is held by a job, a wide job that waits, and one of an hour behind it.

    The running one has so many minutes of walltime left, and began just now with that guess in minutes.
    """
    queue = [waiting(1, 8, 60, num_nodes=2), waiting(2, 8, 120, "b", name="train")]
    until, likely = running
    use = (PoolUse("bj", "p0", 8),)
    held = (Running(ProjectId("c"), "bj", "p0", 8, NOW + until * MIN, "", NOW, likely * MIN),)
    lengths = {work_of("b", queue[1].spec): tuple(60 * each for each in ran_min)}
    shot = scene((site("bj", cards),), queue, use=use, running=held, lengths=lengths)
    return replace(shot, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("backfill", [Backfill.EASY, Backfill.CONSERVATIVE])
def test_a_job_goes_ahead_if_its_work_was_short_before(backfill: Backfill) -> None:
    rules = replace(PREDICTED, backfill=backfill)
    assert placed(turn(day(), replace(WALLTIME, backfill=backfill))) == {}
    done = turn(day(), rules)
    assert placed(done) == {2: "bj/p0"}
    (opened,) = receipts(done)
    assert not opened.differences
    assert opened.now.request.likely_ms == 20 * MIN
    assert opened.now.request.run_ms == 120 * MIN
    (attempt,) = next(each.after for each in done.jobs if each.after.attempts).attempts
    assert (attempt.likely_ms, attempt.run_ms) == (20 * MIN, 120 * MIN)
    assert placed(turn(day(ran_min=(70,) * 5), rules)) == {}, "its work was long before"
    assert placed(turn(day(ran_min=(20, 20)), rules)) == {}, "too little is known"
    assert placed(turn(day(ran_min=(500,) * 5), rules)) == {}, "at most its walltime"


def test_a_guess_of_what_runs_brings_reservations_nearer_until_it_is_outlived() -> None:
    near = day(running=(600, 10))
    assert placed(turn(near, PREDICTED)) == {}, "20 minutes do not fit before what is expected in ten"
    assert "2027-01-15 08:10 UTC" in why(turn(near, PREDICTED), 2)[1]
    began = replace(near.running[0], began_ms=NOW - 15 * MIN)
    outlived = replace(near, running=(began,))
    assert placed(turn(outlived, PREDICTED)) == {}, "expected to take 20 minutes now, of which five are left"
    later = replace(near, running=(replace(began, began_ms=NOW - 55 * MIN),))
    assert placed(turn(later, PREDICTED)) == {2: "bj/p0"}, "then 80 minutes, of which 25 are left"
    assert placed(turn(near, WALLTIME)) == {2: "bj/p0"}, "by walltimes the wide job comes in ten hours"


def test_what_is_settled_for_later_goes_by_walltimes() -> None:
    closed = site("bj", 16, maintenance=(Maintenance(NOW + 90 * MIN, NOW + 200 * MIN, "cooling"),))
    outcome = turn(day(sites=(closed,)), PREDICTED)
    assert placed(outcome) == {}
    assert why(outcome, 2)[0] == "maintenance", (
        "two hours do not fit before it, whatever its work took before"
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 3000), st.sampled_from([Backfill.EASY, Backfill.CONSERVATIVE]))
def test_no_guess_counts_against_a_job_that_waited_long(waited_min: int, backfill: Backfill) -> None:
    shot = day()
    wide = shot.queue[0]
    old = replace(wide, job=replace(wide.job, queued_ms=NOW - waited_min * MIN))
    rules = replace(PREDICTED, backfill=backfill, patience_ms=1500 * MIN)
    patient = waited_min <= 1500
    outcome = turn(replace(shot, queue=(old, shot.queue[1])), rules)
    assert placed(outcome) == ({2: "bj/p0"} if patient else {})
    assert all(not each.differences for each in receipts(outcome))
    broke = replace(old, job=replace(old.job, waiting_code="no_funds"))
    assert placed(turn(replace(shot, queue=(broke, shot.queue[1])), rules)) == {2: "bj/p0"}


@pytest.mark.parametrize("backfill", [Backfill.EASY, Backfill.CONSERVATIVE])
def test_a_guess_counts_beside_what_is_kept_and_never_beside_what_is_booked(backfill: Backfill) -> None:
    def ahead(cards: int, from_min: int) -> dict[int, str]:
        """Return what goes ahead where another project has booked so many cards from then on."""
        held = booking(cards, from_min, from_min + 300, "project/z")
        found = turn(day(sites=(site("bj", 16, bookings=(held,)),)), replace(PREDICTED, backfill=backfill))
        assert all(not each.differences for each in receipts(found))
        return placed(found)

    assert ahead(16, 600) == {2: "bj/p0"}, "a booking that comes later makes no guess a walltime"
    assert ahead(8, 90) == {2: "bj/p0"}
    assert ahead(12, 90) == {}, "two hours reach into it, whatever its work took before"


def test_a_job_that_a_quota_keeps_waiting_makes_no_pool_strict() -> None:
    shot, project = day(), ProjectId("q")
    barred = waiting(0, 8, 60, "q", num_nodes=2)
    barred = replace(barred, job=replace(barred.job, queued_ms=NOW - 3000 * MIN))
    quota = Quota("project", project, 1000, (Allotment("H100", 8, borrow=0),))
    queue = (barred, *shot.queue)
    shot = replace(shot, queue=queue, lots=scene((), list(queue)).lots)
    assert placed(turn(shot, PREDICTED)) == {}, "it waited for long"
    assert placed(turn(replace(shot, quotas=(quota,)), PREDICTED)) == {2: "bj/p0"}, "no card would help it"


def test_a_receipt_replays_where_one_pool_is_strict_and_another_is_not() -> None:
    shot = day()
    wide = shot.queue[0]
    old = replace(wide, job=replace(wide.job, queued_ms=NOW - 3000 * MIN))
    sites = (site("bj", 16), site("hu", 8))
    outcome = turn(replace(shot, sites=sites, queue=(old, shot.queue[1]),
                           statuses=scene(sites, []).statuses), PREDICTED)  # fmt: skip
    assert placed(outcome) == {2: "hu/p0"}
    (opened,) = receipts(outcome)
    assert not opened.differences
    assert {each.site: each.strict for each in opened.now.pools} == {"bj": True, "hu": False}
    (refused,) = (each.why_not for each in opened.now.decision.rows if each.site == "bj")
    assert refused is not None
    assert refused.code == "kept"


def test_forecasts_go_by_what_is_expected() -> None:
    shot = day(running=(600, 10))
    by_wall = {each.place: each.wait_ms for each in plan(shot, WALLTIME)}
    by_guess = {each.place: each.wait_ms for each in plan(shot, PREDICTED)}
    assert by_wall[1] == 600 * MIN
    assert by_guess[1] == 10 * MIN


def test_a_deferrable_job_chooses_its_hour_by_what_its_work_took_before() -> None:
    row, site = fresh(12, minutes=24 * 60), green_at(5)
    row = replace(row, spec=replace(row.spec, name="train"))
    shot = replace(scene((site,), [row]), due=(row,), queue=(), lengths={work_of("a", row.spec): (3600,) * 3})
    (at_once,) = turn(shot, replace(WALLTIME, policies=POLICIES)).jobs
    assert at_once.after.live is not None, "a day has all hours"
    (deferred,) = turn(shot, replace(PREDICTED, policies=POLICIES)).jobs
    assert deferred.after.queued_ms == NOW + 5 * 60 * MIN
    assert deferred.after.waiting_code == "greener"


def test_an_hour_is_looked_at_as_guesses_say_it_will_be() -> None:
    row, quota = fresh(12), Quota("project", "a", 1000, (Allotment("H100", 12, borrow=0),))
    runs = (Running(ProjectId("a"), "one", "p0", 8, NOW + 7 * 60 * MIN, "", NOW, 180 * MIN),)
    shot = replace(
        scene((green_at(5, 9),), [row]), due=(row,), queue=(), running=runs, quotas=(quota,),
        holdings=(Holding(ProjectId("a"), "one", "p0", 8),), use=(PoolUse("one", "p0", 8),),
    )  # fmt: skip

    def hour(rules: Rules) -> int:
        (found,) = turn(shot, replace(rules, policies=POLICIES)).jobs
        return (found.after.retry_ms - NOW // HOUR_MS * HOUR_MS) // HOUR_MS

    assert hour(WALLTIME) == 9, "by its walltime, what runs has its part of the quota until then"
    assert hour(PREDICTED) == 5


def ended(category: Category, state: AttemptState, ran_ms: int, name: str = "train") -> JobRow:
    """Return a job whose first attempt has just ended so, and is to be settled."""
    row = waiting(7, 8, 60, name=name)
    begun = f.Placed(1, "bj", "p0", "H100", 1, 8, 10**6, 1200, 700, run_ms=60 * MIN)
    events = (
        f.Submitted("ada", "sha256:0"), f.Queued(), begun, f.Dispatched(1), f.Accepted(1, "x", adopted=False),
        f.Started(1, NOW - ran_ms),
        f.Ended(1, state, category, "", NOW - ran_ms, NOW, ran_ms, ()),
    )  # fmt: skip
    facts = [f.Fact(row.job.id, at, NOW - MIN, "test", event) for at, event in enumerate(events, 1)]
    return replace(row, job=fold(facts))


def test_a_turn_learns_from_what_it_settles_and_places_by_it_at_once() -> None:
    row = ended(Category.NONE, AttemptState.SUCCEEDED, 5 * MIN + 1)
    outcome = turn(scene((site("bj", 16),), [], due=(row,)), WALLTIME)
    (job,) = outcome.jobs
    assert job.length == Length("a/train/1x8", 301), "whichever lengths count now: others may count later"
    again = JobRow(job.after, row.spec, row.project)
    later = turn(scene((site("bj", 16),), [], due=(again,)), WALLTIME)
    assert [each.length for each in later.jobs] in ([], [None]), "told once"


@pytest.mark.parametrize(
    ("category", "state", "told"),
    [
        (Category.USER, AttemptState.FAILED, True),
        (Category.OOM, AttemptState.FAILED, True),
        (Category.INFRA, AttemptState.FAILED, False),
        (Category.CANCELLED, AttemptState.CANCELLED, False),
    ],
)
def test_only_an_end_of_its_own_tells_how_long_work_takes(
    category: Category, state: AttemptState, told: bool
) -> None:
    outcome = turn(scene((site("bj", 16),), [], due=(ended(category, state, 5 * MIN),)), WALLTIME)
    assert [each.length is not None for each in outcome.jobs] == [told]
