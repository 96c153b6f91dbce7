"""Jobs, money and turns for tests of the store: small, legal, and all different."""

from dataclasses import replace

from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    HoldChange,
    HoldPart,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
    overrun_account,
)
from hutong.core.book.snapshot import Command, JobOutcome, Outcome
from hutong.core.book.store import NewJob, Sighting, Store
from hutong.core.kernel.ids import AttemptKey, JobId, LotId, ProjectId, SiteId, attempt_key, ulid
from hutong.core.work import facts as f
from hutong.core.work import fold
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.core.work.states import AttemptState, Category, JobState

P = ProjectId("physics")
Q = ProjectId("quantum")
EAST = SiteId("east")
WEST = SiteId("west")
SPEC = JobSpec(
    "train", JobType.TASK, 2, Resources((Ask("H100", 8),)), "python train.py", envs=(("中文", "值"),)
)
WINDOW = (0, 10**9)


def job_id(n: int) -> JobId:
    """Return the n-th job's id; they sort by n."""
    return JobId(ulid(1_000_000 + n, b"0123456789"))


def key_of(n: int, attempt: int = 1) -> AttemptKey:
    """Return the key of an attempt of the n-th job."""
    return attempt_key(job_id(n), attempt)


def wish(
    n: int,
    project: ProjectId = P,
    key: str = "",
    digest: str = "d",
    priority: int = 0,
    by: str = "ann",
) -> NewJob:
    """Return the n-th wish."""
    return NewJob(job_id(n), project, replace(SPEC, priority=priority), by, f"spec{n}", key, digest)


def decide(store: Store, n: int, now_ms: int, *events: f.Event, **more: object) -> JobOutcome:
    """Return the outcome that appends these events to the n-th job as it is now."""
    row = store.job(job_id(n))
    assert row is not None
    job = row.job
    told = []
    for event in events:
        fact = f.Fact(job.id, job.seq + 1, now_ms, "loop", event)
        job = fold.apply(job, fact)
        told.append(fact)
    return replace(
        JobOutcome(job.id, row.project, row.job.seq, tuple(told), job, None, row.spec),
        **more,  # type: ignore[arg-type]
    )


def epoch_of(store: Store) -> int:
    """Lead, and return the epoch."""
    epoch = store.lead("test", 0, 10**12)
    assert epoch is not None
    return epoch


def turn(store: Store, now_ms: int, *outcomes: JobOutcome) -> None:
    """Write a turn whose guards all hold."""
    done = store.apply(Outcome(outcomes), epoch_of(store), now_ms)
    assert (done.written, done.stale) == (len(outcomes), ())


def queue(
    store: Store, n: int, now_ms: int, project: ProjectId = P, priority: int = 0, by: str = "ann"
) -> None:
    """Bring the n-th job into being and into the queue."""
    store.submit([wish(n, project, priority=priority, by=by)], now_ms)
    turn(store, now_ms, decide(store, n, now_ms, f.Queued()))


def placed(attempt: int = 1, site: str = EAST, pool: str = "h100", cards: int = 16) -> f.Placed:
    """Return the fact of a placement."""
    return f.Placed(attempt, site, pool, "H100", 2, cards, 18_000_000, 1250, 700)


def placing(
    store: Store, n: int, now_ms: int, site: str = EAST, posting: Posting | None = None, attempt: int = 1
) -> JobOutcome:
    """Return the outcome that places the n-th job."""
    key = key_of(n, attempt)
    return decide(
        store,
        n,
        now_ms,
        placed(attempt, site),
        due_ms=now_ms + 1000,
        commands=(Command(key, site, "start"),),
        receipts=((key, b'{"why":"fits"}'),),
        posting=posting or Posting(),
    )


def place(
    store: Store,
    n: int,
    now_ms: int,
    site: str = EAST,
    posting: Posting | None = None,
    project: ProjectId = P,
    by: str = "ann",
) -> None:
    """Queue and place the n-th job."""
    queue(store, n, now_ms, project, by=by)
    turn(store, now_ms, placing(store, n, now_ms, site, posting))


