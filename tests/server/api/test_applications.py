"""From a draft to an allocation that lives, changes and is cut: what each of the people in it sees."""

from typing import Any

import pytest
from tests.server.mortal import Town, ask_of, money

from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import DAY_MS
from hutong.wire.base import rfc3339

REASON = {"reason": "so it is"}


def ok(answer: Any) -> Any:
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def refused(answer: Any, status: int, code: str) -> Any:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


def handed_in(town: Town, amount: int = 50, project: str = "physics", who: str = "li") -> str:
    """Hand in an application; return its address."""
    name = ok(town.draft(who, project, "spring", amount))["id"]
    ok(town.ask(who, "POST", f"/v1/applications/{name}/submit"))
    return f"/v1/applications/{name}"


def reviewed(town: Town, place: str, *scores: int) -> None:
    for reviewer, score in zip(("zhao", "qian"), scores, strict=False):
        ok(town.ask("chen", "PUT", f"{place}/reviewers/{reviewer}"))
        body = {"score": score, "public": "sound", "private": "not that new"}
        ok(town.ask(reviewer, "PUT", f"{place}/review", body))


def decided(town: Town, place: str, outcome: str, who: str = "chen", **more: Any) -> Any:
    return town.ask(who, "PUT", f"{place}/decision", {"outcome": outcome, **REASON, **more})


def allocation(town: Town, amount: int = 50) -> str:
    """Return the address of an allocation of physics."""
    place = handed_in(town, amount)
    reviewed(town, place, 80, 70)
    ok(decided(town, place, "accepted"))
    return place.replace("applications", "allocations")


def test_the_way_from_a_draft_to_money(town: Town) -> None:
    town.call("spring", 100)
    place = handed_in(town)
    refused(decided(town, place, "accepted"), 409, "too_few_reviews")
    reviewed(town, place, 80, 70)
    mine = ok(town.ask("li", "GET", place))
    assert (mine["state"], mine["reviews"], mine["reviewers"]) == ("in_review", [], [])
    assert "zhao" not in str(mine), "who reviews is not told to the applicant"
    assert mine["due"] > mine["submitted"]
    assert ok(town.ask("qian", "GET", "/v1/reviews"))["items"][0]["reviews"][0]["reviewer"] == "qian"
    done = ok(decided(town, place, "accepted"))
    assert (done["state"], done["outcome"]) == ("awarded", "accepted")
    assert ok(decided(town, place, "accepted")) == done, "a repeat changes nothing"
    mine = ok(town.ask("li", "GET", place))
    assert [(each["score"], each["reviewer"], each["private"]) for each in mine["reviews"]] == [
        (80, "", ""), (70, "", ""),
    ]  # fmt: skip
    assert "zhao" not in str(mine)
    balance = ok(town.ask("li", "GET", "/v1/projects/physics/balance"))
    assert (balance["available"]["amount"], balance["settled"]["amount"]) == ("50.000000", "0.000000")
    (there,) = ok(town.ask("li", "GET", "/v1/projects/physics/allocations"))["items"]
    assert (there["phase"], there["free"]["amount"]) == ("active", "50.000000")
    assert ok(town.ask("chen", "GET", "/v1/calls/spring"))["left"]["amount"] == "50.000000"
    refused(town.ask("li", "POST", f"{place}/withdraw", REASON), 409, "wrong_state")


def test_a_stranger_does_not_learn_that_an_application_exists(town: Town) -> None:
    town.call("spring", 100)
    draft = ok(town.draft("li", "physics", "spring", 50))["id"]
    for who in ("wang", "zhao", "chen"):
        refused(town.ask(who, "GET", f"/v1/applications/{draft}"), 404, "not_found")
        refused(town.ask(who, "POST", f"/v1/applications/{draft}/submit"), 404, "not_found")
    ok(town.ask("li", "POST", f"/v1/applications/{draft}/submit"))
    refused(town.ask("wang", "GET", f"/v1/applications/{draft}"), 404, "not_found")
    refused(town.ask("chen", "PUT", f"/v1/applications/{draft}", ask_of(5)), 403, "forbidden")
    refused(decided(town, f"/v1/applications/{draft}", "rejected", "wang"), 403, "forbidden")


