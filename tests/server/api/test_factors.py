"""Devices that sign in by consent, second factors, and who is kept out meanwhile."""

import base64
import time
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.provider import Bent, bent_provider

from hutong.core.accounts.one_time import STEP_MS, code_at, step_of
from hutong.server.api.app import make_app

PASSWORD = "a long password"


def test_codes_are_those_of_rfc_6238() -> None:
    secret = b"12345678901234567890"
    times = {59: "94287082", 1_111_111_109: "07081804", 1_111_111_111: "14050471", 1_234_567_890: "89005924"}
    times |= {2_000_000_000: "69279037", 20_000_000_000: "65353130"}
    assert {at: code_at(secret, at // 30, 8) for at in times} == times


def test_a_code_is_good_for_a_step_around_now_and_never_twice() -> None:
    secret, now_ms = b"x" * 20, 1_000 * STEP_MS
    good = [step for step in range(990, 1011) if step_of(secret, code_at(secret, step), now_ms, 0) == step]
    assert good == [999, 1000, 1001]
    assert step_of(secret, code_at(secret, 1000), now_ms, 1000) is None
    assert step_of(secret, code_at(secret, 999), now_ms, 1000) is None


def enter(platform: Any, name: str, *, operator: bool = False) -> None:
    body = {"id": name, "name": name, "institution": "tsinghua", "password": PASSWORD, "operator": operator}
    platform.post("/v1/people", body)


def login(http: Any, name: str, code: str | None = None, password: str = PASSWORD) -> Any:
    body = {"person": name, "password": password, **({"code": code} if code else {})}
    return http.post("/v1/login", json=body)


def bearer(answer: Any) -> dict[str, str]:
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['secret']}"}


def code_now(platform: Any, secret: str, ahead: int = 0) -> str:
    return code_at(base64.b32decode(secret), platform.clock() // STEP_MS + ahead)


def set_up(platform: Any, http: Any, headers: dict[str, str]) -> tuple[str, list[str]]:
    """Set up an authenticator; return its secret and the recovery codes."""
    begun = http.post("/v1/me/second-factor", headers=headers)
    assert begun.status_code == 201, begun.text
    secret = begun.json()["secret"]
    assert secret in begun.json()["address"]
    body = {"code": code_now(platform, secret)}
    made = http.post("/v1/me/second-factor/confirm", json=body, headers=headers)
    assert made.status_code == 200, made.text
    return secret, made.json()["codes"]


def test_sign_in_asks_for_a_code_takes_each_once_and_recovers(platform: Any) -> None:
    http = platform.http
    enter(platform, "mei")
    mine = bearer(login(http, "mei"))
    first = http.post("/v1/me/second-factor", headers=mine).json()["secret"]
    assert login(http, "mei").status_code == 201  # it does not count before it is confirmed
    wrong = http.post("/v1/me/second-factor/confirm", json={"code": "000000"}, headers=mine)
    assert (wrong.status_code, wrong.json()["problems"][0]["path"]) == (422, "/code")
    secret, recovery = set_up(platform, http, mine)
    assert secret != first
    assert len(set(recovery)) == 10
    bare = login(http, "mei")
    assert (bare.status_code, bare.json()["code"]) == (401, "second_factor_needed")
    assert login(http, "mei", code_now(platform, secret)).status_code == 401  # it confirmed the set-up
    platform.clock.ahead_ms += STEP_MS
    code = code_now(platform, secret)
    assert login(http, "mei", code, password="wrong one").json()["code"] == "unauthenticated"
    assert login(http, "mei", code).status_code == 201
    assert login(http, "mei", code).status_code == 401
    assert login(http, "mei", recovery[0].upper()).status_code == 201
    assert login(http, "mei", recovery[0]).status_code == 401
    told = http.get("/v1/me/second-factor", headers=mine).json()
    assert told == {"enrolled": True, "required": False, "recovery_codes_left": 9}
    stored = str(platform.services.store.get("second_factor", "mei"))
    assert secret not in stored
    assert not any(each in stored for each in recovery)
    again = http.post("/v1/me/second-factor", headers=mine)
    assert again.status_code == 409
    assert http.post("/v1/me/second-factor/remove", json={"code": "000000"}, headers=mine).status_code == 422
    removed = http.post("/v1/me/second-factor/remove", json={"code": recovery[1]}, headers=mine)
    assert removed.status_code == 204
    assert login(http, "mei").status_code == 201


def test_an_operator_resets_what_was_lost(platform: Any, li: dict[str, str]) -> None:
    enter(platform, "mei")
    set_up(platform, platform.http, bearer(login(platform.http, "mei")))
    assert platform.http.delete("/v1/people/mei/second-factor", headers=li).status_code == 403
    assert platform.http.delete("/v1/people/mei/second-factor", headers=platform.operator).status_code == 204
    assert platform.http.delete("/v1/people/mei/second-factor", headers=platform.operator).status_code == 404
    assert login(platform.http, "mei").status_code == 201


@pytest.mark.parametrize(
    ("policy", "narrowed"),
    [
        ("optional", []),
        ("operators", ["boss"]),
        ("owners", ["boss", "owner"]),
        ("everybody", ["boss", "owner", "mei"]),
    ],
)
def test_who_must_have_a_second_factor_can_only_set_it_up_without(
    platform: Any, policy: str, narrowed: list[str]
) -> None:
    enter(platform, "boss", operator=True)
    enter(platform, "owner")
    enter(platform, "mei")
    platform.post("/v1/projects", {"id": "p", "institution": "tsinghua", "title": "p", "owner": "owner"})
    owner = bearer(login(platform.http, "owner"))
    platform.http.put("/v1/projects/p/members/mei", json={"person": "mei", "role": "member"}, headers=owner)
    settings = platform.services.settings.model_copy(update={"second_factor": policy})
    with TestClient(make_app(replace(platform.services, settings=settings))) as http:
        found = []
        for name in ("boss", "owner", "mei"):
            headers = bearer(login(http, name))
            if http.get("/v1/projects", headers=headers).status_code == 403:
                found.append(name)
                for path, body in (("/v1/tokens", {"name": "x"}), ("/v1/devices/BCDF-GHJK/approve", None)):
                    assert http.post(path, json=body, headers=headers).status_code == 403, path
                secret, _ = set_up(platform, http, headers)
                assert http.get("/v1/projects", headers=headers).status_code == 200  # whole from now on
                removal = {"code": code_now(platform, secret, 1)}
                kept = http.post("/v1/me/second-factor/remove", json=removal, headers=headers)
                assert (kept.status_code, kept.json()["code"]) == (409, "required")
        assert found == narrowed


def test_a_pause_after_wrong_codes_holds_in_every_process_and_after_a_restart(platform: Any) -> None:
    enter(platform, "mei")
    secret, _ = set_up(platform, platform.http, bearer(login(platform.http, "mei")))
    for _ in range(10):
        assert login(platform.http, "mei", "000000").status_code == 401
    fresh = replace(platform.services, lockout=type(platform.services.lockout)())
    with TestClient(make_app(fresh)) as elsewhere:
        paused = login(elsewhere, "mei", code_now(platform, secret, 1))
        assert paused.status_code == 503
        assert int(paused.headers["Retry-After"]) > 200
        assert not fresh.store.records("lockout", "", "mei", 5)  # names that nobody has are not stored
        platform.clock.ahead_ms += 300_000
        assert login(elsewhere, "mei", code_now(platform, secret)).status_code == 201
    assert platform.services.store.get("lockout", "mei") is None


def begin(platform: Any) -> dict[str, Any]:
    answer = platform.http.post("/v1/devices", json={"client": "hutong on a laptop"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def poll(platform: Any, begun: dict[str, Any], *, after_ms: int = 5_000) -> Any:
    platform.clock.ahead_ms += after_ms
    return platform.http.post("/v1/devices/token", json={"device_code": begun["device_code"]})


def test_a_device_waits_for_consent_and_gets_one_session(platform: Any, li: dict[str, str]) -> None:
    begun = begin(platform)
    assert begun["verification_uri_complete"] == f"{begun['verification_uri']}?code={begun['user_code']}"
    pending = poll(platform, begun)
    assert (pending.status_code, pending.json()["code"]) == (400, "authorization_pending")
    typed = begun["user_code"].replace("-", " ").lower()
    seen = platform.http.get(f"/v1/devices/{typed}", headers=li).json()
    assert (seen["client"], seen["user_code"]) == ("hutong on a laptop", begun["user_code"])
    approve = f"/v1/devices/{typed}/approve"
    assert platform.http.post(approve).status_code == 401
    assert platform.http.post(approve, headers=li).status_code == 204
    assert platform.http.post(approve, headers=li).status_code == 404
    done = poll(platform, begun)
    headers = {"Authorization": f"Bearer {done.json()['secret']}"}
    assert platform.http.get("/v1/me", headers=headers).json()["id"] == "li"
    again = poll(platform, begun)
    assert (again.status_code, again.json()["code"]) == (400, "expired_token")
    assert (
        platform.http.get("/v1/me", headers={"Authorization": f"Bearer {begun['device_code']}"}).status_code
        == 401
    )


def test_a_device_that_asks_too_often_is_slowed_down_refused_or_too_late(
    platform: Any, li: dict[str, str]
) -> None:
    begun = begin(platform)
    codes = [poll(platform, begun, after_ms=wait).json()["code"] for wait in (0, 1_000, 5_000, 15_000)]
    assert codes == ["authorization_pending", "slow_down", "slow_down", "authorization_pending"]
    platform.http.post(f"/v1/devices/{begun['user_code']}/deny", headers=li)
    assert poll(platform, begun).json()["code"] == "access_denied"
    late = begin(platform)
    assert poll(platform, late, after_ms=600_000).json()["code"] == "expired_token"
    assert platform.http.get(f"/v1/devices/{late['user_code']}", headers=li).status_code == 404
    begin(platform)
    assert len(platform.services.store.records("device", "", "", 10)) == 1  # what expired is swept
    forged = {"device_code": late["device_code"][:-1] + "_"}
    assert platform.http.post("/v1/devices/token", json=forged).json()["code"] == "expired_token"


def test_strangers_cannot_fill_the_store_with_devices(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hutong.server.devices.WAITING_AT_MOST", 3)
    for _ in range(3):
        begin(platform)
    assert platform.http.post("/v1/devices", json={"client": "x"}).status_code == 503
    platform.clock.ahead_ms += 600_000
    begin(platform)


def at_provider(http: Any, bent: Bent, **claims: Any) -> Any:
    """Sign in through the provider; return the answer."""
    begun = http.post("/v1/issuers/north/begin", json={}).json()
    arrival = {"flow": begun["flow"], **bent.visit(begun["address"], **claims)}
    return http.post("/v1/issuers/north/finish", json=arrival)


def enter_provider(platform: Any, bent: Bent, *, multi_factor: bool = False) -> None:
    body = {
        "url": bent.url, "client_id": "hutong", "institution": "tsinghua", "name_zh": "x", "name_en": "x",
        "creates": True, "multi_factor": multi_factor,
    }  # fmt: skip
    answer = platform.http.put("/v1/issuers/north", json=body, headers=platform.operator)
    assert answer.status_code == 200, answer.text


def test_where_policy_wants_a_second_factor_a_provider_must_have_asked_for_it(platform: Any) -> None:
    settings = platform.services.settings.model_copy(update={"second_factor": "everybody"})
    with bent_provider() as bent, TestClient(make_app(replace(platform.services, settings=settings))) as http:
        enter_provider(platform, bent)
        refused = at_provider(http, bent)
        assert (refused.status_code, "second factor" in refused.json()["detail"]) == (401, True)
        assert at_provider(http, bent, amr=["pwd"]).status_code == 401
        session = at_provider(http, bent, amr=["pwd", "otp"])
        assert session.status_code == 201
        headers = {"Authorization": f"Bearer {session.json()['token']['secret']}"}
        own = http.post("/v1/me/second-factor", headers=headers)
        assert (own.status_code, own.json()["code"]) == (409, "no_password")
        enter_provider(platform, bent, multi_factor=True)
        assert at_provider(http, bent).status_code == 201


def test_a_device_is_signed_out_with_the_provider_session_that_consented_to_it(platform: Any) -> None:
    with bent_provider() as bent:
        enter_provider(platform, bent)
        session = at_provider(platform.http, bent, sid="laptop").json()["token"]["secret"]
        mine = {"Authorization": f"Bearer {session}"}
        begun = begin(platform)
        assert (
            platform.http.post(f"/v1/devices/{begun['user_code']}/approve", headers=mine).status_code == 204
        )
        device = {"Authorization": f"Bearer {poll(platform, begun).json()['secret']}"}
        assert platform.http.get("/v1/me", headers=device).status_code == 200
        platform.clock.ahead_ms = 0
        out = bent.logout_token("hutong", sid="laptop", iat=int(time.time()) + 30)
        answer = platform.http.post("/v1/issuers/north/logout", data={"logout_token": out})
        assert answer.status_code == 200
        assert platform.http.get("/v1/me", headers=device).status_code == 401
