"""A small scene for tests of one turn: two sites, one project with money, jobs in any situation."""

from dataclasses import replace

from hutong.core.book.money import HoldPart, Lot, LotKind
from hutong.core.book.snapshot import Absence, JobOutcome, JobRow, PoolUse, Snapshot
from hutong.core.capacity.sites import Maintenance, Pool, Site, SiteStatus, Supply
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import JobId, LotId, PoolId, ProjectId, SiteId, attempt_key
from hutong.core.placement.receipt import Opened, open_receipt
from hutong.core.work import facts as f
from hutong.core.work.fold import Job, fold
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources

JOB = JobId("01J00000000000000000000000")
LAB = ProjectId("lab")
T0 = 1_800_000_000_000
YUAN = 1_000_000
SPEC = JobSpec(
    name="train", type=JobType.TASK, num_nodes=2, run="true", max_duration_s=7200,
    resources=Resources((Ask("H100", 4),)),
)  # fmt: skip
RULES = Rules()
KEY = attempt_key(JOB, 1)


def site(name: str, accelerator: str = "H100", price: int = 10 * YUAN, green: int = 500_000) -> Site:
    pool = Pool(PoolId("main"), accelerator, 4, 8, price, 1200, "cuda")
    supply = Supply((green,) * 24, (500,) * 24, "test")
    return Site(SiteId(name), name, name, "north", 100, "local", (pool,), supply)


SITES = (site("bj"), site("tj", price=20 * YUAN))


def award(posted: int, held: int = 0) -> Lot:
    return Lot(LotId("award"), LAB, LotKind.AWARD, 1_000_000, 0, T0 * 2, posted, held)


def voucher(posted: int, rate_ppm: int = 200_000) -> Lot:
    return Lot(LotId("voucher"), LAB, LotKind.VOUCHER, rate_ppm, 0, T0 * 2, posted)


def history(*events: f.Event, every_ms: int = 1000, start_ms: int = T0) -> Job:
    facts = [
        f.Fact(JOB, number, start_ms + (number - 1) * every_ms, "test", event)
        for number, event in enumerate((f.Submitted("ada", "sha256:0"), *events), 1)
    ]
    return fold(facts)


PLACED = f.Placed(1, "bj", "main", "H100", 2, 8, 10 * YUAN, 1200, 700)
RUNNING = (
    f.Queued(), PLACED, f.Dispatched(1), f.Accepted(1, "7", adopted=False), f.Started(1, T0 + 5000),
)  # fmt: skip


def ended(
    outcome: f.AttemptState = f.AttemptState.SUCCEEDED,
    category: f.Category = f.Category.NONE,
    ran_ms: int = 60_000,
    code: int = 0,
) -> f.Ended:
    return f.Ended(1, outcome, category, "why", T0 + 5000, T0 + 5000 + ran_ms, ran_ms, (f.RankExit(0, code),))


def snapshot(
    *jobs: Job,
    now_ms: int = T0 + 10_000,
    spec: JobSpec = SPEC,
    lots: tuple[Lot, ...] | None = None,
    seen: dict[str, int] | None = None,
    held_micro: int = 0,
    absence: tuple[int, int] | None = None,
    use: tuple[PoolUse, ...] = (),
    observed_ms: int | None = None,
    maintenance: tuple[Maintenance, ...] = (),
) -> Snapshot:
    rows = tuple(JobRow(job, spec, LAB) for job in jobs)
    seen = {"bj": now_ms, "tj": now_ms} if seen is None else seen
    statuses = {
        name: SiteStatus(SiteId(name), at, at if observed_ms is None else observed_ms)
        for name, at in seen.items()
    }
    if lots is None:
        lots = (replace(award(10_000 * YUAN), held_micro=held_micro),)
    return Snapshot(
        now_ms=now_ms,
        due=tuple(row for row in rows if row.job.state != "QUEUED"),
        queue=tuple(row for row in rows if row.job.state == "QUEUED"),
        sites=(replace(SITES[0], maintenance=maintenance), *SITES[1:]),
        statuses=statuses,
        use=use,
        lots={LAB: lots},
        holds={KEY: (HoldPart(LotId("award"), held_micro),)} if held_micro else {},
        absences={KEY: Absence(KEY, *absence)} if absence else {},
    )


def only(shot: Snapshot, rules: Rules = RULES) -> JobOutcome:
    """Return what a turn decided about the one job of the scene."""
    outcome = turn(shot, rules)
    assert len(outcome.jobs) == 1
    return outcome.jobs[0]


def kinds(outcome: JobOutcome) -> list[str]:
    return [fact.event.kind for fact in outcome.facts]


def receipt(shot: Snapshot) -> Opened:
    """Return the only receipt of a turn, decided again."""
    outcome = turn(shot, RULES)
    ((_, data),) = (each for job in outcome.jobs for each in job.receipts)
    return open_receipt(data, dict(outcome.pages).get)