def test_who_has_an_interest_neither_reviews_nor_decides(town: Town) -> None:
    town.call("spring", 100, reviewers_min=0)
    place = handed_in(town)
    town.person("feng", "thu", operator=True)
    conflict = "conflict_of_interest"
    assert "member" in refused(town.ask("chen", "PUT", f"{place}/reviewers/li"), 403, conflict)["detail"]
    assert (
        "institution" in refused(town.ask("chen", "PUT", f"{place}/reviewers/feng"), 403, conflict)["detail"]
    )
    refused(decided(town, place, "accepted", "feng"), 403, conflict)
    ok(town.ask("chen", "PUT", f"{place}/reviewers/qian"))
    ok(town.ask("chen", "PUT", "/v1/institutions/thu/related/pku", REASON))
    why = refused(town.ask("qian", "PUT", f"{place}/review", {"score": 99, "public": "x"}), 403, conflict)
    assert "related party" in why["detail"]
    ok(town.ask("chen", "PUT", f"{place}/reviewers/zhao"))
    ok(town.ask("zhao", "POST", f"{place}/conflict", {"reason": "we publish together"}))
    refused(town.ask("zhao", "GET", place), 404, "not_found")
    why = refused(town.ask("chen", "PUT", f"{place}/reviewers/zhao"), 403, conflict)
    assert "publish together" in why["detail"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"amount": money(101)}, "/amount"),
        ({"amount": money(0)}, "/amount"),
        ({"narrative": "short"}, "/narrative"),
        ({"plan": [50, 40]}, "/plan"),
    ],
)
def test_what_is_not_eligible_stays_a_draft_and_is_told_why(
    town: Town, change: dict[str, Any], path: str
) -> None:
    town.call("spring", 100)
    body = {"call": "spring", **ask_of(50), **change}
    name = ok(town.ask("li", "POST", "/v1/projects/physics/applications", body))["id"]
    place = f"/v1/applications/{name}"
    found = refused(town.ask("li", "POST", f"{place}/submit"), 422, "not_eligible")
    assert [each["path"] for each in found["problems"]] == [path]
    ok(town.ask("li", "PUT", place, ask_of(50)))
    assert ok(town.ask("li", "POST", f"{place}/submit"))["state"] == "in_review"


def test_kinds_and_dates_of_a_call_hold(town: Town) -> None:
    town.call("spring", 100, kinds=["sme"])
    name = ok(town.draft("li", "physics", "spring", 50))["id"]
    found = refused(town.ask("li", "POST", f"/v1/applications/{name}/submit"), 422, "not_eligible")
    assert "sme" in found["problems"][0]["hint"]
    ok(town.ask("chen", "POST", "/v1/institutions/thu/kinds", {"kind": "sme"}))
    town.clock.ahead_ms += 1
    ok(town.ask("li", "POST", f"/v1/applications/{name}/submit"))


def test_small_requests_are_accepted_at_once_and_only_while_there_is_money(town: Town) -> None:
    town.call("spring", 25, accept_at_once=money(20))
    assert ok(town.ask("li", "GET", handed_in(town, 20)))["state"] == "awarded"
    assert ok(town.ask("wang", "GET", handed_in(town, 20, "law", "wang")))["state"] == "in_review"


def test_verification_is_awaited_and_then_the_reviewers_get_it(town: Town) -> None:
    town.call("spring", 100, verified_only=True)
    place = handed_in(town)
    there = ok(town.ask("li", "GET", place))
    assert (there["state"], there["awaits"]) == ("submitted", "an operator verifies thu")
    ok(town.ask("chen", "PUT", "/v1/institutions/thu/verification", {"state": "verified", "note": "seen"}))
    assert ok(town.ask("chen", "POST", "/v1/calls/spring/settle"))["changed"] == 1
    assert ok(town.ask("li", "GET", place))["state"] == "in_review"


