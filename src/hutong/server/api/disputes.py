"""Disputes of charges: opened by who was charged, decided by somebody else, and refunded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.core.accounts.approvals import Change
from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import JobRow
from hutong.core.kernel.errors import Denied, NotFound, Problem, Refused
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.money import parse_micro
from hutong.core.ledger.disputes import Dispute, Ground, Message, add_message, decide, withdraw
from hutong.core.work.fold import Attempt
from hutong.server import disputes as d
from hutong.server.api.access import Here, InProject, OfJob, Somewhere, require
from hutong.server.api.accounts import ProjectName
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.api.shapes.statements import dispute_shape
from hutong.server.approvals import Wanted, require_second
from hutong.server.refunds import refund
from hutong.server.registry import document, load, read, shape_of
from hutong.server.services import Services
from hutong.wire import statements as w
from hutong.wire.base import Page

router = APIRouter(prefix="/v1", tags=["disputes"])

Pages = Annotated[Paging, Depends(paging)]
DisputeName = Annotated[str, Path(alias="dispute", pattern=r"^[0-9a-z]{26}$")]
Writer = Annotated[Principal, Depends(Somewhere("dispute.write"))]
Decider = Annotated[Principal, Depends(Somewhere("dispute.decide"))]
Reader = Annotated[Principal, Depends(Somewhere("dispute.read"))]


@router.post("/jobs/{job}/disputes", status_code=201)
def open_dispute(
    here: Here,
    row: Annotated[JobRow, Depends(OfJob("dispute.write"))],
    principal: Writer,
    body: w.NewDispute,
    key: IdempotencyKey = "",
) -> w.Dispute:
    """Say that what an attempt of a job was charged is wrong, and why."""
    attempt = _attempt(row, body.attempt)
    first = Message(principal.id, here.clock(), body.text, body.evidence)
    name = digest_of(row.job.id, principal.id, key)[:26] if key else here.new_id().lower()
    there = here.store.get(d.KIND, name) if key else None
    if there is not None:
        return dispute_shape(read(Dispute, there))
    return dispute_shape(d.begin(here.store, name, row, attempt, Ground(body.ground), first))


def _attempt(row: JobRow, number: int | None) -> Attempt:
    if number is None:
        charged = [each for each in row.job.attempts if each.charge_micro]
        if not charged:
            problem = Problem("", "nothing was charged for it", "a job with a charge on its bill")
            raise Refused("nothing_charged", f"job {row.job.id} cost nothing", (problem,))
        return charged[-1]
    attempt = next((each for each in row.job.attempts if each.number == number), None)
    if attempt is None:
        raise NotFound("not_found", f"job {row.job.id} has no attempt {number}")
    return attempt


@router.get("/projects/{project}/disputes", dependencies=[Depends(InProject("dispute.read"))])
def list_project_disputes(here: Here, project: ProjectName, pages: Pages) -> Page[w.Dispute]:
    """List the disputes of a project, in order of their names."""
    rows = here.store.records(d.KIND, project, pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: dispute_shape(read(Dispute, row)))


@router.get("/disputes")
def list_open_disputes(
    here: Here,
    pages: Pages,
    principal: Decider,
) -> Page[w.Dispute]:
    """List the open disputes that the caller may decide; those of others are left out of a page."""
    rows = here.store.records(d.OPEN, "", pages.after, pages.limit + 1)
    shown = pages.page(rows, lambda row: row.id, lambda row: here.store.get(d.KIND, row.id))
    found = [read(Dispute, each) for each in shown.items if each is not None]
    mine = [each for each in found if principal.may("dispute.decide", each.project)]
    return Page(items=tuple(dispute_shape(each) for each in mine), next=shown.next)


@router.get("/disputes/{dispute}")
def read_dispute(here: Here, dispute: DisputeName, principal: Reader) -> w.Dispute:
    """Return a dispute with all that was written."""
    return dispute_shape(_mine(here, dispute, principal, "dispute.read"))


@router.post("/disputes/{dispute}/messages", status_code=201)
def write_message(
    here: Here, dispute: DisputeName, principal: Reader, body: w.NewDisputeMessage
) -> w.Dispute:
    """Write in an open dispute: who may open disputes there, or decide this one."""
    found = _mine(here, dispute, principal, "dispute.read")
    if not (principal.may("dispute.write", found.project) or principal.may("dispute.decide", found.project)):
        raise Denied("forbidden", "dispute.write is not among your permissions")
    message = Message(principal.id, here.clock(), body.text, body.evidence)
    return dispute_shape(d.change(here.store, dispute, lambda there: add_message(there, message)))


@router.post("/disputes/{dispute}/withdrawal")
def withdraw_dispute(here: Here, dispute: DisputeName, principal: Writer) -> w.Dispute:
    """Take a dispute back; only who opened it can."""
    _mine(here, dispute, principal, "dispute.write")
    now_ms = here.clock()
    return dispute_shape(d.change(here.store, dispute, lambda there: withdraw(there, principal.id, now_ms)))


@router.post("/disputes/{dispute}/decision", responses=TWO_PEOPLE)
def decide_dispute(
    here: Here, dispute: DisputeName, principal: Decider, body: w.NewDisputeDecision
) -> w.Dispute:
    """Decide a dispute, with reasons; what goes back is refunded at once, to the lots that paid."""
    found = _mine(here, dispute, principal, "dispute.decide")
    amount_micro = parse_micro(body.refund.amount, "/refund/amount")
    verdict = Verdict(dispute, amount_micro, Message(principal.id, here.clock(), body.reasons))
    decide(found, amount_micro, verdict.reasons)  # refuse at once what could not be done later
    request = document(replace(verdict, reasons=replace(verdict.reasons, at_ms=0)))  # a repeat is the same
    wanted = Wanted(Change.REFUND, "dispute.decide", amount_micro, request, project=found.project)
    require_second(here, principal, wanted, digest_of(dispute, amount_micro, body.reasons, principal.id)[:26])
    return dispute_shape(_carry_out(here, verdict))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about a dispute, by whom and why."""

    dispute: str
    refund_micro: int
    reasons: Message


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What shall be given back of a subject's charges, in micro-yuan; all of it where there is no amount."""

    project: str
    subject: str
    amount_micro: int | None
    reason: str


def make_refund(here: Services, request: Mapping[str, object], name: str) -> None:
    """Carry out a refund, or the decision of a dispute, that a second person approved; once."""
    if "dispute" in request:
        verdict = shape_of(Verdict, request)
        _carry_out(here, replace(verdict, reasons=replace(verdict.reasons, at_ms=here.clock())))
        return
    order = shape_of(RefundOrder, request)
    refund(here.store, ProjectId(order.project), order.subject, order.amount_micro, order.reason, name)
    here.bell.ring()


def _carry_out(here: Services, verdict: Verdict) -> Dispute:
    decided = d.change(
        here.store, verdict.dispute, lambda there: decide(there, verdict.refund_micro, verdict.reasons)
    )
    if decided.refund_micro:
        d.settle_dispute(here.store, decided)
    here.bell.ring()
    return decided


def _mine(here: Services, name: str, principal: Principal, permission: str) -> Dispute:
    """Return a dispute; raises NotFound if the caller may not know of it, Denied if not do this."""
    found = load(here.store, d.KIND, name, Dispute)
    require(principal, permission, found.project, f"dispute {name!r}")
    return found
