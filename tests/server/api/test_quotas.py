"""Quotas: set whole, shown, taken away; by operators only, and only what can be meant."""

from typing import Any

import pytest
from tests.server.conftest import SPEC

from hutong.server.loop import Loop

AWARD = {"amount": {"amount": "1000"}, "starts": "2026-01-01T00:00:00Z", "ends": "2099-01-01T00:00:00Z"}
URL = "/v1/quotas/institution/tsinghua"
QUOTA = {
    "share_milli": 2000,
    "allotments": [{"accelerator": "H100", "nominal": 8, "borrow": 4, "lend": 2, "each_person": None}],
}


def put(platform: Any, body: dict[str, Any], url: str = URL) -> Any:
    """Set a quota as an operator."""
    return platform.http.put(url, json=body, headers=platform.operator)


def test_a_quota_is_set_shown_and_taken_away(platform: Any, li: dict[str, str]) -> None:
    made = put(platform, QUOTA)
    assert made.status_code == 200, made.text
    assert made.json() == {**QUOTA, "kind": "institution", "name": "tsinghua"}
    assert put(platform, QUOTA).json() == made.json()
    listed = platform.http.get("/v1/quotas", headers=platform.operator).json()["items"]
    assert listed == [made.json()]
    assert platform.http.get(URL, headers=platform.operator).json() == made.json()
    for answer in (
        platform.http.get(URL, headers=li),
        platform.http.put(URL, json=QUOTA, headers=li),
        platform.http.delete(URL, headers=li),
    ):
        assert answer.status_code == 403
    assert platform.http.delete(URL, headers=platform.operator).status_code == 204
    assert platform.http.delete(URL, headers=platform.operator).status_code == 404
    assert platform.http.get(URL, headers=platform.operator).status_code == 404


def test_a_project_limits_each_of_its_people(platform: Any, li: dict[str, str]) -> None:
    url = "/v1/quotas/project/physics"
    body = {"allotments": [{"accelerator": "H100", "each_person": 16}]}
    made = put(platform, body, url)
    assert made.status_code == 200, made.text
    limit = {"accelerator": "H100", "nominal": 0, "borrow": None, "lend": None, "each_person": 16}
    assert made.json()["allotments"] == [limit]
    assert platform.http.get(url, headers=platform.operator).json() == made.json()
    assert platform.http.put(url, json=body, headers=li).status_code == 403


def test_who_is_at_the_limit_waits_and_is_told_so_while_others_of_the_project_start(
    platform: Any, li: dict[str, str]
) -> None:
    services, clock = platform.services, platform.clock
    loop = Loop(services.store, services.rules, clock, "test")
    mei = platform.person("mei")
    member = {"person": "mei", "role": "member"}
    assert platform.http.put("/v1/projects/physics/members/mei", json=member, headers=li).status_code == 200
    platform.post("/v1/projects/physics/awards", AWARD)
    sighting = {"at_ms": clock(), "known": [], "live": [], "agent": "test/1"}
    answer = platform.http.post(
        "/v1/agent/report", json={"sighting": sighting}, headers=platform.agent("haidian")
    )
    assert answer.status_code == 200, answer.text
    spec = {**SPEC, "resources": {"accelerators": "A100:4"}}

    def submit(headers: dict[str, str]) -> str:
        return str(platform.post("/v1/jobs", {"project": "physics", "spec": spec}, headers=headers)["id"])

    def shown(job: str) -> Any:
        while loop.step():
            pass
        return platform.http.get(f"/v1/jobs/{job}", headers=li).json()

    limit = {"allotments": [{"accelerator": "A100", "each_person": 4}]}
    assert put(platform, limit, "/v1/quotas/project/physics").status_code == 200
    first, second, other = submit(li), submit(li), submit(mei)
    assert shown(first)["state"] != "QUEUED"
    waits = shown(second)["conditions"]
    assert waits["waiting_code"] == "quota"
    assert waits["waiting_text"].startswith(
        "li holds 4 of at most 4 A100 that each person of project physics"
    )
    assert shown(other)["state"] != "QUEUED"
    assert shown(submit(mei))["state"] == "QUEUED", "what was held before this turn counts"
    assert platform.http.delete("/v1/quotas/project/physics", headers=platform.operator).status_code == 204
    assert shown(second)["state"] != "QUEUED"


@pytest.mark.parametrize(
    ("allotments", "path"),
    [
        ([{"accelerator": "H1000"}], "/allotments/0/accelerator"),
        ([{"accelerator": "*"}, {"accelerator": "*", "nominal": 1}], "/allotments/1/accelerator"),
        ([{"accelerator": "H100", "nominal": 2, "lend": 3}], "/allotments/0/lend"),
        ([{"accelerator": "H100", "each_person": 8}], "/allotments/0/each_person"),
        ([{"accelerator": "H100", "each_person": -1}], "/allotments/0/each_person"),
        ([{"accelerator": "H100", "each_person": "many"}], "/allotments/0/each_person"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field(
    platform: Any, allotments: list[dict[str, Any]], path: str
) -> None:
    answer = put(platform, {"allotments": allotments})
    assert answer.status_code == 422
    assert path in {each["path"] for each in answer.json()["problems"]}


def test_whose_quota_it_is_must_be_there(platform: Any) -> None:
    assert put(platform, QUOTA, "/v1/quotas/institution/mit").status_code == 422
    assert put(platform, QUOTA, "/v1/quotas/person/li").status_code == 422
    assert platform.http.get("/v1/quotas", headers=platform.operator).json()["items"] == []
