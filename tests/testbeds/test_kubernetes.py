"""The Kubernetes bed: jobs run, fail, wait, end and survive faults as they do on a real cluster."""

from collections.abc import Iterator

import httpx2
import pytest
from testbeds.kubernetes import Json, KubernetesCluster, find_binaries

pytestmark = [pytest.mark.bed, pytest.mark.slow, pytest.mark.xdist_group("kubernetes")]
DEVICE = "huawei.com/Ascend910"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"


def job(name: str, script: str, *, pods: int = 1, devices: int = 0, grace_s: int = 1, **spec: object) -> Json:
    limits = {"cpu": "1", DEVICE: str(devices)}
    container = {
        "name": "main",
        "image": "any",
        "command": ["sh", "-c", script],
        "resources": {"limits": limits},
    }
    template = {"restartPolicy": "Never", "terminationGracePeriodSeconds": grace_s, "containers": [container]}
    whole = {"parallelism": pods, "completions": pods, "backoffLimit": 0, "template": {"spec": template}}
    return {"metadata": {"name": name}, "spec": {**whole, **spec}}


def submit(cluster: KubernetesCluster, body: Json) -> None:
    cluster.request("POST", JOBS, body).raise_for_status()


def pods_of(cluster: KubernetesCluster, name: str) -> list[Json]:
    found: list[Json] = cluster.get(f"{PODS}?labelSelector=job-name%3D{name}")["items"]
    return found


def pod_in_phase(cluster: KubernetesCluster, name: str, phase: str) -> Json:
    def look() -> Json | None:
        return next((pod for pod in pods_of(cluster, name) if pod["status"].get("phase") == phase), None)

    return cluster.wait(look, f"a pod of {name} is {phase}")


def end_of(cluster: KubernetesCluster, name: str) -> Json:
    ended: Json = cluster.wait(
        lambda: cluster.get(f"{JOBS}/{name}")["status"].get("conditions"), f"job {name} ends"
    )[0]
    return ended


def log_of(cluster: KubernetesCluster, pod: Json, options: str = "") -> str:
    answer = cluster.request("GET", f"{PODS}/{pod['metadata']['name']}/log?{options}")
    return answer.text if answer.is_success else ""  # it has not started


def test_a_job_over_two_nodes_completes_with_logs_and_devices(cluster: KubernetesCluster) -> None:
    submit(cluster, job("gang", "echo $ASCEND_VISIBLE_DEVICES; sleep 0.2; echo done >&2", pods=2, devices=8))
    assert end_of(cluster, "gang")["type"] == "Complete"
    pods = pods_of(cluster, "gang")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"npu-0", "npu-1"}
    assert len({pod["status"]["podIP"] for pod in pods}) == 2
    assert log_of(cluster, pods[0]) == "0,1,2,3,4,5,6,7\ndone\n"
    assert log_of(cluster, pods[0], "tailLines=1") == "done\n"


def test_a_failing_job_keeps_its_exit_code(cluster: KubernetesCluster) -> None:
    submit(cluster, job("bad", "exit 7"))
    assert end_of(cluster, "bad")["reason"] == "BackoffLimitExceeded"
    state = pods_of(cluster, "bad")[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (7, "Error")


def test_a_deleted_pod_may_say_goodbye_within_its_grace(cluster: KubernetesCluster) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done"
    submit(cluster, job("polite", script, grace_s=30))
    pod = pod_in_phase(cluster, "polite", "Running")
    path = f"{PODS}/{pod['metadata']['name']}"
    cluster.wait(lambda: "up" in log_of(cluster, pod), "the trap is set")
    version = cluster.get(PODS)["metadata"]["resourceVersion"]
    with cluster.watch(PODS, version, seconds=20) as events:
        cluster.request("DELETE", path).raise_for_status()
        ends = [
            each["object"]["status"]["containerStatuses"][0]["state"]["terminated"]
            for each in _until_deleted(events, pod["metadata"]["uid"])
            if "terminated" in each["object"]["status"]["containerStatuses"][0]["state"]
        ]
    assert ends[-1]["exitCode"] == 3
    cluster.request("DELETE", f"{JOBS}/polite?propagationPolicy=Background")


def _until_deleted(events: Iterator[Json], uid: str) -> Iterator[Json]:
    for event in events:
        if event["object"]["metadata"]["uid"] == uid:
            yield event
            if event["type"] == "DELETED":
                return


def test_a_job_that_asks_for_too_many_devices_says_so(cluster: KubernetesCluster) -> None:
    submit(cluster, job("huge", "true", devices=9))
    pod = pod_in_phase(cluster, "huge", "Pending")
    path = f"{PODS}/{pod['metadata']['name']}"
    condition = cluster.wait(
        lambda: cluster.get(path)["status"].get("conditions"), "the scheduler's verdict"
    )[0]
    assert condition["reason"] == "Unschedulable"
    assert f"2 Insufficient {DEVICE}" in condition["message"]
    cluster.request("DELETE", f"{JOBS}/huge?propagationPolicy=Background").raise_for_status()


def test_an_account_may_do_what_its_role_says_and_no_more(cluster: KubernetesCluster) -> None:
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]}]
    nodes = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    token = cluster.service_account("reader", rules, cluster_rules=nodes)
    assert cluster.request("GET", "/api/v1/nodes", token=token).status_code == 200
    assert cluster.request("GET", JOBS, token=token).status_code == 200
    assert cluster.request("GET", PODS, token=token).status_code == 403
    assert cluster.request("GET", JOBS, token="wrong").status_code == 401


