"""Published tables and other people's figures: what is wrong is found, with the row and the reason."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.catalogue import CATALOGUE
from hutong.core.capacity.imports import Verdict, read_figures
from hutong.core.capacity.tables import check_table
from hutong.core.kernel.errors import Refused

EXAMPLES = Path(__file__).parents[3] / "examples" / "capacity"
TODAY = "2026-11-22"
HEAD = "card,precision,teraflops,sparsity,of,basis,source,dated\n"


def one(row: str) -> Verdict:
    (verdict,) = read_figures(f"{HEAD}{row}\n", TODAY)
    return verdict


def test_the_missing_100_p_of_the_sanjiangyuan_table_are_found() -> None:
    found = check_table((EXAMPLES / "sanjiangyuan.csv").read_text(), TODAY)
    (error,) = [each for each in found if each.severity == "error"]
    assert (error.code, error.column, error.stated, error.found) == ("wrong_sum", "P", "3,479", "3,579")
    assert error.difference == "-100"
    implied = next(each for each in found if each.code == "implied")
    assert (implied.column, implied.difference) == ("cards", "1,024")
    assert not [each for each in found if each.column == "servers"], "its servers sum to what is stated"
    rates = [each.found for each in found if each.code == "rate"]
    assert rates == ["118.71", "240.23", "338.86"]


def test_500_p_beside_frontier_are_refused_with_the_reason() -> None:
    found = check_table((EXAMPLES / "shangzhuang-frontier.csv").read_text(), TODAY)
    (error,) = [each for each in found if each.severity == "error"]
    assert error.code == "unlike"
    assert "precision FP16 and FP64" in error.message
    assert "basis nominal and benchmark" in error.message


def test_a_rate_that_no_card_has_and_a_unit_that_is_none_are_found() -> None:
    found = check_table("name,card,cards,P\na,H100,100,198\n", TODAY)
    assert [each.code for each in found if each.severity == "error"] == ["unlikely_rate"]
    found = check_table("name,petahash\na,12000\n", TODAY)
    assert "mistranslation" in found[0].message


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(-50, 50))
def test_a_sum_is_wrong_exactly_if_it_is(rows: list[int], off: int) -> None:
    stated = sum(rows) + off
    lines = [f"r{at},{value}" for at, value in enumerate(rows)]
    found = check_table("\n".join(["name,servers", *lines, f"total,{stated}"]), TODAY)
    assert [each.code for each in found] == (["wrong_sum"] if off else [])


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("MLU370-X8,FP16,999999,,,nominal,FlagPerf,2026-11-22", "sentinel"),
        ("P800,FP16,9999,,,nominal,FlagPerf,2026-11-22", "sentinel"),
        ("K100,FP16,-1.0,,,nominal,FlagPerf,2026-11-22", "sentinel"),
        ("K100,FP16,/,,,nominal,FlagPerf,2026-11-22", "no_value"),
        ("C550,FP16,82.8 %,,,tool,FlagPerf,2026-11-22", "ratio"),
        ("H100,FP16,1979,dense,,nominal,a table,2026-11-22", "sparse_as_dense"),
        ("910C,FP16,800,,die,nominal,a table,2026-11-22", "card_as_die"),
        ("H100,FP16,494,,die,nominal,a table,2026-11-22", "no_dies"),
        ("H20,FP16,148000,,,nominal,a table,2026-11-22", "impossible"),
        ("H1O0,FP16,989,,,nominal,a table,2026-11-22", "unknown_card"),
        ("H20,FP17,148,,,nominal,a table,2026-11-22", "no_precision"),
        ("H20,FP16,148,,,guessed,a table,2026-11-22", "no_basis"),
        ("H20,FP16,148,,,nominal,,2026-11-22", "no_source"),
        ("H20,FP16,148,,,nominal,a table,", "bad_date"),
        ("H20,FP16,148,,,nominal,a table,2026-11-23", "bad_date"),
    ],
)
def test_what_is_known_to_be_wrong_is_refused(row: str, code: str) -> None:
    verdict = one(row)
    assert (verdict.outcome, verdict.code, verdict.line) == ("refused", code, 2)
    assert verdict.figure is None
    assert verdict.reason
    assert verdict.hint


@pytest.mark.parametrize(
    ("row", "code", "confidence"),
    [
        ("MI300X,BF16,2614,dense,,nominal,a table,2026-11-22", "sparse_as_dense", "D"),
        ("910C,FP16,400,,card,nominal,a table,2026-11-22", "die_as_card", "D"),
        ("BW200,FP16,298.34,,,tool,a folder with the README of another card,2026-11-22", "copied", "D"),
        ("A100,INT8,76.1,,,tool,FlagPerf,2026-11-22", "naive", "D"),
        ("BI-V150,FP16,197,,,tool,another run,2026-11-22", "above_nominal", "C"),
        ("H20,FP16,200,,,nominal,a table,2026-11-22", "conflict", "C"),
    ],
)
def test_what_is_odd_is_flagged_kept_and_no_more_trusted_than_it_should_be(
    row: str, code: str, confidence: str
) -> None:
    verdict = one(row)
    assert (verdict.outcome, verdict.code) == ("flagged", code)
    assert verdict.figure is not None
    assert verdict.figure.confidence == confidence
    card = CATALOGUE[verdict.card]
    before, after = card.choice("FP16"), card.choice("FP16", (verdict.figure,))
    assert before is not None
    assert after is not None
    assert before.figure == after.figure, "an odd figure is not the one that is used"
    if confidence == "D":
        assert before.span == after.span


def test_the_example_has_each_of_them_and_a_row_twice_is_told() -> None:
    verdicts = read_figures((EXAMPLES / "figures.csv").read_text(), "2026-12-01")
    assert [each.outcome for each in verdicts].count("taken") == 1
    assert {each.code for each in verdicts} >= {
        "sentinel",
        "no_value",
        "sparse_as_dense",
        "die_as_card",
        "ratio",
    }
    row = "H20,FP16,148,,,nominal,a table,2026-11-22\n"
    assert [each.code for each in read_figures(HEAD + row + row, TODAY)] == ["", "repeated"]


@given(st.text(max_size=80))
def test_any_text_is_judged_or_refused(text: str) -> None:
    for body in (text, HEAD + text, f"name,cards,P\n{text}"):
        for read in (check_table, read_figures):
            with suppress(Refused):
                read(body, TODAY)
