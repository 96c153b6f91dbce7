"""The two-person rule: above a threshold nothing happens until somebody else, who may do it too, agrees."""

from typing import Any

import pytest

from hutong.core.accounts.approvals import Change
from hutong.core.book.audit import AuditQuery
from hutong.core.kernel.quantities import HOUR_MS
from hutong.server.api import approvals as api
from hutong.server.api.money import fill_lot

LOT = {"starts": "2026-01-01T00:00:00Z", "ends": "2031-01-01T00:00:00Z"}
AWARDS = "/v1/projects/physics/awards"
QUOTA = "/v1/quotas/project/physics"


def award(yuan: str) -> dict[str, Any]:
    return {**LOT, "amount": {"amount": yuan}}


@pytest.fixture
def second(platform: Any, li: dict[str, str]) -> dict[str, str]:
    """Return the headers of Fang of finance; awards above 1,000 and quotas above 8 cards take two people."""
    for change, limit in (("award", {"amount": {"amount": "1000"}}), ("quota", {"cards": 8})):
        path = f"/v1/approvals/thresholds/{change}"
        assert platform.http.put(path, json=limit, headers=platform.operator).status_code == 200
    fang: dict[str, str] = platform.person("fang")
    grant = {"person": "fang", "role": "finance", "scope": "platform", "reason": "keeps the purse"}
    platform.post("/v1/access/grants", grant)
    return fang


def ask(platform: Any, yuan: str = "1000.01", **headers: str) -> str:
    answer = platform.http.post(AWARDS, json=award(yuan), headers={**platform.operator, **headers})
    assert (answer.status_code, answer.json()["code"]) == (202, "second_person"), answer.text
    return str(answer.json()["problems"][0]["message"].removeprefix("proposal "))


def decide(platform: Any, who: dict[str, str], proposal: str, verb: str = "approve", **body: str) -> Any:
    return platform.http.post(f"/v1/approvals/{proposal}/{verb}", json=body, headers=who)


def available(platform: Any) -> str:
    found = platform.http.get("/v1/projects/physics/balance", headers=platform.operator).json()
    return str(found["available"]["amount"])


def marks(platform: Any) -> list[tuple[str, str, str]]:
    told = platform.services.store.audit(AuditQuery(newest_first=True, limit=4))
    return [(each.action, each.actor, each.mark) for each in reversed(told)]


def test_up_to_the_threshold_one_person_suffices(platform: Any, second: dict[str, str]) -> None:
    platform.post(AWARDS, award("1000"))
    assert available(platform) == "1000.000000"


def test_like_changes_of_a_day_count_together(platform: Any, second: dict[str, str]) -> None:
    key = {"Idempotency-Key": "first"}
    for _ in range(3):  # a repeat is no other change
        platform.http.post(AWARDS, json=award("600"), headers={**platform.operator, **key})
    platform.post(AWARDS, award("400"))
    assert available(platform) == "1000.000000"
    proposal = ask(platform, "0.01", **{"Idempotency-Key": "second"})
    assert platform.http.post(AWARDS, json=award("1000"), headers=second).status_code == 201  # somebody else
    assert decide(platform, second, proposal).json()["state"] == "done"
    waits = ask(platform, "0.01", **{"Idempotency-Key": "third"})
    platform.clock.ahead_ms += 24 * HOUR_MS
    assert ask(platform, "0.01", **{"Idempotency-Key": "third"}) == waits  # decided where it was proposed
    platform.post(AWARDS, award("1000"))  # the day is over
    assert available(platform) == "3000.010000"