def test_the_clock_stands_still_for_a_revision(town: Town) -> None:
    town.call("spring", 100, decide_days=10)
    place = handed_in(town)
    due = ok(town.ask("li", "GET", place))["due"]
    ok(town.ask("chen", "POST", f"{place}/revision", REASON))
    town.clock.ahead_ms += 20 * DAY_MS
    ok(town.ask("li", "PUT", place, ask_of(40)))
    there = ok(town.ask("li", "POST", f"{place}/submit"))
    assert there["state"] == "in_review"
    assert not there["overdue"]
    assert there["due"] > due
    town.clock.ahead_ms += 11 * DAY_MS
    assert ok(town.ask("chen", "GET", "/v1/calls/spring/applications"))["items"][0]["overdue"]


def test_a_rejection_is_appealed_once_in_time_and_another_officer_answers(town: Town) -> None:
    town.call("spring", 100)
    place = handed_in(town)
    ok(decided(town, place, "rejected"))
    ok(town.ask("li", "POST", f"{place}/appeal", REASON))
    answer = {"granted": True, **REASON}
    refused(town.ask("chen", "POST", f"{place}/appeal/answer", answer), 403, "self_approval")
    assert ok(town.ask("zhou", "POST", f"{place}/appeal/answer", answer))["state"] == "in_review"
    ok(decided(town, place, "rejected"))
    refused(town.ask("li", "POST", f"{place}/appeal", REASON), 409, "appealed")
    other = handed_in(town, 10, "law", "wang")
    ok(decided(town, other, "rejected"))
    town.clock.ahead_ms += 15 * DAY_MS
    refused(town.ask("wang", "POST", f"{other}/appeal", REASON), 409, "too_late")


def test_the_waiting_list_is_served_in_order_when_money_comes_back(town: Town) -> None:
    town.call("spring", 100)
    first, second, third = (
        handed_in(town, 80), handed_in(town, 40, "law", "wang"), handed_in(town, 15, "maths")
    )  # fmt: skip
    for place in (first, second, third):
        for reviewer in ("zhao", "sun"):
            ok(town.ask("chen", "PUT", f"{place}/reviewers/{reviewer}"))
            ok(town.ask(reviewer, "PUT", f"{place}/review", {"score": 80, "public": "x"}))
    ok(decided(town, first, "accepted"))
    refused(decided(town, second, "accepted"), 409, "over_budget")
    assert ok(decided(town, second, "waitlisted"))["place"] == 1
    refused(decided(town, third, "accepted"), 409, "others_wait")
    assert ok(decided(town, third, "waitlisted"))["place"] == 2
    change = first.replace("applications", "allocations") + "/changes"
    ok(town.ask("zhou", "POST", change, {"kind": "reduce", "amount": money(10), **REASON}))
    ok(town.ask("chen", "POST", "/v1/calls/spring/settle"))
    assert ok(town.ask("li", "GET", third))["state"] == "decided", "it does not overtake"
    ok(town.ask("zhou", "POST", change, {"kind": "reduce", "amount": money(25), **REASON}))
    ok(town.ask("chen", "POST", "/v1/calls/spring/settle"))
    assert [ok(town.ask(who, "GET", place))["state"] for who, place in (("wang", second), ("li", third))] == [
        "awarded", "awarded",
    ]  # fmt: skip
    assert ok(town.ask("li", "GET", "/v1/calls/spring"))["left"]["amount"] == "0.000000"


