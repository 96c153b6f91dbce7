"""The audit of who gets in and by what: passwords, providers, devices, second factors, directories."""

from typing import Any

from tests.server.api.test_factors import code_now
from tests.server.api.test_scim import PATCH, USER
from tests.server.provider import bent_provider
from tests.server.walking import Walk

from hutong.core.accounts.one_time import STEP_MS

PASSWORD = "a long password"
ISSUER = "/v1/issuers/{issuer}"
FACTOR = "/v1/me/second-factor"
ACCOUNT = "/v1/projects/{project}/service-accounts/{account}"
USERS = "/v1/scim/v2/Users"
INSTITUTION = "/v1/institutions/{institution}"
PROVIDERS = (
    f"PUT {ISSUER}",
    f"DELETE {ISSUER}",
    f"POST {ISSUER}/finish",
    f"POST {ISSUER}/logout",
    f"POST {ISSUER}/join/finish",
    "DELETE /v1/me/identities/{identity}",
)
DEVICES = (
    "POST /v1/devices/token",
    "POST /v1/devices/{code}/approve",
    "POST /v1/devices/{code}/deny",
)
FACTORS = (
    "POST /v1/login",
    f"POST {FACTOR}",
    f"POST {FACTOR}/confirm",
    f"POST {FACTOR}/remove",
    "DELETE /v1/people/{person}/second-factor",
)
DIRECTORIES = (
    f"POST {INSTITUTION}/scim-tokens",
    f"POST {USERS}",
    f"PUT {USERS}/{{user}}",
    f"PATCH {USERS}/{{user}}",
    f"DELETE {USERS}/{{user}}",
)
PROGRAMS = (f"PUT {ACCOUNT}", f"DELETE {ACCOUNT}", f"POST {ACCOUNT}/tokens")


def walk_of(platform: Any, **people: dict[str, str]) -> Walk:
    return Walk(platform.http, platform.services.store, {"admin": platform.operator, **people})


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_sign_in_through_a_provider_is_told(platform: Any, li: dict[str, str]) -> None:
    walk = walk_of(platform, li=li)
    walk.secrets |= {"s3cret", "a-secret-of-ours"}
    with bent_provider() as bent:

        def arrival(verb: str, subject: str, headers: dict[str, str]) -> dict[str, str]:
            begun = platform.http.post(f"/v1/issuers/north/{verb}", json={}, headers=headers).json()
            return {"flow": begun["flow"], **bent.visit(begun["address"], subject)}

        entered = {
            "url": bent.url, "client_id": "hutong", "institution": "tsinghua", "name_zh": "北",
            "name_en": "North", "creates": True, "secret": "s3cret",
        }  # fmt: skip
        walk("admin", f"PUT {ISSUER}", entered, "issuer.create", issuer="north")
        other = {**entered, "secret": "a-secret-of-ours"}
        walk("admin", f"PUT {ISSUER}", other, "issuer.change", issuer="north")
        # Whoever is new is made by signing in, and so is the author of it.
        first = arrival("begin", "s-1", {})
        events = len(platform.http.get("/v1/audit?limit=200", headers=platform.operator).json()["items"])
        session = platform.http.post("/v1/issuers/north/finish", json=first).json()["token"]
        person = platform.http.get("/v1/me", headers=bearer(session["secret"])).json()["id"]
        told = platform.http.get("/v1/audit?limit=200", headers=platform.operator).json()["items"]
        made = ["token.create", "person.create", "identity.create"]
        assert [(each["action"], each["actor"]) for each in told[: len(told) - events]] == [
            (action, person) for action in made
        ]
        known = arrival("begin", "s-1", {})
        walk("", f"POST {ISSUER}/finish", known, "token.create", actor=person, issuer="north")
        out = {"logout_token": bent.logout_token("hutong", sub="s-1")}
        gone = "token.remove token.remove"
        walk("", f"POST {ISSUER}/logout", None, gone, actor="issuer:north", issuer="north", data=out)
        joined = arrival("join/begin", "s-2", li)
        done = walk("li", f"POST {ISSUER}/join/finish", joined, "identity.create", issuer="north")
        second = arrival("join/begin", "s-3", li)
        walk("li", f"POST {ISSUER}/join/finish", second, "identity.create", issuer="north")
        identity = done["identity"]["id"]
        walk("li", "DELETE /v1/me/identities/{identity}", None, "identity.remove", identity=identity)
    walk("admin", f"DELETE {ISSUER}", None, "issuer.remove", issuer="north")
    walk.done(PROVIDERS)


