"""The FinOps Foundation's own validator judges an export of ours."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from scripts.validate_focus import VENV, validate
from tests.core.ledger.test_charges import PAYER, History

from hutong.core.accounts.registry import FOREVER_MS
from hutong.core.book.money import LotKind
from hutong.core.book.prices import Book, Price, Timeline
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.rating import CARD_HOUR_MS, MILLION_TOKENS
from hutong.core.ledger.charges import Charge, charges_of
from hutong.core.ledger.commitments import UNUSED, Group
from hutong.core.ledger.focus import COLUMNS, focus_row
from hutong.core.ledger.prices import ListPrices, list_prices
from hutong.core.ledger.rerating import Rerating, rerate

LAB = ProjectId("lab")


def _history() -> History:
    """Every kind of row: use of cards and tokens, credits, money in advance, debts, waivers, corrections."""
    history = History()
    for kind, amount in ((LotKind.VOUCHER, 5), (LotKind.AWARD, 15), (LotKind.TOPUP, 20)):
        history.fill(kind, amount * 1_000_000, 1000)
    for n in range(60):
        use = (("card_ms", n * 77_777),) if n % 3 else (("token_in", n * 999 + 1), ("token_out", n * 77 + 1))
        history.use(use, (n + 10) * 1000)
    history.waive(5_000_000, 80_000)
    history.fill(LotKind.AWARD, 80_000_000, 81_000)
    history.pay_back(82_000)
    history.claw_back(LotKind.VOUCHER, 83_000)
    return history


def _committed() -> list[Charge]:
    """Use that a commitment moved to its price, what of it was unused, and use that tiers moved."""
    deal = Group("lab", "east", "H100", "card_ms", 9_000_000, CARD_HOUR_MS)
    fee = Group("lab", "", "H100", UNUSED, 5_000_000, CARD_HOUR_MS)
    hours = 20 * CARD_HOUR_MS
    found: list[Charge] = []
    for subject, lines in (
        ("commitment:deal:2026-11:lab:east", {deal: -hours, replace(deal, micro=5_000_000): hours}),
        ("commitment:deal:2026-11:unused", {fee: hours}),
        ("tiers:all.1:2026-11:lab:east", {deal: -hours, replace(deal, micro=7_000_000): hours}),
    ):
        posting = rerate(Rerating(subject, LAB, "east", lines), (), {}, (), (10_000, 90_000), 0)
        for txn in posting.txns:
            found += charges_of(txn, posting.usage, {}, 0)
    return found


def _listed() -> ListPrices:
    """The list prices of a card since the middle of the history, and of tokens at all times."""
    card = Price("all.1", 40_000, FOREVER_MS, 11_000_000, CARD_HOUR_MS, "", "", 0)
    token = Price("all.2", 0, FOREVER_MS, 3_000_000, MILLION_TOKENS, "", "", 0)
    lines = (Timeline("all", "card:H100", (card,)), Timeline("all", "token_in", (token,)))
    return list_prices((Book("all", ""),), lines)


def test_the_finops_validator_passes_an_export_but_for_its_own_wrong_rules(tmp_path: Path) -> None:
    if not (VENV / ".ready").exists():
        pytest.fail("the validator is not there: `make focus` installs it")
    file = tmp_path / "focus.csv"
    charges = [*_history().charges(opens_ms=15_000), *_committed()]
    payer = replace(PAYER, listed=_listed())
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(focus_row(charge, payer) for charge in charges)
    rows = [focus_row(charge, payer) for charge in charges]
    assert any(row["ListCost"] != row["ContractedCost"] for row in rows)
    assert {charge.category.value for charge in charges} >= {"Usage", "Credit", "Purchase"}
    assert any(charge.correction for charge in charges)
    _, failed = validate(file)
    assert failed == []


def test_the_validator_finds_a_wrong_row(tmp_path: Path) -> None:
    if not (VENV / ".ready").exists():
        pytest.fail("the validator is not there: `make focus` installs it")
    file = tmp_path / "focus.csv"
    row = focus_row(_history().charges()[0], PAYER) | {"BillingCurrency": "Yuan"}
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, restval="")
        writer.writeheader()
        writer.writerow(row)
    assert any("BillingCurrency" in each for each in validate(file)[1])
