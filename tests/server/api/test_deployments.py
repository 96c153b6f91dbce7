"""Deployments: what whoever serves a model may rely on."""

from typing import Any

import pytest
from tests.server.serving import World

from hutong.core.kernel.ids import JobId

BODY: dict[str, Any] = {
    "name": "chat", "project": "physics", "model": "demo", "accelerators": {"A100": 1},
}  # fmt: skip
PATH = "/v1/deployments/physics/chat"


@pytest.fixture
def ready(world: World) -> World:
    """A registered model."""
    world.register(world.train())
    return world


def test_a_deployment_is_a_service_job_and_follows_it(ready: World, li: dict[str, str]) -> None:
    http = ready.platform.http
    job = ready.deploy(start=False)
    shown = http.get(PATH, headers=li).json()
    assert (shown["state"], shown["job"], shown["model"]) == ("STARTING", job, "physics/demo/1")
    row = ready.store.job(JobId(job))
    assert (row.spec.type.value, row.spec.deployment, row.project) == ("service", "physics/chat", "physics")
    http.delete(PATH, headers=li)
    ready.loop.step()
    assert http.get(PATH, headers=li).json()["state"] == "STOPPED"
    again = ready.deploy()
    assert again != job
    shown = http.get(PATH, headers=li).json()
    assert (shown["state"], shown["job"], shown["call_as"]) == ("READY", again, "physics/chat")
    assert [each["call_as"] for each in http.get("/v1/deployments", headers=li).json()["items"]] == [
        "physics/chat"
    ]
    for _ in range(2):
        assert http.delete(PATH, headers=li).json()["state"] == "STOPPING"


def test_a_name_serves_one_model_at_a_time(ready: World, li: dict[str, str]) -> None:
    ready.deploy(start=False)
    answer = ready.platform.http.post("/v1/deployments", json=BODY, headers=li)
    assert (answer.status_code, answer.json()["code"]) == (409, "exists")
    assert len(ready.platform.http.get("/v1/jobs", headers=li).json()["items"]) == 2


def test_a_repeat_with_its_key_finds_the_first(ready: World, li: dict[str, str]) -> None:
    headers = {**li, "Idempotency-Key": "once"}
    first, second = (ready.platform.post("/v1/deployments", BODY, headers=headers) for _ in range(2))
    assert first["job"] == second["job"]
    other = ready.platform.http.post("/v1/deployments", json={**BODY, "max_duration": "1h"}, headers=headers)
    assert other.status_code == 409


def test_a_deployment_cut_off_before_its_job_goes_on_or_frees_its_name(
    ready: World, li: dict[str, str]
) -> None:
    """The platform was killed after the record and before the job."""
    headers = {**li, "Idempotency-Key": "once"}
    first = ready.platform.post("/v1/deployments", BODY, headers=headers)
    record = ready.store.get("deployment", "physics/chat")
    missing = ready.platform.services.new_id()
    ready.store.put(type(record)(record.kind, record.id, {**record.doc, "job": missing}, record.parent))
    assert ready.platform.http.get(PATH, headers=li).json()["state"] == "STARTING"
    assert ready.platform.http.post("/v1/deployments", json=BODY, headers=li).status_code == 409
    again = ready.platform.post("/v1/deployments", BODY, headers=headers)
    assert again["job"] == missing != first["job"]
    assert ready.store.job(JobId(missing)) is not None
    gone = ready.platform.services.new_id()
    ready.store.put(type(record)(record.kind, record.id, {**record.doc, "job": gone}, record.parent))
    ready.platform.clock.ahead_ms += 120_000
    assert ready.platform.http.get(PATH, headers=li).json()["state"] == "FAILED"
    assert ready.platform.post("/v1/deployments", BODY, headers=li)["job"] != gone


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"model": "none"}, 404, ""),
        ({"model": "a/b/c/d"}, 422, "/model"),
        ({"model": "demo/x"}, 422, "/model"),
        ({"accelerators": {"Nothing": 1}}, 422, "/spec/resources/accelerators/Nothing"),
        ({"accelerators": {"A100": 900}}, 422, "/spec/resources"),
        ({"spec": {"type": "task"}}, 422, "/spec/type"),
        ({"spec": {"colour": "red"}}, 422, "/spec/colour"),
        ({"price_in_per_million": {"amount": "-1"}}, 422, "/price_in_per_million/amount"),
        ({"project": "biology"}, 404, ""),
    ],
)
def test_a_bad_wish_names_the_field_and_leaves_nothing(
    ready: World, li: dict[str, str], change: dict[str, Any], status: int, path: str
) -> None:
    answer = ready.platform.http.post("/v1/deployments", json={**BODY, **change}, headers=li)
    assert answer.status_code == status
    assert not path or answer.json()["problems"][0]["path"].startswith(path)
    assert ready.platform.http.get("/v1/deployments", headers=li).json()["items"] == []
    assert len(ready.platform.http.get("/v1/jobs", headers=li).json()["items"]) == 1


def test_strangers_do_not_see_or_stop_deployments(ready: World, wang: dict[str, str]) -> None:
    ready.deploy(start=False)
    http = ready.platform.http
    assert http.get(PATH, headers=wang).status_code == 404
    assert http.delete(PATH, headers=wang).status_code == 404
    assert http.get("/v1/deployments", headers=wang).json()["items"] == []
    steal = {**BODY, "project": "biology", "model": "physics/demo/1"}
    assert http.post("/v1/deployments", json=steal, headers=wang).status_code == 404
