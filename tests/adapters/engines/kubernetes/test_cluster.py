"""The engine with no more rights than its page asks for, and what it says of its cluster, on a real one."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from testbeds.kubernetes import KubernetesCluster
from tests.conformance.benches import Bench, kubernetes_bench, kubernetes_config, now_ms

from hutong.adapters.engines.inspection import Level
from hutong.adapters.engines.kubernetes.config import KubernetesPool
from hutong.adapters.engines.kubernetes.engine import KubernetesEngine
from hutong.adapters.engines.kubernetes.inspect import HOLD, NEEDED, WIDE, KubernetesInspector
from hutong.agent.core import steady_ms
from hutong.core.kernel.errors import Refused
from hutong.core.work.states import AttemptState, Category

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kubernetes")]
PODS, JOBS = "/api/v1/namespaces/default/pods", "/apis/batch/v1/namespaces/default/jobs"
CUSTOM = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def rules(needed: tuple[tuple[str, str, tuple[str, ...]], ...]) -> list[dict[str, Any]]:
    return [
        {"apiGroups": [group], "resources": [name], "verbs": list(verbs)} for group, name, verbs in needed
    ]


@pytest.fixture(scope="module")
def least(kubernetes_cluster: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of an account that may do what the page says and nothing else."""
    needed = (*NEEDED, ("batch", "jobs", HOLD))
    token = kubernetes_cluster.service_account("hutong", rules(needed), cluster_rules=rules(WIDE))
    return kubernetes_cluster.write_kubeconfig(tmp_path_factory.mktemp("least") / "kubeconfig", token)


@pytest.fixture
def bench(kubernetes_cluster: KubernetesCluster, least: Path, tmp_path: Path) -> Iterator[Bench]:
    with kubernetes_bench(tmp_path, kubernetes_cluster, kubeconfig=least) as opened:
        yield opened


def test_the_rights_of_the_page_are_enough(bench: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    order = bench.order("echo rank $HUTONG_NODE_RANK", num_nodes=2)
    bench.engine.submit(order)
    end = bench.finish(order.key).ended
    assert end is not None
    assert end.outcome is AttemptState.SUCCEEDED
    policies = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    assert kubernetes_cluster.request("GET", f"{policies}/{order.key}").is_success
    bench.engine.forget(order.key)
    bench.engine.observe()
    paths = [f"{policies}/{order.key}", f"{JOBS}/{order.key}", f"{JOBS}/{order.key}-1"]
    kubernetes_cluster.wait(
        lambda: all(kubernetes_cluster.request("GET", path).status_code == 404 for path in paths),
        "nothing is left of a forgotten attempt",
    )


def test_cards_that_others_hold(bench: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    order = bench.order("sleep 600")
    bench.engine.submit(order)
    bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    resources = {"limits": {"huawei.com/Ascend910": "3"}}
    container = {"name": "main", "image": "i", "command": ["sleep", "600"], "resources": resources}
    body = {"metadata": {"name": "theirs"}, "spec": {"containers": [container]}}
    kubernetes_cluster.request("POST", PODS, body).raise_for_status()
    try:
        kubernetes_cluster.wait(
            lambda: kubernetes_cluster.get(f"{PODS}/theirs")["spec"].get("nodeName"), "it has a node"
        )
        (state,) = bench.engine.capacity()
        assert (state.pool, state.cards_up, state.cards_elsewhere) == ("p", 24, 3)
        assert state.spread is not None
        assert state.spread.ours == ((1, 2, 1),), "an attempt of one pod with two cards"
        assert sum(free * nodes for free, nodes in enumerate(state.spread.levels)) == 19
    finally:
        gone = {"gracePeriodSeconds": 0}
        kubernetes_cluster.request("DELETE", f"{PODS}/theirs", gone).raise_for_status()


def test_the_doctor_finds_no_fault(
    kubernetes_cluster: KubernetesCluster, least: Path, tmp_path: Path
) -> None:
    config = kubernetes_config(tmp_path, kubernetes_cluster, kubeconfig=least)
    inspector = KubernetesInspector(config)
    checks = list(inspector.check(quick=False))
    assert [each for each in checks if each.level is not Level.OK] == []
    found = inspector.inspect()
    assert found.facts["version"] == "1.20"
    (pool,) = found.pools
    assert (pool.nodes, pool.cards_per_node, pool.cpus_per_node) == (3, 8, 64)
    count = inspector.count("p", "Ascend910B")
    assert count is not None
    assert (count.cards, count.unusable) == (24, 0)


def test_the_doctor_says_what_is_missing(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> None:
    token = kubernetes_cluster.service_account("poor", rules(NEEDED[1:]))
    kubeconfig = kubernetes_cluster.write_kubeconfig(tmp_path / "kubeconfig", token)
    pool = KubernetesPool("huawei.com/Ascend910", image="i", node_selector={"zone": "nowhere"}, queue="q")
    config = kubernetes_config(tmp_path, kubernetes_cluster, kubeconfig=kubeconfig, pools={"p": pool})
    checks = {each.name: each for each in KubernetesInspector(config).check(quick=True)}
    assert checks["rights"].level is Level.BAD
    assert "create jobs" in checks["rights"].seen
    assert checks["rights on the cluster"].level is Level.WARN
    assert checks["rights on deleted jobs"].level is Level.WARN
    assert "patch jobs" in checks["rights on deleted jobs"].seen
    assert checks["pool p"].level is Level.BAD
    assert "kueue.x-k8s.io" in checks["pool p"].seen


def test_an_object_of_the_same_name_that_is_not_ours_is_left_alone(
    bench: Bench, kubernetes_cluster: KubernetesCluster
) -> None:
    order = bench.order("echo never")
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "i"}]}}
    body = {"metadata": {"name": order.key}, "spec": {"suspend": True, "template": template}}
    kubernetes_cluster.request("POST", JOBS, body).raise_for_status()
    with pytest.raises(Refused) as error:
        bench.engine.submit(order)
    assert error.value.code == "taken_key"
    assert kubernetes_cluster.request("GET", f"{JOBS}/{order.key}").is_success
    kubernetes_cluster.request("DELETE", f"{JOBS}/{order.key}").raise_for_status()


