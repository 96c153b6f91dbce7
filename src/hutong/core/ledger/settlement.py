"""What partner centres get: a dated share of what their work earned in a closed period."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hutong.core.book.money import PAID_OUT, REVENUE, Entry, Txn, settlement_account
from hutong.core.book.periods import Period
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import ProjectId

PPM = 1_000_000
NOBODY = ProjectId("")


@dataclass(frozen=True, slots=True)
class Share:
    """A centre's part of the revenue of its work, in parts per million, from a moment on."""

    from_ms: int
    ppm: int


def share_at(shares: Sequence[Share], at_ms: int) -> int:
    """Return the share that holds at a moment: of those begun, the one that began last; 0 without one."""
    begun = [each for each in shares if each.from_ms <= at_ms]
    return max(begun, key=lambda each: each.from_ms).ppm if begun else 0


def settle_period(
    period: Period, takings: Mapping[str, int], shares: Mapping[str, Sequence[Share]]
) -> tuple[Txn, ...]:
    """Return one transaction for each centre with a share, by what it took in a closed period.

    The share is the one at the period's begin, rounded down once. Takings are net of what was waived, and may
    be below zero where late corrections outweigh them. It is booked in the next period: this one is closed.
    """
    if not period.closed:
        raise Conflict("period_open", f"period {period.id} is not closed: its takings may still change")
    made = []
    for site in sorted(takings):
        amount = takings[site] * share_at(shares.get(site, ()), period.from_ms) // PPM
        if amount:
            legs = (Entry(REVENUE, -amount), Entry(settlement_account(site), amount))
            name = f"settle:{period.id}:{site}"
            made.append(
                Txn(name, "settlement", NOBODY, period.until_ms, f"period:{period.id}", legs, site=site)
            )
    return tuple(made)


def pay_out(site: str, amount_micro: int, owed_micro: int, reference: str, now_ms: int) -> Txn:
    """Return the payment to a centre by the reference of its transfer; Conflict if more than is owed."""
    if amount_micro > owed_micro:
        raise Conflict("too_much", f"site {site} is owed {owed_micro} micro-yuan, not {amount_micro}")
    legs = (Entry(settlement_account(site), -amount_micro), Entry(PAID_OUT, amount_micro))
    return Txn(
        f"payout:{site}:{reference}", "payout", NOBODY, now_ms, settlement_account(site), legs, site=site
    )