def test_who_lets_a_device_in_is_told_and_that_one_asks_is_not(platform: Any, li: dict[str, str]) -> None:
    walk = walk_of(platform, li=li)
    begun = [platform.http.post("/v1/devices", json={"client": "a laptop"}).json() for _ in range(2)]
    early = {"device_code": begun[0]["device_code"]}
    assert platform.http.post("/v1/devices/token", json=early).json()["code"] == "authorization_pending"
    assert not [each for each in walk_actions(platform) if each.startswith("device")]
    walk.secrets |= {each[name] for each in begun for name in ("device_code", "user_code")}
    walk("li", "POST /v1/devices/{code}/approve", None, "device.change", code=begun[0]["user_code"])
    walk("li", "POST /v1/devices/{code}/deny", None, "device.change", code=begun[1]["user_code"])
    walk("", "POST /v1/devices/token", early, "token.create", actor="li")
    walk.done(DEVICES)


def walk_actions(platform: Any) -> list[str]:
    told = platform.http.get("/v1/audit?limit=200", headers=platform.operator).json()["items"]
    return [each["action"] for each in told]


def test_second_factors_are_told_without_what_is_secret_of_them(platform: Any) -> None:
    for name in ("mei", "hua"):
        body = {"id": name, "name": name, "institution": "tsinghua", "password": PASSWORD}
        platform.post("/v1/people", body)
    walk = walk_of(platform)
    sign_in = {"password": PASSWORD}
    secrets = {}
    codes: dict[str, list[str]] = {}
    for name in ("mei", "hua"):
        token = walk("", "POST /v1/login", {"person": name, **sign_in}, "token.create", actor=name)
        walk.people[name] = bearer(token["secret"])
        secrets[name] = walk(name, f"POST {FACTOR}", None, "second_factor.create")["secret"]
        code = {"code": code_now(platform, secrets[name])}
        codes[name] = walk(name, f"POST {FACTOR}/confirm", code, "second_factor.change")["codes"]
    platform.clock.ahead_ms += STEP_MS
    strong = {"person": "mei", **sign_in, "code": code_now(platform, secrets["mei"])}
    walk("", "POST /v1/login", strong, "token.create", actor="mei")
    recovered = {**strong, "code": codes["mei"][0]}
    walk("", "POST /v1/login", recovered, "second_factor.change token.create", actor="mei")
    spent = {"code": codes["mei"][1]}
    walk("mei", f"POST {FACTOR}/remove", spent, "second_factor.change second_factor.remove")
    reset = "DELETE /v1/people/{person}/second-factor"
    walk("admin", reset, None, "second_factor.remove", person="hua")
    walk.secrets |= {PASSWORD, *secrets.values(), *(code for each in codes.values() for code in each)}
    walk.done(FACTORS)


def test_what_a_directory_does_is_told(platform: Any) -> None:
    walk = walk_of(platform)
    token = {"name": "HR", "days": 366}
    made = walk("admin", f"POST {INSTITUTION}/scim-tokens", token, "token.create", institution="tsinghua")
    hr = "scim:tsinghua"
    walk.people[hr] = bearer(made["secret"])
    user = {"schemas": [USER], "userName": "li.na@example.edu", "externalId": "42"}
    name = walk(hr, f"POST {USERS}", user, "person.create scim_user.create")["id"]
    walk(hr, f"PUT {USERS}/{{user}}", {**user, "externalId": "43"}, "scim_user.change", user=name)
    out = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]}
    walk(hr, f"PATCH {USERS}/{{user}}", out, "suspension.create scim_user.change", user=name)
    back = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": True}}]}
    walk(hr, f"PATCH {USERS}/{{user}}", back, "scim_user.change suspension.remove", user=name)
    walk(hr, f"DELETE {USERS}/{{user}}", None, "suspension.create scim_user.remove", user=name)
    walk.done(DIRECTORIES)


def test_service_accounts_are_told(platform: Any, li: dict[str, str]) -> None:
    walk = walk_of(platform, li=li)
    ci = {"project": "physics", "account": "ci"}
    walk("li", f"PUT {ACCOUNT}", {"title": "tests"}, "service_account.create", **ci)
    walk("li", f"PUT {ACCOUNT}", {"title": "builds"}, "service_account.change", **ci)
    walk("li", f"POST {ACCOUNT}/tokens", {"name": "t", "days": 7}, "token.create", **ci)
    walk("li", f"DELETE {ACCOUNT}", None, "service_account.remove token.remove", **ci)
    walk.done(PROGRAMS)
