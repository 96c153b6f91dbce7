"""A bill: lines add up, payers are named, P-hours carry their figure, entries sum to zero."""

from dataclasses import replace

from hutong.core.book.money import Entry, Lot, LotKind, Txn, UsageRecord
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.ledger.bill import make_bill
from hutong.core.ledger.replay import replay

LAB = ProjectId("lab")
YUAN = 1_000_000
HOUR_MS = 3_600_000
HALF = UsageRecord(
    "use:1", LAB, "ht-x-a1", "bj", "Ascend910B", "card_ms", 4 * HOUR_MS, 6 * YUAN, HOUR_MS, 24 * YUAN,
    1000, 1000 + HOUR_MS, energy_j=5000, green_j=2000, co2_mg=70, method="modelled",
)  # fmt: skip
LATER = {"from_ms": 1000 + HOUR_MS, "upto_ms": 9 * HOUR_MS}
REST = replace(HALF, id="use:2", quantity=2 * HOUR_MS, charge_micro=12 * YUAN, **LATER)
TOKENS = UsageRecord(
    "use:3", LAB, "gw-1", "bj", "lab/tiny", "token_out", 500, 2 * YUAN, YUAN, 1000, 2000, 3000
)
LOTS = (
    Lot(LotId("v"), LAB, LotKind.VOUCHER, 200_000, 0, 1),
    Lot(LotId("a"), LAB, LotKind.AWARD, YUAN, 0, 1),
)


def _txn(name: str, kind: str, cause: str, **legs: int) -> Txn:
    entries = tuple(Entry(account.replace("_", ":"), amount) for account, amount in legs.items())
    return Txn(name, kind, LAB, 1, cause, entries)


TXNS = (
    _txn("t1", "usage", "ht-x-a1", lot_v=-7 * YUAN, lot_a=-17 * YUAN, revenue=24 * YUAN),
    _txn("t2", "usage", "ht-x-a1", lot_a=-10 * YUAN, overrun_lab=-2 * YUAN, revenue=12 * YUAN),
    _txn("t3", "tokens", "gw-1", lot_a=-1000, revenue=1000),
)


def test_slices_of_one_attempt_are_one_line_and_tokens_another() -> None:
    bill = make_bill((HALF, REST, TOKENS), TXNS, LOTS)
    cards, tokens = bill.lines
    assert (cards.quantity, cards.charge_micro) == (6 * HOUR_MS, 36 * YUAN)
    assert (cards.from_ms, cards.upto_ms) == (1000, 9 * HOUR_MS)
    assert (tokens.sku, tokens.quantity) == ("lab/tiny", 500)
    assert bill.total_micro == 36 * YUAN + 1000 == sum(line.charge_micro for line in bill.lines)


def test_who_paid_adds_up_to_the_total_and_names_what_no_lot_could_pay() -> None:
    bill = make_bill((HALF, REST, TOKENS), TXNS, LOTS)
    paid = {(each.source, each.kind): each.amount_micro for each in bill.paid}
    assert paid == {
        ("v", "voucher"): 7 * YUAN,
        ("a", "award"): 27 * YUAN + 1000,
        ("overrun:lab", "overrun"): 2 * YUAN,
    }
    assert sum(paid.values()) == bill.total_micro
    assert bill.entries_sum_micro == 0
    assert len(bill.entries) == 8


def test_energy_is_summed_and_says_how_it_was_found() -> None:
    bill = make_bill((HALF, REST), TXNS, LOTS)
    assert (bill.energy_j, bill.green_j, bill.co2_mg) == (10_000, 4_000, 140)
    assert bill.methods == ("modelled",)


def test_p_hours_are_card_hours_times_a_figure_that_is_shown() -> None:
    (peta,) = make_bill((HALF, REST, TOKENS), TXNS, LOTS).peta
    assert peta.card_ms == 6 * HOUR_MS
    assert peta.figure is not None
    assert peta.figure.gops == 313_200  # 0.3132 P a card, FP16 dense
    assert peta.milli_p_hours == 1879  # six card-hours
    unknown = replace(HALF, sku="Unheard-Of")
    (nothing,) = make_bill((unknown,), (), LOTS).peta
    assert (nothing.figure, nothing.milli_p_hours) == (None, 0)


def test_a_replay_finds_a_charge_that_was_never_booked_and_one_that_was_booked_wrong() -> None:
    assert replay(TXNS, (HALF, REST, TOKENS)).faults == ()
    assert (
        "t1"
        in replay((replace(TXNS[0], entries=TXNS[0].entries[1:]), *TXNS[1:]), (HALF, REST, TOKENS)).faults[0]
    )
    assert any("ht-x-a1" in fault for fault in replay(TXNS, (HALF, TOKENS)).faults)
    assert any("gw-1" in fault for fault in replay(TXNS[:2], (HALF, REST, TOKENS)).faults)
    assert replay(TXNS, (HALF, REST, TOKENS)).balances["lot:a"] == -27 * YUAN - 1000
