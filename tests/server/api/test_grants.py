"""Access is data: what a grant allows, where and until when, and who may give it."""

from typing import Any

import pytest

from hutong.core.accounts.roles import GRANTABLE, PERMISSIONS
from hutong.core.kernel.quantities import HOUR_MS
from hutong.wire.base import rfc3339

REASON = "a test of access"


def give(platform: Any, person: str, role: str, scope: str, headers: Any = None, **more: Any) -> Any:
    body = {"person": person, "role": role, "scope": scope, "reason": REASON, **more}
    return platform.http.post("/v1/access/grants", json=body, headers=headers or platform.operator)


def test_an_auditor_reads_everything_and_changes_nothing(platform: Any, li: dict[str, str]) -> None:
    mei = platform.person("mei")
    assert platform.http.get("/v1/projects", headers=mei).status_code == 403
    assert give(platform, "mei", "auditor", "platform").status_code == 201
    assert [each["id"] for each in platform.http.get("/v1/projects", headers=mei).json()["items"]] == [
        "physics"
    ]
    assert platform.http.get("/v1/people", headers=mei).status_code == 200
    assert platform.http.get("/v1/projects/physics/balance", headers=mei).status_code == 200
    tenant = {"id": "x", "kind": "sme", "name_zh": "x", "name_en": "x"}
    assert platform.http.post("/v1/institutions", json=tenant, headers=mei).status_code == 403
    assert platform.http.delete("/v1/projects/physics/members/li", headers=mei).status_code == 403


def test_a_grant_begins_and_ends_by_itself(platform: Any, li: dict[str, str]) -> None:
    mei = platform.person("mei")
    now_ms = platform.clock()
    span = {"starts": rfc3339(now_ms + HOUR_MS), "ends": rfc3339(now_ms + 2 * HOUR_MS)}
    grant = give(platform, "mei", "member", "project/physics", headers=li, **span).json()
    assert grant["state"] == "coming"

    def status() -> int:
        return int(platform.http.get("/v1/projects/physics", headers=mei).status_code)

    assert status() == 404
    platform.clock.ahead_ms = HOUR_MS + 6_000
    assert status() == 200
    # A token is remembered for five seconds; no longer.
    platform.clock.ahead_ms = 2 * HOUR_MS - 1_000
    assert status() == 200
    platform.clock.ahead_ms = 2 * HOUR_MS + 5_000
    assert status() == 404


def test_an_institution_s_administrator_manages_it_and_nothing_elsewhere(
    platform: Any, li: dict[str, str]
) -> None:
    tenant = {"id": "cau", "kind": "university", "name_zh": "农大", "name_en": "CAU"}
    platform.post("/v1/institutions", tenant)
    mei = platform.person("mei")
    assert give(platform, "mei", "institution-admin", "institution/cau").status_code == 201
    http = platform.http
    new = {"id": "hua", "name": "Hua", "institution": "cau", "password": "long enough 1"}
    assert http.post("/v1/people", json=new, headers=mei).status_code == 201
    project = {"id": "soil", "institution": "cau", "title": "Soil", "owner": "hua"}
    assert http.post("/v1/projects", json=project, headers=mei).status_code == 201
    assert [each["id"] for each in http.get("/v1/people", headers=mei).json()["items"]] == ["hua"]
    assert [each["id"] for each in http.get("/v1/projects", headers=mei).json()["items"]] == ["soil"]
    assert [each["id"] for each in http.get("/v1/institutions", headers=mei).json()["items"]] == ["cau"]
    assert http.get("/v1/projects/soil/balance", headers=mei).status_code == 200
    assert http.get("/v1/jobs", headers=mei).json()["items"] == []

    elsewhere = {**new, "id": "bo", "institution": "tsinghua"}
    assert http.post("/v1/people", json=elsewhere, headers=mei).status_code == 403
    away = {**project, "id": "p", "institution": "tsinghua"}
    assert http.post("/v1/projects", json=away, headers=mei).status_code == 403
    assert http.get("/v1/projects/physics", headers=mei).status_code == 404
    assert http.get("/v1/institutions/tsinghua", headers=mei).status_code == 404
    assert http.put("/v1/quotas/institution/cau", json={}, headers=mei).status_code == 403
    assert http.post("/v1/people", json={**new, "id": "op", "operator": True}, headers=mei).status_code == 403
    assert http.get("/v1/access/review", headers=mei).status_code == 403
    mine = http.get("/v1/access/review?institution=cau", headers=mei).json()["items"]
    assert [(each["person"], each["role"], each["scope"]) for each in mine] == [
        ("hua", "owner", "project/soil")
    ]


def test_nobody_gives_what_they_do_not_hold(platform: Any, li: dict[str, str]) -> None:
    mei = platform.person("mei")
    give(platform, "mei", "institution-admin", "institution/tsinghua")
    assert give(platform, "li", "institution-admin", "institution/tsinghua", headers=mei).status_code == 201
    for role, scope in (
        ("auditor", "institution/tsinghua"),  # reads the ledger and the audit, which mei does not
        ("institution-admin", "platform"),
        ("member", "project/physics"),
    ):
        answer = give(platform, "mei", role, scope, headers=mei)
        assert answer.status_code == 403, (role, scope, answer.text)
    assert give(platform, "mei", "owner", "project/physics").json()["code"] == "not_yours_to_give"
    assert give(platform, "wu", "member", "project/physics", headers=li).status_code == 422
    assert give(platform, "mei", "site", "platform").status_code == 422


