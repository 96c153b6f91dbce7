"""Every change that somebody makes through the API is in the audit, or on a short list with a reason."""

from typing import Any
from urllib.parse import quote

import pytest
from tests.server.api import test_agent_meters as agent_meters
from tests.server.api import test_audit_awards as awards
from tests.server.api import test_audit_ledger as ledger
from tests.server.api import test_audit_sign_in as sign_in
from tests.server.api import test_audit_vouchers as vouchers
from tests.server.api import test_energy as energy
from tests.server.api import test_findings as findings
from tests.server.conftest import SITE
from tests.server.serving import World
from tests.server.walking import Walk

from hutong.server.api.app import ROUTERS, _open
from hutong.server.api.routes import routes_of
from hutong.wire.base import rfc3339

DAY = {"start": "2031-01-01T00:00:00Z", "end": "2031-01-02T00:00:00Z"}
SITE_MAINTENANCE = {**DAY, "reason": "cooling"}
POWER = {**DAY, "limit_kw": 500}
LOT = {"starts": "2026-01-01T00:00:00Z", "ends": "2031-01-01T00:00:00Z"}
VOUCHER = {**LOT, "face": {"amount": "5"}, "rate_percent": 50}
FIGURES = (
    "card,precision,teraflops,sparsity,of,basis,confidence,source,dated\n"
    "H20,FP16,140,dense,card,tool,B,a bench,2026-11-22\n"
)
TOPUP = {"amount": {"amount": "5"}, "reference": "bank 1"}
PASSWORD = "a long password"
# Routes that write and leave no event, and why.
NOT_TOLD = {
    "POST /v1/jobs": "facts of the job say who submitted it",
    "POST /v1/jobs/batch": "facts of each job say who submitted it",
    "POST /v1/arrays": "facts of each job say who submitted it",
    "POST /v1/arrays/{array}/cancel": "a fact of each job says who",
    "POST /v1/jobs/check": "it changes nothing",
    "POST /v1/jobs/quote": "it changes nothing",
    "POST /v1/capacity/mix": "it changes nothing",
    "POST /v1/capacity/table": "it changes nothing",
    "POST /v1/ledger/rollups/rebuild": "sums are made anew from what it does not change",
    "POST /v1/ledger/usage/days/rebuild": "sums are made anew from records that it does not change",
    "POST /v1/jobs/{job}/cancel": "a fact of the job says who",
    "POST /v1/jobs/{job}/hold": "a fact of the job says who",
    "POST /v1/jobs/{job}/release": "a fact of the job says who",
    "POST /v1/jobs/{job}/open": "a link for a minute to what its owner may open; the gateway keeps a log",
    "POST /v1/jobs/{job}/receipt/replay": "it changes nothing",
    "PUT /v1/objects/{digest}": "content named by its digest: it can be added, never changed",
    "POST /v1/agent/take": "an agent's work, in the facts of jobs",
    "POST /v1/agent/report": "an agent's work, in the facts of jobs",
    "POST /v1/agent/sealed": "a site's sealed reports, in a chain of their own",
    "POST /v1/agent/usage": "a site's records, kept with what became of each; corrections are in the ledger",
    "PUT /v1/agent/objects/{digest}": "content named by its digest: it can be added, never changed",
    "PUT /v1/agent/logs/{key}/{rank}": "an agent's work: logs of jobs",
    "DELETE /v1/deployments/{project}/{name}": "it cancels the job that serves, whose facts say who",
    "POST /v1/vouchers/check": "it changes nothing",
    "POST /v1/vouchers/{voucher}/claims/check": "it changes nothing",
    "POST /v1/subsidies/compare": "it changes nothing",
    "POST /v1/scim/v2/.search": "it changes nothing",
    "POST /v1/scim/v2/Users/.search": "it changes nothing",
    "POST /v1/issuers/{issuer}/begin": "nothing is stored: the browser keeps what must come back",
    "POST /v1/issuers/{issuer}/join/begin": "nothing is stored: the browser keeps what must come back",
    "POST /v1/devices": "anybody may ask; consent is told, and what is asked for ends by itself",
    "POST /v1/ledger/usage": "records name who sent them and stay; what they correct is told",
}
PERSON = {"id": "hua", "name": "Hua", "institution": "cau", "password": PASSWORD}
TENANT = {"id": "cau", "kind": "university", "name_zh": "农大", "name_en": "CAU"}
PROJECT = {"id": "soil", "institution": "cau", "title": "Soil", "owner": "hua"}
BOOKING = {**DAY, "pool": "a100", "cards": 8, "holder": "project/physics"}
GRANT = {"person": "li", "role": "clerk", "scope": "platform", "reason": "counts"}
BUDGET = {"scope": "project", "name": "physics", "unit": "kWh", "amount": "5"}
STATE = {"state": "planned", "on": "2025-01", "evidence": {"source": "s"}}
PHASE = {"id": "1", "changes": [STATE]}
CENTRE = {"id": "sz", "name_en": "SZ", "region": "R", "phases": [PHASE]}
CENTRES = "id,name,region,state,on,source\nzjk,Zhangjiakou,Hebei,in-service,2025-01,s\n"
CODE = {"scheme": "given", "code": "X"}
CENTRE_PHASE = "/v1/centres/{centre}/phases/{phase}"
MEMBER = "/v1/projects/{project}/members/{person}"
SECRET = "/v1/projects/{project}/secrets/{name}"
QUOTA = "/v1/quotas/{kind}/{name}"
NAMES = {
    "project": "physics",
    "person": "hua",
    "site": "changping",
    "kind": "project",
    "change": "quota",
    "budget": "b1",
    "commitment": "deal",
    "key": "66687aadf862bd77",
    "centre": "sz",
    "phase": "1",
    "identifier": "given:X",
    "report": "use",
}
PRICE = {"book": "all", "sku": "storage", "amount": {"amount": "1"}, "reason": "agreed"}
COMMITMENT = {
    "id": "deal", "scope": "project", "name": "physics", "accelerator": "H100", "card_hours": "10",
    "amount": {"amount": "1"}, "starts": "2098-01", "ends": "2099-01", "reason": "contract",
}  # fmt: skip
# What is called, in this order: route, body, as whom, and the action of the event that it leaves.
WALK: list[tuple[str, Any, str, str]] = [
    ("POST /v1/institutions", TENANT, "op", "institution.create"),
    ("POST /v1/people", PERSON, "op", "person.create"),
    ("POST /v1/projects", PROJECT, "op", "project.create"),
    ("POST /v1/login", {"person": "hua", "password": PASSWORD}, "hua", "token.create"),
    (f"PUT {MEMBER}", {"person": "hua", "role": "member"}, "li", "project.change"),
    (f"DELETE {MEMBER}", None, "li", "project.change"),
    ("POST /v1/tokens", {"name": "t"}, "li", "token.create"),
    ("DELETE /v1/tokens/{token}", None, "li", "token.remove"),
    (f"PUT {SECRET}", {"value": "hush-hush"}, "li", "secret.create"),
    (f"DELETE {SECRET}", None, "li", "secret.remove"),
    ("POST /v1/sites", {**SITE, "id": "changping"}, "op", "site.create"),
    ("PUT /v1/sites/{site}/admission", {"admission": "drain"}, "op", "site.change"),
    ("POST /v1/sites/{site}/maintenance", SITE_MAINTENANCE, "op", "site.change"),
    ("DELETE /v1/sites/{site}/maintenance", None, "op", "site.change"),
    ("POST /v1/sites/{site}/bookings", BOOKING, "op", "site.change"),
    ("DELETE /v1/sites/{site}/bookings/{booking}", None, "op", "site.change"),
    ("POST /v1/sites/{site}/power-limits", POWER, "op", "site.change"),
    ("DELETE /v1/sites/{site}/power-limits/{power_limit}", None, "op", "site.change"),
    ("PUT /v1/sites/{site}/keys", {"public": "00" * 32}, "op", "site_key.create"),
    ("DELETE /v1/sites/{site}/keys/{key}", None, "op", "site_key.change"),
    ("POST /v1/sites/{site}/tokens", None, "op", "token.create"),
    ("POST /v1/projects/{project}/awards", {**LOT, "amount": {"amount": "5"}}, "op", "award.create"),
    ("POST /v1/projects/{project}/vouchers", VOUCHER, "op", "voucher.create"),
    ("POST /v1/projects/{project}/topups", TOPUP, "op", "topup.create"),
    ("POST /v1/capacity/figures", {"csv": FIGURES}, "op", "figure.create"),
    ("DELETE /v1/capacity/figures/{figure}", None, "op", "figure.remove"),
    ("POST /v1/centres", CENTRE, "op", "centre.create"),
    ("PUT /v1/centres/{centre}/facts", {"name_en": "S", "region": "R"}, "op", "centre.change"),
    ("POST /v1/centres/{centre}/phases", {**PHASE, "id": "2"}, "op", "centre.change"),
    (f"POST {CENTRE_PHASE}/changes", {**STATE, "state": "accepted"}, "op", "centre.change"),
    (f"POST {CENTRE_PHASE}/plans", {"due": "2027", "told": "2025", "source": "s"}, "op", "centre.change"),
    (f"POST {CENTRE_PHASE}/withdrawal", {"reason": "twice"}, "op", "centre.change"),
    ("POST /v1/centres/import", {"csv": CENTRES}, "op", "centre.create"),
    ("POST /v1/identifiers", {**CODE, "subject": "centre/sz"}, "op", "identifier.create"),
    (
        "POST /v1/identifiers/{identifier}/transfer",
        {"holder": "x", "reason": "sold"},
        "op",
        "identifier.change",
    ),
    ("POST /v1/identifiers/{identifier}/retirement", {"reason": "closed"}, "op", "identifier.change"),
    (f"PUT {QUOTA}", {"share_milli": 2000}, "op", "quota.create"),
    (f"DELETE {QUOTA}", None, "op", "quota.remove"),
    (
        "POST /v1/reports/{report}/publications",
        {"start": "2026-01-01", "end": "2026-02-01"},
        "op",
        "report.create",
    ),
    ("POST /v1/price-books", {"id": "all"}, "op", "price_book.create"),
    ("POST /v1/prices", PRICE, "op", "price.create"),
    ("POST /v1/prices/{price}/end", {"ends": "2099-01-01T00:00:00Z"}, "op", "price.change"),
    (
        "POST /v1/prices",
        {**PRICE, "starts": "2031-01-01T00:00:00Z", "sku": "card:A100"},
        "op",
        "price.create",
    ),
    ("DELETE /v1/prices/{price}", None, "op", "price.change"),
    ("POST /v1/commitments", COMMITMENT, "op", "commitment.create"),
    ("POST /v1/commitments/{commitment}/end", {"ends": "2098-02"}, "op", "commitment.change"),
    ("PUT /v1/budgets/{budget}", BUDGET, "op", "budget.create"),
    ("DELETE /v1/budgets/{budget}", None, "op", "budget.change"),
    ("POST /v1/access/roles", {"name": "clerk", "permissions": ["bill.read"]}, "op", "role.create"),
    ("POST /v1/access/grants", GRANT, "op", "grant.create"),
    ("DELETE /v1/access/grants/{grant}", None, "op", "grant.remove"),
    ("PUT /v1/approvals/thresholds/{change}", {"cards": 8}, "op", "threshold.create"),
    ("POST /v1/access/views", {"person": "hua", "reason": "a question"}, "op", "token.create"),
    ("POST /v1/logout", None, "li", "token.remove"),
]


