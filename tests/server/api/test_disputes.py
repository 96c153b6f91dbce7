"""A user disputes a charge; somebody else decides; what goes back goes to the lots that paid."""

from typing import Any

import pytest
from tests.server.api.test_agent import Centre, centre, end, get, started

from hutong.core.ledger.disputes import Dispute, Message, decide
from hutong.server import disputes as d
from hutong.server.registry import load

__all__ = ["centre", "started"]  # fixtures

WHY = {"ground": "site-fault", "text": "the node lost its disk"}


@pytest.fixture
def charged(centre: Centre, started: tuple[str, str]) -> str:
    """A job that ended and was charged 0.144 yuan; the voucher paid 0.0432 of it."""
    job, key = started
    end(centre, key)
    centre.tell(key, "collected", outputs=[], log_bytes=0)
    centre.settle()
    return job


def ask(platform: Any, who: dict[str, str], path: str, body: object = None, status: int = 200) -> Any:
    reply = platform.http.post(path, json=body, headers=who)
    assert reply.status_code == status, reply.text
    return reply.json()


def balance(platform: Any, li: dict[str, str]) -> tuple[str, str]:
    found = get(platform, li, "/v1/projects/physics/balance")
    return found["settled"]["amount"], found["available"]["amount"]


def test_a_charge_that_is_disputed_is_refunded_once_by_somebody_else(
    platform: Any, li: dict[str, str], charged: str
) -> None:
    before = balance(platform, li)
    opened = ask(platform, li, f"/v1/jobs/{charged}/disputes", WHY, 201)
    assert (opened["state"], opened["charged"]["amount"]) == ("open", "0.144000")
    assert ask(platform, li, f"/v1/jobs/{charged}/disputes", WHY, 409)["code"] == "disputed"
    name = opened["id"]
    decision = {"refund": {"amount": "0.1"}, "reasons": "the log shows it"}
    ask(platform, li, f"/v1/disputes/{name}/decision", decision, 403)
    waiting = get(platform, platform.operator, "/v1/disputes")["items"]
    assert [each["id"] for each in waiting] == [name]
    ask(platform, platform.operator, f"/v1/disputes/{name}/messages", {"text": "which node?"}, 201)
    done = ask(platform, platform.operator, f"/v1/disputes/{name}/decision", decision)
    assert (done["state"], done["refund"]["amount"]) == ("partly", "0.100000")
    assert [message["text"] for message in done["messages"]] == [
        WHY["text"], "which node?", "the log shows it",
    ]  # fmt: skip
    after = balance(platform, li)
    assert float(after[1]) - float(before[1]) == pytest.approx(0.1)
    again = ask(platform, platform.operator, f"/v1/disputes/{name}/decision", decision)
    assert again == done
    assert balance(platform, li) == after
    assert get(platform, platform.operator, "/v1/disputes")["items"] == []
    bill = get(platform, li, f"/v1/jobs/{charged}/bill")
    assert bill["entries_sum"]["amount"] == "0.000000"
    assert get(platform, platform.operator, "/v1/ledger/check")["ok"] is True


def test_what_a_kill_left_undone_is_refunded_later_and_once(
    platform: Any, li: dict[str, str], charged: str
) -> None:
    name = ask(platform, li, f"/v1/jobs/{charged}/disputes", WHY, 201)["id"]
    store = platform.services.store
    before = balance(platform, li)
    message = Message("zhang", 1, "yes")
    d.change(store, name, lambda there: decide(there, 144_000, message))  # and then the process dies
    assert balance(platform, li) == before
    assert d.settle_due(store) == 1
    after = balance(platform, li)
    assert float(after[1]) - float(before[1]) == pytest.approx(0.144)
    assert d.settle_due(store) == 0
    d.settle_dispute(store, load(store, d.KIND, name, Dispute))
    assert balance(platform, li) == after


def test_a_dispute_is_taken_back_by_its_opener_and_then_another_may_be_opened(
    platform: Any, li: dict[str, str], charged: str
) -> None:
    name = ask(platform, li, f"/v1/jobs/{charged}/disputes", WHY, 201)["id"]
    assert ask(platform, li, f"/v1/disputes/{name}/withdrawal")["state"] == "withdrawn"
    ask(platform, li, f"/v1/disputes/{name}/messages", {"text": "no, wait"}, 409)
    again = ask(platform, li, f"/v1/jobs/{charged}/disputes", WHY, 201)
    assert again["id"] != name
    listed = get(platform, li, "/v1/projects/physics/disputes")["items"]
    assert {each["state"] for each in listed} == {"withdrawn", "open"}


def test_a_running_job_cannot_be_disputed_yet(
    platform: Any, li: dict[str, str], started: tuple[str, str]
) -> None:
    job, _ = started
    assert ask(platform, li, f"/v1/jobs/{job}/disputes", WHY, 422)["code"] == "nothing_charged"
    ask(platform, li, f"/v1/jobs/{job}/disputes", {**WHY, "attempt": 7}, 404)


def test_a_refund_above_its_threshold_takes_two_people_a_dispute_s_too(
    platform: Any, li: dict[str, str], charged: str
) -> None:
    limit = {"amount": {"amount": "0.05"}}
    put = platform.http.put("/v1/approvals/thresholds/refund", json=limit, headers=platform.operator)
    assert put.status_code == 200, put.text
    fang = platform.person("fang")
    grant = {"person": "fang", "role": "finance", "scope": "platform", "reason": "keeps the purse"}
    platform.post("/v1/access/grants", grant)
    before = float(balance(platform, li)[1])
    name = ask(platform, li, f"/v1/jobs/{charged}/disputes", WHY, 201)["id"]
    decision = {"refund": {"amount": "0.1"}, "reasons": "the log shows it"}
    for _ in range(2):  # a repeat proposes nothing new
        waits = ask(platform, platform.operator, f"/v1/disputes/{name}/decision", decision, 202)
        assert waits["code"] == "second_person"
    proposal = waits["problems"][0]["message"].removeprefix("proposal ")
    assert get(platform, li, f"/v1/disputes/{name}")["state"] == "open"
    ask(platform, platform.operator, f"/v1/approvals/{proposal}/approve", {}, 403)
    ask(platform, fang, f"/v1/approvals/{proposal}/approve", {})
    done = get(platform, li, f"/v1/disputes/{name}")
    assert (done["state"], done["decided_by"]) == ("partly", "admin")
    assert float(balance(platform, li)[1]) - before == pytest.approx(0.1)

    key = get(platform, li, f"/v1/disputes/{name}")["key"]
    path, small = (
        "/v1/projects/physics/refunds",
        {"subject": key, "reason": "x", "amount": {"amount": "0.01"}},
    )
    ask(platform, fang, path, small, 201)
    whole = {"subject": key, "reason": "the rest is below the threshold"}
    assert ask(platform, fang, path, whole, 201)["amount"]["amount"] == "0.034000"
