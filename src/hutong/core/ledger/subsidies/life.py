"""The life of a voucher: each step gives the voucher after it and what it adds to the tallies of its year."""

from dataclasses import dataclass, replace

from hutong.core.kernel.errors import Broken, Conflict
from hutong.core.ledger.subsidies.parties import Claim, ClaimState, Contract, Tally, Voucher, VoucherState
from hutong.core.ledger.subsidies.programme import Counts, Pays, Programme

_DAY_MS = 86_400_000
_OVER = frozenset({VoucherState.EXPIRED, VoucherState.CLAWED_BACK})


@dataclass(frozen=True, slots=True)
class Added:
    """What a step adds to the tallies of a year, or gives back to them."""

    counts: Counts
    year: int
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Step:
    """A voucher after a step, and what that adds to tallies."""

    voucher: Voucher
    added: tuple[Added, ...] = ()


def issued(programme: Programme, voucher: Voucher) -> Step:
    """Return the step by which a new voucher counts: with its whole face, where issue counts."""
    return Step(voucher, _added(programme, Counts.ISSUE, voucher.year, voucher.face_micro))


def bound(programme: Programme, voucher: Voucher, contract: Contract, face_micro: int) -> Step:
    """Bind a voucher to a contract; a face above what the contract allows is lowered, the rest given back."""
    if voucher.state is not VoucherState.ISSUED:
        raise _wrong(voucher, "only a voucher that is issued can be bound")
    if face_micro > voucher.face_micro:
        raise Broken(f"binding cannot raise the face of voucher {voucher.id}")
    lowered = voucher.face_micro - face_micro
    days = programme.redeem_days
    if days is None and programme.pays is Pays.CHARGE:
        days = 0  # its lot ends with the contract
    after = replace(
        voucher,
        state=VoucherState.BOUND,
        contract=contract.id,
        face_micro=face_micro,
        expires_ms=None if days is None else contract.ends_ms + days * _DAY_MS,
        lot=f"voucher-{voucher.id}" if programme.pays is Pays.CHARGE else "",
    )
    return Step(after, _added(programme, Counts.ISSUE, voucher.year, -lowered))


def reserved(programme: Programme, voucher: Voucher, claim: Claim) -> Step:
    """Set a claim's amount aside; where claims count, it counts in the year of the claim."""
    if voucher.state is not VoucherState.BOUND or claim.amount_micro > voucher.left_micro:
        raise Broken(f"claim {claim.id} does not fit voucher {voucher.id}")
    after = replace(voucher, reserved_micro=voucher.reserved_micro + claim.amount_micro)
    return Step(after, _added(programme, Counts.CLAIM, claim.year, claim.amount_micro))


def redeemed(voucher: Voucher, claim: Claim) -> Step:
    """Turn what a claim set aside into what was paid."""
    _expect(claim, ClaimState.RESERVED)
    if voucher.state is VoucherState.CLAWED_BACK:
        raise _wrong(voucher, "its claims can only be refused")
    amount = claim.amount_micro
    after = replace(
        voucher,
        reserved_micro=voucher.reserved_micro - amount,
        redeemed_micro=voucher.redeemed_micro + amount,
    )
    return Step(after)


def refused(programme: Programme, voucher: Voucher, claim: Claim) -> Step:
    """Give back what a claim set aside: to the voucher, and to the year where claims count.

    A voucher that is over by now has given back the rest of its face: so does this claim.
    """
    _expect(claim, ClaimState.RESERVED)
    amount = claim.amount_micro
    after = _closed(replace(voucher, reserved_micro=voucher.reserved_micro - amount))
    back = _added(programme, Counts.CLAIM, claim.year, -amount)
    if voucher.state in _OVER:
        back += _added(programme, Counts.ISSUE, voucher.year, -amount)
    return Step(after, back)


def expired(programme: Programme, voucher: Voucher, now_ms: int) -> Step:
    """End a voucher whose time is over; what nobody claimed goes back to its year."""
    if voucher.state in _OVER:
        raise _wrong(voucher, "it has ended already")
    if voucher.expires_ms is None or now_ms < voucher.expires_ms:
        raise _wrong(voucher, "its time is not over")
    left = voucher.left_micro
    after = replace(voucher, state=VoucherState.EXPIRED, face_micro=voucher.face_micro - left)
    return Step(after, _added(programme, Counts.ISSUE, voucher.year, -left))


def clawed_back(programme: Programme, voucher: Voucher, reason: str) -> Step:
    """Take a voucher back: nothing more may be claimed, and what nobody claimed goes back to its year."""
    if voucher.state in _OVER:
        raise _wrong(voucher, "it has ended already")
    left = voucher.left_micro
    after = replace(
        voucher, state=VoucherState.CLAWED_BACK, face_micro=voucher.face_micro - left, reason=reason
    )
    return Step(after, _added(programme, Counts.ISSUE, voucher.year, -left))


def claim_clawed_back(voucher: Voucher, claim: Claim) -> Step:
    """Take back what a claim was paid. Caps do not recover by it: a claw-back gives no second chance."""
    _expect(claim, ClaimState.REDEEMED)
    return Step(replace(voucher, clawed_micro=voucher.clawed_micro + claim.amount_micro))


def paid_by_lot(voucher: Voucher, unspent_micro: int) -> Voucher:
    """Return a voucher that pays as charges are made, with what its lot has paid so far."""
    return replace(voucher, redeemed_micro=voucher.face_micro - unspent_micro)


def tallied(tally: Tally, added_micro: int) -> Tally:
    """Return a tally after a step."""
    if tally.taken_micro + added_micro < 0:
        raise Broken(f"a tally of {tally.taken_micro} cannot give back {-added_micro}")
    return Tally(tally.taken_micro + added_micro)


def _added(programme: Programme, counts: Counts, year: int, amount_micro: int) -> tuple[Added, ...]:
    return (Added(counts, year, amount_micro),) if counts in programme.counts and amount_micro else ()


def _closed(voucher: Voucher) -> Voucher:
    """Return a voucher with no more face than is taken, if it is over."""
    if voucher.state not in _OVER:
        return voucher
    return replace(voucher, face_micro=voucher.reserved_micro + voucher.redeemed_micro)


def _expect(claim: Claim, state: ClaimState) -> None:
    if claim.state is not state:
        text = f"claim {claim.id} is {claim.state.value.replace('_', ' ')}, not {state.value}"
        raise Conflict("claim_state", text)


def _wrong(voucher: Voucher, why: str) -> Conflict:
    return Conflict(
        "voucher_state", f"voucher {voucher.id} is {voucher.state.value.replace('_', ' ')}: {why}"
    )
