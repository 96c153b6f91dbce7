"""The end of a lot: what nobody holds expires, or returns to the issuer where the lot was claimed back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hutong.core.book.money import EXPIRED, ISSUED, Entry, Lot, Txn, lot_account, overrun_account


def lot_cause(lot: str) -> str:
    """What the transactions of a lot as such are for: its filling, its expiry, its claim back."""
    return f"lot:{lot}"


def expire(lot: Lot, now_ms: int) -> Txn | None:
    """Return what takes the free rest of a lot that has ended (breakage), or None.

    What running work holds is left; it follows when it is released. Two that race fail on the lot's floor.
    """
    if now_ms < lot.ends_ms or lot.available_micro <= 0:
        return None
    entries = (Entry(lot_account(lot.id), -lot.available_micro), Entry(EXPIRED, lot.available_micro))
    return Txn(f"expire:{lot.id}:{now_ms}", "expiry", lot.project, now_ms, lot_cause(lot.id), entries)


@dataclass(frozen=True, slots=True)
class Claim:
    """How far the claim on a lot has come: what was put in, has returned, and became owed; how often."""

    filled_micro: int
    returned_micro: int
    owed_micro: int
    count: int


def claim_of(lot: Lot, txns: Sequence[Txn]) -> Claim:
    """Return the claim on a lot from the transactions of the lot as such."""
    account, owed = lot_account(lot.id), overrun_account(lot.project)
    claims = [txn for txn in txns if txn.kind == "clawback"]
    fills = [txn for txn in txns if txn.kind not in {"clawback", "expiry"}]
    returned = -_sum((txn for txn in txns if txn.kind in {"clawback", "expiry"}), account)
    return Claim(_sum(fills, account), returned, -_sum(claims, owed), len(claims))


def claw_back(lot: Lot, claim: Claim, now_ms: int, reason: str) -> Txn | None:
    """Return the next step of claiming a lot back, or None where there is nothing to do now.

    What is free returns to `issued`; what was spent of it the project owes. What is held is left to the step
    after it was settled or released. Given back use lowers what is owed. Steps that race have one id.
    """
    spent = claim.filled_micro - claim.returned_micro - lot.posted_micro
    free, owes = max(0, lot.available_micro), spent - claim.owed_micro
    legs = []
    if free:
        legs.append(Entry(lot_account(lot.id), -free))
    if owes:
        legs.append(Entry(overrun_account(lot.project), -owes))
    if free + owes:
        legs.append(Entry(ISSUED, free + owes))
    if not legs:
        return None
    name = f"clawback:{lot.id}:{claim.count}"
    cause = lot_cause(lot.id)
    return Txn(name, "clawback", lot.project, now_ms, cause, tuple(legs), reason=reason)


def _sum(txns: Iterable[Txn], account: str) -> int:
    return sum(e.amount_micro for txn in txns for e in txn.entries if e.account == account)
