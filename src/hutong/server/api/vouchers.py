"""Vouchers under programmes: checked, issued, bound, claimed on, redeemed, clawed back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.approvals import Change
from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import Denied, NotFound, Problem, Refused
from hutong.core.kernel.money import parse_micro
from hutong.core.ledger.subsidies import parties as s
from hutong.core.ledger.subsidies.programme import Party
from hutong.server.api.access import Allowed, Here, Somewhere, require, sees_all
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.api.shapes.times import read_time
from hutong.server.api.shapes.vouchers import (
    claim_shape,
    redeemable_shape,
    summary_shape,
    verdict_shape,
    voucher_shape,
)
from hutong.server.approvals import Wanted as Second
from hutong.server.approvals import require_second
from hutong.server.registry import document, read, shape_of
from hutong.server.services import Services
from hutong.server.subsidies import shelf
from hutong.server.subsidies.claims import Claims, ClaimWanted
from hutong.server.subsidies.desk import Desk, Wanted
from hutong.wire import vouchers as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1/vouchers", tags=["vouchers"])

Pages = Annotated[Paging, Depends(paging)]
VoucherName = Annotated[Slug, Path(alias="voucher")]
ClaimName = Annotated[Slug, Path(alias="claim")]
Reader = Annotated[Principal, Depends(Somewhere("voucher.read"))]
Claimer = Annotated[Principal, Depends(Somewhere("voucher.claim"))]
Operator = Annotated[Principal, Depends(Allowed("voucher.write"))]


def desk_of(here: Services) -> Desk:
    """Return the desk over the platform's store, programmes and clock."""
    return Desk(here.store, here.programmes, here.clock)


@router.post("/check")
def check_voucher(here: Here, principal: Reader, body: w.NewVoucher) -> w.Verdict:
    """Say which clauses stand against a voucher, and the most that could be issued; nothing is changed."""
    require(principal, "voucher.read", body.project, f"project {body.project!r}")
    desk = desk_of(here)
    if body.contract is not None and not sees_all(principal, "voucher.read"):
        contract, ours = desk.contract(body.contract), desk.project(body.project).institution
        if ours not in {contract.demander, contract.provider}:
            problem = Problem(
                "/contract", f"there is no contract {body.contract!r}", "a contract of your own"
            )
            raise Refused("unknown_reference", f"there is no contract {body.contract!r}", (problem,))
    return verdict_shape(desk.check(_wanted(body)))


@router.post("", status_code=201)
def issue_voucher(here: Here, principal: Operator, body: w.NewVoucher, key: IdempotencyKey = "") -> w.Voucher:
    """Issue a voucher under a programme's rules; what stands against it is refused with the clause named."""
    issued = desk_of(here).issue(_name(here, "v", principal, key), _wanted(body), digest_of(body))
    here.bell.ring()
    return voucher_shape(issued)


