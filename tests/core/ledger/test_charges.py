"""Charges, statements, FOCUS rows and the Beancount journal of histories that Hypothesis makes up."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from beancount import loader
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    Lot,
    LotKind,
    Txn,
    UsageRecord,
    lot_account,
    overrun_account,
)
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.core.kernel.rating import CARD_HOUR_MS, MILLION_TOKENS, rate
from hutong.core.ledger.beancount import account_name, beancount
from hutong.core.ledger.charges import Category, Charge, by_account, charges_of
from hutong.core.ledger.focus import COLUMNS, Payer, focus_row
from hutong.core.ledger.funding import plan_hold, repay, settle
from hutong.core.ledger.invoices import centres_of, lines_of
from hutong.core.ledger.statements import StatementDraft, balances_after, in_fen, split_fen

LAB = ProjectId("lab")
PAYER = Payer(
    "uni",
    "Demonstration University",
    "示范大学",
    "university",
    "lab",
    "Lab",
    "Operator",
    0,
    10**9,
    {"east": "East centre"},
)


@dataclass
class History:
    """A ledger of one project in memory: what the store would keep."""

    lots: dict[LotKind, Lot] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    txns: list[Txn] = field(default_factory=list)
    usage: list[UsageRecord] = field(default_factory=list)

    def post(self, txn: Txn) -> None:
        assert sum(entry.amount_micro for entry in txn.entries) == 0
        self.txns.append(txn)
        for entry in txn.entries:
            self.balances[entry.account] = self.balances.get(entry.account, 0) + entry.amount_micro

    def fill(self, kind: LotKind, amount: int, now: int) -> None:
        lot = Lot(LotId(f"{kind}-1"), LAB, kind, 200_000 if kind is LotKind.VOUCHER else 1_000_000, 0, 10**15)
        self.lots[kind] = lot
        legs = (Entry(ISSUED, -amount), Entry(lot_account(lot.id), amount))
        self.post(Txn(f"fill:{lot.id}:{len(self.txns)}", kind.value, LAB, now, f"lot:{lot.id}", legs))

    def open_lots(self) -> tuple[Lot, ...]:
        order = (LotKind.VOUCHER, LotKind.AWARD, LotKind.TOPUP)
        found = [self.lots[kind] for kind in order if kind in self.lots]
        return tuple(
            Lot(lot.id, LAB, lot.kind, lot.rate_ppm, 0, 10**15, self.balances[lot_account(lot.id)])
            for lot in found
        )

    def use(self, parts: Sequence[tuple[str, int]], now: int) -> None:
        """Book use as the loop does for cards (one record) or the gateway for tokens (two)."""
        key = f"k{len(self.usage)}"
        records = []
        for unit, quantity in parts:
            card = unit == "card_ms"
            per, price = (CARD_HOUR_MS, 12_345_678) if card else (MILLION_TOKENS, 1_234_567)
            name = f"use:{key}" if card else f"{key}:{unit}"
            charge = rate(quantity, price, per)
            records.append(
                UsageRecord(
                    name, LAB, key, "east", "H100" if card else "poet", unit, quantity, price, per, charge,
                    max(0, now - 5000), now,
                )
            )  # fmt: skip
        total = sum(record.charge_micro for record in records)
        lots = self.open_lots()
        held = plan_hold(lots, total, now) or ()
        amounts = {part.lot: part.amount_micro for part in held}
        lots = tuple(replace(lot, held_micro=amounts.get(lot.id, 0)) for lot in lots)
        paid = settle(held, lots, LAB, 0, total, now, final=True)
        self.usage += records
        if paid.entries:
            card = records[0].unit == "card_ms"
            name, kind = (records[0].id, "usage") if card else (f"tokens:{key}", "tokens")
            self.post(Txn(name, kind, LAB, now, key, paid.entries))

    def pay_back(self, now: int) -> None:
        owed = -self.balances.get(overrun_account(LAB), 0)
        txn = repay(self.open_lots(), owed, f"repay:{len(self.txns)}", now) if owed else None
        if txn:
            self.post(txn)

    def waive(self, amount: int, now: int) -> None:
        """Give back what a charge took, to the award."""
        if LotKind.AWARD in self.lots:
            legs = (Entry(REVENUE, -amount), Entry(lot_account(self.lots[LotKind.AWARD].id), amount))
            self.post(Txn(f"waive:{len(self.txns)}", "waiver", LAB, now, "fault", legs))

    def claw_back(self, kind: LotKind, now: int) -> None:
        """Claim a lot back: what is left returns, what was spent is owed."""
        if kind in self.lots:
            account = lot_account(self.lots[kind].id)
            left = self.balances[account]
            filled = sum(
                entry.amount_micro
                for txn in self.txns
                for entry in txn.entries
                if entry.account == account and txn.kind == kind.value
            )
            legs = (
                Entry(account, -left), Entry(overrun_account(LAB), left - filled), Entry(ISSUED, filled),
            )  # fmt: skip
            if filled >= left:
                self.post(Txn(f"clawback:{len(self.txns)}", "clawback", LAB, now, account, legs))
                self.lots.pop(kind)

    def charges(self, opens_ms: int = 0) -> list[Charge]:
        lots = by_account(Lot(LotId(f"{kind}-1"), LAB, kind, 1_000_000, 0, 1) for kind in LotKind)
        found: list[Charge] = []
        for txn in self.txns:
            records = [
                record
                for record in self.usage
                if record.id == txn.id or (txn.kind == "tokens" and record.key == txn.cause)
            ]
            found += charges_of(txn, records, lots, opens_ms)
        return found


_money = st.integers(1, 10**10)
_step = st.one_of(
    st.tuples(st.just("fill"), st.sampled_from(LotKind), _money),
    st.tuples(st.just("cards"), st.integers(0, 10**9), st.just(0)),
    st.tuples(st.just("tokens"), st.integers(1, 10**9), st.integers(1, 10**9)),
    st.tuples(st.just("repay"), st.just(0), st.just(0)),
    st.tuples(st.just("waive"), _money, st.just(0)),
    st.tuples(st.just("claw back"), st.sampled_from(LotKind), st.just(0)),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    history = History()
    for now, step in enumerate(draw(st.lists(_step, max_size=25)), 10):
        match step:
            case ("fill", LotKind() as kind, int(amount)):
                history.fill(kind, amount, now * 1000)
            case ("cards", int(quantity), _):
                history.use((("card_ms", quantity),), now * 1000)
            case ("tokens", int(asked), int(told)):
                history.use((("token_in", asked), ("token_out", told)), now * 1000)
            case ("claw back", LotKind() as kind, _):
                history.claw_back(kind, now * 1000)
            case ("waive", int(amount), _):
                history.waive(amount, now * 1000)
            case _:
                history.pay_back(now * 1000)
    return history


@given(histories())
def test_what_is_billed_is_what_is_owed_more_and_what_was_paid_in_advance(history: History) -> None:
    charges = history.charges()
    owed = -history.balances.get(overrun_account(LAB), 0)
    advance = sum(
        entry.amount_micro
        for txn in history.txns
        for entry in txn.entries
        if entry.account == "lot:topup-1" and any(each.account == ISSUED for each in txn.entries)
    )
    assert sum(charge.billed_micro for charge in charges) == owed + advance
    used = sum(charge.effective_micro for charge in charges if charge.category is Category.USAGE)
    assert used == sum(record.charge_micro for record in history.usage)
    assert all(charge.billed_micro >= 0 for charge in charges if charge.category is Category.USAGE)
    assert len({charge.id for charge in charges}) == len(charges)


@given(histories(), st.integers(0, 30))
def test_statements_of_two_periods_follow_each_other_and_end_at_the_balances(
    history: History, cut: int
) -> None:
    cut_ms = (cut + 5) * 1000
    opening: dict[str, int] = {}
    for span in ((0, cut_ms), (cut_ms, 10**9)):
        draft = StatementDraft("lab", *span)
        for txn in history.txns:
            if span[0] <= txn.effective_ms < span[1]:
                draft.add_txn(txn)
        for charge in history.charges():
            if span[0] <= charge.upto_ms < span[1]:
                draft.add_charge(charge)
        statement = draft.finish(opening)
        opening = balances_after(statement)
        owed = statement.owed_closing_micro - statement.owed_opening_micro
        assert statement.billed_micro == owed + statement.purchases_micro
        lines = lines_of([statement])
        assert sum(line.amount_fen for line in lines) == (statement.billed_micro + 5_000) // 10_000
        parts = centres_of(lines, {"lab": [("a", 333_333), ("b", 666_667)]})
        assert sum(part.amount_fen for part in parts) == sum(line.amount_fen for line in lines)
    mine = {
        name: amount
        for name, amount in history.balances.items()
        if amount and (name.startswith("lot:") or name == overrun_account(LAB))
    }
    assert opening == mine


def test_a_statement_that_does_not_agree_with_the_ledger_is_not_made() -> None:
    draft = StatementDraft("lab", 0, 10)
    draft.add_txn(Txn("t", "usage", LAB, 5, "k", (Entry(overrun_account(LAB), -5), Entry(REVENUE, 5))))
    with pytest.raises(Broken, match="were billed"):
        draft.finish({})


@given(histories())
def test_focus_rows_have_known_columns_and_their_sums_are_exact(history: History) -> None:
    charges = history.charges(opens_ms=15_000)
    rows = [focus_row(charge, PAYER) for charge in charges]
    assert all(set(row) <= set(COLUMNS) for row in rows)
    assert all(value for row in rows for value in row.values()), "a null is a column that is not there"
    billed = sum(Decimal(row["BilledCost"]) for row in rows)
    assert billed * 1_000_000 == sum(charge.billed_micro for charge in charges)
    for charge, row in zip(charges, rows, strict=True):
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert (row.get("ChargeClass") == "Correction") == (charge.upto_ms < 15_000 and not _bought(charge))
        if charge.record:
            product = Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"])
            assert abs(product - Decimal(row["ListCost"])) <= Decimal("1e-9") * max(Decimal(1), product)
            assert abs(Decimal(row["ListCost"]) - Decimal(row["EffectiveCost"])) <= Decimal("5.1e-7")


def _bought(charge: Charge) -> bool:
    return charge.category is Category.PURCHASE


def test_a_voucher_is_a_credit_beside_the_use_and_never_a_smaller_use() -> None:
    history = History()
    history.fill(LotKind.VOUCHER, 100_000_000, 1000)
    history.fill(LotKind.AWARD, 100_000_000, 1000)
    history.use((("card_ms", CARD_HOUR_MS),), 9000)
    rows = [focus_row(charge, PAYER) for charge in history.charges()]
    told = {row["x_SourceKind"]: (row["ChargeCategory"], row["BilledCost"]) for row in rows}
    assert told == {
        "usage": ("Usage", "12.345678"),
        "voucher": ("Credit", "-2.469135"),
        "award": ("Credit", "-9.876543"),
    }


def test_what_was_paid_in_advance_is_billed_once() -> None:
    history = History()
    history.fill(LotKind.TOPUP, 10_000_000, 1000)
    history.use((("token_in", 1_000_000), ("token_out", 9_000_000)), 9000)
    rows = [focus_row(charge, PAYER) for charge in history.charges()]
    costs = [(row["ChargeCategory"], row["BilledCost"], row["EffectiveCost"]) for row in rows]
    assert ("Purchase", "10.0", "0.0") in costs
    assert sum(Decimal(billed) for _, billed, _ in costs) == Decimal("12.34567")
    assert sum(Decimal(effective) for _, _, effective in costs) == Decimal("12.34567")


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20))
def test_lines_in_fen_add_up_and_are_never_off_by_a_fen_or_more(amounts: list[int]) -> None:
    lines = in_fen(amounts)
    assert sum(lines) == (sum(amounts) + 5_000) // 10_000
    assert all(abs(line * 10_000 - exact) <= 10_000 * 2 for line, exact in zip(lines, amounts, strict=True))
    assert all(line * exact >= 0 for line, exact in zip(lines, amounts, strict=True))


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(1, 1_000_000), min_size=1, max_size=9))
def test_cost_centres_add_up_to_what_was_split(total: int, weights: list[int]) -> None:
    parts = [(f"c{n}", weight) for n, weight in enumerate(weights)]
    assert sum(fen for _, fen in split_fen(total, parts)) == total


@given(histories())
def test_beancount_finds_the_journal_in_order_and_the_same_balances(history: History) -> None:
    entries, errors, _ = loader.load_string("".join(beancount(history.txns)))
    assert not errors
    found: dict[str, Decimal] = {}
    for entry in entries:
        for posting in getattr(entry, "postings", ()):
            found[posting.account] = found.get(posting.account, Decimal(0)) + posting.units.number
    mine = {account_name(name): Decimal(-amount) / 1_000_000 for name, amount in history.balances.items()}
    assert found == mine


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=2, unique=True))
def test_two_accounts_never_share_a_name(names: list[str]) -> None:
    assert account_name(f"lot:{names[0]}") != account_name(f"lot:{names[1]}")
