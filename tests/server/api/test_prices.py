"""Price books through the API: who pays what, quotes, two people, and that nothing started changes."""

from typing import Any

import pytest
from tests.server.conftest import SITE

from hutong.core.book.store import Record
from hutong.core.catalog.models import Lineage, Model
from hutong.core.ledger.prices import skus_of_tokens
from hutong.core.work.facts import OutputFile
from hutong.server.prices import tariff_now, tenant_of
from hutong.server.registry import document
from hutong.server.storage import meter_storage
from hutong.wire.base import rfc3339

BOOKS, PRICES = "/v1/price-books", "/v1/prices"
HOUR_MS = 3_600_000


def money(yuan: str) -> dict[str, str]:
    return {"amount": yuan}


def put(platform: Any, yuan: str, book: str = "unis", sku: str = "", **more: Any) -> Any:
    body = {"book": book, "sku": sku or CARD, "amount": money(yuan), "reason": "agreed", **more}
    headers = {**platform.operator, **more.pop("headers", {})}
    body.pop("headers", None)
    return platform.http.post(PRICES, json=body, headers=headers)


POOL = SITE["pools"][0]
CARD = f"card:{POOL['accelerator']}"
PLACE = f"{SITE['id']}/{POOL['id']}"


@pytest.fixture
def books(platform: Any, li: dict[str, str]) -> None:
    """Make books for everybody, for universities (Li's is one), and for Tsinghua alone."""
    platform.post(BOOKS, {"id": "common"})
    platform.post(BOOKS, {"id": "unis", "kinds": ["university"], "title": "universities"})
    platform.post(BOOKS, {"id": "thu", "institutions": ["tsinghua"]})


def paid(platform: Any, who: dict[str, str]) -> dict[str, tuple[str, str]]:
    answer = platform.http.get("/v1/projects/physics/prices", headers=who)
    assert answer.status_code == 200, answer.text
    return {
        f"{each['site']}/{each['pool']}": (each["price"]["amount"], each["book"])
        for each in answer.json()["items"]
    }


def test_a_project_pays_the_price_of_the_nearest_book(platform: Any, li: dict[str, str], books: None) -> None:
    own = paid(platform, li)[PLACE][0]
    assert put(platform, "9", "common").status_code == 201
    assert paid(platform, li)[PLACE] == ("9.000000", "common")
    put(platform, "7")
    assert paid(platform, li)[PLACE] == ("7.000000", "unis")
    first = put(platform, "5", "thu", f"{CARD}@{PLACE}").json()
    assert paid(platform, li)[PLACE] == ("5.000000", "thu")
    ended = platform.post(f"{PRICES}/{first['id']}/end", {})
    assert ended["state"] == "ended"
    assert paid(platform, li)[PLACE] == ("7.000000", "unis")
    assert own != "7.000000"


def test_a_quote_is_at_the_price_of_who_asks_and_says_who_pays(
    platform: Any, li: dict[str, str], books: None
) -> None:
    lot = {"starts": "2026-01-01T00:00:00Z", "ends": "2031-01-01T00:00:00Z"}
    platform.post("/v1/projects/physics/awards", {**lot, "amount": money("10")})
    put(platform, "2")
    spec: dict[str, Any] = {
        "run": "true", "resources": {"accelerators": f"{POOL['accelerator']}:2"}, "max_duration": "4h",
    }  # fmt: skip
    body = {"project": "physics", "spec": spec}
    answer = platform.http.post("/v1/jobs/quote", json=body, headers=li)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (pool,) = [each for each in found["pools"] if f"{each['site']}/{each['pool']}" == PLACE]
    assert pool["price_per_card_hour"]["amount"] == "2.000000"
    assert pool["list_price_per_card_hour"]["amount"] != "2.000000"
    assert (pool["hourly"]["amount"], pool["whole"]["amount"]) == ("4.000000", "16.000000")
    assert (pool["hold"]["amount"], found["of"]) == ("4.000000", PLACE)
    assert [(each["kind"], each["amount"]["amount"]) for each in found["pays"]] == [("award", "10.000000")]
    assert found["missing"]["amount"] == "6.000000"
    spec["resources"]["max_hourly_cost"] = 4
    assert platform.http.post("/v1/jobs", json=body, headers=li).status_code == 201
    spec["resources"]["max_hourly_cost"] = 3
    refused = platform.http.post("/v1/jobs", json=body, headers=li)
    assert (refused.status_code, refused.json()["code"]) == (422, "never_placeable")
    assert "costs 4.00 yuan" in refused.text


def test_what_has_begun_is_never_changed_and_what_has_not_can_be_withdrawn(
    platform: Any, books: None
) -> None:
    first = put(platform, "7").json()
    assert put(platform, "6").status_code == 422
    assert put(platform, "6", starts="2020-01-01T00:00:00Z").status_code == 422
    gone = platform.http.delete(f"{PRICES}/{first['id']}", headers=platform.operator)
    assert (gone.status_code, gone.json()["code"]) == (409, "started")
    second = put(platform, "6", starts="2099-01-01T00:00:00Z", replace=True).json()
    assert second["state"] == "future"
    listed = platform.http.get(PRICES, params={"sku": CARD}, headers=platform.operator).json()["items"]
    assert [(each["amount"]["amount"], each["ends"]) for each in listed[0]["prices"]] == [
        ("7.000000", "2099-01-01T00:00:00.000Z"),
        ("6.000000", None),
    ]
    assert platform.http.delete(f"{PRICES}/{second['id']}", headers=platform.operator).status_code == 204
    assert platform.http.delete(f"{PRICES}/{second['id']}", headers=platform.operator).status_code == 404


