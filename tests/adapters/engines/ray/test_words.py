"""Pure: what is asked of Ray for an order, and what its answers mean."""

import json
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.attempt.launch import read_launcher
from hutong.adapters.engines.base import Order
from hutong.adapters.engines.inspection import card_name
from hutong.adapters.engines.ray import build, parse
from hutong.adapters.engines.ray.client import JobsClient
from hutong.adapters.engines.ray.config import RayConfig, RayPool
from hutong.adapters.engines.ray.inspect import pools
from hutong.adapters.engines.ray.where import address
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import Spread
from hutong.core.kernel.errors import Later, Refused
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
    written = document(["/opt/ray py/bin/python", "/s/driver.py", "/s/a"], ask={"entrypoint_num_cpus": 2})
    body = build.submission(written, "origin")
    assert body["submission_id"] == order().key
    assert body["entrypoint_num_cpus"] == 2
    assert body["runtime_env"] == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "35"}}
    assert body["metadata"] == {"hutong": "origin", "project": "lab"}
    assert shlex.split(body["entrypoint"]) == ["exec", "/opt/ray py/bin/python", "/s/driver.py", "/s/a"]
    assert "hunter2" not in repr(body)


def document(entry: list[str], **more: object) -> dict[str, Any]:
    """Return of a written order what a submission is made of."""
    launcher = {"ray": {"entry": entry, **more}}
    return {"key": order().key, "project": "lab", "spec": {"grace_s": 5}, "launcher": launcher}


def test_an_order_of_before_entrypoints_had_resources_asks_for_none() -> None:
    asked = build.submission(document(["python", "driver.py"]), "origin")
    assert not any(name.startswith("entrypoint_") for name in asked)


CONFIG = RayConfig(
    FolderConfig(Path("/s"), Path("/p")), "http://head:8265", {"h": RayPool({"GPU": 1, "x": 2}, {"net": 1})}
)
FILES = build.Files(Path("/s/driver.py"), Path("/s/where.py"))


def test_one_node_is_reserved_for_its_supervisor() -> None:
    launcher = build.launcher(order(1, 2, memory_bytes=1 << 30), CONFIG, Path("/p"), FILES, Path("/s/a"))
    assert launcher["ray"] == {
        "entry": ["python3", "-I", "-S", "/p/batch.py", "/s/a"],
        "ask": {
            "entrypoint_num_cpus": 1,
            "entrypoint_num_gpus": 2,
            "entrypoint_memory": 1 << 30,
            "entrypoint_resources": {"x": 4, "net": 1},
        },
    }
    assert read_launcher(launcher).here
    assert read_launcher(launcher).watched


def test_several_nodes_have_a_driver_that_asks_for_itself() -> None:
    launcher = build.launcher(order(2), CONFIG, Path("/p"), FILES, Path("/s/a"))
    assert launcher["ray"]["entry"] == ["python3", "/s/driver.py", "/s/a"]
    assert launcher["ray"]["strategy"] == "STRICT_SPREAD"
    assert launcher["ray"]["ask"] == {}
    assert not read_launcher(launcher).here


def test_an_entrypoint_asks_for_just_what_is_needed() -> None:
    assert build.entrypoint({"CPU": 0.5}) == {"entrypoint_num_cpus": 0.5}


def test_a_node_knows_the_address_that_its_calls_to_the_head_come_from() -> None:
    assert address("127.0.0.1:6379") == "127.0.0.1"
    assert address("[127.0.0.1]:6379") == "127.0.0.1"  # as an IPv6 address is written


def test_a_job_that_was_given_up_unstarted_is_told_from_others() -> None:
    over = {"fits-nowhere": True, "killed": False, "failed": False, "pending": False}
    assert {name: parse.job(recorded(f"job-{name}")).unstarted for name in over} == over
    assert parse.job(recorded("job-pending")).pending


