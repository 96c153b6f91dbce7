"""The ledger's own business: periods, use from outside, suspense, settlements, refunds, claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.approvals import Change
from hutong.core.accounts.roles import Principal
from hutong.core.book.money import Lot, settlement_account
from hutong.core.book.periods import PeriodState
from hutong.core.book.received import Fate, Received
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, NotFound, Problem, Refused
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.money import parse_micro
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.settlement import Share
from hutong.server import intake, metering
from hutong.server.api.access import Allowed, Here, InProject
from hutong.server.api.accounts import ProjectName, load_project
from hutong.server.api.disputes import RefundOrder
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.api.shapes.ledger import counts_shape, period_shape, settlement_shape, use_shape
from hutong.server.api.shapes.money import lot_shape
from hutong.server.api.shapes.times import read_time
from hutong.server.approvals import Wanted, require_second
from hutong.server.audited import marked
from hutong.server.reckoning import reckon
from hutong.server.refunds import correct_usage, correction_micro, refund, refundable_micro
from hutong.server.registry import document, every, read, shape_of
from hutong.server.services import Services
from hutong.server.settlements import KIND, SITES_AT_MOST, Payout, Shares, pay, payment_of, settle_closed
from hutong.server.upkeep import claim, claimable_micro
from hutong.wire import ledger as w
from hutong.wire import money
from hutong.wire.base import Money, Page, Slug

router = APIRouter(prefix="/v1", tags=["ledger"])

Closer = Annotated[Principal, Depends(Allowed("ledger.close"))]
Refunder = Annotated[Principal, Depends(InProject("refund.write"))]
Payer = Annotated[Principal, Depends(Allowed("payout.write"))]
Meter = Annotated[Principal, Depends(Allowed("usage.write"))]
SHARES_AT_MOST = 200
DAYS_AT_MOST = 190


@router.get("/ledger/periods", dependencies=[Depends(Allowed("ledger.verify"))])
def list_periods(here: Here) -> w.Periods:
    """List the billing periods: months of the platform's zone in which anything was booked."""
    return w.Periods(items=tuple(period_shape(each) for each in here.store.periods()))


@router.post("/ledger/periods/{period}/close")
def close_period(
    here: Here, principal: Closer, period: Annotated[str, Path(max_length=40)], body: w.ClosePeriod
) -> w.Period:
    """Begin to close a period that has ended or, with `final`, close it for good and settle with the centres.

    What commitments and tiers change in it is booked first. A repeat books and settles what is not yet.
    """
    state = PeriodState.CLOSED if body.final else PeriodState.CLOSING
    known = {each.id for each in here.store.periods()}
    if period not in known:
        raise NotFound("not_found", f"nothing was ever booked in a period {period!r}")
    now_ms, zone = here.clock(), here.settings.zone
    before = next(each for each in here.store.periods() if each.id == period)
    if before.state is PeriodState.CLOSING:
        reckon(here.store, before, now_ms, zone)
    here.store.move_period(period, state, now_ms, principal.id, body.note)
    after = next(each for each in here.store.periods() if each.id == period)
    reckon(here.store, after, now_ms, zone)  # when it begins to close, and what came while it was closed
    if after.closed:
        settle_closed(here.store, after)
    return period_shape(after)


@router.get("/ledger/settlements", dependencies=[Depends(Allowed("ledger.verify"))])
def list_settlements(here: Here) -> w.Settlements:
    """List what each centre with a share of the revenue is owed."""
    rows = [read(Shares, record) for record in every(here.store, KIND, "", SITES_AT_MOST)]
    owed = here.store.balances([settlement_account(each.site) for each in rows])
    items = (settlement_shape(each, due.amount_micro) for each, due in zip(rows, owed, strict=True))
    return w.Settlements(items=tuple(items))


@router.post("/ledger/settlements/{site}/shares", dependencies=[Depends(Allowed("ledger.close"))])
def add_share(here: Here, site: Annotated[Slug, Path()], body: w.NewShare) -> w.Settlement:
    """Say what part of the revenue of its work a centre gets from a moment on; the past stays as it was."""
    if here.store.get("site", site) is None:
        raise NotFound("not_found", f"there is no site {site!r}")
    starts_ms = read_time(body.starts, "/starts")
    closed_ms = max((each.until_ms for each in here.store.periods() if each.closed), default=0)
    if starts_ms < closed_ms:
        problem = Problem("/starts", "that period is closed and settled", "a later moment")
        raise Refused("period_closed", "a share cannot begin in a closed period", (problem,))
    record = here.store.get(KIND, site)
    before = read(Shares, record) if record else Shares(site)
    new = Share(starts_ms, body.ppm)
    if len(before.shares) >= SHARES_AT_MOST and new not in before.shares:
        raise Conflict("too_many", f"a site has at most {SHARES_AT_MOST} shares")
    kept = [each for each in before.shares if each.from_ms != starts_ms]
    after = Shares(site, tuple(sorted((*kept, new), key=lambda each: each.from_ms)))
    here.store.put(Record(KIND, site, document(after)), record.version if record else 0)
    return settlement_shape(after, here.store.balances([settlement_account(site)])[0].amount_micro)