def test_a_suspended_allocation_pays_for_nothing_new_until_it_is_resumed(town: Town) -> None:
    town.call("spring", 100)
    place = allocation(town)
    refused(town.ask("li", "POST", f"{place}/changes", {"kind": "suspend", **REASON}), 403, "forbidden")
    there = ok(town.ask("chen", "POST", f"{place}/changes", {"kind": "suspend", **REASON}))
    assert there["phase"] == "suspended"
    balance = ok(town.ask("li", "GET", "/v1/projects/physics/balance"))
    assert (balance["available"]["amount"], balance["settled"]["amount"]) == ("0.000000", "0.000000")
    there = ok(town.ask("zhou", "POST", f"{place}/changes", {"kind": "resume", **REASON}))
    assert there["phase"] == "active"
    balance = ok(town.ask("li", "GET", "/v1/projects/physics/balance"))
    assert balance["available"]["amount"] == "50.000000"


def test_changes_that_give_are_decided_by_somebody_else_and_within_the_round(town: Town) -> None:
    town.call("spring", 100)
    place = allocation(town)
    for n, amount in ((1, 60), (2, 30)):
        body = {"kind": "supplement", "amount": money(amount), **REASON}
        assert ok(town.ask("li", "POST", f"{place}/changes", body))["changes"][n - 1]["state"] == "asked"
    yes = {"granted": True, **REASON}
    refused(town.ask("chen", "PUT", f"{place}/changes/1", yes), 409, "over_budget")
    there = ok(town.ask("chen", "PUT", f"{place}/changes/2", yes))
    assert (there["granted"]["amount"], there["changes"][1]["state"]) == ("80.000000", "done")
    assert ok(town.ask("chen", "PUT", f"{place}/changes/2", yes)) == there, "a repeat changes nothing"
    body = {"kind": "extend", "ends": rfc3339(town.clock() + 500 * DAY_MS), **REASON}
    ok(town.ask("chen", "POST", f"{place}/changes", body))
    refused(town.ask("chen", "PUT", f"{place}/changes/3", yes), 403, "conflict_of_interest")
    assert ok(town.ask("zhou", "PUT", f"{place}/changes/3", yes))["ends"] == body["ends"]
    body = {"kind": "transfer", "amount": money(20), "to_project": "maths", **REASON}
    ok(town.ask("li", "POST", f"{place}/changes", body))
    ok(town.ask("zhou", "PUT", f"{place}/changes/4", yes))
    (there,) = ok(town.ask("li", "GET", "/v1/projects/maths/allocations"))["items"]
    assert there["free"]["amount"] == "20.000000"
    for project in ("physics", "maths"):
        balance = ok(town.ask("li", "GET", f"/v1/projects/{project}/balance"))
        assert balance["settled"]["amount"] == "0.000000"
    body["to_project"] = "law"
    refused(town.ask("li", "POST", f"{place}/changes", body), 422, "unknown_reference")


def test_use_that_lags_behind_is_cut_after_the_time_for_an_appeal(town: Town) -> None:
    town.call("spring", 100)
    place = allocation(town)
    review = "/v1/allocations/review"
    assert ok(town.ask("chen", "POST", review))["changed"] == 0
    town.clock.ahead_ms += 101 * DAY_MS
    assert ok(town.ask("chen", "POST", review))["changed"] == 1
    assert ok(town.ask("chen", "POST", review))["changed"] == 0
    there = ok(town.ask("li", "GET", place))
    (cut,) = there["cuts"]
    assert (cut["planned"]["amount"], cut["amount"]["amount"], cut["state"]) == (
        "12.500000", "10.000000", "proposed",
    )  # fmt: skip
    assert "unless you appeal" in there["notices"][0]["text"]
    ok(town.ask("li", "POST", f"{place}/cuts/1/appeal", REASON))
    town.clock.ahead_ms += 20 * DAY_MS
    assert ok(town.ask("chen", "POST", review))["changed"] == 0, "an appeal is open"
    there = ok(town.ask("zhou", "PUT", f"{place}/cuts/1", {"granted": False, **REASON}))
    assert (there["cuts"][0]["state"], there["granted"]["amount"]) == ("taken", "40.000000")
    assert ok(town.ask("li", "GET", "/v1/calls/spring"))["left"]["amount"] == "60.000000"
    town.clock.ahead_ms += 400 * DAY_MS
    ok(town.ask("chen", "POST", review))
    there = ok(town.ask("li", "GET", place))
    assert (there["phase"], there["granted"]["amount"]) == ("closed", "0.000000")
    assert ok(town.ask("chen", "GET", "/v1/ledger/check"))["ok"]


