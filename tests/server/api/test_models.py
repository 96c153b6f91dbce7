"""Models: what whoever registers, reads or downloads one may rely on."""

from typing import Any

import pytest
from tests.server.serving import World, digest_of, model_files


def test_a_finished_jobs_files_become_a_version(world: World, li: dict[str, str]) -> None:
    job = world.train()
    model = world.register(job)
    assert (model["id"], model["version"], model["project"]) == ("physics/demo/1", 1, "physics")
    assert [each["path"] for each in model["files"]] == ["config.json", "lineage.json", "model.safetensors"]
    assert model["size_bytes"] == sum(each["size_bytes"] for each in model["files"])
    assert model["lineage"]["job"] == job
    assert (model["lineage"]["site"], model["lineage"]["accelerator"]) == ("haidian", "A100")
    assert model["lineage"]["corpus"] == {"name": "stdlib", "licence": "PSF-2.0"}
    assert model["lineage"]["training"] == {"steps": 40, "loss_after": "3.25"}
    assert world.platform.services.objects.has_content(model["digest"])
    assert world.register(job)["version"] == 1
    assert world.register(world.train())["version"] == 2
    versions = world.platform.http.get("/v1/models/demo", headers=li).json()["items"]
    assert [each["version"] for each in versions] == [1, 2]
    listed = world.platform.http.get("/v1/models", headers=li).json()["items"]
    assert [each["id"] for each in listed] == ["physics/demo/2"]


def test_files_are_downloaded_as_they_were_kept(world: World, li: dict[str, str]) -> None:
    world.register(world.train())
    for path, data in model_files().items():
        url = f"/v1/models/demo/1/files/{path.removeprefix('model/')}"
        answer = world.platform.http.get(url, headers=li)
        if path == "notes.txt":
            assert answer.status_code == 404
            continue
        assert answer.content == data
        assert answer.headers["etag"] == f'"{digest_of(data)}"'
        again = world.platform.http.get(url, headers={**li, "If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    for bad in ("../config.json", "%2e%2e/x", "model/config.json"):
        assert world.platform.http.get(f"/v1/models/demo/1/files/{bad}", headers=li).status_code == 404


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"model/pytorch_model.bin": b"x"}, "unsafe_model", "pytorch_model.bin"),
        (
            {"model/model.safetensors": b"\x80\x04\x95 a pickle with another name"},
            "unsafe_model",
            "safetensors",
        ),
        ({"model/config.json": None}, "no_model", "config.json"),
    ],
)
def test_what_is_unsafe_or_no_model_is_not_registered(
    world: World, li: dict[str, str], change: dict[str, bytes | None], code: str, text: str
) -> None:
    files = {path: data for path, data in {**model_files(), **change}.items() if data is not None}
    body = {"name": "demo", "project": "physics", "job": world.train(files)}
    answer = world.platform.http.post("/v1/models", json=body, headers=li)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert text in answer.json()["detail"]
    assert world.platform.http.get("/v1/models", headers=li).json()["items"] == []


def test_a_file_whose_bytes_are_gone_is_noticed(world: World, li: dict[str, str]) -> None:
    job = world.train()
    digest = digest_of(model_files()["model/config.json"]).removeprefix("sha256:")
    world.platform.services.objects.delete(f"content/{digest[:2]}/{digest}")
    body = {"name": "demo", "project": "physics", "job": job}
    answer = world.platform.http.post("/v1/models", json=body, headers=li)
    assert answer.status_code == 422
    assert "config.json" in answer.json()["detail"]


def test_a_job_that_has_not_finished_has_no_model_yet(world: World, li: dict[str, str], submit: Any) -> None:
    body = {"name": "demo", "project": "physics", "job": submit()["id"]}
    answer = world.platform.http.post("/v1/models", json=body, headers=li)
    assert (answer.status_code, answer.json()["code"]) == (409, "job_not_finished")
    answer = world.platform.http.post("/v1/models", json={**body, "job": "0" * 26}, headers=li)
    assert answer.status_code == 404


def test_strangers_do_not_see_models(world: World, wang: dict[str, str]) -> None:
    job = world.train()
    world.register(job)
    get = world.platform.http.get
    for path in (
        "/demo",
        "/demo/1",
        "/demo/1/files/config.json",
        "/demo?project=physics",
        "?project=physics",
    ):
        assert get(f"/v1/models{path}", headers=wang).status_code == 404
    assert get("/v1/models", headers=wang).json()["items"] == []
    body = {"name": "demo", "project": "biology", "job": job}
    assert world.platform.http.post("/v1/models", json=body, headers=wang).status_code == 404
