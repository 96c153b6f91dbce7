"""Commitments through the API: made, seen, ended, two people above a threshold, booked at the close."""

from typing import Any

import pytest
from tests.server.api.test_ledger import Desk
from tests.server.conftest import SITE

from hutong.adapters.store.months import month_of
from hutong.core.kernel.quantities import DAY_MS

PATH = "/v1/commitments"
CARD = SITE["pools"][0]["accelerator"]


def body(**change: Any) -> dict[str, Any]:
    return {
        "id": "deal", "scope": "project", "name": "physics", "accelerator": CARD, "card_hours": "100",
        "amount": {"amount": "5"}, "starts": "2098-01", "ends": "2099-01", "reason": "contract 14", **change,
    }  # fmt: skip


def make(platform: Any, **change: Any) -> Any:
    return platform.http.post(PATH, json=body(**change), headers=platform.operator)


def test_a_commitment_is_made_once_seen_by_its_project_and_ended(platform: Any, li: dict[str, str]) -> None:
    made = make(platform)
    assert (made.status_code, made.json()["state"], made.json()["pays"]) == (201, "future", "physics")
    assert made.json()["card_hours"] == "100"
    assert make(platform).json() == made.json()
    assert make(platform, card_hours="101").status_code == 409
    now = month_of(platform.clock(), "Asia/Shanghai").id
    running = make(
        platform, id="whole", scope="institution", name="tsinghua", pays="physics", starts=now, ends="2030-01"
    ).json()
    assert running["state"] == "in-force"
    assert (running["numbers"]["settled"], running["numbers"]["available"]) == ("0", "100")
    mine = platform.http.get("/v1/projects/physics/commitments", headers=li).json()["items"]
    assert [each["id"] for each in mine] == ["deal", "whole"]
    assert platform.http.get(PATH, headers=li).status_code == 403
    page = platform.http.get(PATH, params={"limit": 1}, headers=platform.operator)
    assert [each["id"] for each in page.json()["items"]] == ["deal"]
    assert "next" in page.links
    balance = platform.http.get("/v1/projects/physics/balance", headers=li).json()
    assert [(each["id"], each["numbers"]) for each in balance["commitments"]] == [
        ("whole", {"settled": "0", "in_flight": "0", "committed": "0", "available": "100", "percent": "0"})
    ]
    for chips, drawn in ((CARD, ["whole"]), ("", [])):
        spec = {"type": "task", "run": "true", "max_duration": "1h"}
        spec |= {"resources": {"accelerators": {chips: 1}}} if chips else {}
        quoted = platform.http.post("/v1/jobs/quote", json={"project": "physics", "spec": spec}, headers=li)
        assert quoted.status_code == 200, quoted.text
        assert [each["id"] for each in quoted.json()["commitments"]] == drawn
    ended = platform.post(f"{PATH}/deal/end", {"ends": "2098-03"})
    assert (ended["ends"], platform.post(f"{PATH}/deal/end", {"ends": "2098-03"})) == ("2098-03", ended)
    for when in ("2098-04", "2097-12"):
        late = platform.http.post(f"{PATH}/deal/end", json={"ends": when}, headers=platform.operator)
        assert (late.status_code, late.json()["code"]) == (422, "bad_commitment")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"accelerator": "H900"}, "/accelerator"),
        ({"name": "nobody"}, "/name"),
        ({"scope": "institution", "name": "tsinghua"}, "/pays"),
        ({"pays": "chemistry"}, "/pays"),
        ({"starts": "2020-01"}, "/starts"),
        ({"ends": "2098-01"}, "/ends"),
        ({"card_hours": "0"}, "/card_hours"),
        ({"amount": {"amount": "-1"}}, "/amount/amount"),
        ({"starts": "2098-13"}, "/starts"),
    ],
)
def test_what_cannot_be_promised_is_refused_by_name(
    platform: Any, li: dict[str, str], change: dict[str, Any], path: str
) -> None:
    answer = make(platform, **change)
    assert answer.status_code == 422, answer.text
    assert path in [each["path"] for each in answer.json()["problems"]]
    assert platform.http.get(PATH, headers=platform.operator).json()["items"] == []


