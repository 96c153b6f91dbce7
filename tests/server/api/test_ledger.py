"""The ledger at the door: refunds, corrections, claims, waivers, periods, suspense and settlements."""

from typing import Any

import pytest

from hutong.core.book.money import (
    REVENUE,
    Entry,
    Posting,
    Txn,
    UsageRecord,
    Waiver,
    lot_account,
)
from hutong.core.kernel.ids import AttemptKey, ProjectId
from hutong.server.refunds import waive
from hutong.server.upkeep import Keeper

OWNER = ProjectId("physics")
YUAN = 1_000_000
KEY = "ht-01jd0000000000000000000000-a1"
DAY_MS = 86_400_000
AWARD = {"amount": {"amount": "100"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}


class Desk:
    """An operator, a project with an award, and something that was charged."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self.store = platform.services.store
        self.lot = platform.post("/v1/projects/physics/awards", AWARD)["id"]

    def charge(self, yuan: int, name: str = "u1", effective_ms: int | None = None) -> None:
        at_ms = self.platform.clock() if effective_ms is None else effective_ms
        micro = yuan * YUAN
        legs = (Entry(lot_account(self.lot), -micro), Entry(REVENUE, micro))
        used = UsageRecord(name, OWNER, KEY, "haidian", "m", "token_in", yuan, YUAN, 1, micro, at_ms, at_ms)
        txn = Txn(name, "tokens", OWNER, at_ms, KEY, legs, site="haidian")
        assert self.store.post(Posting((txn,), usage=(used,)))

    def post(self, path: str, body: Any, status: int = 200, key: str = "") -> Any:
        headers = {**self.platform.operator, **({"Idempotency-Key": key} if key else {})}
        answer = self.platform.http.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.platform.http.get(path, headers=self.platform.operator)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def left(self) -> str:
        return str(self.get("/v1/projects/physics/balance")["available"]["amount"])

    @property
    def keeper(self) -> Keeper:
        return Keeper(self.store, self.platform.clock)


@pytest.fixture
def desk(platform: Any, li: dict[str, str]) -> Desk:
    return Desk(platform)


def test_a_refund_goes_back_once_in_part_or_whole_and_shows_on_the_bill(desk: Desk) -> None:
    desk.charge(40)
    wanted = {"subject": KEY, "amount": {"amount": "15"}, "reason": "slow disk"}
    first = desk.post("/v1/projects/physics/refunds", wanted, 201, "k1")
    assert first == desk.post("/v1/projects/physics/refunds", wanted, 201, "k1")
    assert (first["amount"]["amount"], desk.left) == ("15.000000", "75.000000")
    rest = desk.post("/v1/projects/physics/refunds", {"subject": KEY, "reason": "and the rest"}, 201)
    assert (rest["amount"]["amount"], desk.left) == ("25.000000", "100.000000")
    again = desk.post("/v1/projects/physics/refunds", {"subject": KEY, "reason": "more"}, 409)
    assert again["code"] == "nothing_left"
    bill = desk.get("/v1/projects/physics/bill")
    assert bill["total"]["amount"] == "40.000000"
    assert [(each["kind"], each["amount"]["amount"]) for each in bill["paid"]] == [("refunded", "40.000000")]
    assert desk.get("/v1/projects/physics/balance")["settled"]["amount"] == "0.000000"
    assert desk.get("/v1/ledger/check")["ok"]


def test_what_a_site_broke_is_waived_once_and_the_site_earns_nothing_by_it(desk: Desk) -> None:
    desk.charge(40)
    waiver = Waiver(AttemptKey(KEY), OWNER, 0, "lost at haidian: gone")
    for _ in range(2):
        waive(desk.store, waiver)
    assert desk.left == "100.000000"
    (period,) = desk.store.periods()
    assert desk.store.takings(period.id) == {"haidian": 0}
    bill = desk.get("/v1/projects/physics/bill")
    assert [each["kind"] for each in bill["paid"]] == ["waived"]
    assert desk.store.txn("waiver:u1:0").reason == waiver.reason


def test_a_correction_keeps_the_price_and_both_revisions(desk: Desk) -> None:
    desk.charge(40)
    wanted = {"subject": KEY, "record": "u1", "quantity": 10, "reason": "the meter ran twice"}
    assert desk.post("/v1/projects/physics/corrections", wanted)["changed"]
    assert not desk.post("/v1/projects/physics/corrections", wanted)["changed"]
    assert desk.left == "90.000000"
    other = desk.post("/v1/projects/physics/corrections", {**wanted, "quantity": 11}, 409)
    assert other["code"] == "corrected"
    assert [used.revision for used in desk.store.usage(OWNER, KEY, "", 10)] == [1, 2, 2]
    assert desk.get("/v1/projects/physics/bill")["total"]["amount"] == "10.000000"
    assert desk.get("/v1/ledger/check")["ok"]


def test_a_claimed_lot_returns_what_is_left_and_its_use_is_owed(desk: Desk) -> None:
    desk.charge(40)
    path = f"/v1/projects/physics/lots/{desk.lot}/claim"
    for _ in range(2):
        assert desk.post(path, {"reason": "false report"})["posted"]["amount"] == "0.000000"
    found = desk.get("/v1/projects/physics/balance")
    assert (found["available"]["amount"], found["overrun"]["amount"]) == ("0.000000", "40.000000")
    assert found["settled"]["amount"] == "40.000000"
    desk.post("/v1/projects/physics/lots/nothing/claim", {"reason": "x"}, 404)
    assert desk.get("/v1/ledger/check")["ok"]


def test_the_rest_of_a_lot_expires_at_its_end(desk: Desk) -> None:
    ends = {"starts": "2026-01-01T00:00:00Z", "ends": "2026-01-02T00:00:00Z"}
    lot = desk.platform.post("/v1/projects/physics/awards", {**AWARD, **ends})["id"]
    assert desk.keeper.step() == 1
    assert desk.keeper.step() == 0
    by_id = {each.id: each.posted_micro for each in desk.store.lots(OWNER)}
    assert (by_id[lot], by_id[desk.lot]) == (0, 100 * YUAN)
    assert desk.get("/v1/projects/physics/balance")["settled"]["amount"] == "0.000000"


def test_a_closed_period_takes_nothing_and_pays_the_centre_its_share(desk: Desk) -> None:
    now_ms = desk.platform.clock()
    desk.charge(40, "old", now_ms - 40 * DAY_MS)
    share = {"starts": "2020-01-01T00:00:00Z", "ppm": 700_000}
    assert desk.post("/v1/ledger/settlements/haidian/shares", share)["shares"][0]["ppm"] == 700_000
    period = desk.get("/v1/ledger/periods")["items"][0]
    path = f"/v1/ledger/periods/{period['id']}/close"
    assert desk.post(path, {"final": True}, 409)["code"] == "period_open"
    assert desk.post(path, {})["state"] == "closing"
    assert desk.post(path, {"final": True})["state"] == "closed"
    assert desk.post(path, {"final": True})["state"] == "closed"
    assert desk.post(path, {}, 409)["code"] == "period_closed"
    (owed,) = desk.get("/v1/ledger/settlements")["items"]
    assert owed["owed"]["amount"] == "28.000000"
    desk.charge(1, "late", now_ms - 40 * DAY_MS)
    assert desk.store.txn("late").period != period["id"] == desk.store.txn("old").period
    pay = {"amount": {"amount": "28"}, "reference": "bank-1"}
    for _ in range(2):
        paid = desk.post("/v1/ledger/settlements/haidian/payouts", pay)
        assert paid["owed"]["amount"] == "0.000000"
    more = {**pay, "reference": "bank-2"}
    assert desk.post("/v1/ledger/settlements/haidian/payouts", more, 409)["code"] == "too_much"
    early = desk.post("/v1/ledger/settlements/haidian/shares", share, 422)
    assert early["problems"][0]["path"] == "/starts"
    assert desk.get("/v1/ledger/check")["ok"]


def waits(desk: Desk, path: str, body: Any) -> str:
    told = desk.post(path, body, 202)
    assert told["code"] == "second_person"
    return str(told["problems"][0]["message"].removeprefix("proposal "))


def approve(desk: Desk, who: dict[str, str], proposal: str, status: int = 200) -> Any:
    answer = desk.platform.http.post(f"/v1/approvals/{proposal}/approve", json={}, headers=who)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def second(desk: Desk) -> dict[str, str]:
    """Return the headers of somebody else of finance; claims above 99, payments above 20 take two people."""
    for change, yuan in (("claim", "99"), ("payout", "20")):
        limit, path = {"amount": {"amount": yuan}}, f"/v1/approvals/thresholds/{change}"
        assert desk.platform.http.put(path, json=limit, headers=desk.platform.operator).status_code == 200
    fang: dict[str, str] = desk.platform.person("fang")
    grant = {"person": "fang", "role": "finance", "scope": "platform", "reason": "keeps the purse"}
    desk.platform.post("/v1/access/grants", grant)
    return fang


def owe_forty(desk: Desk) -> str:
    """Close a period in which a centre earned 40; return where its payments go."""
    desk.charge(40, "old", desk.platform.clock() - 40 * DAY_MS)
    base = "/v1/ledger/settlements/haidian"
    desk.post(f"{base}/shares", {"starts": "2020-01-01T00:00:00Z", "ppm": 1_000_000})
    close = f"/v1/ledger/periods/{desk.get('/v1/ledger/periods')['items'][0]['id']}/close"
    assert [desk.post(close, {"final": final})["state"] for final in (False, True)] == ["closing", "closed"]
    return f"{base}/payouts"


def test_a_large_payment_to_a_centre_takes_two_people_and_is_made_once(
    desk: Desk, second: dict[str, str]
) -> None:
    paths = owe_forty(desk)
    over = {"amount": {"amount": "41"}, "reference": "bank-0"}
    assert desk.post(paths, over, 409)["code"] == "too_much"  # nobody is asked for what cannot be
    large = {"amount": {"amount": "20.000001"}, "reference": "bank-1"}
    first = waits(desk, paths, large)
    assert waits(desk, paths, large) == first
    approve(desk, desk.platform.operator, first, 403)
    other = {"amount": {"amount": "20"}, "reference": "bank-2"}
    assert desk.post(paths, other)["owed"]["amount"] == "20.000000"
    assert approve(desk, second, first, 409)["code"] == "too_much"  # the money went elsewhere meanwhile
    shown = desk.platform.http.get(f"/v1/approvals/{first}", headers=second).json()
    assert shown["state"] == "failed"
    assert desk.get("/v1/ledger/check")["ok"]


def test_a_payment_that_two_people_agreed_on_is_booked(desk: Desk, second: dict[str, str]) -> None:
    path = owe_forty(desk)
    pay = {"amount": {"amount": "30"}, "reference": "bank-1"}
    assert approve(desk, second, waits(desk, path, pay))["state"] == "done"
    for _ in range(2):  # the same reference is the same payment, and asks nobody again
        assert desk.post(path, pay)["owed"]["amount"] == "10.000000"
    less = {**pay, "amount": {"amount": "5"}}
    assert desk.post(path, less, 409)["code"] == "payout_differs"
    assert desk.get("/v1/ledger/check")["ok"]


def test_a_large_lot_is_claimed_back_by_two_people(desk: Desk, second: dict[str, str]) -> None:
    desk.charge(40)
    path, why = f"/v1/projects/physics/lots/{desk.lot}/claim", {"reason": "false report"}
    first = waits(desk, path, why)
    assert desk.left == "60.000000"
    assert approve(desk, second, first)["state"] == "done"
    found = desk.get("/v1/projects/physics/balance")
    assert (found["available"]["amount"], found["overrun"]["amount"]) == ("0.000000", "40.000000")
    assert desk.post(path, why)["posted"]["amount"] == "0.000000"
    small = desk.platform.post("/v1/projects/physics/awards", {**AWARD, "amount": {"amount": "99"}})["id"]
    desk.post(f"/v1/projects/physics/lots/{small}/claim", why)
    assert desk.get("/v1/ledger/check")["ok"]


def test_use_that_nobody_knows_is_suspended_counted_and_decided_by_a_person(desk: Desk) -> None:
    record = {
        "source": "slurm", "record": "4711", "key": KEY, "quantity": 5,
        "start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z",
    }  # fmt: skip
    for _ in range(2):
        (kept,) = desk.post("/v1/ledger/usage", {"records": [record]})["items"]
        assert kept["fate"] == "suspended"
    assert KEY in kept["reason"]
    other = {"records": [{**record, "quantity": 6}]}
    assert desk.post("/v1/ledger/usage", other, 409)["code"] == "record_differs"
    desk.post("/v1/ledger/usage", {"records": [{**record, "revision": 2}]})
    listed = desk.get("/v1/ledger/suspense")["items"]
    assert [(each["record"], each["revision"]) for each in listed] == [("4711", 2)]
    decision = {"source": "slurm", "record": "4711", "revision": 2, "reason": "a test job"}
    no = desk.post("/v1/ledger/suspense/resolve", {**decision, "action": "match"}, 422)
    assert no["problems"][0]["path"] == "/key"
    done = desk.post("/v1/ledger/suspense/resolve", {**decision, "action": "dismiss"})
    assert (done["fate"], done["reason"]) == ("dismissed", "a test job")
    assert desk.get("/v1/ledger/suspense")["items"] == []
    span = "source=slurm&from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z"
    (day,) = desk.get(f"/v1/ledger/usage?{span}")["items"]
    assert (day["received"], day["superseded"], day["dismissed"], day["suspended"]) == (2, 1, 1, 0)