def _served(cluster: KubernetesCluster, path: str) -> bool:
    return cluster.request("GET", path).is_success


@pytest.fixture(scope="module")
def custom(kubernetes_cluster: KubernetesCluster) -> Iterator[None]:
    """The resources of JobSet and Kueue, as far as a job needs them to be there."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    kinds = (
        ("jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet"),
        ("kueue.x-k8s.io", "v1beta1", "workloads", "Workload"),
    )
    for group, version, plural, kind in kinds:
        names = {"plural": plural, "singular": kind.lower(), "kind": kind}
        served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [served]}
        body = {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}
        kubernetes_cluster.request("POST", CUSTOM, body).raise_for_status()
        path = f"/apis/{group}/{version}/namespaces/default/{plural}"
        kubernetes_cluster.wait(partial(_served, kubernetes_cluster, path), f"{plural} are served")
    yield
    for group, _, plural, _ in kinds:
        kubernetes_cluster.request("DELETE", f"{CUSTOM}/{plural}.{group}").raise_for_status()


@pytest.mark.usefixtures("custom")
def test_a_job_set_is_created_adopted_and_deleted(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hutong.adapters.engines.kubernetes.cluster._INDEXED_SINCE", (1, 20))
    pool = KubernetesPool("huawei.com/Ascend910", image="i", queue="research")
    config = kubernetes_config(tmp_path, kubernetes_cluster, pools={"p": pool}, shape="jobset")
    engine = KubernetesEngine(config, now_ms, steady_ms)
    bench = Bench(engine, lambda: None, lambda: engine)
    try:
        order = bench.order("echo never", num_nodes=2)
        path = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets/{order.key}"
        assert not engine.submit(order).adopted
        made = kubernetes_cluster.get(path)
        assert made["spec"]["suspend"] is True
        assert made["metadata"]["finalizers"] == ["hutong/settle"]
        assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
        (tmp_path / "site/attempts" / order.key / "submitted.json").unlink()
        assert engine.submit(order).adopted
        assert bench.wait(order.key, lambda _: True).state is AttemptState.PENDING
        engine.stop(order.key, 1, Category.CANCELLED, "no more", 0)
        assert bench.finish(order.key).state is AttemptState.CANCELLED
        kubernetes_cluster.wait(
            lambda: (engine.observe(), kubernetes_cluster.request("GET", path).status_code == 404)[1],
            "a job set that will not begin is deleted",
        )
    finally:
        engine.close()