def test_what_starts_jobs_is_known_only_if_all_is_told() -> None:
    actors = recorded("state-actors")
    assert parse.starters([actors]) == frozenset({"ht-gang-a1"})
    cut = {"data": {"result": actors["data"]["result"] | {"num_filtered": 9}}}
    assert parse.starters([actors, cut]) is None


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
    used = parse.usage({"data": {"clusterStatus": {"loadMetricsReport": {"usage": usage}}}})
    pools = {"h": RayPool({"hutong_h800": 1}), "half": RayPool({"hutong_h800": 0.5}), "cpu": RayPool()}
    states = parse.pool_states(pools, nodes, used, {"h": 2})
    assert states == (PoolState("h", 16, 4), PoolState("half", 32, 12))
    assert parse.usage({"data": {"clusterStatus": None}}) == parse.Usage({})


def told(*nodes: dict[str, list[float]]) -> parse.Usage:
    """Return what the dashboard says of nodes."""
    by_node = {f"node{at}": node for at, node in enumerate(nodes)}
    return parse.usage({"data": {"clusterStatus": {"loadMetricsReport": {"usageByNode": by_node}}}})


def test_nodes_are_told_by_how_many_cards_they_have_free() -> None:
    usage = told(
        {"GPU": [3.0, 8.0], "CPU": [1.0, 4.0]}, {"GPU": [8.0, 8.0]}, {"GPU": [0.0, 8.0]}, {"CPU": [0.0, 4.0]}
    )
    totals = [{"GPU": 8.0, "CPU": 4.0}, {"GPU": 8.0}, {"GPU": 8.0}, {"CPU": 4.0}]
    held = {"h": [(1, 3), (1, 4)]}
    (state,) = parse.pool_states({"h": RayPool({"GPU": 1})}, totals, usage, {"h": 7}, held)
    free = Spread((1, 0, 0, 0, 0, 1, 0, 0, 1), ((1, 3, 1), (1, 4, 1)))
    assert state == PoolState("h", 24, 4, 0, free)
    (half,) = parse.pool_states({"h": RayPool({"GPU": 0.5})}, totals, usage, {})
    assert half.spread is not None
    assert half.spread.levels == (1, *(0,) * 9, 1, *(0,) * 5, 1)


def test_nodes_of_another_model_are_another_pool_though_their_resource_has_the_same_name() -> None:
    usage = told(
        {"GPU": [2.0, 8.0], "acceleratorType:H800": [0.002, 1.0]},
        {"GPU": [1.0, 4.0], "acceleratorType:A100": [0.001, 1.0]},
    )
    totals = [{"GPU": 8.0, "accelerator_type:H800": 1.0}, {"GPU": 4.0, "accelerator_type:A100": 1.0}]
    pools = {chip: RayPool({"GPU": 1, f"accelerator_type:{chip}": 0.001}) for chip in ("H800", "A100")}
    assert parse.pool_states(pools, totals, usage, {}) == (
        PoolState("H800", 8, 2, 0, Spread((0, 0, 0, 0, 0, 0, 1))),
        PoolState("A100", 4, 1, 0, Spread((0, 0, 0, 1))),
    )


def test_a_head_that_is_behind_what_has_begun_tells_no_nodes() -> None:
    usage, totals, pools = told({"GPU": [4.0, 8.0]}), [{"GPU": 8.0}], {"h": RayPool({"GPU": 1})}
    for cards, known in ((4, True), (5, False)):
        (state,) = parse.pool_states(pools, totals, usage, {"h": cards}, {"h": [(1, cards)]})
        assert (state.spread is not None) == known


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=5), st.sampled_from([1, 0.5, 0.1]))
def test_every_card_of_a_node_is_used_or_free(nodes: list[tuple[int, int]], share: float) -> None:
    parts = [(min(some), max(some)) for some in nodes]
    usage = told(*({"x": [used * share, total * share]} for used, total in parts))
    totals = [{"x": total * share} for _, total in parts]
    (state,) = parse.pool_states({"h": RayPool({"x": share})}, totals, usage, {})
    there = [(used, total) for used, total in parts if total]
    assert (state.cards_up, state.cards_elsewhere) == (
        sum(total for _, total in there), sum(used for used, _ in there),
    )  # fmt: skip
    free = sorted(total - used for used, total in there)
    levels = state.spread.levels if state.spread else ()
    assert [level for level, count in enumerate(levels) for _ in range(count)] == free


