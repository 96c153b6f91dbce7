"""Signing in, tokens, and what a stolen database would not give away."""

from typing import Any

from starlette.testclient import TestClient


def login(http: TestClient, person: str, password: str) -> Any:
    return http.post("/v1/login", json={"person": person, "password": password})


def test_sign_in_look_and_sign_out(platform: Any) -> None:
    made = platform.post("/v1/people", {"id": "mei", "name": "Mei", "institution": "tsinghua"})
    assert len(made["password"]) >= 20
    session = login(platform.http, "mei", made["password"]).json()
    headers = {"Authorization": f"Bearer {session['secret']}"}
    me = platform.http.get("/v1/me", headers=headers).json()
    assert me == {"id": "mei", "name": "Mei", "operator": False, "projects": [], "viewed_by": ""}
    assert platform.http.post("/v1/logout", headers=headers).status_code == 204
    assert platform.http.get("/v1/me", headers=headers).status_code == 401


def test_a_wrong_password_and_an_unknown_person_get_the_same_answer_and_ten_pause_the_name(
    platform: Any,
) -> None:
    body = {"id": "mei", "name": "Mei", "institution": "tsinghua", "password": "a long password"}
    assert platform.post("/v1/people", body)["password"] is None
    wrong, unknown = login(platform.http, "mei", "x"), login(platform.http, "who", "x")
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.status_code == 401
    for _ in range(9):
        platform.services.lockout.failed("mei", platform.clock())
    paused = login(platform.http, "mei", "a long password")
    assert paused.status_code == 503
    assert 200 < int(paused.headers["Retry-After"]) <= 300
    platform.clock.ahead_ms += 300_000
    assert login(platform.http, "mei", "a long password").status_code == 201


def test_a_person_may_be_entered_again_only_as_the_same(platform: Any) -> None:
    body = {"id": "mei", "name": "Mei", "institution": "tsinghua", "password": "a long password"}
    assert platform.post("/v1/people", body) == platform.post("/v1/people", body)
    for change in ({"password": "another password"}, {"operator": True}, {"password": None}):
        answer = platform.http.post("/v1/people", json={**body, **change}, headers=platform.operator)
        assert answer.status_code == 409, change


def test_a_token_works_until_it_is_revoked_or_expires_and_is_stored_as_a_digest(
    platform: Any, li: dict[str, str]
) -> None:
    made = platform.http.post("/v1/tokens", json={"name": "laptop", "days": 2}, headers=li).json()
    mine = {"Authorization": f"Bearer {made['secret']}"}
    assert platform.http.get("/v1/me", headers=mine).json()["id"] == "li"
    listed = platform.http.get("/v1/tokens", headers=li).json()["items"]
    assert made["id"] in {token["id"] for token in listed}
    assert all(token["secret"] is None for token in listed)
    database = platform.services.settings.data / "hutong.sqlite"
    stored = b"".join(path.read_bytes() for path in database.parent.glob("hutong.sqlite*"))
    assert made["id"].encode() in stored
    assert made["secret"].encode() not in stored
    platform.clock.ahead_ms += 2 * 86_400_000
    assert platform.http.get("/v1/me", headers=mine).status_code == 401
    platform.clock.ahead_ms = 0
    assert platform.http.get("/v1/me", headers=mine).status_code == 200
    assert platform.http.delete(f"/v1/tokens/{made['id']}", headers=li).status_code == 204
    assert platform.http.get("/v1/me", headers=mine).status_code == 401


def test_the_same_key_gives_the_same_token_again_and_never_after_it_was_revoked(
    platform: Any, li: dict[str, str]
) -> None:
    once = {**li, "Idempotency-Key": "my laptop"}
    first = platform.http.post("/v1/tokens", json={"name": "laptop"}, headers=once)
    assert platform.http.post("/v1/tokens", json={"name": "laptop"}, headers=once).json() == first.json()
    assert platform.http.post("/v1/tokens", json={"name": "phone"}, headers=once).status_code == 409
    platform.http.delete(f"/v1/tokens/{first.json()['id']}", headers=li)
    again = platform.http.post("/v1/tokens", json={"name": "laptop"}, headers=once)
    assert (again.status_code, again.json()["code"]) == (409, "revoked")


def test_nobody_revokes_another_s_token_or_makes_a_key_for_a_project_of_others(
    platform: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    made = platform.http.post("/v1/tokens", json={"name": "laptop"}, headers=li).json()
    assert platform.http.delete(f"/v1/tokens/{made['id']}", headers=wang).status_code == 404
    key = {"name": "k", "kind": "key", "project": "physics"}
    assert platform.http.post("/v1/tokens", json=key, headers=wang).status_code == 404
    assert platform.http.post("/v1/tokens", json={"name": "k", "kind": "key"}, headers=li).status_code == 422
    assert platform.http.post("/v1/tokens", json=key, headers=li).status_code == 201


def test_a_member_who_is_taken_out_is_out_at_once(platform: Any, li: dict[str, str]) -> None:
    mei = platform.person("mei")
    url = "/v1/projects/physics/members/mei"
    assert platform.http.get("/v1/projects/physics", headers=mei).status_code == 404
    added = platform.http.put(url, json={"person": "mei", "role": "member"}, headers=li)
    assert {"person": "mei", "role": "member"} in added.json()["members"]
    assert platform.http.get("/v1/projects/physics", headers=mei).status_code == 200
    assert platform.http.put(url, json={"person": "mei", "role": "owner"}, headers=mei).status_code == 403
    assert platform.http.delete(url, headers=li).status_code == 200
    assert platform.http.get("/v1/projects/physics", headers=mei).status_code == 404
    last = platform.http.delete("/v1/projects/physics/members/li", headers=li)
    assert (last.status_code, last.json()["code"]) == (409, "last_owner")
    wrong = platform.http.put(url, json={"person": "li", "role": "member"}, headers=li)
    assert wrong.status_code == 422


def test_a_secret_goes_in_is_listed_by_name_and_is_nowhere_in_clear(
    platform: Any, li: dict[str, str]
) -> None:
    url = "/v1/projects/physics/secrets"
    value = "hf_very_secret_value"
    assert platform.http.put(f"{url}/HF_TOKEN", json={"value": value}, headers=li).status_code == 200
    listed = platform.http.get(url, headers=li)
    assert [each["name"] for each in listed.json()["items"]] == ["HF_TOKEN"]
    assert value not in listed.text
    folder = platform.services.settings.data
    assert all(value.encode() not in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert platform.http.put(f"{url}/1BAD", json={"value": "x"}, headers=li).status_code == 422
    assert platform.http.delete(f"{url}/HF_TOKEN", headers=li).status_code == 204
    assert platform.http.delete(f"{url}/HF_TOKEN", headers=li).status_code == 404


def test_expired_sessions_do_not_pile_up(platform: Any) -> None:
    body = {"id": "mei", "name": "Mei", "institution": "tsinghua", "password": "a long password"}
    platform.post("/v1/people", body)
    old = login(platform.http, "mei", "a long password").json()["id"]
    platform.clock.ahead_ms += 13 * 3_600_000
    new = login(platform.http, "mei", "a long password").json()["id"]
    kept = {record.id for record in platform.services.store.records("token", "mei", "", 100)}
    assert new in kept
    assert old not in kept
