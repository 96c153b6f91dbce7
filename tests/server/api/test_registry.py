"""Institutions, projects and sites: entered once, repeated harmlessly, refused field by field."""

from dataclasses import replace
from typing import Any

import pytest

from hutong.adapters.store.sql import SqlStore
from hutong.clients.cli import site_commands
from hutong.core.book.stays import Stays
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.server.api.shapes.power import drawn_kw
from hutong.server.services import bootstrap
from hutong.wire import sites as wire

PROJECT = {"id": "physics", "institution": "tsinghua", "title": "Physics", "owner": "li"}


def test_a_repeat_changes_nothing_and_another_body_under_the_same_id_is_refused(platform: Any) -> None:
    tenant = {"id": "pku", "kind": "university", "name_zh": "北大", "name_en": "Peking"}
    assert platform.post("/v1/institutions", tenant) == platform.post("/v1/institutions", tenant) == tenant
    other = platform.http.post("/v1/institutions", json={**tenant, "kind": "sme"}, headers=platform.operator)
    assert (other.status_code, other.json()["code"]) == (409, "exists")
    assert platform.http.get("/v1/institutions/pku", headers=platform.operator).json() == tenant
    assert platform.http.get("/v1/institutions/mit", headers=platform.operator).status_code == 404
    platform.person("li")
    assert platform.post("/v1/projects", PROJECT) == platform.post("/v1/projects", PROJECT)


def test_what_a_project_names_must_be_there(platform: Any) -> None:
    for change, path in (({"owner": "ghost"}, "/owner"), ({"institution": "mit"}, "/institution")):
        answer = platform.http.post("/v1/projects", json={**PROJECT, **change}, headers=platform.operator)
        assert answer.status_code == 422
        assert answer.json()["problems"][0]["path"] in {path, "/owner"}
    assert platform.http.get("/v1/projects", headers=platform.operator).json()["items"] == []