@router.get("")
def list_vouchers(
    here: Here,
    pages: Pages,
    principal: Reader,
    project: Annotated[Slug | None, Query(description="of this project only")] = None,
) -> Page[w.Voucher]:
    """List the vouchers of a project; of all, for operators."""
    if project is not None:
        require(principal, "voucher.read", project, f"project {project!r}")
    elif not sees_all(principal, "voucher.read"):
        raise Denied("forbidden", "name a project of yours: ?project=")
    rows = here.store.records(shelf.VOUCHER, project or "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: voucher_shape(read(s.Voucher, row)))


@router.get("/{voucher}")
def get_voucher(here: Here, principal: Reader, voucher: VoucherName) -> w.Voucher:
    """Return a voucher."""
    return voucher_shape(_visible(here, principal, "voucher.read", voucher))


@router.post("/{voucher}/bind", dependencies=[Depends(Allowed("voucher.write"))])
def bind_voucher(here: Here, voucher: VoucherName, body: w.Bind) -> w.Voucher:
    """Bind a voucher to a contract; a face above what the contract allows is lowered."""
    bound = desk_of(here).bind(voucher, body.contract)
    here.bell.ring()
    return voucher_shape(bound)


@router.post("/{voucher}/expire", dependencies=[Depends(Allowed("voucher.write"))])
def expire_voucher(here: Here, voucher: VoucherName) -> w.Voucher:
    """End a voucher whose time is over; what nobody claimed counts against no cap any more."""
    return voucher_shape(desk_of(here).end(voucher, ""))


@router.post("/{voucher}/claw-back", dependencies=[Depends(Allowed("voucher.write"))])
def claw_back_voucher(here: Here, voucher: VoucherName, body: w.Why) -> w.Voucher:
    """Take a voucher back: nothing more is paid. What claims were paid is clawed back claim by claim."""
    return voucher_shape(desk_of(here).end(voucher, body.reason))


@router.post("/{voucher}/claims/check")
def check_claim(here: Here, principal: Reader, voucher: VoucherName, body: w.NewClaim) -> w.Redeemable:
    """Say what a claim would pay, line by line, and which clause leaves what out; nothing is changed."""
    _visible(here, principal, "voucher.read", voucher)
    return redeemable_shape(Claims(desk_of(here)).check_claim(voucher, _claim_wanted(body)))


@router.post("/{voucher}/claims", status_code=201)
def make_claim(
    here: Here, principal: Claimer, voucher: VoucherName, body: w.NewClaim, key: IdempotencyKey = ""
) -> w.Claim:
    """Claim what was settled in a time, with evidence; its lines are nobody else's from now on."""
    _visible(here, principal, "voucher.claim", voucher)
    name, asked = _name(here, "c", principal, key), digest_of(voucher, body)
    claims = Claims(desk_of(here))
    return claim_shape(claims.claim(name, voucher, _claim_wanted(body), principal.id, asked))


@router.get("/{voucher}/claims")
def list_claims(here: Here, pages: Pages, principal: Reader, voucher: VoucherName) -> Page[w.ClaimSummary]:
    """List the claims on a voucher."""
    _visible(here, principal, "voucher.read", voucher)
    rows = here.store.records(shelf.CLAIM, voucher, pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: summary_shape(read(s.Claim, row)))


@router.get("/{voucher}/claims/{claim}")
def get_claim(here: Here, principal: Reader, voucher: VoucherName, claim: ClaimName) -> w.Claim:
    """Return a claim with its lines."""
    _visible(here, principal, "voucher.read", voucher)
    return claim_shape(_claim(here, voucher, claim))


@dataclass(frozen=True, slots=True)
class RedemptionOrder:
    """A claim that shall be paid: to the balance, or outside under a reference; `by` asked for it."""

    claim: str
    reference: str
    by: str


@router.post("/{voucher}/claims/{claim}/redeem", responses=TWO_PEOPLE)
def redeem_claim(
    here: Here, principal: Operator, voucher: VoucherName, claim: ClaimName, body: w.Redeem
) -> w.Claim:
    """Pay a claim; the same call again finishes what was cut off, and pays nothing twice."""
    there = _claim(here, voucher, claim)
    reference = body.reference.strip()
    if (body.to == "outside") is not bool(reference):
        text = "a payment outside has a reference, one to the balance has none"
        raise Refused("bad_payment", text, (Problem("/reference", text, "the number of the payment"),))
    if reference.startswith("lot:"):
        text = "a reference outside cannot begin with `lot:`"
        raise Refused("bad_payment", text, (Problem("/reference", text, "the number of the payment"),))
    order = RedemptionOrder(claim, reference, principal.id)
    if there.state is s.ClaimState.RESERVED:
        wanted = Second(
            Change.REDEMPTION, "voucher.write", there.amount_micro, document(order), project=there.project
        )
        require_second(here, principal, wanted, digest_of(document(order))[:26], anew=True)
    return claim_shape(_redeem(here, order))


def make_redemption(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """Pay a claim as a second person approved; a repeat pays nothing twice."""
    _redeem(here, shape_of(RedemptionOrder, request))


def _redeem(here: Services, order: RedemptionOrder) -> s.Claim:
    paid = Claims(desk_of(here)).redeem(order.claim, order.reference, order.by)
    here.bell.ring()
    return paid


@router.post("/{voucher}/claims/{claim}/refuse")
def refuse_claim(
    here: Here, principal: Operator, voucher: VoucherName, claim: ClaimName, body: w.Why
) -> w.Claim:
    """Refuse a claim: its lines and its room in the caps are free again."""
    _claim(here, voucher, claim)
    return claim_shape(Claims(desk_of(here)).refuse_claim(claim, body.reason, principal.id))


@router.post("/{voucher}/claims/{claim}/claw-back")
def claw_back_claim(
    here: Here, principal: Operator, voucher: VoucherName, claim: ClaimName, body: w.Why
) -> w.Claim:
    """Take back what a claim was paid; what is not on the balance any more, the project owes."""
    _claim(here, voucher, claim)
    taken = Claims(desk_of(here)).claw_back_claim(claim, body.reason, principal.id)
    here.bell.ring()
    return claim_shape(taken)


def _visible(here: Services, principal: Principal, permission: str, voucher: str) -> s.Voucher:
    found, _ = shelf.load_voucher(here.store, voucher)
    require(principal, permission, found.project, f"voucher {voucher!r}")
    return found


def _claim(here: Services, voucher: str, claim: str) -> s.Claim:
    found, _ = shelf.load_claim(here.store, claim)
    if found.voucher != voucher:
        raise NotFound("not_found", f"voucher {voucher!r} has no claim {claim!r}")
    return found


def _name(here: Services, letter: str, principal: Principal, key: str) -> str:
    name = digest_of(letter, principal.id, key)[:26] if key else here.new_id().lower()
    return f"{letter}-{name}"


def _wanted(body: w.NewVoucher) -> Wanted:
    face = None
    if body.face is not None:
        face = parse_micro(body.face.amount, "/face/amount")
        if face <= 0:
            problem = Problem(
                "/face/amount", "it must be more than nothing", "such as 1000.00, or leave it out"
            )
            raise Refused("bad_amount", "a voucher is for more than nothing", (problem,))
    return Wanted(body.programme, body.project, Party(body.claimant), face, body.contract or "")


def _claim_wanted(body: w.NewClaim) -> ClaimWanted:
    from_ms, upto_ms = read_time(body.start, "/start"), read_time(body.end, "/end")
    if upto_ms <= from_ms:
        problem = Problem("/end", "it ends before it starts", "a time after `start`")
        raise Refused("bad_span", "it ends before it starts", (problem,))
    return ClaimWanted(from_ms, upto_ms, body.evidence)