RECORDED = Path(__file__).parent / "recorded" / "2.60"


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())["body"]


@pytest.mark.parametrize(
    ("name", "over", "words"),
    [
        ("job-pending", False, ""),
        ("job-running", False, ""),
        ("job-succeeded", True, "left no end"),
        ("job-stopped", True, "not by the platform"),
        ("job-failed", True, "exit code"),
        ("job-killed", True, "exit code -9"),
        ("job-bad-environment", True, "runtime_env setup failed"),
        ("job-fits-nowhere", True, "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"),
    ],
)
def test_what_ray_has_been_heard_to_say_of_jobs(name: str, over: bool, words: str) -> None:
    record = parse.job(recorded(name))
    assert (record.over, record.name[:3]) == (over, "ht-")
    assert not over or words in record.verdict().reason


def test_what_ray_has_been_heard_to_say_of_all() -> None:
    assert len({each.name for each in parse.jobs(recorded("job-list"))}) == len(recorded("job-list"))
    nodes, after = parse.totals(recorded("state-nodes")), parse.totals(recorded("state-nodes-after-loss"))
    assert ([each["ascend910b"] for each in nodes], len(after)) == ([8.0, 8.0], 1)
    usage = parse.usage(recorded("cluster-status"))
    (state,) = parse.pool_states({"a": RayPool({"ascend910b": 1})}, nodes, usage, {})
    assert state == PoolState("a", 16, 0, 0, Spread((0,) * 8 + (2,)))


@pytest.fixture
def replay() -> Iterator[tuple[JobsClient, dict[str, str]]]:
    """A head that answers each request, by method, with a recording."""
    answers: dict[str, str] = {}

    class Head(BaseHTTPRequestHandler):
        def answer(self) -> None:
            told = json.loads((RECORDED / f"{answers[self.command]}.json").read_text())
            body = told["body"] if isinstance(told["body"], str) else json.dumps(told["body"])
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(told["status"])
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_DELETE = answer  # noqa: N815  (their names are http.server's)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Head) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        config = RayConfig(FolderConfig(Path("/s"), Path("/p")), f"http://127.0.0.1:{server.server_port}")
        yield JobsClient(config), answers
        server.shutdown()
        thread.join()


def test_answers_are_sorted_into_ours(replay: tuple[JobsClient, dict[str, str]]) -> None:
    client, answers = replay
    answers["POST"] = "submit"
    assert client.submit({})
    answers["POST"] = "submit-again"
    assert not client.submit({})
    for answers["POST"] in ("submit-without-entrypoint", "submit-wrong-type"):
        with pytest.raises(Refused, match="TypeError"):
            client.submit({})
    answers["GET"] = "unknown"
    assert client.job("none") is None
    for answers["GET"] in ("no-token", "wrong-token"):
        with pytest.raises(Later, match="token"):
            client.jobs()
    answers["GET"] = "version"
    assert client.version() == "2.60.0"
    answers["POST"], answers["DELETE"] = "unknown-stop", "unknown-delete"
    client.stop("none")
    client.delete("none")
    answers["DELETE"] = "delete-running"
    with pytest.raises(Later, match="500"):
        client.delete("running")


def test_like_nodes_are_a_pool() -> None:
    gpu = {"CPU": 96.0, "memory": 1e12, "GPU": 8.0, "accelerator_type:H100": 1.0, "node:10.0.0.1": 1.0}
    mine = {"CPU": 64.0, "memory": 1e11, "ascend910b": 8.0, "object_store_memory": 1e9}
    found = pools([gpu, gpu | {"CPU": 64.0}, mine, {"CPU": 4.0, "node:__internal_head__": 1.0}])
    assert [
        (each.id, each.accelerator, each.nodes, each.cards_per_node, each.cpus_per_node) for each in found
    ] == [
        ("h100", "H100", 2, 8, 64),
        ("ascend910b", card_name("ascend910b"), 1, 8, 64),
    ]
    assert found[0].settings[0].value == {"GPU": 1.0, "accelerator_type:H100": 0.001}
    assert found[1].settings[0].value == {"ascend910b": 1.0}