def test_one_lists_one_s_own_projects_and_an_operator_all(
    platform: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    def names(headers: dict[str, str]) -> list[str]:
        return [each["id"] for each in platform.http.get("/v1/projects", headers=headers).json()["items"]]

    assert (names(li), names(wang)) == (["physics"], ["biology"])
    assert names(platform.operator) == ["biology", "physics"]


def test_a_site_is_shown_with_its_condition_and_takes_no_work_when_it_is_closed(
    platform: Any, li: dict[str, str]
) -> None:
    site = platform.http.get("/v1/sites/haidian", headers=li).json()
    assert site["reachable"] is False
    assert site["pools"][0]["pue"] == "1.2"
    assert site["pools"][0]["cards"] == 16
    assert site["green_percent_now"] == "40"
    platform.http.post("/v1/agent/take", json={}, headers=platform.agent("haidian"))
    assert platform.http.get("/v1/sites/haidian", headers=li).json()["reachable"] is True
    seen = {"at_ms": platform.clock(), "trouble": "No space left on device"}
    platform.http.post("/v1/agent/report", json={"sighting": seen}, headers=platform.agent("haidian"))
    assert platform.http.get("/v1/sites/haidian", headers=li).json()["trouble"] == "No space left on device"
    platform.clock.ahead_ms += 10 * 60_000
    assert platform.http.get("/v1/sites/haidian", headers=li).json()["reachable"] is False
    url = "/v1/sites/haidian/admission"
    closed = platform.http.put(url, json={"admission": "inactive"}, headers=platform.operator)
    assert closed.json()["admission"] == "inactive"
    assert platform.http.put(url, json={"admission": "active"}, headers=li).status_code == 403
    assert platform.http.get("/v1/sites", headers=li).json()["items"][0]["admission"] == "inactive"


def test_a_site_that_broke_runs_says_how_seldom_and_no_other_does(
    platform: Any, li: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert platform.http.get("/v1/sites/haidian", headers=li).json()["node_hours_to_break"] is None
    real, known = SqlStore.snapshot, {"haidian": Stays(3_000 * HOUR_MS, 2_000_000)}
    monkeypatch.setattr(
        SqlStore, "snapshot", lambda self, at_ms, limits: replace(real(self, at_ms, limits), stays=known)
    )
    found = platform.http.get("/v1/sites/haidian", headers=li).json()
    assert found["node_hours_to_break"] == 9_334 // 3
    (row,) = site_commands._rows(wire.Site.model_validate(found))
    assert "breaks a run in 3,111 node-hours" in row[-1]
    known["haidian"] = Stays(3_000 * HOUR_MS, 0)
    assert platform.http.get("/v1/sites", headers=li).json()["items"][0]["node_hours_to_break"] is None


def test_a_maintenance_is_announced_by_operators_and_seen_by_all(platform: Any, li: dict[str, str]) -> None:
    url = "/v1/sites/haidian/maintenance"
    day = {"start": "2100-01-01T08:00:00.000Z", "end": "2100-01-02T08:00:00+08:00", "reason": "cooling"}
    assert platform.http.post(url, json=day, headers=li).status_code == 403
    for _ in range(2):  # a repeat changes nothing
        answer = platform.http.post(url, json=day, headers=platform.operator)
        assert answer.status_code == 200, answer.text
    week = {**day, "start": "2099-01-01T08:00:00Z", "end": "2099-01-02T08:00:00Z", "stop_jobs": True}
    platform.http.post(url, json=week, headers=platform.operator)
    seen = platform.http.get("/v1/sites/haidian", headers=li).json()["maintenance"]
    assert [(each["start"], each["end"], each["stop_jobs"]) for each in seen] == [
        ("2099-01-01T08:00:00.000Z", "2099-01-02T08:00:00.000Z", True),
        ("2100-01-01T08:00:00.000Z", "2100-01-02T00:00:00.000Z", False),
    ]
    assert platform.http.delete(url, headers=li).status_code == 403
    assert platform.http.delete(url, headers=platform.operator).json()["maintenance"] == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"start": "tomorrow"}, "/start"),
        ({"end": "2100-01-01T07:00:00Z"}, "/end"),
        ({"start": "2000-01-01T00:00:00Z", "end": "2000-01-02T00:00:00Z"}, "/end"),
        ({"end": "2101-01-01T00:00:00Z"}, "/end"),
    ],
)
def test_a_maintenance_that_makes_no_sense_is_refused(
    platform: Any, li: dict[str, str], change: dict[str, str], path: str
) -> None:
    day = {"start": "2100-01-01T08:00:00Z", "end": "2100-01-02T08:00:00Z", "reason": "cooling"}
    url = "/v1/sites/haidian/maintenance"
    answer = platform.http.post(url, json={**day, **change}, headers=platform.operator)
    assert answer.status_code in {400, 422}
    assert answer.json()["problems"][0]["path"] == path


BOOKING = {
    "pool": "h100", "cards": 3, "start": "2100-01-01T08:00:00Z", "end": "2100-01-01T20:00:00Z",
    "holder": "institution/tsinghua",
}  # fmt: skip


def book(platform: Any, **change: Any) -> Any:
    """Book as an operator."""
    url = "/v1/sites/haidian/bookings"
    return platform.http.post(url, json={**BOOKING, **change}, headers=platform.operator)


def test_cards_are_booked_by_operators_seen_by_all_and_given_back(platform: Any, li: dict[str, str]) -> None:
    url = "/v1/sites/haidian/bookings"
    (pool,) = platform.http.get("/v1/sites/haidian", headers=li).json()["pools"]
    assert platform.http.post(url, json=BOOKING, headers=li).status_code == 403
    for cards in (3, 1, 1):  # a repeat changes nothing
        answer = book(platform, pool=pool["id"], cards=cards)
        assert answer.status_code == 200, answer.text
    (made,) = platform.http.get("/v1/sites/haidian", headers=li).json()["bookings"]
    assert {**BOOKING, "pool": pool["id"], "cards": 1, "reason": "", "id": made["id"]} == {
        **made, "start": BOOKING["start"], "end": BOOKING["end"],
    }  # fmt: skip
    assert platform.http.delete(f"{url}/{made['id']}", headers=li).status_code == 403
    assert platform.http.delete(f"{url}/{made['id']}", headers=platform.operator).json()["bookings"] == []
    assert platform.http.delete(f"{url}/{made['id']}", headers=platform.operator).status_code == 404


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"pool": "nowhere"}, "/pool"),
        ({"cards": 10**6}, "/cards"),
        ({"start": "tomorrow"}, "/start"),
        ({"end": "2100-01-01T07:00:00Z"}, "/end"),
        ({"start": "2000-01-01T00:00:00Z", "end": "2000-01-02T00:00:00Z"}, "/end"),
        ({"end": "2102-01-01T00:00:00Z"}, "/end"),
        ({"holder": "project/nobody"}, "/holder"),
        ({"holder": "person/li"}, "/holder"),
    ],
)
def test_a_booking_that_makes_no_sense_is_refused_by_field(
    platform: Any, li: dict[str, str], change: dict[str, Any], path: str
) -> None:
    (pool,) = platform.http.get("/v1/sites/haidian", headers=li).json()["pools"]
    answer = book(platform, **{"pool": pool["id"], **change})
    assert answer.status_code in {400, 422}
    assert answer.json()["problems"][0]["path"] == path


