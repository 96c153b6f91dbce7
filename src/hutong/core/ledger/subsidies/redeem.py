"""What a claim on a voucher pays: line by line, with the clause that left a line out or kept the sum down."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hutong.core.ledger.subsidies.issue import Refusal
from hutong.core.ledger.subsidies.parties import ClaimLine, Contract, Room, Spend, Voucher, VoucherState
from hutong.core.ledger.subsidies.programme import Counts, Name, Pays, Programme, share


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A spend that a claim cannot have, and the clause that says so."""

    spend: str
    clause: str
    message: str


@dataclass(frozen=True, slots=True)
class Redeemable:
    """What a claim would pay in micro-yuan; with refusals, nothing.

    `bound` is the clause that kept the amount below the rate's share of the lines, or empty. `lines` are the
    spends that the claim takes: those to which nothing is left stay free.
    """

    refusals: tuple[Refusal, ...]
    amount_micro: int = 0
    bound: str = ""
    lines: tuple[ClaimLine, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A claim as it is judged. `owed_micro` is what the project has used and not paid."""

    programme: Programme
    voucher: Voucher
    contract: Contract
    spends: Sequence[Spend]
    evidence: Mapping[str, str]
    room: Room
    owed_micro: int
    now_ms: int


def redeemable(asked: Asked) -> Redeemable:
    """Return what a claim pays: exactly the rate's share of the sum of its lines, as far as face and caps go.

    Each line gets what it adds to the share of a running sum, so slicing cannot change what is paid. Lines
    that take money back (corrections) are counted before others.
    """
    refusals = _refusals(asked)
    if refusals:
        return Redeemable(refusals)
    good: list[Spend] = []
    left_out: list[LeftOut] = []
    for spend in asked.spends:
        found = _against(asked, spend)
        if found is None:
            good.append(spend)
        else:
            left_out.append(LeftOut(spend.id, *found))
    most, bound = _most(asked)
    good.sort(key=lambda each: (each.charge_micro > 0, each.upto_ms, each.id))
    lines, wanted = _lines(good, asked.voucher.rate_ppm, most)
    amount = sum(line.amount_micro for line in lines)
    if not amount:
        return Redeemable((_nothing(asked, left_out, bound if wanted else ""),), left_out=tuple(left_out))
    return Redeemable((), amount, bound if wanted > amount else "", lines, tuple(left_out))


def _lines(good: Sequence[Spend], rate_ppm: int, most: int) -> tuple[tuple[ClaimLine, ...], int]:
    """Return the lines that get something (and all corrections), and what all would get without a bound."""
    lines: list[ClaimLine] = []
    total = given = 0
    for spend in good:
        total += spend.charge_micro
        due = min(share(total, rate_ppm), most)
        if due > given or spend.charge_micro < 0:
            lines.append(ClaimLine(spend.id, spend.charge_micro, due - given))
        given = due
    return tuple(lines), share(total, rate_ppm)


def _most(asked: Asked) -> tuple[int, str]:
    """Return what face and caps leave, and the clause of the tightest of them."""
    programme, voucher = asked.programme, asked.voucher
    limits = [(max(0, voucher.left_micro), _face_clause(asked))]
    if Counts.CLAIM in programme.counts:
        for cap, taken, name in (
            (programme.cap_year_micro, asked.room.firm_micro, Name.CAP_YEAR),
            (programme.pool_year_micro, asked.room.pool_micro, Name.POOL),
        ):
            if cap is not None:
                limits.append((max(0, cap - taken), programme.clause(name)))
    return min(limits, key=lambda each: each[0])


def _face_clause(asked: Asked) -> str:
    """Return the clause that made the face what it is, or `face` where less was asked for."""
    programme, face = asked.programme, asked.voucher.face_micro
    if face == share(asked.contract.amount_micro, asked.voucher.rate_ppm):
        return programme.clause(Name.RATE)
    if face == programme.cap_voucher_micro:
        return programme.clause(Name.CAP_VOUCHER)
    return programme.clause(Name.FACE)


def _refusals(asked: Asked) -> tuple[Refusal, ...]:
    programme, voucher = asked.programme, asked.voucher
    found: list[tuple[Name, str, str, str]] = []
    if programme.pays is Pays.CHARGE:
        text = "its vouchers pay as charges are made: there is nothing to claim"
        found.append((Name.SETTLED, "/voucher", text, "see the project's bill"))
    if voucher.state is not VoucherState.BOUND:
        name = Name.EXPIRY if voucher.state is VoucherState.EXPIRED else Name.SETTLED
        text = f"voucher {voucher.id} is {voucher.state.value.replace('_', ' ')}"
        found.append((name, "/voucher", text, "a voucher that is bound to a contract"))
    elif voucher.expires_ms is not None and asked.now_ms >= voucher.expires_ms:
        text = f"voucher {voucher.id} was to be redeemed by {programme.day(voucher.expires_ms)}"
        found.append((Name.EXPIRY, "/voucher", text, "a voucher that has not expired"))
    for item in programme.evidence:
        if not asked.evidence.get(item, "").strip():
            text = f"there is no evidence {item!r}"
            found.append((Name.EVIDENCE, f"/evidence/{item}", text, "its number or the digest of its file"))
    if asked.owed_micro > 0:
        text = "the project owes for use that is not paid"
        found.append((Name.SETTLED, "/project", text, "claim when what is owed has been paid"))
    return tuple(Refusal(programme.clause(name), *rest) for name, *rest in found)


def _against(asked: Asked, spend: Spend) -> tuple[str, str] | None:
    """Return the clause that leaves a spend out, and why; None if it counts."""
    programme, contract = asked.programme, asked.contract
    if spend.claim:
        return programme.clause(Name.DOUBLE), f"claim {spend.claim} has it already"
    if spend.subsidised and programme.no_double:
        return programme.clause(Name.DOUBLE), "a voucher paid a part of it when it was charged"
    if programme.lines is not None and spend.line not in programme.lines:
        said = ", ".join(programme.lines)
        return programme.clause(Name.LINES), f"it is {spend.line}; the programme pays for {said}"
    if spend.from_ms < contract.starts_ms or spend.upto_ms > contract.ends_ms:
        return programme.clause(Name.TERM), "it lies outside the time of the contract"
    if spend.site not in contract.sites:
        return programme.clause(Name.UNRELATED), f"{spend.site} is not a site of contract {contract.id}"
    if spend.upto_ms > asked.now_ms:
        return programme.clause(Name.SETTLED), "it is not over"
    return None


def _nothing(asked: Asked, left_out: Sequence[LeftOut], bound: str) -> Refusal:
    if bound:
        return Refusal(bound, "/voucher", "nothing is left to claim", "wait for what this clause leaves")
    if not left_out:
        clause = asked.programme.clause(Name.SETTLED)
        return Refusal(clause, "/from", "nothing was settled in this time", "a time with settled use")
    (clause, message), times = Counter((each.clause, each.message) for each in left_out).most_common(1)[0]
    text = f"none of {len(left_out)} settled lines counts; of {times}: {message}"
    return Refusal(clause, "/from", text, "a time with lines of the contract that nobody claimed")
