"""The FinOps Foundation's own validator judges an export of ours."""

import csv
from pathlib import Path

import pytest
from scripts.validate_focus import VENV, validate
from tests.core.ledger.test_charges import PAYER, History

from hutong.core.book.money import LotKind
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.focus import COLUMNS, focus_row

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


def test_the_finops_validator_passes_an_export_but_for_its_own_wrong_rules(tmp_path: Path) -> None:
    if not (VENV / ".ready").exists():
        pytest.fail("the validator is not there: `make focus` installs it")
    file = tmp_path / "focus.csv"
    charges = _history().charges(opens_ms=15_000)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(focus_row(charge, PAYER) for charge in charges)
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
