"""What a user may rely on when submitting many like jobs as one array."""

from typing import Any

import pytest

from hutong.core.kernel.arrays import job_at

SPEC: dict[str, Any] = {
    "name": "sweep",
    "resources": {"accelerators": "A100:1"},
    "run": "echo $HUTONG_ARRAY_INDEX",
}


def wish(array: object, **changes: Any) -> dict[str, Any]:
    return {"project": "physics", "spec": {**SPEC, "array": array, **changes}}


def made(platform: Any, li: dict[str, str], array: object = "1-9:2", **changes: Any) -> dict[str, Any]:
    answer = platform.http.post("/v1/arrays", json=wish(array, **changes), headers=li)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_one_request_makes_all_jobs_and_each_knows_its_index(platform: Any, li: dict[str, str]) -> None:
    array = made(platform, li, "5,1-3")
    assert (array["indices"], array["jobs"], array["left"]) == ("1-3,5", 4, 4)
    assert (array["name"], array["project"], array["by"], array["at_once"]) == ("sweep", "physics", "li", 0)
    assert array["states"] == {"ACCEPTED": 4}
    listed = platform.http.get(f"/v1/jobs?array={array['id']}", headers=li).json()["items"]
    assert [job["array_index"] for job in listed] == [5, 3, 2, 1]
    assert {job["array"] for job in listed} == {array["id"]}
    assert platform.http.get(f"/v1/arrays/{array['id']}", headers=li).json() == array
    (one,) = platform.http.get(f"/v1/jobs?array={array['id']}&index=5", headers=li).json()["items"]
    assert one == listed[0]
    detail = platform.http.get(f"/v1/jobs/{one['id']}", headers=li).json()
    assert detail["spec"]["array"] == "1-3,5"


def test_the_list_of_an_array_is_paged_and_filtered_as_any(platform: Any, li: dict[str, str]) -> None:
    first, second = made(platform, li, "0-6"), made(platform, li, "0-2")
    path, seen = f"/v1/jobs?array={first['id']}&limit=3", []
    while path:
        answer = platform.http.get(path, headers=li)
        seen += [job["array_index"] for job in answer.json()["items"]]
        path = answer.links.get("next", {}).get("url", "")
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    path = f"/v1/jobs?array={second['id']}"
    assert len(platform.http.get(f"{path}&state=ACCEPTED", headers=li).json()["items"]) == 3
    assert platform.http.get(f"{path}&state=RUNNING", headers=li).json()["items"] == []
    assert platform.http.get(f"{path}&project=physics", headers=li).json()["items"]


def test_a_repeat_with_its_key_is_the_same_array_and_another_body_stores_nothing(
    platform: Any, li: dict[str, str]
) -> None:
    once = {**li, "Idempotency-Key": "monday"}
    first = made(platform, once, "0-2")
    assert made(platform, once, "0-2") == first
    other = platform.http.post("/v1/arrays", json=wish("0-9"), headers=once)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    batch = {"jobs": [{"project": "physics", "spec": SPEC}] * 4}
    assert platform.http.post("/v1/jobs/batch", json=batch, headers=once).status_code == 201
    assert len(platform.http.get("/v1/jobs", headers=li).json()["items"]) == 3 + 4


def test_an_array_is_stored_whole_or_not_at_all(platform: Any, li: dict[str, str]) -> None:
    for bad, path in (
        (wish("0-1000"), "/spec/array"),
        (wish("5-1"), "/spec/array"),
        (wish("0-9", type="service", ports=[80]), "/spec/array"),
        (wish("0-9", envs={"SLURM_ARRAY_TASK_ID": "1"}), "/spec/array"),
        (wish(None), "/spec/array"),
        (wish("0-9", run=7), "/spec/run"),
        (wish("0-9", secrets=["HF_TOKEN"]), "/spec/secrets/HF_TOKEN"),
    ):
        answer = platform.http.post("/v1/arrays", json=bad, headers=li)
        assert answer.status_code == 422, (bad, answer.text)
        assert answer.json()["problems"][0]["path"] == path
        assert answer.json()["problems"][0]["hint"]
    assert platform.http.get("/v1/jobs", headers=li).json()["items"] == []


def test_what_makes_one_job_refuses_an_array_and_says_where_to_go(platform: Any, li: dict[str, str]) -> None:
    for path, body, at in (
        ("/v1/jobs", wish("0-9"), "/spec/array"),
        ("/v1/jobs/batch", {"jobs": [wish("0-9")]}, "/jobs/0/spec/array"),
    ):
        answer = platform.http.post(path, json=body, headers=li)
        assert answer.status_code == 422
        assert answer.json()["problems"][0]["path"] == at
        assert "/v1/arrays" in answer.json()["problems"][0]["hint"]


def test_all_of_an_array_is_cancelled_at_once_and_again_without_harm(
    platform: Any, li: dict[str, str]
) -> None:
    array = made(platform, li, "0-4%2")
    other = made(platform, li, "0-1")
    path = f"/v1/arrays/{array['id']}/cancel"
    for _ in range(2):
        answer = platform.http.post(path, json={"reason": "typo"}, headers=li)
        assert answer.status_code == 200, answer.text
    listed = platform.http.get("/v1/jobs", headers=li).json()["items"]
    asked = {job["array"] for job in listed if job["conditions"]["cancel_asked_by"] == "li"}
    assert asked == {array["id"]}
    job = job_at(array["id"], 5)
    facts = platform.http.get(f"/v1/jobs/{job}/facts", headers=li).json()["items"]
    assert [fact["kind"] for fact in facts] == ["submitted", "cancel_asked"]
    assert other["id"] != array["id"]


def test_who_waits_for_others_of_an_array_is_told_and_cannot_be_held(
    platform: Any, li: dict[str, str]
) -> None:
    array = made(platform, li, "0-4%2")
    assert (array["at_once"], array["indices"]) == (2, "0-4%2")
    listed = platform.http.get(f"/v1/jobs?array={array['id']}", headers=li).json()["items"]
    assert [job["conditions"]["waiting_code"] for job in listed] == ["array"] * 3 + [""] * 2
    assert "at most 2" in listed[0]["conditions"]["waiting_text"]
    answer = platform.http.post(f"/v1/jobs/{listed[0]['id']}/hold", headers=li)
    assert (answer.status_code, answer.json()["code"]) == (409, "array_limit")


def test_what_is_no_array_or_another_s_is_not_there(
    platform: Any, li: dict[str, str], wang: dict[str, str], submit: Any
) -> None:
    array, alone = made(platform, li), submit()["id"]
    for name in (job_at(array["id"], 1), alone, f"{alone[:-2]}00"):
        assert platform.http.get(f"/v1/arrays/{name}", headers=li).status_code == 404
        assert platform.http.get(f"/v1/jobs?array={name}", headers=li).status_code == 404
    for path in (f"/v1/arrays/{array['id']}", f"/v1/jobs?array={array['id']}"):
        assert platform.http.get(path, headers=wang).status_code == 404
        assert platform.http.get(path, headers=platform.operator).status_code == 200
    assert platform.http.post(f"/v1/arrays/{array['id']}/cancel", headers=wang).status_code == 404
    for query, status in ((f"array={array['id']}&index=2", 404), ("index=2", 422), ("array=x", 422)):
        assert platform.http.get(f"/v1/jobs?{query}", headers=li).status_code == status


@pytest.mark.parametrize("array", [7, "7"])
def test_an_array_of_one_is_an_array(platform: Any, li: dict[str, str], array: object) -> None:
    found = made(platform, li, array)
    assert (found["jobs"], found["indices"]) == (1, "7")