def run(store: Store, n: int, now_ms: int, site: SiteId = EAST) -> None:
    """Bring the n-th job all the way to running at a site."""
    place(store, n, now_ms, site)
    store.take(site, 0, 100, now_ms)
    report = f.Report(key_of(n), f.Started(1, now_ms))
    assert store.report(site, [report], None, now_ms).news == 1


def ended(attempt: int = 1, outcome: AttemptState = AttemptState.SUCCEEDED) -> f.Ended:
    """Return the fact of an end."""
    exits = (f.RankExit(0, 0), f.RankExit(1, 0))
    return f.Ended(attempt, outcome, Category.NONE, "", 10, 20, 10, exits)


def finish(store: Store, n: int, now_ms: int, site: SiteId = EAST) -> None:
    """Let a running job end and be over for good."""
    store.report(site, [f.Report(key_of(n), ended())], None, now_ms)
    turn(store, now_ms, decide(store, n, now_ms, f.Finished(JobState.SUCCEEDED, "")))


def sighting(at_ms: int, *keys: AttemptKey) -> Sighting:
    """Return an observation in which these live."""
    return Sighting(at_ms, frozenset(keys), frozenset(keys), "agent 1", "bwrap")


def lot(name: str, kind: LotKind = LotKind.AWARD, project: ProjectId = P, ends_ms: int = WINDOW[1]) -> Lot:
    """Return an empty lot."""
    return Lot(LotId(name), project, kind, 1_000_000, WINDOW[0], ends_ms)


def filling(name: str, amount_micro: int, project: ProjectId = P) -> Txn:
    """Return the transaction that fills a lot."""
    legs = (Entry(ISSUED, -amount_micro), Entry(lot_account(LotId(name)), amount_micro))
    return Txn(f"award-{name}", "award", project, 5, name, legs)


def fund(store: Store, name: str, amount_micro: int, project: ProjectId = P) -> None:
    """Open and fill a lot."""
    assert store.open_lot(lot(name, project=project), filling(name, amount_micro, project))


def overspend(store: Store, name: str, amount_micro: int, project: ProjectId = P) -> None:
    """Book use that no lot pays: the project owes it."""
    key = f"request-{name}"
    legs = (Entry(overrun_account(project), -amount_micro), Entry(REVENUE, amount_micro))
    used = UsageRecord(key, project, key, EAST, "m", "token_in", amount_micro, 1, 1, amount_micro, 10, 20)
    assert store.post(Posting((Txn(f"over-{name}", "tokens", project, 50, key, legs),), usage=(used,)))


def repayment(txn: str, name: str, amount_micro: int, project: ProjectId = P) -> Txn:
    """Return the transaction by which a lot pays back a part of the debt."""
    legs = (
        Entry(lot_account(LotId(name)), -amount_micro),
        Entry(overrun_account(project), amount_micro),
    )
    return Txn(txn, "repayment", project, 60, f"debt:{project}", legs)


def hold(key: str, *parts: tuple[str, int], closes: bool = False, project: ProjectId = P) -> HoldChange:
    """Return a change of a hold."""
    return HoldChange(key, project, tuple(HoldPart(LotId(lot), amount) for lot, amount in parts), closes)


def charge(key: str, name: str, amount_micro: int, step: int = 1) -> tuple[Txn, UsageRecord]:
    """Return the transaction and the usage record of one metering."""
    legs = (Entry(lot_account(LotId(name)), -amount_micro), Entry(REVENUE, amount_micro))
    txn = Txn(f"use-{key}-{step}", "usage", P, 50, key, legs)
    used = UsageRecord(
        f"use-{key}-{step}",
        P,
        key,
        EAST,
        "H100",
        "card_ms",
        3600,
        18,
        1,
        amount_micro,
        10,
        20,
        5,
        3,
        2,
        "tdp",
    )
    return txn, used
