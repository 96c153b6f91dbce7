"""Who pays: holds over lots before work starts, draws from them when it is measured, debts paid back.

A voucher pays its share (`rate_ppm`) of each charge while it has money; awards and top-ups pay the rest in
the order given. What exceeds the hold is drawn from whatever else is available, then from the project's
overrun account: finished use is always booked (L5). What a project owes there is paid back from the first
money of its awards and top-ups that is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.core.book.money import (
    REVENUE,
    Entry,
    HoldPart,
    Lot,
    LotKind,
    Txn,
    lot_account,
    overrun_account,
)
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import LotId, ProjectId

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a charge is paid: balanced entries (empty for a charge of nothing), the change of the hold,

    and the part that no lot could pay.
    """

    entries: tuple[Entry, ...]
    parts: tuple[HoldPart, ...]
    overrun_micro: int


def plan_hold(lots: Sequence[Lot], amount_micro: int, now_ms: int) -> tuple[HoldPart, ...] | None:
    """Return the parts that hold an amount over a project's lots, in pay order; None if too little."""
    parts, rest = cover(lots, amount_micro, now_ms)
    return None if rest else parts


def cover(lots: Sequence[Lot], amount_micro: int, now_ms: int) -> tuple[tuple[HoldPart, ...], int]:
    """Return what each lot could hold of an amount, in pay order, and what none of them could."""
    open_lots = [lot for lot in lots if lot.starts_ms <= now_ms < lot.ends_ms]
    rest = amount_micro
    parts = []
    for lot in open_lots:
        share = amount_micro * lot.rate_ppm // PPM
        part = min(rest, share, max(0, lot.available_micro))
        if part > 0:
            parts.append(HoldPart(lot.id, part))
            rest -= part
    return tuple(parts), rest


def settle(
    held: Sequence[HoldPart],
    lots: Sequence[Lot],
    project: ProjectId,
    before_micro: int,
    after_micro: int,
    now_ms: int,
    *,
    final: bool,
) -> Settlement:
    """Pay the growth of a running charge from `before` to `after`; when `final`, let go of the rest.

    `held` are the parts still held; `lots` carry balances in which those parts still count as held.
    """
    growth = after_micro - before_micro
    if growth < 0:
        raise Broken(f"a charge cannot shrink from {before_micro} to {after_micro}")
    left = {part.lot: part.amount_micro for part in held}
    known = {lot.id: lot for lot in lots}
    draws: dict[LotId, int] = {}
    rest = growth
    for lot_id in [lot.id for lot in lots if lot.id in left]:
        share = _share(known[lot_id], before_micro, after_micro)
        draw = min(rest, share, left[lot_id])
        left[lot_id] -= draw
        draws[lot_id] = draw
        rest -= draw
    parts = [HoldPart(lot, -draw) for lot, draw in draws.items() if draw]
    for lot in lots:
        beyond = min(rest, max(0, lot.available_micro)) if _pays_all(lot, now_ms) else 0
        if beyond:
            draws[lot.id] = draws.get(lot.id, 0) + beyond
            rest -= beyond
    if final:
        parts += [HoldPart(lot, -amount) for lot, amount in left.items() if amount]
    return Settlement(_entries(draws, rest, project, growth), _merge(parts), rest)


def repay(lots: Sequence[Lot], owed_micro: int, txn_id: str, now_ms: int) -> Txn | None:
    """Return the transaction by which lots of a project pay back what it owes, as far as they can; or None.

    Only lots that are open pay, with what nobody holds. Vouchers never do: they pay a share of charges.
    """
    rest = owed_micro
    legs = []
    for lot in lots:
        pays = lot.kind is not LotKind.VOUCHER and lot.starts_ms <= now_ms < lot.ends_ms
        part = min(rest, max(0, lot.available_micro)) if pays else 0
        if part:
            legs.append(Entry(lot_account(lot.id), -part))
            rest -= part
    if not legs:
        return None
    project = lots[0].project
    entries = (*legs, Entry(overrun_account(project), owed_micro - rest))
    return Txn(txn_id, "repayment", project, now_ms, f"debt:{project}", entries)


def _share(lot: Lot, before_micro: int, after_micro: int) -> int:
    return after_micro * lot.rate_ppm // PPM - before_micro * lot.rate_ppm // PPM


def _pays_all(lot: Lot, now_ms: int) -> bool:
    return lot.rate_ppm == PPM and lot.starts_ms <= now_ms < lot.ends_ms


def _entries(draws: dict[LotId, int], overrun: int, project: ProjectId, growth: int) -> tuple[Entry, ...]:
    if not growth:
        return ()
    legs = [Entry(lot_account(lot), -draw) for lot, draw in draws.items() if draw]
    if overrun:
        legs.append(Entry(overrun_account(project), -overrun))
    return (*legs, Entry(REVENUE, growth))


def _merge(parts: Sequence[HoldPart]) -> tuple[HoldPart, ...]:
    sums: dict[LotId, int] = {}
    for part in parts:
        sums[part.lot] = sums.get(part.lot, 0) + part.amount_micro
    return tuple(HoldPart(lot, amount) for lot, amount in sums.items() if amount)
