"""Vouchers through the API: a start-up's way from a check to a redeemed claim, and who may do what."""

from dataclasses import replace
from typing import Any

import pytest
from tests.server.subsidies.town import TOWN

from hutong.core.book.money import (
    ISSUED,
    REVENUE,
    Entry,
    Lot,
    LotKind,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.kernel.ids import LotId, ProjectId
from hutong.wire.base import rfc3339

YUAN = 1_000_000
DAY_MS = 86_400_000
FIRM = {"id": "rain", "kind": "startup", "name_zh": "雨", "name_en": "Rain"}
STARTUP = {"programme": "town", "project": "clouds", "contract": "c1"}


@pytest.fixture
def town(platform: Any, li: dict[str, str]) -> Any:
    """A platform with programmes; Li owns clouds, a project of the start-up rain, with a contract."""
    platform.http.app.state.services = replace(platform.services, programmes=TOWN)
    platform.post("/v1/institutions", FIRM)
    platform.post("/v1/projects", {"id": "clouds", "institution": "rain", "title": "Clouds", "owner": "li"})
    platform.post("/v1/contracts", contract(platform, "c1"))
    return platform


def contract(platform: Any, name: str, **changes: Any) -> dict[str, Any]:
    now = platform.clock()
    return {
        "id": name, "number": "2026-17", "project": "clouds", "provider": "centre", "sites": ["haidian"],
        "amount": {"amount": "4000"}, "signed": rfc3339(now - 60 * DAY_MS),
        "starts": rfc3339(now - 60 * DAY_MS), "ends": rfc3339(now + 60 * DAY_MS), **changes,
    }  # fmt: skip


def spend(platform: Any, number: int, yuan: int) -> None:
    """Book settled use of clouds, paid from an award."""
    store, now = platform.services.store, platform.clock()
    owner, amount = ProjectId("clouds"), yuan * YUAN
    lot = Lot(LotId(f"a{number}"), owner, LotKind.AWARD, YUAN, 0, now * 2)
    fill = (Entry(ISSUED, -amount), Entry(lot_account(lot.id), amount))
    store.open_lot(lot, Txn(f"fill:{number}", "award", owner, 1, "x", fill))
    name, end = f"use:{number}", now - DAY_MS
    legs = (Entry(lot_account(lot.id), -amount), Entry(REVENUE, amount))
    record = UsageRecord(
        name, owner, f"k{number}", "haidian", "A100", "card_ms", 1, amount, 1, amount, end - 9, end
    )
    store.post(Posting(txns=(Txn(name, "usage", owner, end, record.key, legs),), usage=(record,)))


def claim_body(platform: Any) -> dict[str, Any]:
    now = platform.clock()
    evidence = {"invoice": "0451", "delivery-proof": "77"}
    return {"start": rfc3339(now - 30 * DAY_MS), "end": rfc3339(now), "evidence": evidence}


def test_a_start_up_s_way_from_a_check_to_a_redeemed_claim(town: Any, li: dict[str, str]) -> None:
    verdict = town.post("/v1/vouchers/check", STARTUP, headers=li)
    assert verdict["allowed"] is True
    assert (verdict["at_most"]["amount"], verdict["bound"]) == ("800.000000", "town/rate")
    key = {**town.operator, "Idempotency-Key": "k1"}
    voucher = town.post("/v1/vouchers", STARTUP, headers=key)
    assert town.post("/v1/vouchers", STARTUP, headers=key) == voucher
    assert (voucher["state"], voucher["face"]["amount"]) == ("bound", "800.000000")
    spend(town, 1, 1000)
    url = f"/v1/vouchers/{voucher['id']}"
    body = claim_body(town)
    dry = town.post(f"{url}/claims/check", body, headers=li)
    assert (dry["allowed"], dry["amount"]["amount"]) == (True, "200.000000")
    claim = town.post(f"{url}/claims", body, headers=li)
    assert (claim["state"], claim["by"], len(claim["lines"])) == ("reserved", "li", 1)
    again = town.http.post(f"{url}/claims", json=body, headers=li)
    assert again.status_code == 422
    assert "town/no-double-subsidy" in again.json()["problems"][0]["message"]
    assert town.http.post(f"{url}/claims/{claim['id']}/redeem", json={}, headers=li).status_code == 403
    paid = town.post(f"{url}/claims/{claim['id']}/redeem", {})
    assert paid["state"] == "redeemed"
    balance = town.http.get("/v1/projects/clouds/balance", headers=li).json()
    assert balance["available"]["amount"] == "200.000000"
    listed = town.http.get("/v1/vouchers", params={"project": "clouds"}, headers=li).json()["items"]
    assert [each["redeemed"]["amount"] for each in listed] == ["200.000000"]
    claims = town.http.get(f"{url}/claims", headers=li).json()["items"]
    assert [each["id"] for each in claims] == [claim["id"]]
    assert town.http.get(f"{url}/claims/{claim['id']}", headers=li).json() == paid


def test_a_claim_above_the_threshold_is_paid_by_two_people(town: Any, li: dict[str, str]) -> None:
    town.http.put(
        "/v1/approvals/thresholds/redemption", json={"amount": {"amount": "199"}}, headers=town.operator
    )
    fang = town.person("fang")
    grant = {"person": "fang", "role": "finance", "scope": "platform", "reason": "keeps the purse"}
    town.post("/v1/access/grants", grant)
    voucher = town.post("/v1/vouchers", STARTUP)
    spend(town, 1, 1000)
    url = f"/v1/vouchers/{voucher['id']}/claims"
    claim = f"{url}/{town.post(url, claim_body(town), headers=li)['id']}"
    proposals = []
    for _ in range(2):
        waits = town.http.post(f"{claim}/redeem", json={}, headers=town.operator)
        assert (waits.status_code, waits.json()["code"]) == (202, "second_person")
        proposals.append(waits.json()["problems"][0]["message"].removeprefix("proposal "))
    assert proposals[0] == proposals[1]
    assert town.http.get(claim, headers=li).json()["state"] == "reserved"
    own = town.http.post(f"/v1/approvals/{proposals[0]}/approve", json={}, headers=town.operator)
    assert own.status_code == 403
    done = town.http.post(f"/v1/approvals/{proposals[0]}/approve", json={}, headers=fang)
    assert (done.status_code, done.json().get("state")) == (200, "done"), done.text
    assert town.post(f"{claim}/redeem", {})["state"] == "redeemed"  # a repeat finds what was done
    balance = town.http.get("/v1/projects/clouds/balance", headers=li).json()
    assert balance["available"]["amount"] == "200.000000"


def test_a_related_provider_is_refused_with_the_clause_named(town: Any, li: dict[str, str]) -> None:
    url = "/v1/institutions/rain/standing"
    said = town.http.put(url, json={"related": ["centre"]}, headers=town.operator)
    assert said.json() == {"institution": "rain", "related": ["centre"], "bad_credit": None}
    verdict = town.post("/v1/vouchers/check", STARTUP, headers=li)
    assert [each["clause"] for each in verdict["refusals"]] == ["town/unrelated-provider"]
    answer = town.http.post("/v1/vouchers", json=STARTUP, headers=town.operator)
    assert answer.status_code == 422
    problem = answer.json()["problems"][0]
    assert problem["message"].startswith("town/unrelated-provider: ")
    assert problem["path"] == "/contract/provider"
    assert problem["hint"]


def test_strangers_see_nothing_and_owners_change_nothing(
    town: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    voucher = town.post("/v1/vouchers", STARTUP)
    url = f"/v1/vouchers/{voucher['id']}"
    body = claim_body(town)
    for method, path, sent in (
        ("GET", url, None),
        ("GET", f"{url}/claims", None),
        ("POST", f"{url}/claims/check", body),
        ("POST", f"{url}/claims", body),
        ("GET", "/v1/contracts/c1", None),
        ("POST", "/v1/vouchers/check", STARTUP),
        ("GET", "/v1/vouchers?project=clouds", None),
    ):
        assert town.http.request(method, path, json=sent, headers=wang).status_code == 404, path
    theirs = {**STARTUP, "project": "biology"}
    assert town.http.post("/v1/vouchers/check", json=theirs, headers=wang).status_code == 422
    for path, sent in (
        ("/v1/vouchers", STARTUP),
        (f"{url}/bind", {"contract": "c1"}),
        (f"{url}/claw-back", {"reason": "x"}),
        (f"{url}/expire", {}),
        ("/v1/contracts", contract(town, "c2")),
        ("/v1/subsidies/compare", {}),
    ):
        assert town.http.post(path, json=sent, headers=li).status_code == 403, path
    assert town.http.get("/v1/vouchers", headers=li).status_code == 403
    assert len(town.http.get("/v1/vouchers", headers=town.operator).json()["items"]) == 1


def test_wrong_input_is_named_and_changes_nothing(town: Any) -> None:
    voucher = town.post("/v1/vouchers", {"programme": "county", "project": "clouds"})
    url = f"/v1/vouchers/{voucher['id']}"
    assert voucher["state"] == "issued"
    body = claim_body(town)
    for path, sent, status, field in (
        ("/v1/vouchers", {**STARTUP, "contract": "nope"}, 422, "/contract"),
        ("/v1/vouchers", {**STARTUP, "project": "nope"}, 422, "/project"),
        ("/v1/vouchers", {**STARTUP, "face": {"amount": "0"}}, 422, "/face/amount"),
        ("/v1/contracts", contract(town, "c3", sites=["nowhere"]), 422, "/sites/0"),
        ("/v1/contracts", contract(town, "c3", ends="2001-01-01T00:00:00Z"), 422, "/ends"),
        (f"{url}/bind", {"contract": "nope"}, 422, "/contract"),
    ):
        answer = town.http.post(path, json=sent, headers=town.operator)
        assert answer.status_code == status, answer.text
        assert answer.json()["problems"][0]["path"] == field
    assert (
        town.http.post("/v1/vouchers", json={**STARTUP, "programme": "x"}, headers=town.operator).status_code
        == 404
    )
    owner = town.http.post(f"{url}/claims", json=body, headers=town.operator)
    assert owner.status_code == 403, "an operator decides on claims and makes none"
    changed = contract(town, "c1", amount={"amount": "9"})
    assert town.http.post("/v1/contracts", json=changed, headers=town.operator).status_code == 409
    missing = town.http.post(f"{url}/claims/nope/redeem", json={}, headers=town.operator)
    assert missing.status_code == 404


def test_a_payment_outside_has_a_reference(town: Any, li: dict[str, str]) -> None:
    voucher = town.post("/v1/vouchers", STARTUP)
    spend(town, 1, 1000)
    url = f"/v1/vouchers/{voucher['id']}/claims"
    claim = town.post(url, claim_body(town), headers=li)["id"]
    for body in ({"to": "outside"}, {"reference": "bank 7"}, {"to": "outside", "reference": "lot:x"}):
        answer = town.http.post(f"{url}/{claim}/redeem", json=body, headers=town.operator)
        assert answer.status_code == 422
    outside = {"to": "outside", "reference": "bank 7"}
    assert town.post(f"{url}/{claim}/redeem", outside)["payment"] == "bank 7"
    assert town.http.post(f"{url}/{claim}/redeem", json={}, headers=town.operator).status_code == 409
    assert town.post(f"{url}/{claim}/claw-back", {"reason": "audit"})["state"] == "clawed_back"


def test_programmes_are_shown_with_their_sources(town: Any, li: dict[str, str]) -> None:
    items = town.http.get("/v1/subsidies", headers=li).json()["items"]
    assert [each["id"] for each in items] == sorted(TOWN)
    one = town.http.get("/v1/subsidies/town", headers=li).json()
    assert one["clauses"]["applicant-kind"]["source"]["address"].startswith("http")
    assert town.http.get("/v1/subsidies/nope", headers=li).status_code == 404


def test_what_if_replays_the_book_s_use_and_use_that_is_sent(town: Any) -> None:
    spend(town, 1, 1000)
    rules = TOWN["town"].document.model_dump(mode="json", exclude_unset=True)
    more = {**rules, "clauses": {**rules["clauses"], "rate": {**rules["clauses"]["rate"], "percent": 30}}}
    found = town.post("/v1/subsidies/compare", {"programme": rules, "changed": more})
    assert (found["before"]["paid"]["amount"], found["after"]["paid"]["amount"]) == (
        "200.000000",
        "300.000000",
    )
    assert (found["gainers"], found["losers"]) == (1, 0)
    assert found["changes"][0]["institution"] == "rain"
    use = [
        {"institution": "snow", "kind": "sme", "charge": {"amount": "9000"}, "at": "2025-05-01T00:00:00Z"},
        {"institution": "uni", "kind": "university", "charge": {"amount": "1"}, "at": "2025-05-01T00:00:00Z"},
    ]
    sent = town.post("/v1/subsidies/compare", {"programme": rules, "changed": more, "use": use})
    assert sent["before"]["paid"]["amount"] == "1000.000000"
    kept = {each["clause"]: each["amount"]["amount"] for each in sent["before"]["kept_back"]}
    assert kept == {"town/cap-per-year": "800.000000", "town/applicant-kind": "1.000000"}
    broken = {**more, "zone": "Europe/Berlin"}
    answer = town.http.post(
        "/v1/subsidies/compare", json={"programme": rules, "changed": broken}, headers=town.operator
    )
    assert answer.json()["problems"][0]["path"] == "/changed/zone"
    long = {"programme": rules, "changed": more, "start": "2020-01-01T00:00:00Z"}
    assert town.http.post("/v1/subsidies/compare", json=long, headers=town.operator).status_code == 422