INSTITUTION = "/v1/institutions/{institution}"
PLACES = (
    f"POST {INSTITUTION}/kinds",
    f"PUT {INSTITUTION}/identifiers",
    f"PUT {INSTITUTION}/verification",
    f"PUT {INSTITUTION}/related/{{other}}",
    "PUT /v1/links",
    "DELETE /v1/links",
    "PUT /v1/sites/{site}/domains",
    "PUT /v1/sites/{site}/electricity",
)
# Two more need a job that has trained a model: the last test here.
SERVING = {"POST /v1/models", "POST /v1/deployments"}
# And these need somebody's proposal: see test_approvals.
DECIDING = {f"POST /v1/approvals/{{proposal}}/{verb}" for verb in ("approve", "refuse", "break-glass")}
# Stories of their own, each in its module.
STORIES = (
    PLACES, awards.APPLYING, awards.AWARDED, vouchers.VOUCHERS, ledger.LEDGER, ledger.INVOICES,
    ledger.DISPUTES, sign_in.PROVIDERS, sign_in.DEVICES, sign_in.FACTORS, sign_in.DIRECTORIES,
    sign_in.PROGRAMS, energy.ROUTES, findings.ROUTES, agent_meters.ROUTES,
)  # fmt: skip


def writing_routes() -> set[str]:
    return {
        f"{method} {route.path_format}"
        for route in routes_of(_open, *ROUTERS)
        for method in route.methods or ()
        if method not in {"GET", "HEAD", "OPTIONS"}
    }


