"""Awards, vouchers, balances, bills, and the check of the whole ledger."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query

from hutong.core.accounts import budgets as core
from hutong.core.accounts.approvals import Change
from hutong.core.accounts.registry import FOREVER_MS
from hutong.core.accounts.roles import Principal
from hutong.core.book.money import (
    ISSUED,
    RERATING,
    Entry,
    Lot,
    LotKind,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import JobQuery
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.money import parse_micro
from hutong.core.kernel.rating import rate_cards
from hutong.core.ledger.bill import make_bill
from hutong.core.ledger.expiry import lot_cause
from hutong.core.work.fold import Attempt
from hutong.core.work.states import FINAL, AttemptState, JobState
from hutong.server import budgets
from hutong.server.api.access import Allowed, Here, InProject, OfJob
from hutong.server.api.accounts import ProjectName, load_project
from hutong.server.api.commitments import in_force
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.api.shapes.budgets import budget_shape
from hutong.server.api.shapes.money import bill_shape, lot_shape
from hutong.server.api.shapes.sites import is_reachable
from hutong.server.api.shapes.times import read_time
from hutong.server.approvals import Wanted, require_second
from hutong.server.debts import open_lot, owed_micro
from hutong.server.registry import document, read, shape_of
from hutong.server.services import Services
from hutong.wire import money as w
from hutong.wire.base import Money
from hutong.wire.budgets import Budget

LOTS_AT_MOST = 1000
RUNNING_COUNTED = 1000
RECORDS_OF_A_BILL = 20_000
_PPM = 1_000_000
_BILLED = frozenset({"usage", "tokens", "waiver", "refund", "reversal", RERATING})
_FILLS = frozenset(kind.value for kind in LotKind)

router = APIRouter(prefix="/v1", tags=["money"])

Row = TypeVar("Row", UsageRecord, Txn)


@router.post("/projects/{project}/awards", status_code=201, responses=TWO_PEOPLE)
def create_award(
    here: Here,
    project: ProjectName,
    principal: Annotated[Principal, Depends(InProject("award.write"))],
    body: w.NewAward,
    key: IdempotencyKey = "",
) -> w.Lot:
    """Give a project money for a time. If it is open now, it first pays back what the project owes."""
    times = (body.starts, body.ends)
    return _open_lot(here, principal, project, LotKind.AWARD, body.amount, "/amount", _PPM, times, key)


@router.post("/projects/{project}/vouchers", status_code=201, responses=TWO_PEOPLE)
def create_voucher(
    here: Here,
    project: ProjectName,
    principal: Annotated[Principal, Depends(InProject("voucher.write"))],
    body: w.NewVoucherLot,
    key: IdempotencyKey = "",
) -> w.Lot:
    """Give a project a voucher that pays a share of each charge until its face value is used."""
    rate, times = body.rate_percent * 10_000, (body.starts, body.ends)
    return _open_lot(here, principal, project, LotKind.VOUCHER, body.face, "/face", rate, times, key)


@router.post("/projects/{project}/topups", status_code=201, dependencies=[Depends(InProject("topup.write"))])
def create_topup(
    here: Here,
    project: ProjectName,
    body: w.NewTopup,
) -> w.Lot:
    """Book money that a project paid in advance, once for each transfer; it has no end."""
    load_project(here.store, project)
    amount = parse_micro(body.amount.amount, "/amount/amount")
    if amount <= 0:
        raise _nothing("/amount")
    order = LotOrder(project, LotKind.TOPUP, amount, _PPM, 0, FOREVER_MS)
    return lot_shape(_fill(here, order, digest_of(project, body.reference)[:26]))


def _nothing(path: str) -> Refused:
    problem = Problem(f"{path}/amount", "it must be more than nothing", "such as 1000.00")
    return Refused("bad_amount", "an amount given must be more than nothing", (problem,))


def _open_lot(
    here: Services,
    principal: Principal,
    project: str,
    kind: LotKind,
    money: Money,
    path: str,
    rate_ppm: int,
    times: tuple[str, str],
    key: str,
) -> w.Lot:
    load_project(here.store, project)
    amount = parse_micro(money.amount, f"{path}/amount")
    starts_ms, ends_ms = read_time(times[0], "/starts"), read_time(times[1], "/ends")
    if amount <= 0:
        raise _nothing(path)
    if ends_ms <= starts_ms:
        problem = Problem("/ends", "it ends before it starts", "a time after `starts`")
        raise Refused("bad_span", "it ends before it starts", (problem,))
    if len(here.store.lots(ProjectId(project))) >= LOTS_AT_MOST:
        raise Conflict("too_many", f"a project has at most {LOTS_AT_MOST} lots")
    name = digest_of(project, principal.id, key)[:26] if key else here.new_id().lower()
    order = LotOrder(project, kind, amount, rate_ppm, starts_ms, ends_ms)
    permission = f"{kind.value}.write"
    wanted = Wanted(Change(kind.value), permission, amount, document(order), project=project)
    require_second(here, principal, wanted, name)
    return lot_shape(_fill(here, order, name))


@dataclass(frozen=True, slots=True)
class LotOrder:
    """What a lot shall be."""

    project: str
    kind: LotKind
    amount_micro: int
    rate_ppm: int
    starts_ms: int
    ends_ms: int


def fill_lot(here: Services, request: Mapping[str, object], name: str) -> None:
    """Open the lot that an approved request describes, once under that name."""
    _fill(here, shape_of(LotOrder, request), name)


def _fill(here: Services, order: LotOrder, name: str) -> Lot:
    amount, lot_id = order.amount_micro, LotId(f"{order.kind.value}-{name}")
    lot = Lot(lot_id, ProjectId(order.project), order.kind, order.rate_ppm, order.starts_ms, order.ends_ms)
    entries = (Entry(ISSUED, -amount), Entry(lot_account(lot.id), amount))
    txn = Txn(f"fill:{lot.id}", order.kind.value, lot.project, here.clock(), lot_cause(lot.id), entries)
    fresh = open_lot(here.store, lot, txn, txn.effective_ms)
    there = next((each for each in here.store.lots(lot.project) if each.id == lot.id), lot)
    asked = (lot.rate_ppm, lot.starts_ms, lot.ends_ms, amount)
    if not fresh and asked != (there.rate_ppm, there.starts_ms, there.ends_ms, _filled(here, there)):
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    here.bell.ring()
    return there


def _filled(here: Services, lot: Lot) -> int:
    """Return what was put into a lot when it was opened."""
    return _moved(here, lot, _FILLS)


def _moved(here: Services, lot: Lot, kinds: frozenset[str]) -> int:
    """Return what transactions of the lot as such put into it: not what work took."""
    txns = _read_all(partial(here.store.txns, lot.project, lot_cause(lot.id)))
    account = lot_account(lot.id)
    legs = (entry for txn in txns if txn.kind in kinds for entry in txn.entries)
    return sum(entry.amount_micro for entry in legs if entry.account == account)


@router.get("/projects/{project}/balance", dependencies=[Depends(InProject("bill.read"))])
def read_balance(here: Here, project: ProjectName) -> w.Balance:
    """Return the four numbers of a project and its lots.

    `in_flight` counts at most the newest 1,000 running jobs; `available` counts lots that are open now.
    """
    load_project(here.store, project)
    now_ms, owner = here.clock(), ProjectId(project)
    lots = here.store.lots(owner)
    overrun = owed_micro(here.store, owner)
    # What was spent of a lot that was claimed back is owed, or was paid back by another lot.
    kept = _FILLS | {"expiry", "reclaim"}
    spent = sum(_moved(here, lot, kept) - lot.posted_micro for lot in lots if not lot.clawed)
    open_lots = [lot for lot in lots if lot.starts_ms <= now_ms < lot.ends_ms]
    return w.Balance(
        project=project,
        settled=Money.of(spent + overrun),
        in_flight=Money.of(_in_flight_micro(here, project, now_ms)),
        committed=Money.of(sum(lot.held_micro for lot in lots)),
        available=Money.of(sum(lot.available_micro for lot in open_lots)),
        overrun=Money.of(overrun),
        lots=tuple(lot_shape(lot) for lot in lots),
        budgets=tuple(_budgets(here, project, now_ms)),
        commitments=in_force(here, project),
    )


def _budgets(here: Services, project: str, now_ms: int) -> Iterator[Budget]:
    rows = here.store.records(budgets.KIND, f"project/{project}", "", budgets.EACH_MOST)
    found = [each for each in (read(core.Budget, row) for row in rows) if not each.ended]
    standing = budgets.standings(here.store, found, now_ms)
    for each in found:
        yield budget_shape(each, standing.get(each.id))


def _in_flight_micro(here: Services, project: str, now_ms: int) -> int:
    states = frozenset({JobState.RUNNING.value, JobState.FINISHING.value})
    rows = here.store.jobs(JobQuery(frozenset({project}), states, "", RUNNING_COUNTED))
    statuses = here.store.statuses()
    total = 0
    for attempt in (row.job.attempt for row in rows):
        if attempt is None or attempt.settled:
            continue
        status = statuses.get(attempt.site)
        reachable = is_reachable(status, now_ms, here.rules.reach_ms)
        upto_ms = now_ms if reachable or status is None else status.observed_ms
        total += _unsettled_micro(attempt, upto_ms)
    return total


def _unsettled_micro(attempt: Attempt, upto_ms: int) -> int:
    running = attempt.state is AttemptState.RUNNING
    ran_ms = upto_ms - attempt.started_seen_ms if running else attempt.ran_ms
    used = rate_cards(attempt.cards * max(0, ran_ms), attempt.price_micro_per_card_hour)
    return max(0, used - attempt.charge_micro)


@router.get("/jobs/{job}/bill")
def read_job_bill(here: Here, row: Annotated[JobRow, Depends(OfJob("bill.read"))]) -> w.Bill:
    """Return what the job cost, who paid, and the entries that prove it."""
    usage: list[UsageRecord] = []
    txns: list[Txn] = []
    for attempt in row.job.attempts:
        key = row.job.key(attempt)
        usage += _read_all(partial(here.store.usage, row.project, key))
        txns += _read_all(partial(here.store.txns, row.project, key))
    bill = make_bill(usage, txns, here.store.lots(row.project))
    final = row.job.final and all(attempt.settled for attempt in row.job.attempts)
    truncated = max(len(usage), len(txns)) >= RECORDS_OF_A_BILL
    return bill_shape(bill, row.project, row.job.id, final=final, truncated=truncated)


@router.get("/projects/{project}/bill", dependencies=[Depends(InProject("bill.read"))])
def read_project_bill(
    here: Here,
    project: ProjectName,
    start: Annotated[str, Query(alias="from", max_length=40, description="RFC 3339, inclusive")] = "",
    end: Annotated[str, Query(alias="to", max_length=40, description="RFC 3339, exclusive")] = "",
) -> w.Bill:
    """Return what the project's work that was measured up to a moment in `[from, to)` cost, and who paid."""
    load_project(here.store, project)
    owner = ProjectId(project)
    now_ms = here.clock()
    from_ms = read_time(start, "?from") if start else 0
    upto_ms = read_time(end, "?to") if end else now_ms + 1
    span = (from_ms, upto_ms)
    usage = _read_all(partial(here.store.usage, owner, "", span=span))
    txns = _read_all(partial(here.store.txns, owner, "", span=span))
    if max(len(usage), len(txns)) >= RECORDS_OF_A_BILL:
        problem = Problem(
            "?from", f"more than {RECORDS_OF_A_BILL} records in this time", "ask for a shorter one"
        )
        raise Refused("bill_too_long", "a bill of this time would be cut off and wrong", (problem,))
    bill = make_bill(usage, [each for each in txns if each.kind in _BILLED], here.store.lots(owner))
    active = frozenset(state.value for state in JobState if state not in FINAL)
    final = upto_ms <= now_ms and not here.store.jobs(JobQuery(frozenset({project}), active, "", 1))
    return bill_shape(bill, project, None, final=final, truncated=False)


def _read_all(read: Callable[[str, int], Sequence[Row]]) -> list[Row]:
    rows: list[Row] = []
    while len(rows) < RECORDS_OF_A_BILL:
        page = read(rows[-1].id if rows else "", 1000)
        rows.extend(page)
        if len(page) < 1000:
            break
    return rows


@router.get("/ledger/check", dependencies=[Depends(Allowed("ledger.verify"))])
def check_ledger(here: Here) -> w.LedgerReport:
    """Recompute the whole ledger from its entries and say what does not fit; it reads everything."""
    found = here.store.check_ledger()
    return w.LedgerReport(
        ok=not found.faults,
        txns=found.txns,
        entries=found.entries,
        usage=found.usage,
        faults=found.faults,
    )
