"""What may go wrong between the agent and a real control plane: nothing runs twice, and nothing is lost."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testbeds.kubernetes import KubernetesCluster
from tests.adapters.engines.kubernetes.faulty import faulty
from tests.conformance.benches import Bench, kubernetes_bench
from tests.faults import Kills, dice, kill_midway, seconds, trials

from hutong.adapters.engines.attempt import tree
from hutong.adapters.engines.base import Seen
from hutong.adapters.engines.kubernetes.config import KubernetesPool
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Ended
from hutong.core.work.spec import Ask, Resources
from hutong.core.work.states import AttemptState, Category

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kubernetes")]
PODS, JOBS = "/api/v1/namespaces/default/pods", "/apis/batch/v1/namespaces/default/jobs"
IMAGE = "registry.example/train:1"
FIRST = {
    "p": KubernetesPool(
        "huawei.com/Ascend910", image=IMAGE, node_selector={"kubernetes.io/hostname": "npu-0"}
    )
}


@pytest.fixture
def bench(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> Iterator[Bench]:
    with kubernetes_bench(tmp_path, kubernetes_cluster) as opened:
        yield opened


def running(bench: Bench, key: AttemptKey) -> Seen:
    return bench.wait(key, lambda seen: seen.state is AttemptState.RUNNING)


def ended(bench: Bench, key: AttemptKey) -> Ended:
    end = bench.finish(key).ended
    assert end is not None
    return end


def pods(cluster: KubernetesCluster, key: AttemptKey) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.get(f"{PODS}?labelSelector=hutong/key={key}")["items"]
    return found


def pod(cluster: KubernetesCluster, key: AttemptKey) -> str:
    return str(pods(cluster, key)[0]["metadata"]["name"])


def later(bench: Bench) -> bool:
    try:
        bench.engine.observe()
    except Later:
        return True
    return False


def until(condition: Callable[[], object], what: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_job_whose_creation_was_never_heard_of_is_adopted(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> None:
    with (
        faulty(kubernetes_cluster, tmp_path / "proxy") as proxy,
        kubernetes_bench(tmp_path, kubernetes_cluster, kubeconfig=proxy.kubeconfig) as bench,
    ):
        order = bench.order("echo once >>ran", outputs=".")
        proxy.faults.append(("POST", "/jobs", "lost"))
        with pytest.raises(Later):
            bench.engine.submit(order)
        assert proxy.met == ["lost"]
        assert bench.engine.submit(order).adopted
        assert ended(bench, order.key).outcome is AttemptState.SUCCEEDED
        work = bench.engine.outputs(order.key)
        assert work is not None
        assert (work / "ran").read_text() == "once\n"


def test_watches_that_drop_and_refusals_lose_nothing(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> None:
    with (
        faulty(kubernetes_cluster, tmp_path / "proxy") as proxy,
        kubernetes_bench(tmp_path, kubernetes_cluster, kubeconfig=proxy.kubeconfig) as bench,
    ):
        proxy.faults += [
            ("GET", "watch=true", kind) for kind in ("cut", "410", "429", "503", "cut", "410") * 2
        ]
        order = bench.order("sleep 3; echo done")
        proxy.faults.append(("POST", "/networkpolicies", "429"))
        with pytest.raises(Later):
            bench.engine.submit(order)
        bench.engine.submit(order)
        seen = running(bench, order.key)
        assert seen.ended is None
        assert ended(bench, order.key).outcome is AttemptState.SUCCEEDED
        until(lambda: len(proxy.met) == 13, "all faults were met")
        again = bench.order("echo more")
        bench.engine.submit(again)
        assert ended(bench, again.key).outcome is AttemptState.SUCCEEDED


def test_a_submitter_that_is_killed_at_any_moment_has_it_run_once(
    bench: Bench,
    kubernetes_cluster: KubernetesCluster,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    orders = [bench.order("echo once >>ran", outputs=".") for _ in range(3)]
    kills = Kills(trials(24), seconds(lambda each: bench.again().submit(each), *orders[:2]), dice(7))
    for after_s in kills:
        order = orders[-1]
        kill_midway(after_s, lambda each: bench.again().submit(each), order)
        through = (tmp_path / "site" / "attempts" / order.key / "submitted.json").exists()
        kills.tell(midway=not through)
        if through:
            orders.append(bench.order("echo once >>ran", outputs="."))
    bench.engine.submit(orders[-1])
    for order in orders:
        assert ended(bench, order.key).outcome is AttemptState.SUCCEEDED
        assert len(pods(kubernetes_cluster, order.key)) == 1
    for order in orders:
        until(lambda order=order: not tree.carrying(order.key), "nothing is left of it")  # type: ignore[misc]
        work = bench.engine.outputs(order.key)
        assert work is not None
        assert (work / "ran").read_text() == "once\n"
    assert kills.midway, "no kill came before the end of a submission: the test has lost its point"
    record_property("counted", f"{kills}; {len(orders)} jobs ran once")


def test_an_api_server_that_is_away_loses_nothing(
    bench: Bench, kubernetes_cluster: KubernetesCluster
) -> None:
    order = bench.order("sleep 8; echo done")
    bench.engine.submit(order)
    running(bench, order.key)
    kubernetes_cluster.kill_api_server()
    try:
        until(lambda: later(bench), "the engine says that it cannot know")
        with pytest.raises(Later):
            bench.engine.submit(bench.order("echo never"))
    finally:
        kubernetes_cluster.start_api_server()
    until(lambda: not later(bench), "the engine knows again")
    assert ended(bench, order.key).outcome is AttemptState.SUCCEEDED
    assert bench.log(order.key) == "done\n"


def test_controllers_that_are_away_only_delay(bench: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    order = bench.order("echo done")
    kubernetes_cluster.kill_controller_manager()
    try:
        bench.engine.submit(order)
        seen = bench.wait(order.key, lambda _: True)
        assert seen.state is AttemptState.PENDING
    finally:
        kubernetes_cluster.start_controller_manager()
    assert ended(bench, order.key).outcome is AttemptState.SUCCEEDED


def test_a_lost_node_is_the_centres_doing(bench: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    order = bench.order("sleep 600")
    bench.engine.submit(order)
    running(bench, order.key)
    node = pods(kubernetes_cluster, order.key)[0]["spec"]["nodeName"]
    kubernetes_cluster.kill_node(node)
    try:
        end = ended(bench, order.key)
    finally:
        kubernetes_cluster.start_node(node)
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert node in end.reason


def test_a_node_that_nobody_hears_of_loses_nothing(
    bench: Bench, kubernetes_cluster: KubernetesCluster
) -> None:
    order = bench.order("sleep 20; echo done")
    bench.engine.submit(order)
    running(bench, order.key)
    node = pods(kubernetes_cluster, order.key)[0]["spec"]["nodeName"]
    kubernetes_cluster.pause_node(node)
    try:
        end = ended(bench, order.key)
    finally:
        kubernetes_cluster.resume_node(node)
        kubernetes_cluster.wait_node(node)
    assert (end.outcome, end.category) == (AttemptState.SUCCEEDED, Category.NONE)


def test_a_pod_that_an_administrator_deletes(bench: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    order = bench.order("trap 'echo saved; exit 0' TERM; while :; do sleep 0.1; done", grace_s=5)
    bench.engine.submit(order)
    running(bench, order.key)
    kubernetes_cluster.request("DELETE", f"{PODS}/{pod(kubernetes_cluster, order.key)}").raise_for_status()
    end = ended(bench, order.key)
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert "was deleted at the site" in end.reason
    assert "saved\n" in bench.log(order.key)


@pytest.fixture
def unheld(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> Iterator[Bench]:
    with kubernetes_bench(tmp_path, kubernetes_cluster, finalizers=False) as opened:
        yield opened


def test_a_job_that_is_deleted_behind_our_back(unheld: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    bench, order = unheld, unheld.order("sleep 600")
    bench.engine.submit(order)
    running(bench, order.key)
    assert "finalizers" not in kubernetes_cluster.get(f"{JOBS}/{order.key}")["metadata"]
    options = {"propagationPolicy": "Background"}
    kubernetes_cluster.request("DELETE", f"{JOBS}/{order.key}", options).raise_for_status()
    end = ended(bench, order.key)
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert "deleted at the site" in end.reason


def test_a_job_that_was_purged_before_anybody_looked(
    unheld: Bench, kubernetes_cluster: KubernetesCluster
) -> None:
    bench, order = unheld, unheld.order("echo out; exit 7")
    bench.engine.submit(order)
    until(
        lambda: [each["status"]["phase"] for each in pods(kubernetes_cluster, order.key)] == ["Failed"],
        "its pod ends",
    )
    options = {"propagationPolicy": "Background"}
    kubernetes_cluster.request("DELETE", f"{JOBS}/{order.key}", options).raise_for_status()
    until(lambda: not pods(kubernetes_cluster, order.key), "nothing is left of it")
    bench.engine = bench.again()
    end = ended(bench, order.key)
    assert (end.category, end.exits[0].code) == (Category.USER, 7)


def test_an_evicted_pod(bench: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    order = bench.order("sleep 600")
    bench.engine.submit(order)
    running(bench, order.key)
    kubernetes_cluster.evict(pod(kubernetes_cluster, order.key), "The node was low on resource: memory.")
    end = ended(bench, order.key)
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert end.reason == "its node evicted it (Evicted): The node was low on resource: memory."
    assert end.ran_ms > 0


def test_a_job_of_more_weight_preempts(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> None:
    heavy = {"metadata": {"name": "heavy"}, "value": 1000}
    kubernetes_cluster.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", heavy).raise_for_status()
    resources = {"limits": {"huawei.com/Ascend910": "8"}}
    container = {"name": "main", "image": IMAGE, "command": ["sleep", "600"], "resources": resources}
    spec = {
        "priorityClassName": "heavy",
        "nodeSelector": {"kubernetes.io/hostname": "npu-0"},
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    with kubernetes_bench(tmp_path, kubernetes_cluster, pools=FIRST) as bench:
        order = bench.order("sleep 600")
        bench.engine.submit(order)
        running(bench, order.key)
        body = {"metadata": {"name": "heavy"}, "spec": spec}
        kubernetes_cluster.request("POST", PODS, body).raise_for_status()
        try:
            end = ended(bench, order.key)
        finally:
            kubernetes_cluster.request("DELETE", f"{PODS}/heavy").raise_for_status()
    assert (end.outcome, end.category) == (AttemptState.PREEMPTED, Category.PREEMPTED)


def test_a_gang_that_is_half_placed_has_not_begun(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> None:
    with kubernetes_bench(tmp_path, kubernetes_cluster, pools=FIRST, meet_s=8.0) as bench:
        order = bench.order("echo never", num_nodes=5)
        bench.engine.submit(order)
        seen = bench.wait(order.key, lambda _: True)
        assert seen.state is AttemptState.PENDING
        end = ended(bench, order.key)
        assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
        assert end.reason == "4 of 5 pods came up in time"
        assert (end.started_ms, end.ran_ms) == (0, 0)
        assert bench.log(order.key) == ""
        assert "Insufficient huawei.com/Ascend910" in bench.log(order.key, -1)
        until(
            lambda: bench.engine.observe() and not pods(kubernetes_cluster, order.key), "nodes are given back"
        )


def test_an_image_that_is_not_there(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> None:
    pool = {"p": KubernetesPool("huawei.com/Ascend910", image="missing.example/train:1")}
    with kubernetes_bench(tmp_path, kubernetes_cluster, pools=pool, stuck_s=8.0) as bench:
        order = bench.order("echo never")
        bench.engine.submit(order)
        end = ended(bench, order.key)
        assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
        assert "missing.example/train:1" in end.reason
        assert "[hutong] waiting: " in bench.log(order.key, -1)


def test_a_request_that_no_node_could_meet(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> None:
    with kubernetes_bench(tmp_path, kubernetes_cluster, stuck_s=3.0) as bench:
        order = bench.order("echo never", resources=Resources((Ask("H800", 2),), cpus=65))
        bench.engine.capacity()
        bench.engine.submit(order)
        end = ended(bench, order.key)
        assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
        assert end.reason == "no node of the pool is large enough for it"