def test_every_route_that_writes_is_walked_below_or_not_told_for_a_reason() -> None:
    walked = {route for route, *_ in WALK}.union(SERVING, DECIDING, *STORIES)
    assert not walked & NOT_TOLD.keys()
    assert walked | NOT_TOLD.keys() == writing_routes()
    assert all(NOT_TOLD.values())


def events(platform: Any, **query: Any) -> list[dict[str, Any]]:
    answer = platform.http.get("/v1/audit", params=query, headers=platform.operator)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def _ids(answer: dict[str, Any]) -> dict[str, str]:
    """Return the names under which the next call finds what this one made."""
    found = {name: str(answer.get("id", "")) for name in ("token", "grant", "price")}
    for name, plural in (("booking", "bookings"), ("power_limit", "power_limits")):
        found[name] = next((each["id"] for each in answer.get(plural, ())), "")
    figures = (each["figure"]["id"] for each in answer.get("verdicts", ()) if each.get("figure"))
    return {**found, "figure": next(figures, "")}


def test_each_change_leaves_one_event_that_says_who_and_no_secret(platform: Any, li: dict[str, str]) -> None:
    walk = Walk(platform.http, platform.services.store, {"admin": platform.operator, "li": li})
    walk.secrets |= {PASSWORD, "hush-hush"}
    made: dict[str, str] = {}
    for route, body, who, action in WALK:
        name = "physics" if route.endswith(QUOTA) else "KEY"
        actor = {"op": "admin"}.get(who, who)
        answer = walk(actor, route, body, action, **NAMES, **made, name=name)
        if answer is not None:
            made = _ids(answer)
    walk.done(route for route, *_ in WALK)
    report = platform.http.get("/v1/audit/check", headers=platform.operator).json()
    assert report["ok"]
    assert report["head"].startswith(f"{report['events']}:")


