"""Every route, by tokens that are over or narrowed, and by people who have no business there."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.server.api.test_access import AWARD, NOBODYS, ROUTES, VOUCHER, fill
from tests.server.api.test_schemathesis import allocation

from hutong.core.accounts.roles import KNOWN
from hutong.core.book.audit import AuditQuery
from hutong.core.book.store import Record
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.disputes import Dispute, Ground, Message
from hutong.core.ledger.subsidies import parties as s
from hutong.core.ledger.subsidies.programme import Party
from hutong.server.api.access import Public, Signed
from hutong.server.people import grant_token
from hutong.server.registry import document
from hutong.server.subsidies import shelf

SPEC = {"name": "x", "resources": {"accelerators": "A100:1"}, "run": "true"}
CLAIM = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", "evidence": {}}
ASK = {"title": "rain", "narrative": "what it is for " * 3, "amount": {"amount": "5"}}
WHY = {"reason": "so it is"}
SECOND = {"code": "000000"}
# Bodies that are right, so that a route's own checks are reached: a wrong body would be refused before.
BODIES: dict[str, Any] = {
    "POST /v1/jobs": {"project": "physics", "spec": SPEC},
    "POST /v1/arrays": {"project": "physics", "spec": {**SPEC, "array": "0-2"}},
    "POST /v1/jobs/batch": {"project": "physics", "specs": [SPEC]},
    "POST /v1/jobs/check": {"project": "physics", "spec": SPEC},
    "POST /v1/jobs/{job}/disputes": {"ground": "other", "text": "why"},
    "POST /v1/people": {"id": "new", "name": "New", "institution": "tsinghua"},
    "POST /v1/projects": {"id": "new", "institution": "tsinghua", "title": "New", "owner": "li"},
    "PUT /v1/projects/{project}/members/{person}": {"person": "li", "role": "member"},
    "POST /v1/tokens": {"name": "t"},
    "POST /v1/issuers/{issuer}/join/begin": {},
    "POST /v1/issuers/{issuer}/join/finish": {"flow": "x", "state": "x", "code": "x"},
    "POST /v1/me/second-factor/confirm": SECOND,
    "POST /v1/me/second-factor/remove": SECOND,
    "PUT /v1/projects/{project}/secrets/{name}": {"value": "x"},
    "POST /v1/projects/{project}/awards": AWARD,
    "POST /v1/projects/{project}/vouchers": VOUCHER,
    "POST /v1/projects/{project}/refunds": {"subject": "x", **WHY},
    "POST /v1/projects/{project}/applications": {"call": "spring", **ASK},
    "PUT /v1/projects/{project}/cost-centres": {"parts": []},
    "PUT /v1/projects/{project}/service-accounts/{account}": {"title": "x"},
    "POST /v1/access/grants": {"person": "li", "role": "member", "scope": "project/physics", **WHY},
    "POST /v1/vouchers/check": {"programme": "town", "project": "physics"},
    "POST /v1/vouchers/{voucher}/claims": CLAIM,
    "POST /v1/vouchers/{voucher}/claims/check": CLAIM,
    "POST /v1/findings/{finding}/explanation": {"text": "why"},
    "POST /v1/findings/{finding}/decision": {"outcome": "settled", "text": "why"},
    "POST /v1/disputes/{dispute}/messages": {"text": "why"},
    "POST /v1/disputes/{dispute}/decision": {"refund": {"amount": "0"}, "reasons": "why"},
    "PUT /v1/applications/{application}": ASK,
    "POST /v1/applications/{application}/withdraw": WHY,
    "POST /v1/applications/{application}/appeal": WHY,
    "POST /v1/applications/{application}/conflict": WHY,
    "PUT /v1/applications/{application}/review": {"score": 5, "public": "x"},
    "POST /v1/allocations/{allocation}/changes": {"kind": "reduce", "amount": {"amount": "1"}, **WHY},
    "POST /v1/allocations/{allocation}/cuts/{n}/appeal": WHY,
    "POST /v1/approvals/{proposal}/approve": {},
    "POST /v1/approvals/{proposal}/refuse": {},
    "POST /v1/models": {"name": "m", "project": "physics", "job": NOBODYS},
    "POST /v1/deployments": {"name": "d", "project": "physics", "model": "m", "accelerators": {"A100": 1}},
}
# What a narrowed token may still do, for it concerns nobody's things: it sees that, or ends itself.
HARMLESS = {
    "POST /v1/logout", "GET /v1/me", "GET /v1/tokens", "GET /v1/me/identities", "GET /v1/me/second-factor",
    "GET /v1/access/roles", "GET /v1/access/grants", "GET /v1/programmes", "GET /v1/calls",
    "GET /v1/calls/{call}", "GET /v1/approvals/thresholds", "GET /v1/approvals",
    "GET /v1/approvals/{proposal}",
}  # fmt: skip
# Names in paths of which each is something of a project, or somebody's.
OWNED = {
    "project", "job", "array", "application", "allocation", "voucher", "claim", "dispute", "contract",
    "proposal",
    "grant", "token", "lot", "account",
}  # fmt: skip


def personal(name: str) -> bool:
    """True for what one does about oneself: make a token, let a device in, set up a second factor."""
    _, _, path = name.partition(" ")
    return path == "/v1/tokens" or path.startswith(("/v1/me/", "/v1/devices/", "/v1/issuers/{issuer}/join"))


def reads(name: str) -> bool:
    return name.startswith(("GET ", "HEAD "))


@pytest.fixture
def things(platform: Any, li: dict[str, str], submit: Any) -> dict[str, str]:
    """Return the names of something of each kind that is project physics' or its owner's."""
    store, now_ms = platform.services.store, platform.clock()
    job, lot = submit()["id"], platform.post("/v1/projects/physics/awards", AWARD)["id"]
    application = allocation(platform, li)
    dispute = NOBODYS.lower()
    written = Message("li", now_ms, "why")
    found = Dispute(dispute, "physics", f"ht-{job.lower()}-a1", Ground.OTHER, 5, "li", now_ms, (written,))
    store.put(Record("dispute", dispute, document(found), "physics"))
    voucher = s.Voucher(
        "v-1", "town", "x", "tsinghua", "physics", Party.DEMANDER, 500_000, 5, now_ms, 2026, contract="c1"
    )
    store.put(shelf.voucher_write(voucher, 0)[0])
    contract = {
        "id": "c1", "number": "2026-17", "project": "physics", "provider": "centre", "sites": ["haidian"],
        "amount": {"amount": "4000"}, "signed": "2026-01-01T00:00:00Z", "starts": "2026-01-01T00:00:00Z",
        "ends": "2031-01-01T00:00:00Z",
    }  # fmt: skip
    platform.post("/v1/contracts", contract)
    grant = {"person": "li", "role": "auditor", "scope": "institution/tsinghua", **WHY}
    given = platform.post("/v1/access/grants", grant)["id"]
    put = platform.http.put
    assert put("/v1/projects/physics/secrets/NAME", json={"value": "x"}, headers=li).status_code == 200
    account = put("/v1/projects/physics/service-accounts/ci", json={"title": "x"}, headers=li)
    assert account.status_code == 200
    token = platform.post("/v1/tokens", {"name": "laptop"}, headers=li)["id"]
    array = platform.post("/v1/arrays", BODIES["POST /v1/arrays"], headers=li)["id"]
    return {
        "array": array,
        "job": job, "lot": lot, "application": application, "allocation": application, "dispute": dispute,
        "voucher": "v-1", "contract": "c1", "grant": given, "token": token, "call": "spring",
    }  # fmt: skip


def tried(
    platform: Any,
    headers: dict[str, str],
    things: dict[str, str],
    without: Callable[[str], bool] = lambda _: False,
    **more: str,
) -> Iterator[tuple[str, Any, Any]]:
    """Call every route that is not public; yield its name, its rule, and what it answered."""
    for method, path, rule in ROUTES:
        name = f"{method} {path}"
        if isinstance(rule, Public) or path == "/v1/logout" or without(name):
            continue
        body = BODIES.get(name)
        url = fill(path, **{**things, **more})
        answer = platform.http.request(method, url, headers=headers, json=body)
        yield name, rule, answer


def head(platform: Any) -> tuple[int, int]:
    """Return what moves with each change: the newest event, and the newest fact of any job."""
    store = platform.services.store
    newest = store.audit(AuditQuery(newest_first=True, limit=1))
    jobs = platform.http.get("/v1/jobs", headers=platform.operator).json()["items"]
    return newest[0].seq, sum(len(store.facts(each["id"], 0, 1000)) for each in jobs)


KINDS: dict[str, dict[str, str]] = {
    "person": {"owner": "li"},
    "session": {"owner": "li"},
    "service": {"owner": "service:physics/ci", "project": "physics"},
    "site": {"owner": "site:haidian", "site": "haidian"},
    "key": {"owner": "li", "project": "physics"},
    "scim": {"owner": "scim:tsinghua"},
}


def secret_of(platform: Any, kind: str, *scopes: str, **who: str) -> tuple[str, dict[str, str]]:
    """Make a token that lives a day; return its id and the headers."""
    services = platform.services
    grant = grant_token(
        services.store, services.new_id(), kind=kind, name="test", now_ms=platform.clock(), lives_ms=DAY_MS,
        scopes=scopes, **{"owner": "", **who},
    )  # fmt: skip
    return grant.token.id, {"Authorization": f"Bearer {grant.secret}"}


@pytest.mark.parametrize("over", ["expired", "revoked"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_is_over_answers_401_everywhere(
    platform: Any, things: dict[str, str], kind: str, over: str
) -> None:
    token, headers = secret_of(platform, kind, **KINDS[kind])
    probe = "/v1/scim/v2/Users" if kind == "scim" else "/v1/me"
    assert platform.http.get(probe, headers=headers).status_code != 401, "it was good, and is remembered"
    if over == "expired":
        platform.clock.ahead_ms += DAY_MS
    else:
        # By the route that anybody would use; a site's are revoked by who manages sites.
        _, owner = secret_of(platform, "person", owner="li")
        manages = platform.operator if kind in {"site", "scim"} else owner
        gone = platform.http.delete(f"/v1/tokens/{token}", headers=manages)
        assert gone.status_code == 204, gone.text
    before = platform.services.store.audit(AuditQuery(newest_first=True, limit=1))[0].seq
    for name, _, answer in tried(platform, headers, things):
        assert answer.status_code == 401, (name, answer.text)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert platform.services.store.audit(AuditQuery(newest_first=True, limit=1))[0].seq == before


def mighty(platform: Any, person: str, things: dict[str, str]) -> None:
    """Make an operator of a person, and a reviewer of the application: only a scope is in their way."""
    store = platform.services.store
    record = store.get("person", person)
    store.put(replace(record, doc={**record.doc, "operator": True}))
    record = store.get("application", things["application"])
    store.put(replace(record, doc={**record.doc, "reviewers": [person]}))


def test_a_narrowed_token_does_nothing_that_its_scope_has_nothing_to_do_with(
    platform: Any, things: dict[str, str]
) -> None:
    mighty(platform, "li", things)
    _, odd = secret_of(platform, "person", "quota.read", owner="li")
    _, even = secret_of(platform, "person", "model.call", owner="li")
    before, reached = head(platform), 0
    for headers, scope in ((odd, "quota.read"), (even, "model.call")):
        for name, rule, answer in tried(platform, headers, things):
            if name in HARMLESS or rule.permission == scope:
                continue
            assert answer.status_code in {403, 404}, (name, scope, answer.status_code, answer.text)
            reached += answer.status_code == 403
    assert head(platform) == before
    assert reached > 300


def test_a_token_narrowed_to_a_route_s_own_permission_gets_past_its_rule(
    platform: Any, things: dict[str, str]
) -> None:
    """Without this, a walk in which everything is refused for another reason would prove nothing."""
    mighty(platform, "li", things)
    by_scope = {each: secret_of(platform, "person", each, owner="li")[1] for each in sorted(KNOWN)}
    for method, path, rule in ROUTES:
        if not rule.permission or method != "GET" or path.startswith(("/v1/agent", "/v1/scim")):
            continue
        if path.endswith(("/events", "/logs", "/attach", "/log")):
            continue  # streams do not end by themselves
        answer = platform.http.get(fill(path, **things), headers=by_scope[rule.permission])
        assert answer.status_code != 401, path
        if answer.status_code == 403:
            assert "is not among your permissions" not in answer.json()["detail"], (path, answer.text)


def test_a_member_of_another_project_gets_at_nothing_of_this_one(
    platform: Any, things: dict[str, str], wang: dict[str, str]
) -> None:
    before, seen = head(platform), 0
    nobodys = {
        "project": "no-such-project", "application": "ap-9", "allocation": "ap-9", "voucher": "v-9",
        "contract": "c9", "lot": "none", "dispute": f"{NOBODYS[:-1]}1".lower(), "call": "spring",
    }  # fmt: skip
    unknown = {name: answer.status_code for name, _, answer in tried(platform, wang, nobodys, personal)}
    for name, _, answer in tried(platform, wang, things, personal):
        names = {each.partition("}")[0].partition(":")[0] for each in name.split("{")[1:]}
        if names & OWNED:
            assert answer.status_code in {403, 404}, (name, answer.status_code, answer.text)
            assert answer.status_code == unknown[name], f"{name} tells that it is there"
            seen += 1
        elif "physics" in str(BODIES.get(name)):
            assert answer.status_code in {403, 404, 422}, (name, answer.status_code, answer.text)
        assert '"physics"' not in answer.text, name
    assert head(platform) == before
    assert seen > 60


def test_the_administrator_of_another_institution_gets_at_nothing_of_this_one(
    platform: Any, things: dict[str, str]
) -> None:
    other = {"id": "pku", "kind": "university", "name_zh": "北大", "name_en": "PKU"}
    platform.post("/v1/institutions", other)
    dean = platform.person("dean")
    grant = {"person": "dean", "role": "institution-admin", "scope": "institution/pku", **WHY}
    platform.post("/v1/access/grants", grant)
    before, seen = head(platform), 0
    for name, _, answer in tried(platform, dean, things, personal):
        names = {each.partition("}")[0].partition(":")[0] for each in name.split("{")[1:]}
        if names & (OWNED | {"person", "institution", "number"}):
            assert answer.status_code in {403, 404}, (name, answer.status_code, answer.text)
            seen += 1
        elif name.partition(" ")[0] != "GET":
            assert not answer.is_success, (name, answer.text)
        assert '"physics"' not in answer.text, name
        assert '"li"' not in answer.text, name
    assert head(platform) == before
    assert seen > 80


def test_whoever_looks_as_another_is_told_so_by_every_route_that_writes(
    platform: Any, things: dict[str, str]
) -> None:
    support = platform.person("mei")
    grant = {"person": "mei", "role": "support", "scope": "platform", **WHY}
    platform.post("/v1/access/grants", grant)
    look = {"person": "li", "reason": "ticket 4711"}
    view = platform.http.post("/v1/access/views", json=look, headers=support).json()
    headers = {"Authorization": f"Bearer {view['secret']}"}
    before = head(platform)
    for name, rule, answer in tried(platform, headers, things, reads):
        assert answer.status_code == 403, (name, answer.status_code, answer.text)
        assert isinstance(rule, Signed) or rule.permission
        assert "may change nothing" in answer.text, name
    assert head(platform) == before


def test_a_directory_s_token_opens_the_directory_s_door_and_nothing_else(
    platform: Any, things: dict[str, str], li: dict[str, str]
) -> None:
    _, directory = secret_of(platform, "scim", **KINDS["scim"])
    before = head(platform)
    for name, _, answer in tried(platform, directory, things, lambda name: "/scim/" in name):
        assert answer.status_code in {403, 404}, (name, answer.status_code, answer.text)
    assert head(platform) == before
    assert platform.http.get("/v1/scim/v2/Users", headers=directory).status_code == 200
    assert platform.http.get("/v1/scim/v2/Users", headers=li).status_code == 403
