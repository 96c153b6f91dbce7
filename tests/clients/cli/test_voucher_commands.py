"""Vouchers from the command line: an operator issues, a user checks, and both are told why not."""

import json
from pathlib import Path
from typing import Any

from hutong.config import data_folder

CONTRACT = """id: poems-1
number: "2026-17"
project: poems
provider: haidian-computing
sites: [haidian]
amount: {amount: "1000"}
signed: 2026-01-05T00:00:00Z
starts: 2026-01-05T00:00:00Z
ends: 2026-12-31T00:00:00Z
"""
USAGE = """BillingAccountId,BilledCost,ChargePeriodEnd,ProviderName,ServiceCategory,x_InstitutionKind
rain,600.50,2025-03-01 00:00:00Z,haidian,Compute,sme
rain,399.50,2025-03-09T00:00:00Z,haidian,AI and Machine Learning,sme
rain,500,2025-04-01T00:00:00Z,haidian,Storage,sme
snow,1000,2025-04-01T00:00:00Z,haidian,Compute,startup
"""
RULES = data_folder("policies") / "subsidies"


def test_from_a_contract_to_a_voucher_that_is_taken_back(house: Any, tmp_path: Path) -> None:
    file = tmp_path / "contract.yaml"
    file.write_text(CONTRACT)
    assert "poems-1: uni rents" in house.run("vouchers", "contract", str(file), admin=True).out
    words = ("langfang-2023", "-p", "poems", "--contract", "poems-1")
    checked = house.run("vouchers", "check", *words)
    assert checked.code == 0, checked.err
    assert "at most ¥500.00 (langfang-2023/rate)" in checked.out
    refused = house.run("vouchers", "check", "beijing-2023", "-p", "poems", "--contract", "poems-1")
    assert refused.code == 1
    assert "beijing-2023/applicant-kind" in refused.out
    issued = house.run("vouchers", "issue", *words, "--key", "k1", "--json", admin=True)
    assert issued.code == 0, issued.err
    voucher = json.loads(issued.out)
    again = json.loads(house.run("vouchers", "issue", *words, "--key", "k1", "--json", admin=True).out)
    assert again == voucher
    too_much = house.run("vouchers", "issue", *words, "--face", "1", admin=True)
    assert too_much.code == 2
    assert "langfang-2023/rate" in too_much.err
    assert house.run("vouchers", "issue", *words).code == 2, "a user issues nothing"
    listed = json.loads(house.run("vouchers", "list", "-p", "poems", "--json").out)
    assert voucher["id"] in {each["id"] for each in listed}
    span = ("--from", "2026-01-05", "--to", "2026-06-01")
    dry = house.run("vouchers", "claim", voucher["id"], *span, "-e", "invoice=7", "--dry-run")
    assert dry.code == 1
    assert "langfang-2023/after-settlement" in dry.out
    bare = house.run("vouchers", "claim", voucher["id"], *span)
    assert bare.code == 2
    assert "langfang-2023/evidence" in bare.err
    assert house.run("vouchers", "claim", voucher["id"], *span, "-e", "invoice").code == 2
    taken = house.run("vouchers", "claw-back", voucher["id"], "--reason", "audit", "--json", admin=True)
    assert json.loads(taken.out)["state"] == "clawed_back"
    assert voucher["id"] in house.run("vouchers", "show", voucher["id"]).out
    file.write_text(CONTRACT.replace("amount: {amount", "amount: {sum"))
    wrong = house.run("vouchers", "contract", str(file), admin=True)
    assert wrong.code == 2
    assert "/amount/" in wrong.err


def test_a_programme_is_shown_clause_by_clause_with_its_source(house: Any) -> None:
    assert "qingyang" in house.run("vouchers", "programmes").out
    shown = house.run("vouchers", "programmes", "shenzhen-2024", "--json")
    rate = json.loads(shown.out)["clauses"]["rate"]
    assert (rate["percent"], rate["by_kind"], rate["status"]) == (50, {"startup": 60}, "quoted")
    assert "pool-per-year" in house.run("vouchers", "programmes", "shenzhen-2024").out


def test_related_parties_and_bad_credit_are_set_and_cleared(house: Any) -> None:
    said = house.run(
        "vouchers", "standing", "uni", "--related", "a", "--bad-credit", "2025-03-01", admin=True
    )
    assert said.code == 0, said.err
    more = json.loads(house.run("vouchers", "standing", "uni", "--related", "b", "--json", admin=True).out)
    assert (more["related"], more["bad_credit"]) == (["a", "b"], "2025-03-01")
    clear = json.loads(house.run("vouchers", "standing", "uni", "--clear", "--json", admin=True).out)
    assert (clear["related"], clear["bad_credit"]) == ([], None)
    assert house.run("vouchers", "standing", "uni", "--bad-credit", "soon", admin=True).code == 2


def test_what_if_says_what_changed_rules_cost_and_who_gains(house: Any, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text((RULES / "beijing-2023.yaml").read_text().replace("percent: 20", "percent: 30"))
    usage = tmp_path / "usage.csv"
    usage.write_text(USAGE)
    words = (
        "subsidies",
        "what-if",
        "--programme",
        str(RULES / "beijing-2023.yaml"),
        "--changed",
        str(changed),
    )
    done = house.run(*words, "--usage", str(usage), "--json", admin=True)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["before"]["paid"]["amount"], found["after"]["paid"]["amount"]) == (
        "400.000000",
        "600.000000",
    )
    assert (found["institutions"], found["gainers"], found["losers"]) == (2, 2, 0)
    kept = {each["clause"]: each["amount"]["amount"] for each in found["before"]["kept_back"]}
    assert kept == {"beijing-2023/eligible-lines": "100.000000"}
    assert "budget: ¥400.00 before, ¥600.00 after" in house.run(*words, "--usage", str(usage), admin=True).out
    assert house.run(*words, admin=True).code == 0, "the book's own use"
    for text, said in (
        (USAGE.replace("600.50", "six hundred"), "line 2"),
        (USAGE.replace("BilledCost", "Cost"), "BilledCost"),
        (USAGE.replace("startup", "maker"), "kind"),
    ):
        usage.write_text(text)
        wrong = house.run(*words, "--usage", str(usage), admin=True)
        assert wrong.code == 2
        assert said in wrong.err
    changed.write_text("id: x")
    assert house.run(*words, admin=True).code == 2


def test_a_voucher_is_bound_later_and_refused_to_expire_early(house: Any, tmp_path: Path) -> None:
    file = tmp_path / "contract.yaml"
    file.write_text(CONTRACT.replace("poems-1", "poems-2").replace('"1000"', '"60"'))
    assert house.run("vouchers", "contract", str(file), "--json", admin=True).code == 0
    issued = house.run(
        "vouchers", "issue", "langfang-2023", "-p", "poems", "--face", "100", "--json", admin=True
    )
    voucher = json.loads(issued.out)
    assert voucher["state"] == "issued"
    bound = house.run("vouchers", "bind", voucher["id"], "--contract", "poems-2", "--json", admin=True)
    assert bound.code == 0, bound.err
    assert json.loads(bound.out)["face"]["amount"] == "30.000000"
    early = house.run("vouchers", "expire", voucher["id"], admin=True)
    assert early.code == 2
    assert "its time is not over" in early.err
    for words in (("redeem", "c-0"), ("refuse", "c-0", "--reason", "x")):
        missing = house.run("vouchers", words[0], voucher["id"], *words[1:], admin=True)
        assert missing.code == 2
        assert "c-0" in missing.err