def test_no_card_is_booked_twice(platform: Any, li: dict[str, str]) -> None:
    (pool,) = platform.http.get("/v1/sites/haidian", headers=li).json()["pools"]
    half = pool["cards"] // 2
    for name in ("lab", "uni"):
        body = {"id": name, "kind": "research", "name_zh": name, "name_en": name}
        assert platform.http.post("/v1/institutions", json=body, headers=platform.operator).status_code == 201
    assert book(platform, pool=pool["id"], cards=half).status_code == 200
    noon = {"start": "2100-01-01T12:00:00Z", "end": "2100-01-01T23:00:00Z"}
    noon["holder"] = "institution/lab"
    assert book(platform, pool=pool["id"], cards=pool["cards"] - half, **noon).status_code == 200
    late = {"start": "2100-01-01T20:00:00Z", "end": "2100-01-01T21:00:00Z", "holder": "institution/uni"}
    answer = book(platform, pool=pool["id"], cards=half + 1, **late)
    assert answer.json()["problems"][0] == {
        "path": "/cards",
        "message": f"{pool['cards']} cards, of which {pool['cards'] - half} are booked already in that time",
        "hint": f"{half} or fewer, or another time",
    }
    assert book(platform, pool=pool["id"], cards=half, **late).status_code == 200
    one_more = {**late, "start": noon["start"]}
    answer = book(platform, pool=pool["id"], cards=1, **one_more)
    assert answer.json()["problems"][0]["path"] == "/cards", "what one holder has booked adds up"
    night = {**noon, "start": "2100-01-01T22:00:00Z"}
    assert book(platform, pool=pool["id"], cards=half, **night).status_code == 200, "and may"
    body = {"id": "exam", "institution": "lab", "title": "Exam", "owner": "li"}
    assert platform.http.post("/v1/projects", json=body, headers=platform.operator).status_code == 201
    answer = book(platform, pool=pool["id"], cards=1, **{**late, "holder": "project/exam"})
    assert answer.json()["problems"][0]["message"].startswith("institution/lab has"), (
        "its institution has one"
    )


def limit_power(platform: Any, **body: Any) -> Any:
    """Limit a centre's power as an operator."""
    url = "/v1/sites/haidian/power-limits"
    return platform.http.post(url, json={"limit_kw": 800, **body}, headers=platform.operator)


def test_power_is_limited_by_operators_seen_by_all_and_the_limit_taken_away(
    platform: Any, li: dict[str, str]
) -> None:
    url = "/v1/sites/haidian/power-limits"
    assert platform.http.post(url, json={"limit_kw": 800}, headers=li).status_code == 403
    span = {"start": "2100-01-01T18:00:00.000Z", "end": "2100-01-01T20:00:00.000Z"}
    for kw in (900, 800, 800):  # a repeat changes nothing
        answer = limit_power(platform, limit_kw=kw, reason="demand response", stop_jobs=True, **span)
        assert answer.status_code == 200, answer.text
    assert limit_power(platform, limit_kw=1200).status_code == 200
    seen = platform.http.get("/v1/sites/haidian", headers=li).json()
    standing, window = seen["power_limits"]
    assert standing == {
        "id": standing["id"], "limit_kw": 1200, "start": None, "end": None, "reason": "", "stop_jobs": False,
    }  # fmt: skip
    assert window == {
        "id": window["id"], "limit_kw": 800, **span, "reason": "demand response", "stop_jobs": True,
    }  # fmt: skip
    assert seen["power_kw"] == "0"
    assert platform.http.delete(f"{url}/{window['id']}", headers=li).status_code == 403
    left = platform.http.delete(f"{url}/{window['id']}", headers=platform.operator).json()["power_limits"]
    assert left == [standing]
    assert platform.http.delete(f"{url}/{window['id']}", headers=platform.operator).status_code == 404