def test_a_repeat_with_its_key_is_the_same_price(platform: Any, books: None) -> None:
    key = {"Idempotency-Key": "once"}
    first = put(platform, "7", headers=key)
    platform.clock.ahead_ms = 5_000
    assert put(platform, "7", headers=key).json() == first.json()
    assert put(platform, "8", headers=key).status_code == 409


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"sku": "card:H900"}, "/sku"),
        ({"sku": "gold"}, "/sku"),
        ({"sku": "card:H100@nowhere"}, "/sku"),
        ({"sku": "token_in:physics/none"}, "/sku"),
        ({"book": "none"}, "/book"),
        ({"amount": money("-1")}, "/amount/amount"),
        ({"ends": "2020-01-01T00:00:00Z"}, "/ends"),
        ({"sku": f"{CARD}@{PLACE}", "tiers": [{"above": "5", "amount": money("1")}]}, "/tiers"),
    ],
)
def test_what_cannot_be_a_price_is_refused_by_name(
    platform: Any, books: None, change: dict[str, Any], path: str
) -> None:
    body = {"book": "unis", "sku": CARD, "amount": money("7"), "reason": "agreed", **change}
    answer = platform.http.post(PRICES, json=body, headers=platform.operator)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == path


def test_a_book_for_somebody_who_has_one_is_refused(platform: Any, books: None) -> None:
    body = {"id": "more", "kinds": ["sme", "university"]}
    answer = platform.http.post(BOOKS, json=body, headers=platform.operator)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "/kinds/1"
    nobody = platform.http.post(BOOKS, json={"id": "x", "institutions": ["no"]}, headers=platform.operator)
    assert nobody.json()["problems"][0]["path"] == "/institutions/0"


def test_a_price_that_moves_much_takes_two_people(platform: Any, li: dict[str, str], books: None) -> None:
    path = "/v1/approvals/thresholds/price"
    limit = {"amount": money("0.5")}
    assert platform.http.put(path, json=limit, headers=platform.operator).status_code == 200
    own = float(paid(platform, li)[PLACE][0])
    assert put(platform, f"{own - 0.5:.2f}").status_code == 201
    key = {"Idempotency-Key": "k"}
    answer = put(platform, "1", replace=True, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (202, "second_person")
    proposal = answer.json()["problems"][0]["message"].removeprefix("proposal ")
    fang = platform.person("fang")
    platform.post(
        "/v1/access/grants", {"person": "fang", "role": "finance", "scope": "platform", "reason": "counts"}
    )
    done = platform.http.post(f"/v1/approvals/{proposal}/approve", json={}, headers=fang)
    assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
    assert paid(platform, li)[PLACE][0] == "1.000000"
    assert put(platform, "1", replace=True, headers=key).status_code == 201
    assert paid(platform, li)[PLACE][0] == "1.000000"


def test_prices_of_tokens_follow_the_books_too(platform: Any, li: dict[str, str], books: None) -> None:
    put(platform, "0.25", sku="token_in")
    here = platform.services
    tenant = tenant_of(here.store, "physics", here.clock())
    found = tariff_now(here.store, here.clock()).price(tenant, skus_of_tokens("token_in", "physics/chat"))
    assert found is not None
    assert (found.micro, found.per) == (250_000, 1_000_000)


def test_members_see_what_they_pay_and_not_the_books(platform: Any, li: dict[str, str], books: None) -> None:
    assert platform.http.get(BOOKS, headers=li).status_code == 403
    assert platform.http.get(PRICES, headers=li).status_code == 403
    assert PLACE in paid(platform, li)


def test_storage_stands_on_bills_statements_and_exports(
    platform: Any, li: dict[str, str], books: None
) -> None:
    assert put(platform, "0.01", "common", "storage").status_code == 201
    here = platform.services
    files = (OutputFile("w.safetensors", 100 * 10**9, "sha256:" + "0" * 64),)
    lineage = Lineage("j", 1, "haidian", "A100", {}, {})
    model = Model("physics", "m", 1, "", 10**11, files, lineage, 0, "li")
    here.store.put(Record("model", model.id, document(model), "physics/m"))
    zone, day_ms = here.settings.zone, 24 * HOUR_MS
    assert meter_storage(here.store, here.clock(), zone) == 0  # yesterday had no price
    while meter_storage(here.store, here.clock() + 2 * day_ms, zone):
        pass
    (record,) = here.store.usage("physics", "", "", 10)
    bill = platform.http.get(
        "/v1/projects/physics/bill", params={"to": rfc3339(record.upto_ms + 1)}, headers=li
    ).json()
    (line,) = [each for each in bill["lines"] if each["sku"] == "models"]
    assert (line["quantity"], line["unit"]) == ("100.000000", "GB-day")
    assert (line["price"]["amount"], line["amount"]["amount"]) == ("0.010000", "1.000000")
    month = record.key.rpartition(":")[2]
    for path in (f"statements/{month}", f"focus/{month}"):
        answer = platform.http.get(f"/v1/projects/physics/{path}", headers=li)
        assert answer.status_code == 200, answer.text
        assert "GB-" in answer.text
