"""Tokens that may do less, programs that belong to projects, and when each was last seen."""

from typing import Any

import pytest

DAY_MS = 86_400_000


def bearer(answer: Any) -> dict[str, str]:
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['secret']}"}


@pytest.fixture
def ci(platform: Any, li: dict[str, str]) -> str:
    """The path of a service account of project physics."""
    path = "/v1/projects/physics/service-accounts/ci"
    answer = platform.http.put(path, json={"title": "Nightly"}, headers=li)
    assert answer.status_code == 200, answer.text
    return path


def test_a_narrowed_token_does_what_it_is_for_and_makes_nothing_wider(
    platform: Any, li: dict[str, str], submit: Any
) -> None:
    http = platform.http
    job = submit()["id"]
    scopes = ["job.read", "key.write", "project.read"]
    mine = bearer(http.post("/v1/tokens", json={"name": "look", "scopes": scopes}, headers=li))
    assert http.get(f"/v1/jobs/{job}", headers=mine).status_code == 200
    assert http.post(f"/v1/jobs/{job}/cancel", json={"reason": "x"}, headers=mine).status_code == 403
    for wider in ({}, {"scopes": ["job.read", "job.cancel"]}):
        answer = http.post("/v1/tokens", json={"name": "more", **wider}, headers=mine)
        assert answer.status_code == 403, wider
        account = "/v1/projects/physics/service-accounts/ci"
        http.put(account, json={"title": "x"}, headers=li)
        assert http.post(f"{account}/tokens", json={"name": "more", **wider}, headers=mine).status_code == 403
    same = bearer(http.post("/v1/tokens", json={"name": "same", "scopes": ["job.read"]}, headers=mine))
    assert http.get(f"/v1/jobs/{job}", headers=same).status_code == 200
    token = http.get("/v1/tokens", headers=li).json()["items"][0]["id"]
    assert http.delete(f"/v1/tokens/{token}", headers=mine).status_code == 403
    assert http.get("/v1/devices/BCDF-GHJK", headers=mine).status_code == 403
    assert http.post("/v1/me/second-factor", headers=mine).status_code == 403


def test_a_scope_that_is_no_permission_is_named(platform: Any, li: dict[str, str], ci: str) -> None:
    for path, scope in (("/v1/tokens", "job.destroy"), (f"{ci}/tokens", "member.write")):
        body = {"name": "x", "scopes": ["job.read", scope]}
        answer = platform.http.post(path, json=body, headers=li)
        assert (answer.status_code, answer.json()["problems"][0]["path"]) == (422, "/scopes/1"), answer.text
    key = {"name": "x", "kind": "key", "project": "physics", "scopes": ["job.read"]}
    assert platform.http.post("/v1/tokens", json=key, headers=li).json()["code"] == "scopes_unused"


def test_a_service_account_works_in_its_project_alone_and_is_no_person(
    platform: Any, li: dict[str, str], wang: dict[str, str], ci: str
) -> None:
    http = platform.http
    machine = bearer(http.post(f"{ci}/tokens", json={"name": "nightly", "days": 30}, headers=li))
    job = {"name": "train", "resources": {"accelerators": "A100:1"}, "run": "echo hello"}
    made = http.post("/v1/jobs", json={"project": "physics", "spec": job}, headers=machine)
    assert made.status_code in {200, 201}, made.text
    assert http.get(f"/v1/jobs/{made.json()['id']}", headers=machine).status_code == 200
    assert [each["id"] for each in http.get("/v1/projects", headers=machine).json()["items"]] == ["physics"]
    assert http.post("/v1/jobs", json={"project": "biology", "spec": job}, headers=machine).status_code == 404
    assert http.get("/v1/me", headers=machine).status_code == 403
    assert http.post("/v1/tokens", json={"name": "x"}, headers=machine).status_code == 403
    assert http.put(ci, json={"title": "x"}, headers=machine).status_code == 403
    assert http.put(ci, json={"title": "x"}, headers=wang).status_code == 404
    narrow = {"name": "look", "scopes": ["job.read"]}
    looking = bearer(http.post(f"{ci}/tokens", json=narrow, headers=li))
    assert http.post("/v1/jobs", json={"project": "physics", "spec": job}, headers=looking).status_code == 403
    platform.clock.ahead_ms += 30 * DAY_MS
    assert http.get("/v1/projects", headers=machine).status_code == 401


def test_ending_a_service_account_ends_its_tokens_and_one_may_be_revoked_alone(
    platform: Any, li: dict[str, str], ci: str
) -> None:
    http = platform.http
    one, two = (http.post(f"{ci}/tokens", json={"name": name}, headers=li) for name in ("one", "two"))
    assert http.delete(f"/v1/tokens/{one.json()['id']}", headers=li).status_code == 204
    assert http.get("/v1/projects", headers=bearer(one)).status_code == 401
    assert http.get("/v1/projects", headers=bearer(two)).status_code == 200
    assert [each["name"] for each in http.get(f"{ci}/tokens", headers=li).json()["items"]] == ["two"]
    assert http.delete(ci, headers=li).status_code == 204
    assert http.get("/v1/projects", headers=bearer(two)).status_code == 401
    assert http.put(ci, json={"title": "again"}, headers=li).status_code == 200
    assert http.get(f"{ci}/tokens", headers=li).json()["items"] == []
    assert http.delete(ci, headers=li).status_code == 204
    assert http.delete(ci, headers=li).status_code == 404


def test_a_token_tells_when_it_was_last_used_to_ten_minutes(
    platform: Any, li: dict[str, str], ci: str
) -> None:
    made = platform.http.post(f"{ci}/tokens", json={"name": "nightly"}, headers=li)

    def last_used() -> Any:
        return platform.http.get(f"{ci}/tokens", headers=li).json()["items"][0]["last_used"]

    assert last_used() is None
    platform.http.get("/v1/projects", headers=bearer(made))
    seen = last_used()
    assert seen
    platform.services.principals.forget()
    platform.http.get("/v1/projects", headers=bearer(made))
    assert last_used() == seen  # not a write for each call