def test_what_is_changed_of_institutions_and_places_is_told(platform: Any, li: dict[str, str]) -> None:
    platform.post("/v1/institutions", TENANT)
    walk = Walk(platform.http, platform.services.store, {"admin": platform.operator})
    tsinghua = {"institution": "tsinghua"}
    walk("admin", f"POST {INSTITUTION}/kinds", {"kind": "research"}, "institution.change", **tsinghua)
    ror = {"uscc": "", "ror": "https://ror.org/03cve4549"}
    walk("admin", f"PUT {INSTITUTION}/identifiers", ror, "institution.change", **tsinghua)
    seen = {"state": "verified", "note": "the licence"}
    walk("admin", f"PUT {INSTITUTION}/verification", seen, "institution.change", **tsinghua)
    related, route = {"reason": "the same owner"}, f"PUT {INSTITUTION}/related/{{other}}"
    walk("admin", route, related, "relation.create", **tsinghua, other="cau")
    walk("admin", route, related, "", **tsinghua, other="cau")  # a repeat is no change
    link = {"one": "site/haidian", "other": "platform", "bits_per_s": 10**10, "rtt_us": 400, "source": "x"}
    walk("admin", "PUT /v1/links", {**link, "synthetic": False}, "link.create")
    ends = {"one": "site/haidian", "other": "platform"}
    walk("admin", "DELETE /v1/links", None, "link.remove", params=ends)
    domains = {"domains": ["power/feed-2"]}
    walk("admin", "PUT /v1/sites/{site}/domains", domains, "site.change", site="haidian")
    paid = {"price_per_kwh": {"amounts": ["0.62"] * 24}}
    walk("admin", "PUT /v1/sites/{site}/electricity", paid, "site.change", site="haidian")
    walk.done(PLACES)


