"""The Ray bed: jobs are taken, run over nodes, stopped and logged by the real Jobs API."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from testbeds.ray import Json, RayCluster, find_programs

pytestmark = [pytest.mark.bed, pytest.mark.slow, pytest.mark.xdist_group("ray")]
ENDS = ("SUCCEEDED", "FAILED", "STOPPED")
GANG = """
import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as Strategy

ray.init(address="auto", log_to_driver=False)

@ray.remote(num_cpus=1, resources={"ascend910b": 8})
def where():
    return ray.get_runtime_context().get_node_id()

group = placement_group([{"CPU": 1, "ascend910b": 8}] * 2, strategy="STRICT_SPREAD")
ray.get(group.ready())
found = ray.get([where.options(scheduling_strategy=Strategy(group, rank)).remote() for rank in range(2)])
print("nodes:", len(set(found)))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(nodes=2, resources={"ascend910b": 8}) as running:
        yield running


def submit(cluster: RayCluster, **body: object) -> httpx2.Response:
    return cluster.request("POST", "/api/jobs/", body)


def job_in(cluster: RayCluster, job: str, *states: str) -> Json:
    def look() -> Json | None:
        found: Json = cluster.get(f"/api/jobs/{job}")
        return found if found["status"] in states else None

    return cluster.wait(look, f"job {job} is one of {states}")


def log_of(cluster: RayCluster, job: str) -> str:
    return str(cluster.get(f"/api/jobs/{job}/logs")["logs"])


def test_a_job_succeeds_and_its_log_is_kept(cluster: RayCluster) -> None:
    assert submit(cluster, entrypoint="echo hello", submission_id="first").json()["submission_id"] == "first"
    assert job_in(cluster, "first", *ENDS)["driver_exit_code"] == 0
    assert "hello\n" in log_of(cluster, "first")


def test_the_same_submission_id_is_refused(cluster: RayCluster) -> None:
    submit(cluster, entrypoint="true", submission_id="twice").raise_for_status()
    again = submit(cluster, entrypoint="true", submission_id="twice")
    assert again.status_code == 500
    assert "already exists" in again.text


def test_a_failing_job_keeps_its_exit_code(cluster: RayCluster) -> None:
    submit(cluster, entrypoint="exit 7", submission_id="bad").raise_for_status()
    found = job_in(cluster, "bad", *ENDS)
    assert (found["status"], found["driver_exit_code"]) == ("FAILED", 7)


def test_a_running_job_is_stopped(cluster: RayCluster) -> None:
    submit(cluster, entrypoint="sleep 600", submission_id="long").raise_for_status()
    job_in(cluster, "long", "RUNNING")
    answer = cluster.request("POST", "/api/jobs/long/stop")
    assert answer.json() == {"stopped": True}
    assert job_in(cluster, "long", *ENDS)["status"] == "STOPPED"


def test_a_placement_group_spreads_over_both_nodes(cluster: RayCluster) -> None:
    script = cluster.root / "gang.py"
    script.write_text(GANG)
    submit(cluster, entrypoint=f"{cluster.python} {script}", submission_id="gang").raise_for_status()
    assert job_in(cluster, "gang", *ENDS)["status"] == "SUCCEEDED", log_of(cluster, "gang")
    assert "nodes: 2" in log_of(cluster, "gang")
    summary = cluster.get("/nodes?view=summary")["data"]["summary"]
    assert {node["ip"] for node in summary} == {cluster.address(0), cluster.address(1)}


def test_a_lost_node_is_counted_out_and_an_empty_head_comes_back(cluster: RayCluster) -> None:
    cluster.kill_node(1)
    cluster.wait(lambda: cluster.alive() == 1, "the lost node is counted out")
    cluster.kill_head()
    with pytest.raises(httpx2.TransportError):
        cluster.get("/api/version")
    cluster.start_head()
    assert cluster.alive() == 2
    with pytest.raises(httpx2.HTTPStatusError, match="404"):
        cluster.get("/api/jobs/first")


def test_a_cluster_with_a_token_takes_only_requests_that_bear_it() -> None:
    with RayCluster(token="0123456789abcdef0123456789abcdef") as closed:
        submit(closed, entrypoint="echo inside", submission_id="first").raise_for_status()
        assert job_in(closed, "first", *ENDS)["status"] == "SUCCEEDED"
        assert httpx2.get(f"{closed.url}/api/jobs/", trust_env=False).status_code == 401


def test_what_is_missing_is_named_with_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUTONG_RAY", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="make ray"):
        find_programs()