def test_above_it_somebody_else_approves_and_it_is_done_once(platform: Any, second: dict[str, str]) -> None:
    proposal = ask(platform, **{"Idempotency-Key": "k"})
    assert ask(platform, **{"Idempotency-Key": "k"}) == proposal
    assert available(platform) == "0.000000"
    own = decide(platform, platform.operator, proposal)
    assert (own.status_code, own.json()["code"]) == (403, "own_proposal")
    seen = platform.http.get("/v1/approvals", headers=second).json()["items"]
    assert [(each["id"], each["by"], each["state"]) for each in seen] == [(proposal, "admin", "open")]
    done = decide(platform, second, proposal, note="for the telescope")
    assert (done.json()["state"], done.json()["decided_by"]) == ("done", "fang")
    assert available(platform) == "1000.010000"
    assert marks(platform)[1:] == [
        ("proposal.change", "fang", f"approved {proposal}"),
        ("award.create", "fang", f"approved {proposal}"),
        ("proposal.change", "fang", f"approved {proposal}"),
    ]
    assert decide(platform, second, proposal).status_code == 409
    headers = {**platform.operator, "Idempotency-Key": "k"}
    again = platform.http.post(AWARDS, json=award("1000.01"), headers=headers)
    assert (again.status_code, again.json()["available"]["amount"]) == (201, "1000.010000")
    assert platform.http.post(AWARDS, json=award("5000"), headers=headers).status_code == 409
    assert available(platform) == "1000.010000"


def test_who_may_not_make_the_change_may_not_approve_it(platform: Any, second: dict[str, str]) -> None:
    proposal = ask(platform)
    wang = platform.person("wang")
    assert decide(platform, wang, proposal).status_code == 404
    grant = {"person": "wang", "role": "auditor", "scope": "platform", "reason": "only looks"}
    platform.post("/v1/access/grants", grant)
    assert decide(platform, wang, proposal).status_code == 403
    assert decide(platform, wang, proposal, "refuse").status_code == 403
    assert platform.http.get(f"/v1/approvals/{proposal}", headers=wang).json()["state"] == "open"


def test_a_refused_or_withdrawn_proposal_is_over(platform: Any, second: dict[str, str]) -> None:
    refused, withdrawn = ask(platform), ask(platform, "2000")
    assert decide(platform, second, refused, "refuse", note="no").json()["state"] == "refused"
    assert decide(platform, platform.operator, withdrawn, "refuse").json()["state"] == "refused"
    for proposal in (refused, withdrawn):
        assert decide(platform, second, proposal).status_code == 409
    assert available(platform) == "0.000000"
    closed = platform.http.get("/v1/approvals?state=closed", headers=second).json()["items"]
    assert {each["id"] for each in closed} == {refused, withdrawn}
    assert platform.http.get("/v1/approvals", headers=second).json()["items"] == []


def test_a_proposal_expires(platform: Any, second: dict[str, str]) -> None:
    limit = {"amount": {"amount": "1000"}, "hours": 1}
    platform.http.put("/v1/approvals/thresholds/award", json=limit, headers=platform.operator)
    proposal = ask(platform)
    platform.clock.ahead_ms = HOUR_MS + 1_000
    answer = decide(platform, second, proposal)
    assert (answer.status_code, answer.json()["code"]) == (409, "decided")
    shown = platform.http.get(f"/v1/approvals/{proposal}", headers=second).json()
    assert shown["state"] == "expired"
    ask(platform)
    closed = platform.http.get("/v1/approvals?state=closed", headers=second).json()["items"]
    assert [each["state"] for each in closed] == ["expired"]


