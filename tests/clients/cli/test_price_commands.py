"""Prices and quotes from the command line, as finance and a user meet them."""

import json
from pathlib import Path
from typing import Any

import pytest

WIDE = {"COLUMNS": "220"}
JOB = "type: task\nrun: 'true'\nmax_duration: 2h\nresources: {accelerators: 'H100:4'}\n"


def set_price(house: Any, *words: str) -> Any:
    done = house.run("prices", "set", *words, "--reason", "decision 7", "--json", admin=True)
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.fixture(scope="module")
def book(house: Any) -> str:
    made = house.run("prices", "books", "--make", "unis", "--for-kind", "university", admin=True, env=WIDE)
    assert made.code == 0, made.err
    assert "university" in made.out
    return "unis"


def test_a_price_is_set_shown_replaced_ended_and_withdrawn(house: Any, book: str) -> None:
    first = set_price(house, book, "card:H100", "10")
    assert first["state"] == "in-force"
    later = set_price(house, book, "card:H100", "8", "--from", "2099-01-01", "--replace")
    assert later["starts"] == "2099-01-01T00:00:00.000Z"
    told = house.run("prices", "timeline", "card:H100", admin=True, env=WIDE).out
    assert "decision 7" in told
    assert "future" in told
    assert "card:H100" in house.run("prices", "list", "--book", book, admin=True, env=WIDE).out
    assert house.run("prices", "withdraw", later["id"], admin=True).code == 0
    again = house.run("prices", "withdraw", first["id"], admin=True)
    assert (again.code, "it can be ended" in again.err) == (2, True)
    paid = house.run("prices", "paid", env=WIDE)
    assert (paid.code, "unis" in paid.out) == (0, True), paid.err
    ended = house.run("prices", "end", first["id"], "--json", admin=True)
    assert json.loads(ended.out)["state"] == "ended"
    assert json.loads(house.run("prices", "paid", "--json").out)[0]["price"]["amount"] == "14.000000"


def test_storage_is_priced_by_tiers_and_a_wrong_tier_is_named(house: Any, book: str) -> None:
    made = set_price(house, book, "storage", "0.008", "--beyond", "5000=0.005")
    assert made["tiers"] == [
        {"above": "5000.000000", "amount": {"amount": "0.005000", "currency": "CNY"}},
    ]
    wrong = house.run(
        "prices", "set", book, "storage", "1", "--beyond", "much", "--reason", "why not", admin=True
    )
    assert wrong.code == 2
    assert "above" in wrong.err


def test_a_quote_says_what_a_job_costs_and_who_pays(house: Any, book: str, tmp_path: Path) -> None:
    price = set_price(house, book, "card:H100@haidian/h100", "12.5")
    file = tmp_path / "job.yaml"
    file.write_text(JOB)
    found = json.loads(house.run("quote", str(file), "--json").out)
    (pool,) = found["pools"]
    assert (pool["price_per_card_hour"]["amount"], pool["whole"]["amount"]) == ("12.500000", "100.000000")
    told = house.run("quote", str(file), env=WIDE)
    assert told.code == 0, told.err
    assert "would pay" in told.out
    file.write_text(JOB.replace("2h", "700h"))
    assert "nobody could pay" in house.run("quote", str(file), env=WIDE).out
    assert house.run("prices", "end", price["id"], admin=True).code == 0


def test_a_book_without_an_id_and_a_sku_that_is_none_are_named(house: Any, book: str) -> None:
    lost = house.run("prices", "books", "--title", "x", admin=True)
    assert (lost.code, "--make" in lost.err) == (2, True)
    wrong = house.run("prices", "set", book, "gold", "1", "--reason", "shiny", admin=True)
    assert (wrong.code, "card:MODEL" in wrong.err) == (2, True), wrong.err
    denied = house.run("prices", "list")
    assert denied.code == 2
