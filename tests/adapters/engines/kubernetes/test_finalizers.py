"""A job that somebody deletes stays until its end is noted, and never longer, on a real control plane."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from testbeds.kubernetes import KubernetesCluster
from tests.adapters.engines.kubernetes.faulty import faulty
from tests.conformance.benches import Bench, kubernetes_bench, kubernetes_config, now_ms

from hutong.adapters.engines.inspection import Level
from hutong.adapters.engines.kubernetes.engine import KubernetesEngine
from hutong.adapters.engines.kubernetes.inspect import NEEDED, WIDE, KubernetesInspector
from hutong.agent.config import AgentConfig
from hutong.agent.habits import steady_ms
from hutong.agent.release import release
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.states import AttemptState, Category

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kubernetes")]
PODS, JOBS = "/api/v1/namespaces/default/pods", "/apis/batch/v1/namespaces/default/jobs"
OURS = "hutong/settle"


@pytest.fixture
def bench(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> Iterator[Bench]:
    with kubernetes_bench(tmp_path, kubernetes_cluster) as opened:
        yield opened


def until(condition: Callable[[], object], what: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def delete(cluster: KubernetesCluster, key: AttemptKey, policy: str = "Background") -> None:
    cluster.request("DELETE", f"{JOBS}/{key}", {"propagationPolicy": policy}).raise_for_status()


def meta(cluster: KubernetesCluster, key: AttemptKey) -> dict[str, Any]:
    """What the cluster says of a job; nothing once it is gone."""
    answer = cluster.request("GET", f"{JOBS}/{key}")
    found: dict[str, Any] = answer.json()["metadata"] if answer.is_success else {}
    return found


def gone(bench: Bench, cluster: KubernetesCluster, key: AttemptKey) -> None:
    """Look on until the job and its pods are away."""

    def away() -> bool:
        bench.engine.observe()
        return not meta(cluster, key) and not cluster.get(f"{PODS}?labelSelector=hutong/key={key}")["items"]

    until(away, "nothing is left of it")


def kept(cluster: KubernetesCluster, key: AttemptKey) -> list[str]:
    return list(meta(cluster, key).get("finalizers", []))


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_who_deletes_a_job_stops_it_in_order(
    bench: Bench, kubernetes_cluster: KubernetesCluster, policy: str
) -> None:
    order = bench.order("trap 'echo saved; exit 0' TERM; while :; do sleep 0.1; done", grace_s=5)
    bench.engine.submit(order)
    bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    assert kept(kubernetes_cluster, order.key) == [OURS]
    delete(kubernetes_cluster, order.key, policy)
    assert OURS in kept(kubernetes_cluster, order.key)
    end = bench.finish(order.key).ended
    assert end is not None
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert "deleted at the site, not by the platform" in end.reason
    assert "saved\n" in bench.log(order.key)
    gone(bench, kubernetes_cluster, order.key)


def test_a_job_that_is_deleted_before_it_began(bench: Bench, kubernetes_cluster: KubernetesCluster) -> None:
    kubernetes_cluster.kill_scheduler()
    try:
        order = bench.order("echo never", num_nodes=2)
        bench.engine.submit(order)
        delete(kubernetes_cluster, AttemptKey(f"{order.key}-1"))
        end = bench.finish(order.key).ended
        assert end is not None
        assert (end.category, end.started_ms, end.ran_ms) == (Category.INFRA, 0, 0)
        gone(bench, kubernetes_cluster, order.key)
        assert not meta(kubernetes_cluster, AttemptKey(f"{order.key}-1"))
    finally:
        kubernetes_cluster.start_scheduler()


def test_what_is_deleted_while_the_agent_is_away_says_how_it_ended(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hutong.adapters.engines.kubernetes.engine._SETTLE_S", 0.5)
    with kubernetes_bench(tmp_path, kubernetes_cluster, lag_s=1.0, beat_dead_s=1.0) as bench:
        order = bench.order("sleep 600")
        bench.engine.submit(order)
        bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
        query = f"{PODS}?labelSelector=hutong/key={order.key}"
        (pod,) = kubernetes_cluster.get(query)["items"]
        kubernetes_cluster.evict(pod["metadata"]["name"], "The node was low on resource: memory.")
        until(
            lambda: kubernetes_cluster.get(query)["items"][0]["status"]["phase"] == "Failed", "it is evicted"
        )
        until(
            lambda: any(
                each["type"] == "Failed"
                for each in kubernetes_cluster.get(f"{JOBS}/{order.key}")["status"].get("conditions", [])
            ),
            "its job is over",
        )
        delete(kubernetes_cluster, order.key)
        bench.engine = bench.again()
        end = bench.finish(order.key).ended
        assert end is not None
        assert end.reason == "its node evicted it (Evicted): The node was low on resource: memory."
        gone(bench, kubernetes_cluster, order.key)


def test_an_end_that_is_noted_holds_nothing_and_forgetting_deletes(
    bench: Bench, kubernetes_cluster: KubernetesCluster
) -> None:
    order = bench.order("echo done")
    bench.engine.submit(order)
    assert bench.finish(order.key).state is AttemptState.SUCCEEDED
    until(lambda: bench.engine.observe() and not kept(kubernetes_cluster, order.key), "it is let go of")
    assert meta(kubernetes_cluster, order.key), "it stays for people to look at"
    kubernetes_cluster.request(
        "PATCH", f"{JOBS}/{order.key}", {"metadata": {"finalizers": [OURS]}}
    ).raise_for_status()
    bench.engine.forget(order.key)
    bench.engine = bench.again()
    gone(bench, kubernetes_cluster, order.key)


def test_other_finalizers_and_jobs_without_any_are_left_as_they_are(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> None:
    """A job of an agent that knew no finalizers is adopted; what others put on it is theirs to take off."""
    with kubernetes_bench(tmp_path, kubernetes_cluster, finalizers=False) as bench:
        config = kubernetes_config_of(bench)
        order = bench.order("sleep 2; echo done")
        bench.engine.submit(order)
        path = f"{JOBS}/{order.key}"
        theirs = {"metadata": {"finalizers": ["example.org/theirs"]}}
        kubernetes_cluster.request("PATCH", path, theirs).raise_for_status()
        newer = KubernetesEngine(replace(config, finalizers=True), now_ms, steady_ms)
        try:
            bench.engine = newer
            assert newer.submit(order).adopted
            assert bench.finish(order.key).state is AttemptState.SUCCEEDED
            assert kept(kubernetes_cluster, order.key) == ["example.org/theirs"]
            both = {"metadata": {"finalizers": ["example.org/theirs", OURS]}}
            kubernetes_cluster.request("PATCH", path, both).raise_for_status()
            until(
                lambda: newer.observe() and kept(kubernetes_cluster, order.key) == ["example.org/theirs"],
                "ours alone is taken off",
            )
        finally:
            newer.close()
            kubernetes_cluster.request("PATCH", path, {"metadata": {"finalizers": None}})


def kubernetes_config_of(bench: Bench) -> Any:
    assert isinstance(bench.engine, KubernetesEngine)
    return bench.engine._kubernetes


def test_letting_go_outlives_conflicts_refusals_and_lost_replies(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hutong.adapters.engines.kubernetes.engine._AGAIN_S", 0.0)
    with (
        faulty(kubernetes_cluster, tmp_path / "proxy") as proxy,
        kubernetes_bench(tmp_path, kubernetes_cluster, kubeconfig=proxy.kubeconfig) as bench,
    ):
        order = bench.order("sleep 600")
        bench.engine.submit(order)
        bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
        faults = ("429", "409", "409", "503", "403", "410", "404", "lost")
        proxy.faults += [("PATCH", "/jobs", fault) for fault in faults]
        delete(kubernetes_cluster, order.key)
        end = bench.finish(order.key).ended
        assert end is not None
        assert end.category is Category.INFRA
        gone(bench, kubernetes_cluster, order.key)
        assert proxy.met == list(faults)


def test_a_version_that_is_past_is_asked_for_anew_and_another_job_is_left_alone(
    bench: Bench, kubernetes_cluster: KubernetesCluster
) -> None:
    assert isinstance(bench.engine, KubernetesEngine)
    cluster = bench.engine._cluster
    order = bench.order("sleep 600")
    bench.engine.submit(order)
    bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    (work,) = cluster.held(bench.engine._origin)
    cluster.release(replace(work, uid="another", version="1"))
    assert kept(kubernetes_cluster, order.key) == [OURS], "it is not the job that was seen"
    note = {"metadata": {"annotations": {"example.org/looked": "yes"}}}
    kubernetes_cluster.request("PATCH", f"{JOBS}/{order.key}", note).raise_for_status()
    cluster.release(work)
    assert kept(kubernetes_cluster, order.key) == []
    cluster.release(work)
    assert cluster.held(bench.engine._origin) == []


def test_without_the_right_to_let_go_nothing_is_held(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> None:
    rules = [
        {"apiGroups": [group], "resources": [name], "verbs": list(verbs)} for group, name, verbs in NEEDED
    ]
    wide = [{"apiGroups": [group], "resources": [name], "verbs": list(verbs)} for group, name, verbs in WIDE]
    token = kubernetes_cluster.service_account("older", rules, cluster_rules=wide)
    kubeconfig = kubernetes_cluster.write_kubeconfig(tmp_path / "older", token)
    with kubernetes_bench(tmp_path, kubernetes_cluster, kubeconfig=kubeconfig) as bench:
        order = bench.order("echo done")
        bench.engine.submit(order)
        assert kept(kubernetes_cluster, order.key) == []
        assert bench.finish(order.key).state is AttemptState.SUCCEEDED
        bench.engine.forget(order.key)
        gone(bench, kubernetes_cluster, order.key)


def test_a_namespace_that_goes_while_the_agent_is_away(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
) -> None:
    """The doctor names what waits, and `hutong agent release` lets a retired agent's namespace go."""
    spaces = "/api/v1/namespaces"
    kubernetes_cluster.request("POST", spaces, {"metadata": {"name": "leaving"}}).raise_for_status()
    account = f"{spaces}/leaving/serviceaccounts/default"
    kubernetes_cluster.wait(
        lambda: kubernetes_cluster.request("GET", account).is_success, "pods have an account"
    )
    config = kubernetes_config(tmp_path, kubernetes_cluster, namespace="leaving")
    engine = KubernetesEngine(config, now_ms, steady_ms)
    try:
        bench = Bench(engine, lambda: None, lambda: engine)
        orders = [bench.order("sleep 600") for _ in range(2)]
        for order in orders:
            engine.submit(order)
    finally:
        engine.close()
    assert list(KubernetesInspector(config).check(quick=True))[-1].level is Level.OK
    kubernetes_cluster.request("DELETE", f"{spaces}/leaving").raise_for_status()

    def doctor() -> Any:
        checks = KubernetesInspector(config).check(quick=True)
        return next(each for each in checks if each.name == "deleted jobs")

    until(lambda: doctor().level is Level.WARN, "the doctor sees what waits")
    check = doctor()
    assert "hutong agent release" in check.mend
    assert any(f"leaving/{order.key}" in check.seen for order in orders)
    agent = AgentConfig("s", "http://127.0.0.1:1", "t", root=tmp_path / "agent", engine=config)
    assert [each.noted for each in release(agent, only_list=True)] == [False, False]
    assert {each.attempt for each in release(agent)} == {order.key for order in orders}
    assert list(release(agent)) == []
    kubernetes_cluster.wait(
        lambda: kubernetes_cluster.request("GET", f"{spaces}/leaving").status_code == 404,
        "the namespace is gone",
    )