def test_promises_ends_and_corrections_above_a_threshold_take_two_people(
    platform: Any, li: dict[str, str]
) -> None:
    other = platform.person("fang")
    grant = {"person": "fang", "role": "finance", "scope": "platform", "reason": "looks after money"}
    platform.post("/v1/access/grants", grant)
    for change in ("commitment", "price-end", "correction"):
        limit = {"amount": {"amount": "5"}}
        answer = platform.http.put(
            f"/v1/approvals/thresholds/{change}", json=limit, headers=platform.operator
        )
        assert answer.status_code == 200, answer.text

    def waits_then_done(method: str, path: str, sent: Any) -> None:
        asked = platform.http.request(method, path, json=sent, headers=platform.operator)
        assert asked.status_code == 202, asked.text
        name = asked.json()["problems"][0]["message"].removeprefix("proposal ")
        own = platform.http.post(
            f"/v1/approvals/{name}/approve", json={"note": ""}, headers=platform.operator
        )
        assert own.status_code == 403
        done = platform.http.post(f"/v1/approvals/{name}/approve", json={"note": "seen"}, headers=other)
        assert (done.status_code, done.json()["state"]) == (200, "done"), done.text

    waits_then_done("POST", PATH, body())
    waits_then_done("POST", f"{PATH}/deal/end", {"ends": "2098-03"})
    found = platform.http.get(PATH, headers=platform.operator).json()["items"]
    assert [(each["id"], each["ends"]) for each in found] == [("deal", "2098-03")]
    platform.post("/v1/price-books", {"id": "common"})
    price = platform.post(
        "/v1/prices",
        {"book": "common", "sku": f"card:{CARD}", "amount": {"amount": "99"}, "reason": "agreed"},
    )
    waits_then_done("POST", f"/v1/prices/{price['id']}/end", {})
    (line,) = platform.http.get("/v1/prices", headers=platform.operator).json()["items"]
    assert [each["state"] for each in line["prices"]] == ["ended"]
    desk = Desk(platform)
    desk.charge(40, "old")
    (record,) = platform.services.store.usage("physics", "", "", 10)
    path = "/v1/projects/physics/corrections"
    sent = {"subject": record.key, "record": "old", "quantity": 36, "reason": "slow"}
    assert platform.post(path, sent)["changed"]
    waits_then_done("POST", path, {**sent, "record": "old~r2", "quantity": 30})
    assert not platform.post(path, {**sent, "record": "old~r2", "quantity": 30})["changed"]
    assert desk.left == "70.000000"


def test_the_close_of_a_month_books_what_was_unused(platform: Any, li: dict[str, str]) -> None:
    desk = Desk(platform)
    now = month_of(platform.clock(), "Asia/Shanghai")
    assert make(platform, starts=now.id, ends="2030-01").status_code == 201
    desk.charge(20, "new")
    platform.clock.ahead_ms = now.until_ms - platform.clock() + DAY_MS
    closing = f"/v1/ledger/periods/{now.id}/close"
    assert desk.post(closing, {})["state"] == "closing"
    key = f"commitment:deal:{now.id}:unused"
    (unused,) = platform.services.store.usage("physics", key, "", 10)
    assert unused.charge_micro == 500 * 10**6
    assert desk.post(closing, {"final": True, "note": "seen"})["state"] == "closed"
    assert desk.post(closing, {"final": True, "note": "seen"})["state"] == "closed"
    assert platform.services.store.usage("physics", key, "", 10) == (unused,)
    bill = platform.http.get("/v1/projects/physics/bill", headers=platform.operator).json()
    assert [each["amount"]["amount"] for each in bill["lines"] if each["unit"] == "unused card-hour"] == [
        "500.000000"
    ]
    assert bill["entries_sum"]["amount"] == "0.000000"
    checked = platform.http.get("/v1/ledger/check", headers=platform.operator).json()
    assert [each for each in checked["faults"] if "commitment" in each] == []