def test_a_grant_is_taken_by_who_could_give_it_or_laid_down(platform: Any, li: dict[str, str]) -> None:
    mei = platform.person("mei")
    give(platform, "mei", "institution-admin", "institution/tsinghua")
    auditor = give(platform, "li", "auditor", "institution/tsinghua").json()["id"]
    http = platform.http
    assert http.delete(f"/v1/access/grants/{auditor}", headers=mei).status_code == 403
    wang = platform.person("wang")
    assert http.delete(f"/v1/access/grants/{auditor}", headers=wang).status_code == 404
    assert http.delete(f"/v1/access/grants/{auditor}", headers=li).status_code == 204
    assert http.delete(f"/v1/access/grants/{auditor}", headers=platform.operator).status_code == 404


def test_a_role_that_operators_define_allows_what_it_says_and_never_changes(
    platform: Any, li: dict[str, str]
) -> None:
    role = {"name": "bookkeeper", "permissions": ["bill.read", "project.read"]}
    assert platform.post("/v1/access/roles", role)["shipped"] is False
    platform.post("/v1/access/roles", role)
    more = {**role, "permissions": ["bill.read", "job.submit"]}
    http = platform.http
    assert http.post("/v1/access/roles", json=more, headers=platform.operator).status_code == 409
    wrong = {"name": "x", "permissions": ["job.destroy", "agent.call"]}
    answer = http.post("/v1/access/roles", json=wrong, headers=platform.operator)
    assert [each["path"] for each in answer.json()["problems"]] == ["/permissions/0", "/permissions/1"]
    mei = platform.person("mei")
    give(platform, "mei", "bookkeeper", "project/physics")
    assert http.get("/v1/projects/physics/bill", headers=mei).status_code == 200
    assert http.get("/v1/jobs?project=physics", headers=mei).status_code == 403


def test_a_repeat_with_the_same_key_gives_the_same_grant(platform: Any, li: dict[str, str]) -> None:
    headers = {**platform.operator, "Idempotency-Key": "once"}
    first = give(platform, "li", "support", "platform", headers=headers)
    assert first.json() == give(platform, "li", "support", "platform", headers=headers).json()
    assert give(platform, "li", "auditor", "platform", headers=headers).status_code == 409
    listed = platform.http.get("/v1/access/grants?person=li", headers=li).json()["items"]
    assert [each["role"] for each in listed] == ["support"]


@pytest.mark.parametrize("scope", ["project/physics", "platform", "institution/tsinghua"])
def test_grants_are_listed_to_who_may_read_them(platform: Any, li: dict[str, str], scope: str) -> None:
    give(platform, "li", "support", scope)
    path = f"/v1/access/grants?scope={scope}"
    found = platform.http.get(path, headers=platform.operator).json()["items"]
    assert [(each["person"], each["scope"]) for each in found] == [("li", scope)]
    assert platform.http.get(path, headers=platform.person("wang")).status_code == 404


def test_who_may_only_change_members_makes_nobody_more_than_they_are(
    platform: Any, li: dict[str, str]
) -> None:
    platform.post("/v1/access/roles", {"name": "doorman", "permissions": ["member.write", "project.read"]})
    mei = platform.person("mei")
    assert give(platform, "mei", "doorman", "platform").status_code == 403, "operators lack member.write"
    assert give(platform, "mei", "doorman", "project/physics", headers=li).status_code == 201
    path = "/v1/projects/physics/members/mei"
    for role in ("owner", "member"):
        answer = platform.http.put(path, json={"person": "mei", "role": role}, headers=mei)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_yours_to_give")


def test_an_operator_s_mark_is_taken_by_another_operator_and_one_stays(
    platform: Any, li: dict[str, str]
) -> None:
    new = {"id": "op", "name": "Op", "institution": "tsinghua", "operator": True}
    platform.post("/v1/people", new)
    path = "/v1/access/grants/person.{}.operator"
    http = platform.http
    assert http.delete(path.format("op"), headers=li).status_code == 403
    assert http.delete(path.format("admin"), headers=platform.operator).status_code == 403
    review = http.get("/v1/access/review", headers=platform.operator).json()["items"]
    marks = [each["id"] for each in review if each["source"] == "person"]
    assert marks == ["person.admin.operator", "person.op.operator"]
    assert http.delete(path.format("op"), headers=platform.operator).status_code == 204
    assert http.delete(path.format("op"), headers=platform.operator).status_code == 404
    wide = give(platform, "li", "operator", "platform").status_code
    assert wide == 201
    assert http.delete(path.format("admin"), headers=li).status_code == 403


def test_every_role_that_comes_with_the_platform_is_listed(platform: Any) -> None:
    answer = platform.http.get("/v1/access/roles?limit=200", headers=platform.operator)
    assert answer.status_code == 200, answer.text
    shipped = {role["name"]: set(role["permissions"]) for role in answer.json()["items"] if role["shipped"]}
    assert shipped == {str(name): set(PERMISSIONS[name]) for name in GRANTABLE}