def test_an_approval_cut_off_in_the_middle_is_finished_by_a_repeat(
    platform: Any, second: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = ask(platform)
    fill = api.CHANGES

    def die_after(here: Any, request: Any, name: str) -> None:
        fill_lot(here, request, name)
        raise KeyError("as if killed")

    monkeypatch.setattr(api, "CHANGES", {**fill, Change.AWARD: die_after})
    assert decide(platform, second, proposal).status_code == 500
    monkeypatch.setattr(api, "CHANGES", fill)
    shown = platform.http.get(f"/v1/approvals/{proposal}", headers=second).json()
    assert shown["state"] == "approved"
    assert decide(platform, platform.operator, proposal).status_code == 403
    assert decide(platform, second, proposal).json()["state"] == "done"
    assert available(platform) == "1000.010000"


def test_whoever_breaks_the_glass_goes_on_alone_and_is_marked(platform: Any, second: dict[str, str]) -> None:
    proposal = ask(platform)
    assert decide(platform, second, proposal, "break-glass", reason="I am not allowed").status_code == 403
    platform.post("/v1/access/roles", {"name": "hammer", "permissions": ["proposal.break"]})
    wu = platform.person("wu")
    grant = {"person": "wu", "role": "hammer", "scope": "platform", "reason": "no award.write with it"}
    platform.post("/v1/access/grants", grant)
    assert decide(platform, wu, proposal, "break-glass", reason="I hold the hammer").status_code == 403
    assert decide(platform, platform.operator, proposal, "break-glass", reason="short").status_code == 422
    reason = "the bank closes in ten minutes"
    done = decide(platform, platform.operator, proposal, "break-glass", reason=reason)
    assert (done.json()["state"], done.json()["broke_glass"], done.json()["note"]) == ("done", True, reason)
    assert {mark for _, _, mark in marks(platform)[1:]} == {f"break-glass {proposal}"}
    assert available(platform) == "1000.010000"


def test_a_quota_is_set_by_two_unless_it_was_changed_meanwhile(platform: Any, second: dict[str, str]) -> None:
    grant = {"person": "fang", "role": "programme-officer", "scope": "platform", "reason": "quotas too"}
    platform.post("/v1/access/grants", grant)

    def put(cards: int) -> Any:
        body = {"allotments": [{"accelerator": "H100", "nominal": cards}]}
        return platform.http.put(QUOTA, json=body, headers=platform.operator)

    assert put(8).status_code == 200
    answer = put(64)
    assert answer.status_code == 202
    first = answer.json()["problems"][0]["message"].removeprefix("proposal ")
    assert put(64).json()["problems"][0]["message"] == f"proposal {first}"
    assert put(7).status_code == 200
    assert decide(platform, second, first).status_code == 409
    shown = platform.http.get(f"/v1/approvals/{first}", headers=second).json()
    assert shown["state"] == "failed"
    later = put(64).json()["problems"][0]["message"].removeprefix("proposal ")
    assert decide(platform, second, later).json()["state"] == "done"
    now = platform.http.get(QUOTA, headers=platform.operator).json()
    assert now["allotments"][0]["nominal"] == 64
    assert put(64).status_code == 200


def test_to_loosen_a_threshold_takes_two_and_to_tighten_it_one(platform: Any, second: dict[str, str]) -> None:
    path = "/v1/approvals/thresholds/award"

    def put(body: Any) -> Any:
        return platform.http.put(path, json=body, headers=platform.operator)

    assert put({"amount": {"amount": "500"}}).status_code == 200
    for looser in ({"amount": {"amount": "501"}}, {}, {"amount": {"amount": "1"}, "hours": 500}):
        assert put(looser).status_code == 202, looser
    shown = platform.http.get("/v1/approvals/thresholds", headers=second).json()["items"]
    assert [each["amount"] for each in shown if each["change"] == "award"] == [
        {"amount": "500.000000", "currency": "CNY"}
    ]
    wrong = put({"cards": 5})
    assert (wrong.status_code, wrong.json()["problems"][0]["path"]) == (422, "/cards")
    grant = {"person": "wu", "role": "operator", "scope": "platform", "reason": "the other operator"}
    wu = platform.person("wu")
    platform.post("/v1/access/grants", grant)
    for turn in range(2):  # what was approved once is not approved for ever
        proposal = put({}).json()["problems"][0]["message"].removeprefix("proposal ")
        assert decide(platform, wu, proposal).json()["state"] == "done", turn
        assert put({"amount": {"amount": "500"}}).status_code == 200
    assert put({}).status_code == 202
