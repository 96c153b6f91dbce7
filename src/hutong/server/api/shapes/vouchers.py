"""Contracts, vouchers, claims and what other rules would have paid, as the wire shows them."""

from hutong.core.ledger.subsidies import parties as s
from hutong.core.ledger.subsidies.issue import Refusal
from hutong.core.ledger.subsidies.redeem import Redeemable
from hutong.core.ledger.subsidies.what_if import Change, Comparison, Outcome
from hutong.server.api.shapes.times import percent, thousandths, time_or_none
from hutong.server.subsidies.desk import Verdict
from hutong.wire import subsidies as ws
from hutong.wire import vouchers as w
from hutong.wire.base import Money, rfc3339

INSTITUTIONS_SHOWN = 1000


def contract_shape(contract: s.Contract) -> w.Contract:
    """Return a contract."""
    there = contract.capacity
    capacity = None
    if there is not None:
        capacity = w.Capacity(
            petaflops=thousandths(there.milli_p), precision=there.precision, sparse=there.sparse
        )
    return w.Contract(
        id=contract.id,
        number=contract.number,
        project=contract.project,
        demander=contract.demander,
        provider=contract.provider,
        sites=contract.sites,
        amount=Money.of(contract.amount_micro),
        signed=rfc3339(contract.signed_ms),
        starts=rfc3339(contract.starts_ms),
        ends=rfc3339(contract.ends_ms),
        capacity=capacity,
        subsidised_by=contract.subsidised_by,
    )


def voucher_shape(voucher: s.Voucher) -> w.Voucher:
    """Return a voucher with what is left of it."""
    return w.Voucher(
        id=voucher.id,
        programme=voucher.programme,
        rules=voucher.rules,
        institution=voucher.institution,
        project=voucher.project,
        claimant=voucher.claimant.value,
        state=voucher.state.value,
        rate_percent=percent(voucher.rate_ppm),
        year=voucher.year,
        issued=rfc3339(voucher.issued_ms),
        expires=time_or_none(voucher.expires_ms or 0),
        contract=voucher.contract,
        lot=voucher.lot,
        face=Money.of(voucher.face_micro),
        reserved=Money.of(voucher.reserved_micro),
        redeemed=Money.of(voucher.redeemed_micro),
        clawed_back=Money.of(voucher.clawed_micro),
        left=Money.of(voucher.left_micro),
        reason=voucher.reason,
    )


def summary_shape(claim: s.Claim) -> w.ClaimSummary:
    """Return a claim without its lines."""
    return w.ClaimSummary(
        id=claim.id,
        voucher=claim.voucher,
        programme=claim.programme,
        project=claim.project,
        state=claim.state.value,
        by=claim.by,
        made=rfc3339(claim.made_ms),
        start=rfc3339(claim.from_ms),
        end=rfc3339(claim.upto_ms),
        amount=Money.of(claim.amount_micro),
        bound=claim.bound,
        evidence=dict(claim.evidence),
        payment=claim.payment,
        decided_by=claim.decided_by,
        reason=claim.reason,
    )


def claim_shape(claim: s.Claim) -> w.Claim:
    """Return a claim with its lines."""
    return w.Claim(**summary_shape(claim).model_dump(), lines=tuple(_line(line) for line in claim.lines))


def redeemable_shape(found: Redeemable) -> w.Redeemable:
    """Return what a claim would pay."""
    return w.Redeemable(
        allowed=not found.refusals,
        refusals=tuple(_refusal(each) for each in found.refusals),
        amount=Money.of(found.amount_micro),
        bound=found.bound,
        lines=tuple(_line(line) for line in found.lines),
        left_out=tuple(
            w.LeftOut(spend=each.spend, clause=each.clause, message=each.message) for each in found.left_out
        ),
    )


def verdict_shape(verdict: Verdict) -> w.Verdict:
    """Return what the clauses say of a voucher."""
    return w.Verdict(
        allowed=not verdict.refusals,
        refusals=tuple(_refusal(each) for each in verdict.refusals),
        at_most=Money.of(verdict.at_most_micro),
        bound=verdict.bound,
    )


def comparison_shape(found: Comparison) -> ws.SubsidyComparison:
    """Return what two sets of rules pay; of very many institutions, those at both ends."""
    changes = found.changes
    if len(changes) > INSTITUTIONS_SHOWN:
        half = INSTITUTIONS_SHOWN // 2
        changes = (*changes[:half], *changes[-half:])
    return ws.SubsidyComparison(
        before=_budget(found.before),
        after=_budget(found.after),
        institutions=len(found.changes),
        gainers=sum(each.gain_micro > 0 for each in found.changes),
        losers=sum(each.gain_micro < 0 for each in found.changes),
        changes=tuple(_gain(each) for each in changes),
    )


def _budget(outcome: Outcome) -> ws.SubsidyBudget:
    return ws.SubsidyBudget(
        paid=Money.of(outcome.paid_micro),
        years=tuple(ws.YearPaid(year=year, paid=Money.of(paid)) for year, paid in outcome.by_year),
        kept_back=tuple(
            ws.KeptBack(clause=clause, amount=Money.of(amount)) for clause, amount in outcome.kept_back
        ),
    )


def _gain(change: Change) -> ws.Gain:
    return ws.Gain(
        institution=change.institution,
        kind=change.kind.value,
        before=Money.of(change.before_micro),
        after=Money.of(change.after_micro),
        gain=Money.of(change.gain_micro),
    )


def _refusal(each: Refusal) -> w.Refusal:
    return w.Refusal(clause=each.clause, path=each.path, message=each.message, hint=each.hint)


def _line(line: s.ClaimLine) -> w.ClaimLine:
    return w.ClaimLine(
        spend=line.spend, charge=Money.of(line.charge_micro), amount=Money.of(line.amount_micro)
    )