@pytest.mark.usefixtures("li")
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"limit_kw": 0}, "/limit_kw"),
        ({"limit_kw": 10**9}, "/limit_kw"),
        ({"start": "tomorrow"}, "/start"),
        ({"end": "tomorrow"}, "/end"),
        ({"end": "2000-01-02T00:00:00Z"}, "/end"),
        ({"start": "2100-01-02T00:00:00Z", "end": "2100-01-01T00:00:00Z"}, "/end"),
        ({"reason": "x" * 201}, "/reason"),
    ],
)
def test_a_limit_of_power_that_makes_no_sense_is_refused_by_field(
    platform: Any, change: dict[str, Any], path: str
) -> None:
    answer = limit_power(platform, **change)
    assert answer.status_code in {400, 422}
    assert answer.json()["problems"][0]["path"] == path


@pytest.mark.usefixtures("li")
def test_a_centre_has_a_bounded_number_of_limits(platform: Any) -> None:
    for year in range(2100, 2150):
        assert limit_power(platform, start=f"{year}-01-01T00:00:00Z").status_code == 200
    answer = limit_power(platform)
    assert answer.json()["problems"][0]["path"] == "/start"


def test_what_a_centres_jobs_draw_is_told_by_nameplate_and_pue() -> None:
    pools = (
        Pool(PoolId("a"), "H100", 1, 8, 1, 1250, "cuda"),
        Pool(PoolId("b"), "Odd", 1, 8, 1, 1250, "cuda"),  # what the catalogue does not know draws nothing
    )
    site = Site(SiteId("s"), "", "s", "r", 1, "local", pools, Supply((0,) * 24, (0,) * 24, "x"))
    assert drawn_kw(site, {"a": 3, "b": 8}) == "2.625"
    assert drawn_kw(site, {}) == "0"


def test_an_agent_sees_its_own_site_and_does_not_thereby_call(platform: Any, li: dict[str, str]) -> None:
    made = platform.http.post("/v1/sites/haidian/tokens", headers=platform.operator).json()
    agent = {"Authorization": f"Bearer {made['secret']}"}
    seen = platform.http.get("/v1/agent/site", headers=agent).json()
    assert (seen["site"], seen["admission"]) == ("haidian", "active")
    assert seen["pools"][0]["accelerator"]
    assert platform.http.get("/v1/sites/haidian", headers=li).json()["last_seen"] is None
    assert platform.http.get("/v1/agent/site", headers=li).status_code == 403


def test_a_wrong_site_is_refused_field_by_field(platform: Any) -> None:
    pool = {
        "id": "a", "accelerator": "Abacus", "nodes": 1, "cards_per_node": 1,
        "price_per_card_hour": {"amount": "-1"}, "pue": "1.2",
    }  # fmt: skip
    body = {
        "id": "x", "name_zh": "x", "name_en": "x", "region": "x", "distance_km": 1, "pools": [pool, pool],
        "supply": {"green_ppm": [0] * 24, "grams_per_kwh": [0] * 24, "source": "test"},
    }  # fmt: skip
    answer = platform.http.post("/v1/sites", json=body, headers=platform.operator)
    assert answer.status_code == 422
    assert {each["path"] for each in answer.json()["problems"]} == {
        "/pools/0/accelerator",
        "/pools/1/accelerator",
        "/pools/1/id",
        "/pools/0/price_per_card_hour/amount",
        "/pools/1/price_per_card_hour/amount",
    }


def test_the_first_operator_is_made_once_and_gets_a_fresh_token_each_time(platform: Any) -> None:
    first, one = bootstrap(platform.services)
    second, two = bootstrap(platform.services, "another password")
    assert first == second
    assert one != two
    for token in (one, two):
        me = platform.http.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
        assert (me["id"], me["operator"]) == ("admin", True)
