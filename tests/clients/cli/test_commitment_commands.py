"""Commitments from the command line, as operators and a member meet them."""

import json
from typing import Any

WIDE = {"COLUMNS": "220"}
DEAL = (
    "--institution", "uni", "--pays", "poems", "--accelerator", "H100", "--card-hours", "100",
    "--price", "5.20", "--from", "2099-01", "--until", "2100-01", "--reason", "contract 14",
)  # fmt: skip


def test_a_commitment_is_made_listed_and_ended(house: Any) -> None:
    made = house.run("commitments", "make", "deal", *DEAL, "--json", admin=True)
    assert made.code == 0, made.err
    assert json.loads(made.out)["starts"] == "2099-01"
    assert house.run("commitments", "make", "deal", *DEAL, admin=True).code == 0  # a repeat
    told = house.run("commitments", "list", admin=True, env=WIDE)
    assert (told.code, "take or pay" in told.out) == (0, True), told.err
    mine = json.loads(house.run("commitments", "list", "--project", "poems", "--json").out)
    assert [(each["id"], each["amount"]["amount"]) for each in mine] == [("deal", "5.200000")]
    assert house.run("commitments", "end", "deal", "--until", "2101-01", admin=True).code == 2
    ended = house.run("commitments", "end", "deal", "--until", "2099-10", "--json", admin=True)
    assert json.loads(ended.out)["ends"] == "2099-10"


def test_what_is_wrong_with_a_commitment_is_named(house: Any) -> None:
    wrong = house.run("commitments", "make", "other", *DEAL, "--until", "soon", admin=True)
    assert (wrong.code, "ends" in wrong.err) == (2, True), wrong.err
    assert house.run("commitments", "make", "mine", *DEAL).code != 0  # a member makes none
