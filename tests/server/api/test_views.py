"""Support looks at the platform as a user: reads what they read, writes nothing, and it is told."""

from typing import Any

import pytest
from tests.server.api.test_access import BODIES, ROUTES, fill

from hutong.core.book.audit import AuditQuery
from hutong.server.api.access import Public

REASON = "ticket 4711: sees no jobs"


@pytest.fixture
def support(platform: Any, li: dict[str, str]) -> dict[str, str]:
    """Return the headers of Mei of support."""
    mei: dict[str, str] = platform.person("mei")
    grant = {"person": "mei", "role": "support", "scope": "platform", "reason": "first line"}
    platform.post("/v1/access/grants", grant)
    return mei


def look(platform: Any, who: dict[str, str], person: str = "li", minutes: int = 30) -> Any:
    body = {"person": person, "reason": REASON, "minutes": minutes}
    return platform.http.post("/v1/access/views", json=body, headers=who)


def headers(answer: Any) -> dict[str, str]:
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['secret']}"}


def test_a_view_reads_what_the_person_reads_and_says_who_looks(
    platform: Any, support: dict[str, str], submit: Any
) -> None:
    job = submit()["id"]
    view = headers(look(platform, support))
    me = platform.http.get("/v1/me", headers=view).json()
    assert (me["id"], me["viewed_by"]) == ("li", "mei")
    assert [each["id"] for each in platform.http.get("/v1/jobs", headers=view).json()["items"]] == [job]
    assert platform.http.get("/v1/projects/physics/balance", headers=view).status_code == 200
    assert platform.http.get("/v1/people", headers=view).status_code == 403


def test_a_view_writes_nothing_by_any_route_but_its_own_end(
    platform: Any, support: dict[str, str], submit: Any
) -> None:
    job = submit()["id"]
    view = headers(look(platform, support))
    store = platform.services.store
    before = store.audit(AuditQuery(newest_first=True, limit=1))[0].seq
    tried = 0
    for method, path, rule in ROUTES:
        if method in {"GET", "HEAD"} or isinstance(rule, Public) or path == "/v1/logout":
            continue
        answer = platform.http.request(
            method, fill(path, job=job), headers=view, json=BODIES.get((method, path), {})
        )
        assert answer.status_code in {403, 404}, (method, path, answer.text)
        tried += 1
    assert tried > 30
    assert store.audit(AuditQuery(newest_first=True, limit=1))[0].seq == before
    assert store.job(job).job.cancel_by == ""
    assert platform.http.post("/v1/logout", headers=view).status_code == 204
    assert platform.http.get("/v1/me", headers=view).status_code == 401
    (event,) = store.audit(AuditQuery(newest_first=True, limit=1))
    assert (event.action, event.actor, event.on_behalf_of) == ("token.remove", "mei", "li")


def test_a_view_is_told_with_its_reason_and_its_person_sees_it(
    platform: Any, support: dict[str, str], li: dict[str, str]
) -> None:
    look(platform, support)
    (event,) = platform.services.store.audit(AuditQuery(newest_first=True, limit=1))
    assert (event.action, event.actor, event.reason, event.mark) == (
        "token.create",
        "mei",
        REASON,
        "impersonation",
    )
    names = [each["name"] for each in platform.http.get("/v1/tokens", headers=li).json()["items"]]
    assert "read-only view by mei" in names


def test_a_view_ends_with_its_time_or_with_the_right_to_it(platform: Any, support: dict[str, str]) -> None:
    short, long = headers(look(platform, support, minutes=1)), headers(look(platform, support))
    platform.clock.ahead_ms = 61_000
    assert platform.http.get("/v1/me", headers=short).status_code == 401
    assert platform.http.get("/v1/me", headers=long).status_code == 200
    (grant,) = platform.http.get("/v1/access/grants?person=mei", headers=support).json()["items"]
    platform.http.delete(f"/v1/access/grants/{grant['id']}", headers=platform.operator)
    assert platform.http.get("/v1/me", headers=long).status_code == 401


def test_nobody_looks_as_the_mighty_as_themselves_or_without_the_right(
    platform: Any, support: dict[str, str], li: dict[str, str]
) -> None:
    assert look(platform, support, "admin").status_code == 403
    assert look(platform, support, "mei").status_code == 403
    assert look(platform, li, "mei").status_code == 403
    assert look(platform, support, "nobody").status_code == 404
    view = headers(look(platform, support))
    grant = {"person": "li", "role": "auditor", "scope": "platform", "reason": "promoted"}
    platform.post("/v1/access/grants", grant)
    platform.clock.ahead_ms = 6_000
    assert platform.http.get("/v1/me", headers=view).status_code == 401
