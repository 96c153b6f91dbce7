"""Debt at the door: it bars new work, before and after submission, and new money pays it back first."""

from collections.abc import Callable
from typing import Any

import pytest

from hutong.core.book.money import (
    REVENUE,
    Entry,
    Posting,
    Txn,
    UsageRecord,
    lot_account,
    overrun_account,
)
from hutong.core.kernel.ids import ProjectId
from hutong.server.loop import Loop
from hutong.wire.base import rfc3339

AWARD = {"amount": {"amount": "100"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}
VOUCHER = {"face": {"amount": "100"}, "rate_percent": 100, "starts": AWARD["starts"], "ends": AWARD["ends"]}
WISH = {"project": "physics", "spec": {"name": "x", "resources": {"accelerators": "A100:1"}, "run": "true"}}
HOUR_MS = 3_600_000
Submit = Callable[..., dict[str, Any]]


class Lab:
    """Project physics with a site in reach, and a loop."""

    def __init__(self, platform: Any, li: dict[str, str]) -> None:
        self.platform = platform
        self.li = li
        self.store = platform.services.store
        self.agent = platform.agent("haidian")
        self.loop = Loop(self.store, platform.services.rules, platform.services.clock, "test")

    def get(self, path: str) -> Any:
        return self.platform.http.get(path, headers=self.li).json()

    def turn(self) -> None:
        """Let the site call and the loop come to rest."""
        self.platform.http.post("/v1/agent/take", json={}, headers=self.agent)
        for _ in range(20):
            if not self.loop.step():
                return

    def use_up(self, beyond_micro: int) -> None:
        """Book use that takes all that every lot has, and more."""
        owner = ProjectId("physics")
        lots = self.store.lots(owner)
        micro = sum(lot.posted_micro for lot in lots) + beyond_micro
        legs = [Entry(lot_account(lot.id), -lot.posted_micro) for lot in lots]
        legs += [Entry(overrun_account(owner), -beyond_micro), Entry(REVENUE, micro)]
        used = UsageRecord("u", owner, "gw-1", "haidian", "m", "token_in", micro, 1, 1, micro, 1, 2)
        assert self.store.post(Posting((Txn("t", "tokens", owner, 2, "gw-1", tuple(legs)),), usage=(used,)))

    def balance(self) -> tuple[str, str, str]:
        """Return what is settled, available and owed."""
        found = self.get("/v1/projects/physics/balance")
        return tuple(found[name]["amount"] for name in ("settled", "available", "overrun"))  # type: ignore[return-value]

    def state(self, job: str) -> tuple[str, str]:
        found = self.get(f"/v1/jobs/{job}")
        return found["state"], found["conditions"]["waiting_code"]

    def in_order(self) -> bool:
        report = self.platform.http.get("/v1/ledger/check", headers=self.platform.operator).json()
        return bool(report["ok"])


@pytest.fixture
def lab(platform: Any, li: dict[str, str]) -> Lab:
    found = Lab(platform, li)
    platform.post("/v1/projects/physics/awards", {**AWARD, "amount": {"amount": "10"}})
    found.use_up(5_000_000)
    assert found.balance() == ("15.000000", "0.000000", "5.000000")
    return found


def test_a_debt_bars_new_work_and_a_voucher_does_not_pay_it(lab: Lab, submit: Submit) -> None:
    lab.platform.post("/v1/projects/physics/vouchers", VOUCHER)
    job = submit()["id"]
    lab.turn()
    assert lab.state(job) == ("QUEUED", "debt")
    check = lab.platform.post("/v1/jobs/check", WISH, headers=lab.li)
    assert check["reason"].startswith("the project owes 5.00 yuan")
    assert check["fundable"] is False
    assert lab.balance() == ("15.000000", "100.000000", "5.000000")


def test_an_award_pays_the_debt_back_first_once_however_often_it_is_sent(lab: Lab, submit: Submit) -> None:
    job = submit()["id"]
    once = {**lab.platform.operator, "Idempotency-Key": "spring"}
    lots = [lab.platform.post("/v1/projects/physics/awards", AWARD, headers=once) for _ in range(3)]
    assert lots[0] == lots[1] == lots[2]
    assert lots[0]["posted"]["amount"] == "95.000000"
    assert lab.balance() == ("15.000000", "95.000000", "0.000000")
    assert lab.platform.post("/v1/jobs/check", WISH, headers=lab.li)["fundable"] is True
    lab.turn()
    assert lab.state(job) == ("PLACED", "")
    other = {**AWARD, "amount": {"amount": "95"}}
    answer = lab.platform.http.post("/v1/projects/physics/awards", json=other, headers=once)
    assert answer.status_code == 409
    assert lab.in_order()


def test_an_award_that_does_not_suffice_is_all_paid_back(lab: Lab, submit: Submit) -> None:
    small = {**AWARD, "amount": {"amount": "3"}}
    assert lab.platform.post("/v1/projects/physics/awards", small)["posted"]["amount"] == "0.000000"
    assert lab.balance() == ("15.000000", "0.000000", "2.000000")
    job = submit()["id"]
    lab.turn()
    assert "owes 2.00 yuan" in lab.get(f"/v1/jobs/{job}")["conditions"]["waiting_text"]
    assert lab.in_order()


def test_an_award_for_later_pays_back_when_it_is_open(lab: Lab, submit: Submit) -> None:
    later = {**AWARD, "starts": rfc3339(lab.platform.clock() + HOUR_MS)}
    assert lab.platform.post("/v1/projects/physics/awards", later)["posted"]["amount"] == "100.000000"
    job = submit()["id"]
    lab.turn()
    assert lab.state(job) == ("QUEUED", "debt")
    lab.platform.clock.ahead_ms += HOUR_MS
    lab.turn()
    assert lab.state(job) == ("PLACED", "")
    assert lab.balance()[2] == "0.000000"
    assert lab.in_order()
