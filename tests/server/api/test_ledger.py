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
        return Keeper(self.store, self.platform.clock, lambda: True)


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