def test_the_api_server_comes_back_with_its_state(cluster: KubernetesCluster) -> None:
    submit(cluster, job("through", "sleep 1; echo still here"))
    pod = pod_in_phase(cluster, "through", "Running")
    cluster.kill_api_server()
    with pytest.raises(httpx2.TransportError):
        cluster.get(JOBS)
    cluster.start_api_server()
    assert end_of(cluster, "through")["type"] == "Complete"
    assert log_of(cluster, pod) == "still here\n"


def test_the_pods_of_a_lost_node_are_evicted_and_the_node_may_return(cluster: KubernetesCluster) -> None:
    body = job("lost", "sleep 600")
    body["spec"]["template"]["spec"]["nodeSelector"] = {"zone": "b"}
    submit(cluster, body)
    pod = pod_in_phase(cluster, "lost", "Running")
    cluster.kill_node("npu-1")
    path = f"{PODS}/{pod['metadata']['name']}"
    cluster.wait(lambda: cluster.get(path)["metadata"].get("deletionTimestamp"), "the pod is evicted")
    taints = {each["key"] for each in cluster.get("/api/v1/nodes/npu-1")["spec"]["taints"]}
    assert "node.kubernetes.io/unreachable" in taints
    cluster.start_node("npu-1")
    cluster.wait(lambda: cluster.request("GET", path).status_code == 404, "the lost pod is removed")
    # To the job controller of 1.20 that is no failure: it runs the work again, whatever backoffLimit says.
    again = pod_in_phase(cluster, "lost", "Running")
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]


def test_a_node_that_is_cut_off_runs_on_and_comes_back(cluster: KubernetesCluster) -> None:
    mark = cluster.root / "beats"
    body = job("cut", f"while :; do date >> {mark}; sleep 0.1; done")
    spec = body["spec"]["template"]["spec"]
    spec["nodeSelector"] = {"zone": "b"}
    spec["tolerations"] = [{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]
    submit(cluster, body)
    pod_in_phase(cluster, "cut", "Running")
    cluster.pause_node("npu-1")
    try:
        cluster.wait(lambda: ready_of(cluster, "npu-1") == "Unknown", "the node is out of reach")
        size = mark.stat().st_size
        cluster.wait(lambda: mark.stat().st_size > size, "its pod goes on")
    finally:
        cluster.resume_node("npu-1")
    cluster.wait_node("npu-1")
    assert pods_of(cluster, "cut")[0]["status"]["phase"] == "Running"
    cluster.request("DELETE", f"{JOBS}/cut?propagationPolicy=Background").raise_for_status()


def ready_of(cluster: KubernetesCluster, node: str) -> str:
    conditions = cluster.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
    return next(each["status"] for each in conditions if each["type"] == "Ready")


def test_what_is_missing_is_named_with_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("HUTONG_KUBERNETES", str(tmp_path_factory.mktemp("none")))
    with pytest.raises(FileNotFoundError, match=r"kube-apiserver.*make kubernetes"):
        find_binaries()
