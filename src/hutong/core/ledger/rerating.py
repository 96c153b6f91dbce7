"""Money of use that moves to another price: given back to who paid, in proportion, or charged as use is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hutong.core.book.money import (
    MOVED_FROM,
    MOVED_TO,
    RERATING,
    REVENUE,
    UNFORGIVEN,
    WAIVED,
    Entry,
    Lot,
    Posting,
    Txn,
    UsageRecord,
)
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.money import largest_remainder
from hutong.core.kernel.rating import rate_moved
from hutong.core.ledger.commitments import Group
from hutong.core.ledger.funding import settle

REVISION = 2
"""Records of rerated use stand beside those of attempts, which are of revision 1, and are no part of them."""


@dataclass(frozen=True, slots=True)
class Rerating:
    """What a subject of a project is to be in all: quantities by price, below zero where use left it."""

    subject: str
    project: ProjectId
    site: str
    lines: Mapping[Group, int] = field(default_factory=dict)


def rerate(
    wanted: Rerating,
    before: Sequence[UsageRecord],
    payers: Mapping[str, int],
    lots: Sequence[Lot],
    span: tuple[int, int],
    now_ms: int,
) -> Posting:
    """Return what brings a subject from its records `before` to what is wanted; nothing where it is there.

    `payers` is what each account paid of the project's use at the site in the period; what comes back is
    shared among them in proportion. `span` is the period. What rounding gives back beyond what anybody paid,
    some micro-yuan, is taken off what was waived.
    """
    had: dict[tuple[str, str, int, int], int] = {}
    for each in before:
        name = (each.sku, each.unit, each.price_micro, each.per)
        had[name] = had.get(name, 0) + each.quantity
    want = {(g.sku, g.unit, g.micro, g.per): quantity for g, quantity in wanted.lines.items()}
    turn = 1 + max((int(each.id.rpartition("#")[0].rpartition("~")[2]) for each in before), default=0)
    txn_id = f"{wanted.subject}~{turn:04d}"
    records: list[UsageRecord] = []
    for name in sorted(had.keys() | want.keys()):
        sku, unit, micro, per = name
        old, new = had.get(name, 0), want.get(name, 0)
        if old == new:
            continue
        records.append(
            UsageRecord(
                id=f"{txn_id}#{len(records):02d}",
                project=wanted.project,
                key=wanted.subject,
                site=wanted.site,
                sku=sku,
                unit=unit,
                quantity=new - old,
                price_micro=micro,
                per=per,
                charge_micro=rate_moved(new, micro, per) - rate_moved(old, micro, per),
                from_ms=span[0],
                upto_ms=span[1] - 1,  # its last moment, so that it is booked in that period
                method=MOVED_TO if (new or old) > 0 else MOVED_FROM,
                revision=REVISION,
            )
        )
    if not records:
        return Posting()
    legs = _legs(sum(each.charge_micro for each in records), wanted.project, payers, lots, now_ms)
    if not legs:
        return Posting(usage=tuple(records))
    txn = Txn(txn_id, RERATING, wanted.project, span[1] - 1, wanted.subject, legs, site=wanted.site)
    return Posting((txn,), usage=tuple(records))


def _legs(
    growth: int, project: ProjectId, payers: Mapping[str, int], lots: Sequence[Lot], now_ms: int
) -> tuple[Entry, ...]:
    if growth >= 0:
        return settle((), lots, project, 0, growth, now_ms, final=True).entries
    shares = give_to(payers, -growth)
    return (*(Entry(account, amount) for account, amount in shares.items()), Entry(REVENUE, growth))


def give_to(payers: Mapping[str, int], amount_micro: int) -> dict[str, int]:
    """Split what is given back among who paid, in proportion and never more than they paid."""
    paid = {account: part for account, part in sorted(payers.items()) if part > 0}
    back = min(amount_micro, sum(paid.values()))
    shares = dict(zip(paid, largest_remainder(back, list(paid.values())), strict=True)) if paid else {}
    if amount_micro > back:
        shares[WAIVED] = shares.get(WAIVED, 0) + amount_micro - back
    return {account: part for account, part in shares.items() if part}


def count_payers(payers: dict[str, dict[str, int]], txn: Txn) -> None:
    """Add to `payers`, by site, what each account paid by a transaction, net of what it got back."""
    charges = any(leg.account == REVENUE for leg in txn.entries)
    if not txn.site or not (charges or txn.reverses or txn.kind == UNFORGIVEN):
        return
    sums = payers.setdefault(txn.site, {})
    for leg in txn.entries:
        if leg.account != REVENUE:
            sums[leg.account] = sums.get(leg.account, 0) - leg.amount_micro
