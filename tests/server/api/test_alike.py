"""Jobs that share most of their file are checked together, and a user cannot tell."""

from hashlib import sha256
from typing import Any

from hutong.core.kernel.documents import encode
from hutong.core.kernel.ids import JobId

SPEC: dict[str, Any] = {
    "name": "sweep",
    "resources": {"accelerators": "A100:1"},
    "run": "python train.py",
    "secrets": [],
}


def sweep(count: int) -> list[dict[str, Any]]:
    """Return files that differ in what sweeps differ in."""
    seeds = range(count)
    return [{**SPEC, "name": f"s{seed}", "envs": {"SEED": seed}, "run": f"echo {seed}"} for seed in seeds]


def post(platform: Any, li: dict[str, str], specs: list[dict[str, Any]], project: str = "physics") -> Any:
    body = {"jobs": [{"project": project, "spec": each} for each in specs]}
    return platform.http.post("/v1/jobs/batch", json=body, headers=li)


def test_each_job_of_a_sweep_has_its_own_spec_and_the_digest_of_that(
    platform: Any, li: dict[str, str]
) -> None:
    alone = [
        platform.post("/v1/jobs", {"project": "physics", "spec": each}, headers=li)["id"] for each in sweep(4)
    ]
    together = post(platform, li, sweep(4)).json()["ids"]
    for one, other, wanted in zip(alone, together, sweep(4), strict=True):
        rows = [platform.services.store.job(JobId(each)) for each in (one, other)]
        assert rows[0].spec == rows[1].spec
        assert (rows[1].spec.name, rows[1].spec.run) == (wanted["name"], wanted["run"])
        assert rows[1].spec.envs == (("SEED", str(wanted["envs"]["SEED"])),)
        for job in (one, other):
            (fact,) = platform.services.store.facts(JobId(job), 0, 10)
            assert fact.event.spec_digest == f"sha256:{sha256(encode(rows[1].spec)).hexdigest()}"


def test_what_is_wrong_in_one_of_a_sweep_is_named_where_it_stands_and_nothing_is_stored(
    platform: Any, li: dict[str, str]
) -> None:
    before = platform.http.get("/v1/jobs?limit=100", headers=li).json()["items"]
    specs = sweep(5)
    specs[3] = {**specs[3], "envs": {"RANK": "1"}, "run": ""}
    answer = post(platform, li, specs)
    assert answer.status_code == 422
    places = [each["path"] for each in answer.json()["problems"]]
    assert places == ["/jobs/3/spec/envs/RANK", "/jobs/3/spec/run"]
    assert platform.http.get("/v1/jobs?limit=100", headers=li).json()["items"] == before


def test_a_kind_that_fits_nowhere_is_refused_each_time_and_in_each_place(
    platform: Any, li: dict[str, str]
) -> None:
    specs = [{**each, "resources": {"accelerators": "A100:1000"}} for each in sweep(4)]
    for at in (0, 3):
        answer = post(platform, li, [*sweep(at), *specs[at:]])
        assert (answer.status_code, answer.json()["code"]) == (422, "never_placeable")
        assert answer.json()["problems"][0]["path"] == f"/jobs/{at}/spec/resources"
        single = platform.http.post("/v1/jobs", json={"project": "physics", "spec": specs[at]}, headers=li)
        assert single.json()["code"] == "never_placeable"


def test_what_one_may_not_use_is_refused_though_its_kind_is_known(platform: Any, li: dict[str, str]) -> None:
    assert post(platform, li, sweep(3)).status_code == 201
    assert post(platform, li, sweep(3), "nobodys").status_code == 404
