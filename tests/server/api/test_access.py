"""Nobody gets in by a route without a rule, and a stranger to a project cannot tell that its things exist."""

import re
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.testclient import TestClient

from hutong.core.kernel.errors import Broken
from hutong.server.api.access import AccessRule, Allowed, Public, Signed, rules_of
from hutong.server.api.app import ROUTERS, _open
from hutong.server.api.routes import routes_of

NOBODYS = "01JD0000000000000000000000"
VALUES = {
    "job": NOBODYS, "array": NOBODYS, "project": "physics", "person": "li",
    "institution": "tsinghua", "site": "haidian",
    "token": NOBODYS, "name": "NAME", "booking": "b1", "power_limit": "l1", "kind": "project", "version": "1",
    "report": "use",
    "other": "cau", "call": "c1", "application": "ap-1", "allocation": "ap-1", "n": "1",
    "issuer": "north", "user": "li", "account": "ci", "identity": "0" * 64, "code": "BCDF-GHJK",
    "period": "2026-11", "lot": "award-1", "number": "2026-000001", "dispute": NOBODYS.lower(),
    "meter": "feed-1", "certificate": "gec-1", "portion": "p1", "region": "beijing", "year": "2026",
    "pool": "a100",
    "card": "H100", "figure": "0" * 24, "centre": "shangzhuang", "phase": "1", "identifier": "given:X",
    "path": "a.txt", "rank": "0", "digest": "sha256:" + "0" * 64, "key": f"ht-{NOBODYS.lower()}-a1",
    "proposal": NOBODYS.lower(), "change": "award", "price": f"unis.{NOBODYS.lower()}",
    "grant": f"platform.all.{NOBODYS.lower()}",
    "programme": "town", "voucher": "v-1", "claim": "c-1", "contract": "c1", "budget": "b1",
    "commitment": "deal", "finding": "haidian.2026-11-28." + "0" * 16,
}  # fmt: skip
ROUTES = [
    (method, route.path_format, rules_of(route.dependant)[0])
    for route in routes_of(_open, *ROUTERS)
    for method in sorted(route.methods or ())
]


def fill(path: str, **values: str) -> str:
    return re.sub(r"{(\w+)(:path)?}", lambda found: {**VALUES, **values}[found[1]], path)


def test_every_described_operation_has_a_rule_and_says_which(platform: Any) -> None:
    document = platform.http.get("/openapi.json").json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(method, path) for method, path, _ in ROUTES}
    assert len(described) > 45
    for method, path, rule in ROUTES:
        operation = document["paths"][path][method.lower()]
        assert isinstance(rule, Public) != ("security" in operation), path


def test_the_public_routes_are_these_and_each_says_why() -> None:
    public = {path: rule for _, path, rule in ROUTES if isinstance(rule, Public)}
    at_issuers = {f"/v1/issuers/{{issuer}}/{verb}" for verb in ("begin", "finish", "logout")}
    resolved = "/v1/identifiers/{identifier}"
    devices = {"/v1/devices", "/v1/devices/token"}
    published = {f"/v1/published-reports{rest}" for rest in ("", "/{number}", "/{number}/paper")}
    reports = {"/v1/reports-key", *published}
    plain = {"/healthz", "/metrics", "/v1/login", "/v1/issuers"}
    assert set(public) == {*plain, *at_issuers, *devices, *reports, resolved}
    assert all(rule.reason for rule in public.values())
    assert all(rule.reason for _, _, rule in ROUTES if isinstance(rule, Signed))
    assert all(isinstance(rule, Public | Signed) or rule.permission for _, _, rule in ROUTES)


def test_a_route_without_a_rule_keeps_the_app_from_being_made() -> None:
    router = APIRouter()

    @router.get("/v1/leak")
    def leak() -> str:
        return "secrets"

    with pytest.raises(Broken, match="no access rule"):
        routes_of(router)


def test_a_rule_for_a_permission_that_no_role_has_is_a_mistake() -> None:
    with pytest.raises(Broken):
        Allowed("job.destroy")


