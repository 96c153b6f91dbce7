"""Expected speeds in a turn: what is chosen by them, what is learnt from a run, and that receipts replay."""

from dataclasses import replace

from tests.core.control.test_queue import NOW, placed, receipts, scene, site, waiting

from hutong.core.book.runs import Run, Runs, work_mn, workload_of
from hutong.core.book.snapshot import JobRow
from hutong.core.control.preview import preview
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import ProjectId
from hutong.core.placement.request import Policy
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.spec import Ask, JobType, Resources
from hutong.core.work.states import AttemptState, Category, JobState

FASTEST = Policy("fastest", fit=0, price=0, wait=1, distance=0, green=0, speed=1)
RULES = Rules(policies={"balanced": FASTEST})
SITES = (site("one", 64), site("two", 64, chip="Ascend910B"))
BOTH = Resources((Ask("H100", 8), Ask("Ascend910B", 8)))


def job(number: int = 0, **changes: object) -> JobRow:
    """Return a job that either accelerator may run."""
    return waiting(number, 8, 60, resources=BOTH, **changes)


def known(row: JobRow, hours: dict[str, float], count: int = 40) -> dict[str, tuple[Runs, ...]]:
    """Return so many runs of the job's work that took that long on each accelerator."""
    runs = (Runs(chip, count, count * work_mn(8, round(each * 3_600_000))) for chip, each in hours.items())
    return {workload_of(row.project, row.spec): tuple(runs)}


def test_the_faster_chip_is_chosen_as_far_as_anybody_knows() -> None:
    row = job()
    assert placed(turn(scene(SITES, [row]), RULES)) == {0: "one/p0"}, "by nameplate"
    learnt = scene(SITES, [row], runs=known(row, {"H100": 4, "Ascend910B": 1}))
    assert placed(turn(learnt, RULES)) == {0: "two/p0"}


def test_price_is_that_of_the_work() -> None:
    cheap = Policy("cheapest", fit=0, price=1, wait=0, distance=0, green=0)
    dear = replace(SITES[0], pools=(replace(SITES[0].pools[0], price_micro_per_card_hour=25 * 10**6),))
    row, rules = job(), Rules(policies={"balanced": cheap})
    slow = scene((dear, SITES[1]), [row], runs=known(row, {"H100": 1, "Ascend910B": 4}))
    assert placed(turn(slow, rules)) == {0: "one/p0"}, "2.5 times the price, a quarter of the time"
    alike = scene((dear, SITES[1]), [row], runs=known(row, {"H100": 1, "Ascend910B": 1}))
    assert placed(turn(alike, rules)) == {0: "two/p0"}


def test_receipts_replay_and_say_what_they_went_by() -> None:
    row = job()
    done = turn(scene(SITES, [row], runs=known(row, {"H100": 1, "Ascend910B": 2})), RULES)
    (opened,) = receipts(done)
    assert not opened.differences
    assert opened.digest == opened.now_digest
    speeds = {each.accelerator: each.runs for each in opened.now.request.speeds}
    assert speeds == {"H100": 40, "Ascend910B": 40}
    assert len(opened.now.decision.rows[0].parts) == 6
    plain = replace(FASTEST, speed=0)
    (old,) = receipts(turn(scene(SITES, [job()]), Rules(policies={"balanced": plain})))
    assert len(old.now.decision.rows[0].parts) == 5, "as before there were speeds"


def test_a_job_that_names_one_chip_is_judged_as_before() -> None:
    row = waiting(0, 8, 60)
    (opened,) = receipts(turn(scene(SITES, [row]), RULES))
    assert opened.now.request.speeds == ()
    assert opened.now.decision.rows[0].parts[-1] == 1_000_000


def test_a_preview_goes_by_them_too() -> None:
    row = job()
    shot = scene(SITES, [row], runs=known(row, {"H100": 4, "Ascend910B": 1}))
    seen = preview(shot, row.spec, ProjectId("a"), RULES)
    assert seen.decision.choice is not None
    assert seen.decision.choice.site == "two"


def finished(row: JobRow, outcome: AttemptState = AttemptState.SUCCEEDED, before: int = 0) -> JobRow:
    """Return the job with an attempt that has ended and was metered and collected."""
    events: list[f.Event] = [f.Submitted("ada", "sha256:0"), f.Queued()]
    for attempt in range(1, before + 2):
        last = attempt == before + 1
        state = outcome if last else AttemptState.PREEMPTED
        category = {AttemptState.PREEMPTED: Category.PREEMPTED, AttemptState.FAILED: Category.USER}.get(
            state, Category.NONE
        )
        events += [
            f.Placed(attempt, "two", "p0", "Ascend910B", 1, 8, 10**7, 1200, 350),
            f.Dispatched(attempt), f.Accepted(attempt, "x", adopted=False),
            f.Started(attempt, NOW - 3_600_000),
            f.Ended(attempt, state, category, "", NOW - 3_600_000, NOW, 3_600_000),
            f.Metered(attempt, NOW, 8 * 3_600_000, 0, final=True), f.Collected(attempt, (), 0),
        ]  # fmt: skip
        if not last:
            events.append(f.Queued("x", Category.PREEMPTED))
    facts = [f.Fact(row.job.id, seq, NOW - 1000, "test", event) for seq, event in enumerate(events, 1)]
    return replace(row, job=fold(facts))


def learnt(row: JobRow, state: JobState = JobState.SUCCEEDED) -> Run | None:
    """Return what a turn learns when it finishes a job."""
    (done,) = turn(replace(scene(SITES, [row]), due=(row,), queue=()), RULES).jobs
    assert done.after.state is state
    return done.run


def test_a_whole_run_that_succeeded_is_learnt_from() -> None:
    assert learnt(finished(job())) == Run("a/j0", "Ascend910B", work_mn(8, 3_600_000))


def test_what_tells_no_length_is_not() -> None:
    assert learnt(finished(job(), before=1)) is None, "it went on from somewhere"
    assert learnt(finished(job(), AttemptState.FAILED), JobState.FAILED) is None, "it broke off"
    assert learnt(finished(waiting(0, 8, 60))) is None, "there was no choice"
    assert learnt(finished(job(name="job"))) is None, "nobody named the work"
    assert workload_of("a", replace(job().spec, type=JobType.NOTEBOOK)) == ""