def test_a_repeat_with_the_same_key_is_the_same_draft(town: Town) -> None:
    town.call("spring", 100)
    headers = {**town.headers["li"], "Idempotency-Key": "one"}
    body = {"call": "spring", **ask_of(50)}
    place = "/v1/projects/physics/applications"
    first = ok(town.http.post(place, json=body, headers=headers))
    assert ok(town.http.post(place, json=body, headers=headers)) == first
    refused(
        town.http.post(place, json={**body, "title": "other"}, headers=headers), 409, "idempotency_conflict"
    )
    assert len(ok(town.ask("li", "GET", place))["items"]) == 1


def test_identifiers_are_checked_kept_and_unique(town: Town) -> None:
    place = "/v1/institutions/thu"
    wrong = {"uscc": "91110000600037341M", "ror": "03cve4548"}
    found = refused(town.ask("chen", "PUT", f"{place}/identifiers", wrong), 422, "bad_identifier")
    assert [each["path"] for each in found["problems"]] == ["/uscc", "/ror"]
    right = {"uscc": "91110000600037341L", "ror": "https://ror.org/03cve4549"}
    there = ok(town.ask("chen", "PUT", f"{place}/identifiers", right))
    assert there["identifiers"] == {"uscc": "91110000600037341L", "ror": "03cve4549"}
    ok(town.ask("chen", "POST", f"{place}/kinds", {"kind": "research"}))
    again = town.ask("chen", "PUT", "/v1/institutions/pku/identifiers", right)
    refused(again, 409, "exists")
    there = ok(town.ask("chen", "GET", f"{place}/history"))
    assert [each["kind"] for each in there["kinds"]] == ["university", "research"]
    assert there["kinds"][0]["end"] == there["kinds"][1]["start"]
    assert ok(town.ask("chen", "GET", place))["kind"] == "research"
    ok(town.ask("chen", "PUT", f"{place}/related/pku", REASON))
    (seen,) = ok(town.ask("chen", "GET", "/v1/institutions/pku/related"))["items"]
    assert (seen["institution"], seen["other"]) == ("pku", "thu")


@pytest.mark.parametrize("then", ["nothing", "withdraw", "revision", "reject"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_decision_that_dies_at_any_write_is_finished_or_its_money_is_free(
    town: Town, after: bool, then: str
) -> None:
    for write in range(7):
        name = f"call-{write}"
        town.call(name, 100)
        draft = ok(town.draft("li", "physics", name, 50))["id"]
        place = f"/v1/applications/{draft}"
        ok(town.ask("li", "POST", f"{place}/submit"))
        reviewed(town, place, 80, 70)
        town.mortal.left, town.mortal.after = write, after
        decided(town, place, "accepted")
        died, town.mortal.left = town.mortal.left < 0, -1
        assert died == (write < 5), "a decision is five writes"
        if then == "withdraw":
            town.ask("li", "POST", f"{place}/withdraw", REASON)
        elif then == "revision":
            town.ask("zhou", "POST", f"{place}/revision", REASON)
        elif then == "reject":
            decided(town, place, "rejected", "zhou")
        ok(town.ask("chen", "POST", f"/v1/calls/{name}/settle"))
        awarded = ok(town.ask("li", "GET", place))["state"] == "awarded"
        assert awarded or then in {"withdraw", "revision"} or (write, after) == (0, False)
        left = ok(town.ask("li", "GET", f"/v1/calls/{name}"))["left"]["amount"]
        assert left == ("50.000000" if awarded else "100.000000")
        lots = [each.id for each in town.services.store.lots(ProjectId("physics"))]
        assert (f"award-{draft}" in lots) == awarded
    assert ok(town.ask("chen", "GET", "/v1/ledger/check"))["ok"]
