"""Budgets and use by day from the command line."""

import csv
import io
import json
from typing import Any


def test_a_budget_is_set_changed_shown_and_ended(house: Any) -> None:
    new = ("budget", "set", "cards", "--project", "poems", "--unit", "card-hours", "--accelerator", "A100")
    made = house.run(*new, "--amount", "100", "--at", "80:notify", "--at", "100%:block_new", "--json")
    assert made.code == 0, made.err
    budget = json.loads(made.out)
    assert (budget["amount"], budget["monthly"]) == ("100", False)
    assert [each["action"] for each in budget["thresholds"]] == ["notify", "block_new"]
    changed = json.loads(house.run("budget", "set", "cards", "--amount", "50.5", "--monthly", "--json").out)
    assert (changed["amount"], changed["monthly"]) == ("50.5", True)
    assert (changed["accelerator"], changed["thresholds"]) == ("A100", budget["thresholds"])
    wide = {"COLUMNS": "200"}
    assert "50.5" in house.run("budget", "list", "-p", "poems", env=wide).out
    assert "at 100 %: block_new" in house.run("budget", "show", "cards", env=wide).out
    assert "cards" in house.run("balance", "-p", "poems", env=wide).out
    assert house.run("notices", "-p", "poems").out.strip() == "no budget has reached a threshold"
    assert "has ended" in house.run("budget", "end", "cards").out
    assert json.loads(house.run("budget", "list", "--json").out)[0]["ended"] is True


def test_what_is_missing_or_wrong_is_said(house: Any) -> None:
    bare = house.run("budget", "set", "fresh", "--amount", "5")
    assert (bare.code, "--unit" in bare.err) == (2, True)
    both = house.run("budget", "set", "fresh", "-p", "poems", "--institution", "uni")
    assert both.code == 2
    wrong = house.run("budget", "set", "fresh", "-p", "poems", "--amount", "5", "--unit", "kWh", "--at", "80")
    assert (wrong.code, "PERCENT:ACTION" in wrong.err) == (2, True)
    assert house.run("budget", "show", "nothing").code == 2


def test_use_is_shown_as_a_table_and_as_values(house: Any) -> None:
    assert house.run("usage", "--by", "person,day").out.startswith("nothing was used")
    rows = list(csv.reader(io.StringIO(house.run("usage", "--by", "site", "--csv").out)))
    assert rows == [["site", "unit", "quantity", "charge", "kwh", "green_kwh", "co2e_kg"]]
    assert json.loads(house.run("usage", "--json").out)["rows"] == []
    colour = house.run("usage", "--by", "colour")
    assert (colour.code, "project, person, site" in colour.err) == (2, True)
    rebuilt = house.run("ledger", "rebuild-usage", "--json", admin=True)
    assert json.loads(rebuilt.out) == {"groups": 0}
    assert house.run("ledger", "rebuild-usage").code == 2
