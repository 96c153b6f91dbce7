"""Money: holds, draws and slicing."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.book.money import REVENUE, HoldPart, Lot, LotKind, overrun_account
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.rating import rate, rate_cards
from hutong.core.ledger.funding import plan_hold, repay, settle

LAB = ProjectId("lab")


def lot(name: str, kind: LotKind, posted: int, rate_ppm: int = 1_000_000, held: int = 0) -> Lot:
    return Lot(LotId(name), LAB, kind, rate_ppm, 0, 10**15, posted, held)


amounts = st.integers(0, 10**12)


@given(amounts, amounts, amounts, st.integers(1, 1_000_000))
def test_a_hold_is_whole_or_nothing_and_fits_its_lots(
    amount: int, voucher: int, award: int, rate_ppm: int
) -> None:
    lots = (lot("v", LotKind.VOUCHER, voucher, rate_ppm), lot("a", LotKind.AWARD, award))
    parts = plan_hold(lots, amount, now_ms=5)
    possible = award + min(voucher, amount * rate_ppm // 1_000_000) >= amount
    assert (parts is not None) == possible
    if parts is not None:
        held = {part.lot: part.amount_micro for part in parts}
        assert sum(held.values()) == amount
        assert all(held.get(each.id, 0) <= each.available_micro for each in lots)
        assert held.get(LotId("v"), 0) <= amount * rate_ppm // 1_000_000


def test_a_lot_outside_its_time_holds_nothing() -> None:
    early = replace(lot("a", LotKind.AWARD, 100), starts_ms=10)
    late = replace(lot("a", LotKind.AWARD, 100), ends_ms=5)
    assert plan_hold((early,), 1, now_ms=5) is None
    assert plan_hold((late,), 1, now_ms=5) is None


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=8),
    amounts,
    amounts,
    st.integers(1, 1_000_000),
    amounts,
)
def test_however_a_charge_is_sliced_all_is_booked_and_each_source_pays_the_same(
    slices: list[int], voucher: int, award: int, rate_ppm: int, hold: int
) -> None:
    """L5 and L10: the sum of the entries is the charge, whoever pays; slicing changes nothing."""
    lots = (lot("v", LotKind.VOUCHER, voucher, rate_ppm), lot("a", LotKind.AWARD, award))
    parts = plan_hold(lots, hold, now_ms=5)
    if parts is None:
        return
    whole = _pay(lots, parts, [sum(slices)])
    sliced = _pay(lots, parts, slices)
    assert whole[REVENUE] == sliced[REVENUE] == sum(slices)
    assert whole == sliced


def _pay(lots: tuple[Lot, ...], parts: tuple[HoldPart, ...], slices: list[int]) -> dict[str, int]:
    """Settle slice by slice the way the loop does; return what each account got."""
    held = {part.lot: part.amount_micro for part in parts}
    state = {each.id: replace(each, held_micro=held.get(each.id, 0)) for each in lots}
    totals: dict[str, int] = {REVENUE: 0}
    charged = 0
    for index, growth in enumerate(slices):
        final = index == len(slices) - 1
        now = tuple(HoldPart(name, amount) for name, amount in held.items() if amount)
        done = settle(now, tuple(state.values()), LAB, charged, charged + growth, 5, final=final)
        charged += growth
        assert sum(entry.amount_micro for entry in done.entries) == 0
        for entry in done.entries:
            totals[entry.account] = totals.get(entry.account, 0) + entry.amount_micro
            name = LotId(entry.account.removeprefix("lot:"))
            if name in state:
                posted = state[name].posted_micro + entry.amount_micro
                state[name] = replace(state[name], posted_micro=posted)
        for part in done.parts:
            held[part.lot] += part.amount_micro
            assert held[part.lot] >= 0
            changed = state[part.lot].held_micro + part.amount_micro
            state[part.lot] = replace(state[part.lot], held_micro=changed)
        assert all(each.available_micro >= 0 for each in state.values())
    assert not any(held.values())
    assert totals.get(overrun_account(LAB), 0) <= 0
    return {account: amount for account, amount in totals.items() if amount or account == REVENUE}


@given(amounts, amounts, amounts, amounts, st.integers(1, 1_000_000))
def test_a_debt_is_paid_back_from_free_money_of_awards_and_top_ups_alone(
    owed: int, award: int, topup: int, held: int, rate_ppm: int
) -> None:
    lots = (
        lot("v", LotKind.VOUCHER, 10**12, rate_ppm),
        replace(lot("late", LotKind.AWARD, 10**12), ends_ms=5),
        replace(lot("early", LotKind.AWARD, 10**12), starts_ms=6),
        lot("a", LotKind.AWARD, award, held=held),
        lot("t", LotKind.TOPUP, topup),
    )
    free = max(0, award - held)
    txn = repay(lots, owed, "repay:1", now_ms=5)
    paid = {entry.account: entry.amount_micro for entry in txn.entries} if txn else {}
    assert sum(paid.values()) == 0
    assert paid.get(overrun_account(LAB), 0) == min(owed, free + topup)
    assert -paid.get("lot:a", 0) == min(owed, free), "in the order given"
    assert paid.keys() <= {"lot:a", "lot:t", overrun_account(LAB)}
    assert 0 not in paid.values()


@given(st.lists(st.integers(0, 10**10), max_size=20), st.integers(0, 10**9))
def test_rating_a_running_total_does_not_depend_on_the_slices(cuts: list[int], price: int) -> None:
    total = charge = 0
    for cut in cuts:
        charge += rate_cards(total + cut, price) - rate_cards(total, price)
        total += cut
    assert charge == rate_cards(total, price)


def test_rating_rounds_half_up_once() -> None:
    assert rate(1, 1, 2) == 1
    assert rate(1, 1, 3) == 0
    assert rate_cards(3_600_000, 12_345_678) == 12_345_678