@router.post("/ledger/settlements/{site}/payouts", responses=TWO_PEOPLE)
def create_payout(
    here: Here, principal: Payer, site: Annotated[Slug, Path()], body: w.NewPayout
) -> w.Settlement:
    """Book that a centre was paid; the same reference again is the same payment."""
    record = here.store.get(KIND, site)
    if record is None:
        raise NotFound("not_found", f"site {site!r} has no share of the revenue")
    amount = parse_micro(body.amount.amount, "/amount/amount")
    if amount <= 0:
        problem = Problem("/amount/amount", "it must be more than nothing", "such as 1000.00")
        raise Refused("bad_amount", "a payment must be more than nothing", (problem,))
    order = Payout(site, amount, body.reference)
    if payment_of(here.store, order, here.clock()) is not None:
        wanted = Wanted(Change.PAYOUT, "payout.write", amount, document(order))
        require_second(here, principal, wanted, digest_of(document(order), principal.id)[:26], anew=True)
        pay(here.store, order, here.clock())
    due = here.store.balances([settlement_account(site)])[0].amount_micro
    return settlement_shape(read(Shares, record), due)


def make_payout(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """Book a payment that a second person approved; once."""
    pay(here.store, shape_of(Payout, request), here.clock())


@router.post("/ledger/usage")
def receive_usage(here: Here, principal: Meter, body: w.NewUses) -> w.Uses:
    """Take in records of use from a source, match each with the book and correct the book by it.

    None is dropped: what cannot be matched is suspended, with the reason. A repeat changes nothing.
    """
    told = [_received(each, f"/records/{at}") for at, each in enumerate(body.records)]
    now_ms = here.clock()
    return w.Uses(
        items=tuple(use_shape(intake.take_in(here.store, each, principal.id, now_ms)) for each in told)
    )


def _received(new: w.NewUse, path: str) -> Received:
    start_ms, end_ms = read_time(new.start, f"{path}/start"), read_time(new.end, f"{path}/end")
    if end_ms < start_ms:
        problem = Problem(f"{path}/end", "it ends before it starts", "a time after `start`")
        raise Refused("bad_span", "it ends before it starts", (problem,))
    return Received(new.source, new.record, new.revision, new.key, new.unit, new.quantity, start_ms, end_ms)


@router.get("/ledger/usage", dependencies=[Depends(Allowed("ledger.verify"))])
def count_usage(
    here: Here,
    source: Annotated[str, Query(min_length=1, max_length=200)],
    start: Annotated[str, Query(alias="from", max_length=40, description="RFC 3339, inclusive")],
    end: Annotated[str, Query(alias="to", max_length=40, description="RFC 3339, exclusive")],
) -> w.DayCounts:
    """Count the records of a source by UTC day and fate: nothing that was received is missing."""
    days = (read_time(start, "?from") // DAY_MS, -(-read_time(end, "?to") // DAY_MS))
    if not 0 < days[1] - days[0] <= DAYS_AT_MOST:
        problem = Problem("?to", f"from 1 to {DAYS_AT_MOST} days can be counted", "a time after `from`")
        raise Refused("bad_span", "that span cannot be counted", (problem,))
    return counts_shape(source, here.store.day_counts(source, days))


@router.get("/ledger/suspense", dependencies=[Depends(Allowed("ledger.verify"))])
def list_suspense(here: Here, pages: Annotated[Paging, Depends(paging)]) -> Page[w.Use]:
    """List records of use that wait for a person."""
    source, _, rest = pages.after.partition(" ")
    record, _, revision = rest.partition(" ")
    after = (source, record, int(revision) if revision.isascii() and revision.isdigit() else 0)
    rows = here.store.suspended(after, pages.limit + 1)
    return pages.page(
        rows,
        lambda row: f"{row.record.source} {row.record.record} {row.record.revision}",
        use_shape,
    )


@router.post("/ledger/suspense/resolve")
def resolve_suspense(here: Here, principal: Meter, body: w.Resolve) -> w.Use:
    """Match a suspended record with an attempt, or dismiss it; the reason and who decided stay with it."""
    kept = intake.find(here.store, body.source, body.record, body.revision)
    now_ms = here.clock()
    if body.action == "dismiss":
        done = here.store.resolve(kept.record, Fate.DISMISSED, body.reason, principal.id, now_ms)
    elif kept.fate is not Fate.SUSPENDED:
        raise Conflict("resolved", f"record {kept.record.id} is {kept.fate.value} already")
    else:
        decided = (here.store, kept.record, body.key, principal.id, body.reason)
        if here.store.get("site", body.source) is not None:  # a site's own accounting counts otherwise
            done = metering.match_by_hand(*decided, metering.limits_of(here.settings), now_ms)
        else:
            done = intake.match_by_hand(*decided, now_ms)
    return use_shape(done)


@router.post("/projects/{project}/refunds", status_code=201, responses=TWO_PEOPLE)
def create_refund(
    here: Here, project: ProjectName, principal: Refunder, body: w.NewRefund, key: IdempotencyKey = ""
) -> w.Refund:
    """Give a charge back, in whole or in part, to the lots that paid: the last that paid comes first."""
    load_project(here.store, project)
    amount = parse_micro(body.amount.amount, "/amount/amount") if body.amount else None
    if amount is not None and amount <= 0:
        problem = Problem("/amount/amount", "it must be more than nothing", "such as 12.50")
        raise Refused("bad_amount", "a refund must be more than nothing", (problem,))
    name = digest_of(project, principal.id, key)[:26] if key else here.new_id().lower()
    owner = ProjectId(project)
    size = refundable_micro(here.store, owner, body.subject) if amount is None else amount
    order = RefundOrder(project, body.subject, amount, body.reason)
    wanted = Wanted(Change.REFUND, "refund.write", size, document(order), project=project)
    require_second(here, principal, wanted, name)
    done = refund(here.store, owner, body.subject, amount, body.reason, name)
    here.bell.ring()
    total = -sum(txn.entries[-1].amount_micro for txn in done)
    return w.Refund(
        project=project, subject=body.subject, amount=Money.of(total), txns=tuple(txn.id for txn in done)
    )


@dataclass(frozen=True, slots=True)
class CorrectionOrder:
    """A record of use that shall have another quantity, and why."""

    project: str
    subject: str
    record: str
    quantity: int
    reason: str


@router.post("/projects/{project}/corrections", responses=TWO_PEOPLE)
def create_correction(
    here: Here, project: ProjectName, principal: Refunder, body: w.NewCorrection
) -> w.Correction:
    """Correct a record of use: its entries are reversed, and a new revision is charged at the old price."""
    load_project(here.store, project)
    order = CorrectionOrder(project, body.subject, body.record, body.quantity, body.reason)
    size = correction_micro(here.store, ProjectId(project), body.subject, body.record, body.quantity)
    if size:
        wanted = Wanted(Change.CORRECTION, "refund.write", size, document(order), project=project)
        require_second(here, principal, wanted, digest_of(document(order), principal.id)[:26], anew=True)
    return w.Correction(project=project, subject=body.subject, changed=_correct(here, order))


def make_correction(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """Correct a record as a second person approved; a repeat does no more."""
    _correct(here, shape_of(CorrectionOrder, request))


def _correct(here: Services, order: CorrectionOrder) -> bool:
    owner, now_ms = ProjectId(order.project), here.clock()
    store = marked(here.store, reason=order.reason)
    changed = correct_usage(store, owner, order.subject, order.record, order.quantity, order.reason, now_ms)
    here.bell.ring()
    return changed


@dataclass(frozen=True, slots=True)
class ClaimOrder:
    """A lot that shall be claimed back, and why."""

    project: str
    lot: str
    reason: str


@router.post("/projects/{project}/lots/{lot}/claim", responses=TWO_PEOPLE)
def claim_lot(
    here: Here,
    project: ProjectName,
    lot: Annotated[str, Path(max_length=100)],
    principal: Refunder,
    body: w.NewLotClaim,
) -> money.Lot:
    """Claim a lot back: it ends now, what is free returns at once, what was spent the project owes."""
    load_project(here.store, project)
    there = {each.id: each for each in here.store.lots(ProjectId(project))}.get(LotId(lot))
    if there is None:
        raise NotFound("not_found", f"project {project} has no lot {lot!r}")
    order = ClaimOrder(project, lot, body.reason)
    if not there.clawed:
        size = claimable_micro(here.store, there)
        wanted = Wanted(Change.CLAIM, "refund.write", size, document(order), project=project)
        require_second(here, principal, wanted, digest_of(document(order), principal.id)[:26], anew=True)
    return lot_shape(_claim(here, order))


def make_claim(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """Claim a lot back as a second person approved; a repeat does no more."""
    _claim(here, shape_of(ClaimOrder, request))


def _claim(here: Services, order: ClaimOrder) -> Lot:
    done = claim(marked(here.store, reason=order.reason), LotId(order.lot), here.clock(), order.reason)
    here.bell.ring()
    return done
