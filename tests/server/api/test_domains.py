"""Failure domains through the API: declared with a site, changed later, and why a pool is a last resort."""

from typing import Any

import pytest
from tests.server.conftest import SITE, SPEC

from hutong.core.book.store import Sighting
from hutong.core.kernel.ids import SiteId, attempt_key
from hutong.core.work import facts as f
from hutong.core.work.states import AttemptState, Category
from hutong.server.loop import Loop


def put(platform: Any, body: dict[str, Any], site: str = "haidian") -> Any:
    """Change a site's domains as an operator."""
    return platform.http.put(f"/v1/sites/{site}/domains", json=body, headers=platform.operator)


def test_domains_come_with_a_site_and_can_be_changed(platform: Any, li: dict[str, str]) -> None:
    pools = [{**SITE["pools"][0], "domains": ["building/b3", "building/b3"]}]
    other = {**SITE, "id": "tianjin", "pools": pools, "domains": ["power/feed-2"]}
    made = platform.post("/v1/sites", other)
    assert (made["domains"], made["pools"][0]["domains"]) == (["power/feed-2"], ["building/b3"])
    assert platform.post("/v1/sites", other) == made, "a repeat changes nothing"
    changed = put(platform, {"domains": ["power/feed-3"], "pool": "a100"}, "tianjin").json()
    assert (changed["domains"], changed["pools"][0]["domains"]) == (["power/feed-2"], ["power/feed-3"])
    assert put(platform, {"domains": []}, "tianjin").json()["domains"] == []
    assert platform.http.put("/v1/sites/tianjin/domains", json={"domains": []}, headers=li).status_code == 403


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"domains": ["feed"]}, "/domains/0"),
        ({"domains": ["Power/feed"]}, "/domains/0"),
        ({}, "/domains"),
        ({"domains": [], "pool": "none"}, "/pool"),
    ],
)
@pytest.mark.usefixtures("li")
def test_what_cannot_be_meant_names_the_field(platform: Any, body: dict[str, Any], path: str) -> None:
    answer = put(platform, body)
    assert answer.status_code == 422, answer.text
    assert path in [each["path"] for each in answer.json()["problems"]]
    assert put(platform, {"domains": []}, "nowhere").status_code == 404


def test_a_receipt_says_what_was_a_last_resort(platform: Any, li: dict[str, str]) -> None:
    for name in ("shared", "tianjin"):
        platform.post("/v1/sites", {**SITE, "id": name, "region": name, "distance_km": 9_000})
    for name in ("haidian", "shared"):
        put(platform, {"domains": ["power/feed-2"]}, name)
    services, clock = platform.services, platform.clock
    award = {"amount": {"amount": "1000"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}
    platform.post("/v1/projects/physics/awards", award)
    loop = Loop(services.store, services.rules, clock, "test")
    none: frozenset[Any] = frozenset()

    def look() -> None:
        for name in ("haidian", "shared", "tianjin"):
            services.store.report(SiteId(name), [], Sighting(clock(), none, none), clock())
        while loop.step():
            pass

    look()
    spec = {**SPEC, "resources": {"accelerators": "A100:1", "job_recovery": {"avoid_domains": ["power"]}}}
    job = platform.post("/v1/jobs", {"project": "physics", "spec": spec}, headers=li)["id"]
    look()
    first = services.store.job(job).job.live
    assert first.site == "haidian", "the nearest"
    services.store.take(SiteId("haidian"), 0, 10, clock())
    ended = f.Ended(1, AttemptState.FAILED, Category.INFRA, "the feed", clock(), clock(), 1)
    report = f.Report(attempt_key(job, 1), ended)
    services.store.report(SiteId("haidian"), [report], None, clock())
    look()
    platform.clock.ahead_ms += 1_000_000
    look()
    assert services.store.job(job).job.live.site == "tianjin"
    receipt = platform.http.get(f"/v1/jobs/{job}/receipt", headers=li).json()
    assert {each["site"]: each["note"] for each in receipt["alternatives"]} == {
        "tianjin": "",
        "shared": "a last resort: an earlier attempt was broken in power/feed-2",
        "haidian": "a last resort: the site broke an earlier attempt",
    }