@pytest.mark.parametrize(
    "token", ["", "Bearer nonsense", f"Bearer ht_person_{NOBODYS}_{'a' * 43}", "Basic eA=="]
)
def test_without_a_good_token_every_other_route_answers_401(platform: Any, token: str) -> None:
    for method, path, rule in ROUTES:
        if isinstance(rule, Public):
            continue
        answer = platform.http.request(method, fill(path), headers={"Authorization": token} if token else {})
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def calls(http: TestClient, headers: dict[str, str], wanted: str, **values: str) -> dict[str, int]:
    """Call every route with that name in its path as these headers say; return the status of each."""
    found = {}
    for method, path, _ in ROUTES:
        if f"{{{wanted}}}" not in path or path.startswith("/v1/agent"):
            continue
        body = BODIES.get((method, path))
        answer = http.request(method, fill(path, **values), headers=headers, json=body)
        found[f"{method} {path}"] = answer.status_code
    assert found
    return found


AWARD = {"amount": {"amount": "1"}, "starts": "2026-01-01T00:00:00Z", "ends": "2027-01-01T00:00:00Z"}
VOUCHER = {"face": {"amount": "1"}, "rate_percent": 50, "starts": AWARD["starts"], "ends": AWARD["ends"]}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/projects/{project}/awards"): AWARD,
    ("POST", "/v1/projects/{project}/vouchers"): VOUCHER,
    ("PUT", "/v1/projects/{project}/members/{person}"): {"person": "li", "role": "member"},
    ("PUT", "/v1/projects/{project}/secrets/{name}"): {"value": "x"},
}


def test_every_route_of_a_job_is_404_for_a_member_of_another_project(
    platform: Any, submit: Any, wang: dict[str, str]
) -> None:
    job = submit()["id"]
    mine = calls(platform.http, wang, "job", job=job)
    assert set(mine.values()) == {404}, mine
    nobodys = calls(platform.http, wang, "job", job=NOBODYS)
    assert mine == nobodys


def test_every_route_of_a_project_is_404_for_a_stranger_and_tells_nothing(
    platform: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    theirs = calls(platform.http, wang, "project", project="physics")
    assert set(theirs.values()) == {404}, theirs
    assert theirs == calls(platform.http, wang, "project", project="no-such-project")
    answers = calls(platform.http, li, "project", project="physics")
    assert answers["GET /v1/projects/{project}"] == 200


def test_what_one_may_know_of_but_not_do_is_403(platform: Any, li: dict[str, str], submit: Any) -> None:
    assert platform.http.post("/v1/projects/physics/awards", json=AWARD, headers=li).status_code == 403
    assert platform.http.post("/v1/sites", json={}, headers=li).status_code == 403
    spec = {"name": "x", "resources": {"accelerators": "A100:1"}, "run": "true"}
    answer = platform.http.post(
        "/v1/jobs", json={"project": "physics", "spec": spec}, headers=platform.operator
    )
    assert answer.status_code == 403


def test_an_agent_s_token_opens_the_agents_door_and_nothing_else(platform: Any, li: dict[str, str]) -> None:
    agent = platform.agent("haidian")
    for method, path, rule in ROUTES:
        if isinstance(rule, Public) or path.startswith("/v1/agent"):
            continue
        status = platform.http.request(
            method, fill(path), headers=agent, json=BODIES.get((method, path))
        ).status_code
        assert status in {403, 404}, (method, path, status)
    assert platform.http.post("/v1/agent/take", json={}, headers=li).status_code == 403


def test_a_gateway_key_opens_nothing_of_the_api(platform: Any, li: dict[str, str], submit: Any) -> None:
    job = submit()["id"]
    answer = platform.http.post(
        "/v1/tokens", json={"name": "k", "kind": "key", "project": "physics"}, headers=li
    )
    key = {"Authorization": f"Bearer {answer.json()['secret']}"}
    for method, path, rule in ROUTES:
        if not isinstance(rule, Public):
            answer = platform.http.request(
                method, fill(path, job=job), headers=key, json=BODIES.get((method, path))
            )
            assert answer.status_code in {403, 404}, (method, path, answer.status_code)


def test_rules_are_found_at_any_depth() -> None:
    assert all(isinstance(rule, AccessRule) for _, _, rule in ROUTES)
