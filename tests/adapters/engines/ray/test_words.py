"""Pure: what is asked of Ray for an order, and what its answers mean."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from hutong.adapters.engines.base import Order
from hutong.adapters.engines.ray import build, parse
from hutong.adapters.engines.ray.config import RayPool
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import JobId, ProjectId, attempt_key
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources

JOB = JobId("01M7Q5CQG0AAAAAAAAAAAAAAAA")


def order(nodes: int = 2, cards: int = 8, **resources: int) -> Order:
    spec = JobSpec("try", JobType.TASK, nodes, Resources((Ask("H800", cards),), **resources), "true")
    attempt = Attempt(1, "s", "h", "H800", nodes, nodes * cards, 1, 1, 1, 1)
    return Order(attempt_key(JOB, 1), JOB, ProjectId("lab"), attempt, spec, secrets={"TOKEN": "hunter2"})


def test_each_node_of_a_gang_is_a_bundle() -> None:
    pool = RayPool({"GPU": 1, "accelerator_type:H800": 0.001}, {"fast_net": 1}, cpus_per_card=4)
    bundle = {"GPU": 8, "accelerator_type:H800": 0.008, "fast_net": 1, "CPU": 32}
    assert build.bundles(order(), pool) == [bundle, bundle]


def test_what_the_job_names_goes_before_the_pools_default() -> None:
    pool = RayPool({"NPU": 1}, cpus_per_card=4)
    assert build.bundles(order(1, 2, cpus=3, memory_bytes=1 << 30), pool) == [
        {"NPU": 2, "CPU": 3, "memory": 1 << 30}
    ]


def test_a_job_without_cards_asks_for_a_cpu() -> None:
    assert build.bundles(order(1, 0), RayPool()) == [{"CPU": 1}]


def test_a_submission_bears_the_key_and_our_mark_and_no_secret() -> None:
    body = build.submission(order(), "origin", "/opt/ray py/bin/python", Path("/s/driver.py"), Path("/s/a"))
    assert body["submission_id"] == order().key
    assert body["metadata"] == {"hutong": "origin", "project": "lab"}
    assert shlex.split(body["entrypoint"]) == ["exec", "/opt/ray py/bin/python", "/s/driver.py", "/s/a"]
    assert "hunter2" not in repr(body)


def test_one_node_needs_no_spreading() -> None:
    plans = [
        build.launcher(order(nodes), RayPool(), Path("/p"), Path("/s/a"), "python3", 60)["ray"]
        for nodes in (1, 2)
    ]
    assert [each["strategy"] for each in plans] == ["PACK", "STRICT_SPREAD"]


@pytest.mark.parametrize("pool", [RayPool(strategy="WIDE"), RayPool({"GPU": 0}), RayPool({}, {"x": -1})])
def test_a_pool_that_ray_would_misunderstand_is_refused(pool: RayPool) -> None:
    with pytest.raises(Refused, match="pool 'h'"):
        build.check_pool("h", pool)


def test_a_job_is_told_by_its_name_status_and_mark() -> None:
    told = {"submission_id": "k", "status": "RUNNING", "metadata": {"hutong": "o"}, "message": "a\nb"}
    assert parse.job(told) == parse.Record("k", "RUNNING", "o", "a")
    assert parse.jobs([told, {"submission_id": None, "status": "RUNNING", "type": "DRIVER"}]) == [
        parse.job(told)
    ]
    assert parse.job({"submission_id": "k", "status": "RUNNING", "metadata": None}).origin == ""


def test_a_status_that_is_new_to_us_is_not_an_end() -> None:
    assert [parse.Record("k", each, "").over for each in ("PENDING", "RUNNING", "RESTARTING", "")] == [
        False
    ] * 4
    assert [parse.Record("k", each, "").over for each in ("SUCCEEDED", "FAILED", "STOPPED")] == [True] * 3


def test_what_ray_ends_by_itself_is_the_centres_doing() -> None:
    record = parse.Record("k", "FAILED", "", "it died", "JOB_SUPERVISOR_ACTOR_DIED")
    verdict = record.verdict()
    assert (verdict.outcome, verdict.category) == ("FAILED", "infra")
    assert "JOB_SUPERVISOR_ACTOR_DIED" in verdict.reason
    assert "it died" in verdict.reason
    assert "not by the platform" in replace(record, status="STOPPED").verdict().reason


def test_a_pool_is_what_living_nodes_have_less_what_others_hold() -> None:
    node = {"node_id": "a", "state": "ALIVE", "resources_total": {"CPU": 4.0, "hutong_h800": 8.0}}
    rows = [node, node, node | {"state": "DEAD"}, {"state": "ALIVE", "resources_total": None}]
    usage = {"hutongH800": [6.0, 16.0], "CPU": [1.0, 8.0]}
    nodes = parse.totals({"data": {"result": {"result": rows}}})
    used = parse.used({"data": {"clusterStatus": {"loadMetricsReport": {"usage": usage}}}})
    pools = {"h": RayPool({"hutong_h800": 1}), "half": RayPool({"hutong_h800": 0.5}), "cpu": RayPool()}
    states = parse.pool_states(pools, nodes, used, {"h": 2})
    assert states == (PoolState("h", 16, 4), PoolState("half", 32, 12))
    assert parse.used({"data": {"clusterStatus": None}}) == {}
