"""What a user may rely on when submitting and looking at jobs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hutong.server.loop import Loop

SPEC: dict[str, Any] = {"name": "train", "resources": {"accelerators": "A100:1"}, "run": "echo hello"}


def wish(**changes: Any) -> dict[str, Any]:
    return {"project": "physics", "spec": {**SPEC, **changes}}


def test_a_submitted_job_is_there_at_once_and_for_its_project_only(
    platform: Any, li: dict[str, str], wang: dict[str, str]
) -> None:
    answer = platform.http.post("/v1/jobs", json=wish(), headers=li)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert job["state"] == "ACCEPTED"
    assert job["accelerators"] == ["A100:1"]
    detail = platform.http.get(f"/v1/jobs/{job['id']}", headers=li).json()
    assert detail["submitted"] == job["submitted"]
    assert detail["spec"]["run"] == "echo hello"
    assert platform.http.get(f"/v1/jobs/{job['id']}", headers=wang).status_code == 404
    assert platform.http.get(f"/v1/jobs/{job['id']}", headers=platform.operator).status_code == 200
    assert platform.http.get("/v1/jobs", headers=wang).json()["items"] == []
    assert platform.http.get("/v1/jobs?project=physics", headers=wang).status_code == 404
    facts = platform.http.get(f"/v1/jobs/{job['id']}/facts", headers=li).json()["items"]
    assert [fact["kind"] for fact in facts] == ["submitted"]


def test_inputs_by_url_and_shared_need_nothing_at_the_platform(platform: Any, li: dict[str, str]) -> None:
    inputs = [
        {"mount": "a", "url": "s3://sets/zh", "store": "lab"},
        {"mount": "b", "shared": "datasets/zh"},
    ]
    answer = platform.http.post("/v1/jobs", json=wish(inputs=inputs), headers=li)
    assert answer.status_code == 201, answer.text
    detail = platform.http.get(f"/v1/jobs/{answer.json()['id']}", headers=li).json()
    assert detail["spec"]["inputs"] == inputs
    lost = {"mount": "c", "digest": "sha256:" + "0" * 64}
    answer = platform.http.post("/v1/jobs", json=wish(inputs=[*inputs, lost]), headers=li)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_reference")
    assert [each["path"] for each in answer.json()["problems"]] == ["/spec/inputs/2/digest"]


def test_a_repeat_with_the_same_key_is_the_same_job_and_another_body_is_refused(
    platform: Any, li: dict[str, str]
) -> None:
    once = {**li, "Idempotency-Key": "monday"}
    first = platform.http.post("/v1/jobs", json=wish(), headers=once).json()
    again = platform.http.post("/v1/jobs", json=wish(), headers=once)
    assert again.status_code == 201
    assert again.json() == first
    other = platform.http.post("/v1/jobs", json=wish(run="rm -rf /"), headers=once)
    assert other.status_code == 409
    assert other.json()["code"] == "idempotency_conflict"
    assert len(platform.http.get("/v1/jobs", headers=li).json()["items"]) == 1


def test_many_at_once_are_all_written_in_shared_commits(platform: Any, li: dict[str, str]) -> None:
    def one(number: int) -> str:
        answer = platform.http.post("/v1/jobs", json=wish(name=f"n{number}"), headers=li)
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(one, range(60)))
    assert len(ids) == 60
    listed = platform.http.get("/v1/jobs?limit=200", headers=li).json()["items"]
    assert {job["id"] for job in listed} == ids


def test_a_batch_is_stored_whole_or_not_at_all(platform: Any, li: dict[str, str]) -> None:
    bad = {"jobs": [wish(), wish(run=7), wish()]}
    answer = platform.http.post("/v1/jobs/batch", json=bad, headers=li)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "/jobs/1/spec/run"
    assert platform.http.get("/v1/jobs", headers=li).json()["items"] == []
    good = {"jobs": [wish(name=f"n{number}") for number in range(1000)]}
    once = {**li, "Idempotency-Key": "all"}
    answer = platform.http.post("/v1/jobs/batch", json=good, headers=once)
    assert answer.status_code == 201, answer.text
    ids = answer.json()["ids"]
    assert len(set(ids)) == 1000
    assert platform.http.get(f"/v1/jobs/{ids[7]}", headers=li).json()["name"] == "n7"
    assert platform.http.post("/v1/jobs/batch", json=good, headers=once).json()["ids"] == ids
    longer = {"jobs": [*good["jobs"][:3], wish(name="more")]}
    assert platform.http.post("/v1/jobs/batch", json=longer, headers=once).status_code == 409
    too_many = {"jobs": [wish()] * 1001}
    assert platform.http.post("/v1/jobs/batch", json=too_many, headers=li).status_code == 422


def test_of_like_documents_in_a_batch_each_is_a_job_and_what_differs_stays_different(
    platform: Any, li: dict[str, str]
) -> None:
    specs = [
        SPEC,
        {**SPEC, "envs": {"A": "1"}},
        SPEC,
        {**SPEC, "envs": {"A": "2"}},
        dict(reversed(SPEC.items())),
    ]
    body = {"jobs": [{"project": "physics", "spec": spec} for spec in specs]}
    answer = platform.http.post("/v1/jobs/batch", json=body, headers=li)
    assert answer.status_code == 201, answer.text
    ids = answer.json()["ids"]
    assert len(set(ids)) == len(specs)
    shown = [platform.http.get(f"/v1/jobs/{job}", headers=li).json() for job in ids]
    assert [job["spec"].get("envs") or {} for job in shown] == [{}, {"A": "1"}, {}, {"A": "2"}, {}]


def test_a_document_that_may_run_in_one_project_is_refused_in_another(
    platform: Any, li: dict[str, str]
) -> None:
    body = {"jobs": [wish(), wish(), {**wish(), "project": "quantum"}]}
    answer = platform.http.post("/v1/jobs/batch", json=body, headers=li)
    assert answer.status_code in {403, 404}, answer.text
    assert platform.http.get("/v1/jobs", headers=li).json()["items"] == []


def test_lists_are_paged_newest_first_with_a_link_to_the_next_page(
    platform: Any, li: dict[str, str], submit: Callable[..., dict[str, Any]]
) -> None:
    ids = [submit(name=f"n{number}")["id"] for number in range(5)]
    seen: list[str] = []
    url = "/v1/jobs?limit=2"
    for size in (2, 2, 1):
        answer = platform.http.get(url, headers=li)
        items = answer.json()["items"]
        assert len(items) == size
        seen += [job["id"] for job in items]
        if size == 2:
            url = answer.links["next"]["url"]
            assert answer.json()["next"] in url
    assert answer.json()["next"] == ""
    assert seen == sorted(ids, reverse=True)
    bad = platform.http.get("/v1/jobs?cursor=%21%21", headers=li)
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_cursor")
    assert platform.http.get("/v1/jobs?limit=201", headers=li).status_code == 422
    queued = platform.http.get("/v1/jobs?state=QUEUED&state=RUNNING", headers=li).json()
    assert queued["items"] == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"run": None}, "/spec/run"),
        ({"num_nodes": -1}, "/spec/num_nodes"),
        ({"nonsense": 1}, "/spec/nonsense"),
        ({"resources": {"accelerators": "B9000:1"}}, "/spec/resources/accelerators"),
        ({"resources": {"accelerators": "H100:1"}}, "/spec/resources"),
        ({"resources": {"accelerators": "A100:9"}}, "/spec/resources"),
        ({"num_nodes": 3}, "/spec/resources"),
        ({"secrets": {"HF_TOKEN": None}}, "/spec/secrets/HF_TOKEN"),
        ({"workdir": "sha256:" + "0" * 64}, "/spec/workdir"),
    ],
)
def test_a_job_that_cannot_run_is_refused_with_its_field_and_nothing_is_stored(
    platform: Any, li: dict[str, str], changes: dict[str, Any], path: str
) -> None:
    answer = platform.http.post("/v1/jobs", json=wish(**changes), headers=li)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(each["path"].startswith(path) for each in answer.json()["problems"]), answer.json()
    assert platform.http.get("/v1/jobs", headers=li).json()["items"] == []


def test_hold_release_and_cancel_say_what_the_job_is_now(
    platform: Any, li: dict[str, str], submit: Callable[..., dict[str, Any]]
) -> None:
    job = submit()["id"]
    held = platform.http.post(f"/v1/jobs/{job}/hold", headers=li)
    assert held.json()["state"] == "HELD"
    assert platform.http.post(f"/v1/jobs/{job}/release", headers=li).json()["state"] == "QUEUED"
    cancelled = platform.http.post(f"/v1/jobs/{job}/cancel", json={"reason": "typo"}, headers=li)
    assert cancelled.status_code == 200
    assert cancelled.json()["conditions"]["cancel_asked_by"] == "li"
    assert platform.http.post(f"/v1/jobs/{job}/cancel", headers=li).status_code == 200


def test_a_check_says_where_and_what_it_would_cost_and_stores_nothing(
    platform: Any, li: dict[str, str]
) -> None:
    body = wish(resources={"accelerators": {"A100": 8}}, num_nodes=2, max_duration="2h")
    answer = platform.http.post("/v1/jobs/check", json=body, headers=li)
    assert answer.status_code == 200, answer.text
    check = answer.json()
    assert check["fundable"] is False
    assert check["worst_case"]["amount"].startswith("23")  # 16 cards x 7.2 yuan x 2 h = 230.4, and the grace
    assert check["alternatives"][0]["why_not"]["code"] == "unreachable"
    impossible = platform.http.post("/v1/jobs/check", json=wish(num_nodes=9), headers=li).json()
    assert impossible["worst_case"] is None
    assert impossible["alternatives"][0]["why_not"]["code"] == "too_few_nodes"
    assert impossible["never"]
    assert platform.http.get("/v1/jobs", headers=li).json()["items"] == []


def test_a_waiting_job_is_told_what_each_pool_says_now_and_a_placed_or_ended_one_is_not(
    platform: Any, li: dict[str, str], submit: Callable[..., dict[str, Any]]
) -> None:
    body = wish(max_duration="3h")
    job = submit(max_duration="3h")["id"]
    why = platform.http.get(f"/v1/jobs/{job}/why", headers=li)
    assert why.status_code == 200, why.text
    assert why.json() == platform.http.post("/v1/jobs/check", json=body, headers=li).json()
    assert why.json()["alternatives"][0]["why_not"]["code"] == "unreachable"
    assert not why.json()["never"]
    platform.post(f"/v1/jobs/{job}/cancel", {"reason": "typo"}, headers=li)
    loop = Loop(platform.services.store, platform.services.rules, platform.services.clock, "test")
    while loop.step():
        pass
    ended = platform.http.get(f"/v1/jobs/{job}/why", headers=li)
    assert ended.status_code == 404
    assert ended.json()["code"] == "not_waiting"
    assert "CANCELLED" in ended.json()["detail"]


def test_without_any_site_a_job_is_refused_in_plain_words(platform: Any) -> None:
    wu = platform.person("wu", "physics")
    answer = platform.http.post("/v1/jobs", json=wish(), headers=wu)
    assert answer.status_code == 422
    assert answer.json()["code"] == "never_placeable"
    assert "no site" in answer.json()["detail"]
