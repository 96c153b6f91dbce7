"""The two-person rule: proposals, decisions on them, and the thresholds above which they are needed."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.approvals import (
    OPEN_AT_MOST,
    Change,
    Proposal,
    ProposalState,
    Threshold,
    loosens,
    may_see,
)
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Denied, NotFound, Problem, Refused
from hutong.core.kernel.money import parse_micro
from hutong.server import approvals
from hutong.server.api.access import Allowed, Here, Signed
from hutong.server.api.commitments import write_commitment
from hutong.server.api.disputes import make_refund
from hutong.server.api.ledger import make_claim, make_correction, make_payout
from hutong.server.api.money import fill_lot
from hutong.server.api.once import digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.prices import write_price, write_price_end
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.api.quotas import write_quota
from hutong.server.api.vouchers import make_redemption
from hutong.server.registry import document, every, read
from hutong.server.services import Services
from hutong.wire import approvals as w
from hutong.wire.base import Money, Page, rfc3339

router = APIRouter(prefix="/v1/approvals", tags=["access"])

Pages = Annotated[Paging, Depends(paging)]
Asker = Annotated[Principal, Depends(Signed(reason="own proposals, and those that one may decide on"))]
Named = Annotated[w.ProposalId, Path(alias="proposal")]


@router.get("/thresholds", dependencies=[Depends(Signed(reason="the rules are no secret"))])
def list_thresholds(here: Here, pages: Pages) -> Page[w.Threshold]:
    """List the thresholds above which a change takes two people."""
    rows = here.store.records(approvals.THRESHOLD, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: _threshold(read(Threshold, row)))


@router.put("/thresholds/{change}", responses=TWO_PEOPLE)
def put_threshold(
    here: Here,
    change: w.Bounded,
    body: w.NewThreshold,
    principal: Annotated[Principal, Depends(Allowed("threshold.write"))],
) -> w.NewThreshold:
    """Set a threshold. Whoever loosens one, needs a second person, as everything that it guards."""
    kind = Change(change)
    if (body.cards if kind is not Change.QUOTA else body.amount) is not None:
        wrong, right = ("cards", "amount") if kind is not Change.QUOTA else ("amount", "cards")
        problem = Problem(f"/{wrong}", f"a threshold of {change} is not in {wrong}", f"give {right}")
        raise Refused("bad_threshold", problem.message, (problem,))
    above = parse_micro(body.amount.amount, "/amount/amount") if body.amount else body.cards
    if above is not None and above < 0:
        raise Refused("bad_amount", "less than nothing", (Problem("/amount/amount", "it is negative", "0"),))
    before = approvals.threshold_of(here.store, kind)
    after = None if above is None else Threshold(kind, above, body.hours)
    if before is None and after is None:
        raise NotFound("not_found", f"there is no threshold of {change!r}")
    request: dict[str, object] = {"change": change, "above": above, "hours": body.hours}
    if loosens(before, after):
        wanted = approvals.Wanted(Change.THRESHOLD, "threshold.write", 1, request)
        record = here.store.get(approvals.THRESHOLD, change)
        id_ = digest_of("threshold", request, principal.id, record.version if record else 0)[:26]
        approvals.require_second(here, principal, wanted, id_, anew=True)
    _write_threshold(here, request, "")
    return body


def _write_threshold(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    change, above, hours = Change(str(request["change"])), request["above"], request["hours"]
    if isinstance(above, int) and isinstance(hours, int):
        doc = document(Threshold(change, above, hours))
        here.store.put(Record(approvals.THRESHOLD, change.value, doc))
    else:
        here.store.remove(approvals.THRESHOLD, change.value)


CHANGES: Mapping[Change, approvals.Apply] = {
    Change.AWARD: fill_lot,
    Change.VOUCHER: fill_lot,
    Change.REFUND: make_refund,
    Change.CLAIM: make_claim,
    Change.PAYOUT: make_payout,
    Change.QUOTA: write_quota,
    Change.PRICE: write_price,
    Change.PRICE_END: write_price_end,
    Change.COMMITMENT: write_commitment,
    Change.CORRECTION: make_correction,
    Change.REDEMPTION: make_redemption,
    Change.THRESHOLD: _write_threshold,
}


@router.get("")
def list_proposals(
    here: Here, pages: Pages, principal: Asker, state: Annotated[Literal["open", "closed"], Query()] = "open"
) -> Page[w.Proposal]:
    """List what waits for a second person, as far as it concerns the caller; or what is over."""
    if state == "closed":
        if not principal.everywhere("proposal.read"):
            raise Denied("forbidden", "proposal.read is not among your permissions")
        rows = here.store.records(approvals.PROPOSAL, approvals.CLOSED, pages.after, pages.limit + 1)
    else:
        waiting = every(here.store, approvals.PROPOSAL, approvals.OPEN, OPEN_AT_MOST)
        seen = (row for row in waiting if may_see(principal, read(Proposal, row)) and row.id > pages.after)
        rows = tuple(seen)[: pages.limit + 1]
    now_ms = here.clock()
    return pages.page(rows, lambda row: row.id, lambda row: _shape(read(Proposal, row), now_ms))


@router.get("/{proposal}")
def get_proposal(here: Here, proposal: Named, principal: Asker) -> w.Proposal:
    """Return one proposal."""
    found = approvals.find(here.store, proposal)[1]
    if not may_see(principal, found):
        raise NotFound("not_found", f"there is no proposal {proposal!r}")
    return _shape(found, here.clock())


@router.post("/{proposal}/approve")
def approve_proposal(here: Here, proposal: Named, principal: Asker, body: w.ProposalVerdict) -> w.Proposal:
    """Approve what somebody else proposed: it is done at once. Takes the permission of the change itself."""
    return _shape(approvals.approve(here, principal, proposal, body.note, CHANGES), here.clock())


@router.post("/{proposal}/refuse")
def refuse_proposal(here: Here, proposal: Named, principal: Asker, body: w.ProposalVerdict) -> w.Proposal:
    """Refuse a proposal, or take back one's own."""
    return _shape(approvals.refuse(here, principal, proposal, body.note), here.clock())


@router.post("/{proposal}/break-glass")
def break_glass(
    here: Here,
    proposal: Named,
    body: w.BreakGlass,
    principal: Annotated[Principal, Depends(Allowed("proposal.break"))],
) -> w.Proposal:
    """Go on alone in an emergency; the audit marks every event of it `break-glass`."""
    done = approvals.approve(here, principal, proposal, body.reason, CHANGES, break_glass=True)
    return _shape(done, here.clock())


def _threshold(found: Threshold) -> w.Threshold:
    cards = found.above if found.change is Change.QUOTA else None
    amount = None if found.change is Change.QUOTA else Money.of(found.above)
    return w.Threshold.model_validate(
        {"change": found.change.value, "amount": amount, "cards": cards, "hours": found.hours}
    )


def _shape(found: Proposal, now_ms: int) -> w.Proposal:
    state: ProposalState = found.state_at(now_ms)
    return w.Proposal.model_validate(
        {
            "id": found.id,
            "change": found.change.value,
            "permission": found.permission,
            "project": found.project,
            "institution": found.institution,
            "by": found.by,
            "at": rfc3339(found.at_ms),
            "expires": rfc3339(found.expires_ms),
            "state": state.value,
            "decided_by": found.decided_by,
            "decided": rfc3339(found.decided_ms) if found.decided_ms else None,
            "note": found.note,
            "broke_glass": found.broke_glass,
            "request": found.request,
        }
    )