def test_reads_refusals_and_repeats_leave_no_event(platform: Any, li: dict[str, str], submit: Any) -> None:
    head = platform.http.get("/v1/audit/check", headers=platform.operator).json()["head"]
    submit()
    tenant = {"id": "tsinghua", "kind": "university", "name_zh": "清华", "name_en": "Tsinghua"}
    platform.post("/v1/institutions", tenant)
    other = {**tenant, "kind": "sme"}
    assert platform.http.post("/v1/institutions", json=other, headers=platform.operator).status_code == 409
    assert platform.http.post("/v1/sites", json=SITE, headers=li).status_code == 403
    assert platform.http.get("/v1/jobs", headers=li).status_code == 200
    checked = platform.http.get("/v1/audit/check", params={"head": head}, headers=platform.operator).json()
    assert (checked["ok"], checked["head"]) == (True, head)


def test_a_reason_is_kept_in_any_language(platform: Any, li: dict[str, str]) -> None:
    headers = {**platform.operator, "Hutong-Reason": quote("停电检修")}
    body = {"admission": "drain"}
    platform.http.put("/v1/sites/haidian/admission", json=body, headers=headers)
    (event,) = events(platform, object="site/haidian", limit=1)
    assert (event["reason"], event["before"]["admission"], event["after"]["admission"]) == (
        "停电检修",
        "active",
        "drain",
    )
    assert rfc3339(event["at_ms"]).endswith("Z")


def test_the_audit_is_for_auditors(platform: Any, li: dict[str, str]) -> None:
    assert platform.http.get("/v1/audit", headers=li).status_code == 403
    grant = {"person": "li", "role": "auditor", "scope": "institution/tsinghua", "reason": "not enough"}
    platform.post("/v1/access/grants", grant)
    assert platform.http.get("/v1/audit", headers=li).status_code == 403
    platform.post("/v1/access/grants", {**grant, "scope": "platform"})
    assert platform.http.get("/v1/audit", headers=li).status_code == 200


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_the_audit_is_paged_without_a_gap(platform: Any, li: dict[str, str], order: str) -> None:
    seen: list[int] = []
    query = {"order": order, "limit": "3", "cursor": ""}
    while True:
        answer = platform.http.get("/v1/audit", params=query, headers=platform.operator).json()
        seen += [each["seq"] for each in answer["items"]]
        if not answer["next"]:
            break
        query["cursor"] = answer["next"]
    whole = list(range(1, len(seen) + 1))
    assert seen == (whole if order == "oldest" else whole[::-1])
    assert len(seen) > 3


def test_a_head_that_is_none_is_refused_by_name(platform: Any) -> None:
    answer = platform.http.get("/v1/audit/check?head=7", headers=platform.operator)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "?head"


def test_a_model_and_a_deployment_are_told(world: World) -> None:
    world.register(world.train())
    world.deploy(start=False)
    told = {(each["action"], each["object"], each["actor"]) for each in events(world.platform)}
    assert ("model.create", "model/physics/demo/1", "li") in told
    assert ("deployment.create", "deployment/physics/chat", "li") in told
