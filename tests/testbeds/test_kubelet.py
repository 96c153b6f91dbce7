"""The bed's kubelet: pods see, do and report what they would under a real one."""

import itertools
from typing import Any

import httpx2
import pytest
from testbeds.kubernetes import Json, KubernetesCluster

pytestmark = [pytest.mark.bed, pytest.mark.slow, pytest.mark.xdist_group("kubernetes")]
BASE = "/api/v1/namespaces/default"
PODS = f"{BASE}/pods"
NUMBERS = itertools.count(1)


def start(cluster: KubernetesCluster, script: str, *, box: Json | None = None, **spec: Any) -> str:
    """Start a pod of one container and return its name."""
    name = f"pod-{next(NUMBERS)}"
    container = {"name": "main", "image": "any", "command": ["sh", "-c", script], **(box or {})}
    whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    body = {"metadata": {"name": name, "labels": {"app": name}}, "spec": whole}
    cluster.request("POST", PODS, body).raise_for_status()
    return name


def status_of(cluster: KubernetesCluster, name: str, phase: str) -> Json:
    def look() -> Json | None:
        status: Json = cluster.get(f"{PODS}/{name}")["status"]
        return status if status.get("phase") == phase else None

    return cluster.wait(look, f"pod {name} is {phase}")


def state_of(cluster: KubernetesCluster, name: str, reason: str) -> Json:
    def look() -> Json | None:
        for each in cluster.get(f"{PODS}/{name}")["status"].get("containerStatuses", []):
            for state in each["state"].values():
                if state.get("reason") == reason:
                    return dict(state)
        return None

    return cluster.wait(look, f"pod {name} says {reason}")


def log_of(cluster: KubernetesCluster, name: str, options: str = "") -> str:
    answer = cluster.request("GET", f"{PODS}/{name}/log?{options}")
    return answer.text if answer.is_success else ""  # it has not started


def remove(cluster: KubernetesCluster, *names: str) -> None:
    """Delete pods and wait until their node has let them go."""
    for name in names:
        cluster.request("DELETE", f"{PODS}/{name}").raise_for_status()
    for name in names:
        cluster.wait(
            lambda path=f"{PODS}/{name}": cluster.request("GET", path).status_code == 404, "it is gone"
        )


def run(cluster: KubernetesCluster, script: str, **more: Any) -> str:
    """Run a pod to a good end and return its log."""
    name = start(cluster, script, **more)
    status_of(cluster, name, "Succeeded")
    return log_of(cluster, name)


def test_variables_come_from_values_fields_secrets_and_each_other(cluster: KubernetesCluster) -> None:
    secret = {"metadata": {"name": "keys"}, "stringData": {"token": "s3cret"}}
    cluster.request("POST", f"{BASE}/secrets", secret).raise_for_status()
    env = [
        {"name": "A", "value": "one"},
        {"name": "B", "value": "$(A)-$$(A)-$(NONE)"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "NOT", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "no", "optional": True}}},
    ]
    box = {
        "env": env,
        "command": ["sh", "-c"],
        "args": ["echo $B $NAME $APP $KEY ${NOT-unset} $0 $(A); pwd; hostname -i", "$(A)"],
    }
    name = start(cluster, "", box={**box, "workingDir": "/usr"})
    address = status_of(cluster, name, "Succeeded")["podIP"]
    first, folder, ip = log_of(cluster, name).splitlines()
    assert first == f"one-$(A)-$(NONE) {name} {name} s3cret unset one one"
    assert (folder, ip) == ("/usr", address)


def test_volumes_are_mounted_where_the_machine_has_nothing(cluster: KubernetesCluster) -> None:
    data = cluster.root / "data"
    data.mkdir()
    (data / "in").write_text("from the host")
    settings = {"metadata": {"name": "settings"}, "data": {"a.yaml": "x: 1"}}
    cluster.request("POST", f"{BASE}/configmaps", settings).raise_for_status()
    volumes = [
        {"name": "data", "hostPath": {"path": str(data)}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "settings", "configMap": {"name": "settings"}},
    ]
    mounts = [
        {"name": "data", "mountPath": "/hutong-none/data", "readOnly": True},
        {"name": "scratch", "mountPath": "/var/lib/hutong-none/scratch"},
        {"name": "memory", "mountPath": "/dev/shm"},
        {"name": "settings", "mountPath": "/etc/hutong-none"},
    ]
    script = (
        "cat /hutong-none/data/in /etc/hutong-none/a.yaml; "
        "touch /hutong-none/data/x 2> /dev/null || echo ' refused'; "
        "echo kept > /var/lib/hutong-none/scratch/f; cat /var/lib/hutong-none/scratch/f; "
        "ls /dev/shm | wc -l; hostname -i | grep -c ^127"
    )
    log = run(cluster, script, box={"volumeMounts": mounts}, volumes=volumes)
    assert log.startswith("from the hostx: 1")
    assert log.endswith(" refused\nkept\n0\n1\n")
    assert not (data / "x").exists()


def test_a_pod_may_speak_to_the_api_with_its_own_account(cluster: KubernetesCluster) -> None:
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = f"cat {folder}/namespace; echo; cat {folder}/token"
    namespace, token = run(cluster, script).split("\n", 1)
    assert namespace == "default"
    assert cluster.request("GET", "/version", token=token).status_code == 200
    assert cluster.request("GET", PODS, token=token).status_code == 403


def test_init_containers_come_first_and_stop_the_pod_when_they_fail(cluster: KubernetesCluster) -> None:
    volumes = [{"name": "v", "emptyDir": {}}]
    mounts = [{"name": "v", "mountPath": "/hutong-none"}]
    first = {
        "name": "first",
        "image": "any",
        "command": ["sh", "-c", "echo made > /hutong-none/f"],
        "volumeMounts": mounts,
    }
    log = run(
        cluster, "cat /hutong-none/f", box={"volumeMounts": mounts}, volumes=volumes, initContainers=[first]
    )
    assert log == "made\n"
    bad = {"name": "first", "image": "any", "command": ["false"]}
    status = status_of(cluster, start(cluster, "true", initContainers=[bad]), "Failed")
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_container_is_restarted_where_its_policy_says_so(cluster: KubernetesCluster) -> None:
    mark = cluster.root / "second"
    script = f"if [ -e {mark} ]; then echo second; else touch {mark}; echo first; exit 4; fi"
    name = start(cluster, script, restartPolicy="OnFailure")
    status = status_of(cluster, name, "Succeeded")["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 4
    assert (log_of(cluster, name), log_of(cluster, name, "previous=true")) == ("second\n", "first\n")


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("sh -c 'kill -9 $$$$'; exit $?", 137),
        ("sh -c 'kill $$$$'; exit $?", 143),
        ("exit 300", 44),
    ],  # $$ is $
)
def test_ends_have_the_codes_of_containers(cluster: KubernetesCluster, script: str, code: int) -> None:
    status = status_of(cluster, start(cluster, script), "Failed")
    state = status["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (code, "Error")


def test_what_cannot_start_says_why(cluster: KubernetesCluster) -> None:
    missing = start(cluster, "", box={"command": ["no-such-program"]})
    state = status_of(cluster, missing, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (128, "StartError")
    assert "no-such-program" in state["message"]
    unpullable = start(cluster, "true", box={"image": "missing.example/x:1"})
    assert "missing.example/x:1" in state_of(cluster, unpullable, "ImagePullBackOff")["message"]
    answer = cluster.request("GET", f"{PODS}/{unpullable}/log")
    assert (answer.status_code, "is waiting to start" in answer.text) == (400, True)
    key = {"secretKeyRef": {"name": "absent", "key": "x"}}
    unknown = start(cluster, "true", box={"env": [{"name": "X", "valueFrom": key}]})
    assert state_of(cluster, unknown, "CreateContainerConfigError")["message"] == 'secret "absent" not found'
    remove(cluster, unpullable, unknown)


def test_the_node_ends_pods_by_deadline_and_by_eviction(cluster: KubernetesCluster) -> None:
    late = start(cluster, "sleep 600", activeDeadlineSeconds=1)
    assert status_of(cluster, late, "Failed")["reason"] == "DeadlineExceeded"
    pressed = start(cluster, "sleep 600")
    status_of(cluster, pressed, "Running")
    cluster.evict(pressed, "The node was low on resource: memory.")
    status = status_of(cluster, pressed, "Failed")
    assert (status["reason"], status["message"]) == ("Evicted", "The node was low on resource: memory.")
    assert "containerStatuses" not in status


def test_a_log_can_be_followed_cut_and_resumed(cluster: KubernetesCluster) -> None:
    gate = cluster.root / "gate"
    name = start(cluster, f"echo 1; echo 2; while [ ! -e {gate} ]; do sleep 0.05; done; printf 3")
    cluster.wait(lambda: "2" in log_of(cluster, name), "two lines")
    second = log_of(cluster, name, "timestamps=true").splitlines()[1].split()[0]
    options = {"follow": "true", "timestamps": "true", "sinceTime": second}
    with cluster.stream(f"{PODS}/{name}/log", **options) as stream:
        lines = (line.split(" ", 1) for line in stream.iter_lines())
        assert next(text for stamp, text in lines if stamp >= second) == "2"  # the API cuts it to seconds
        gate.touch()
        assert [text for _, text in lines] == ["3"]
    assert log_of(cluster, name, "limitBytes=3") == "1\n2"
    assert log_of(cluster, name, "tailLines=2") == "2\n3"


def test_pods_of_a_headless_service_find_each_other_by_name(cluster: KubernetesCluster) -> None:
    python = "python3 -m http.server 8000 --bind $(hostname -i)"
    first = start(cluster, python, hostname="rank-0", subdomain="gang", nodeSelector={"zone": "a"})
    address = status_of(cluster, first, "Running")["podIP"]
    script = "for i in $(seq 300); do getent hosts rank-0.gang && break; sleep 0.1; done"
    found = run(cluster, script, nodeSelector={"zone": "b"})
    assert found.split()[0] == address
    remove(cluster, first)


def test_a_pod_is_ready_when_its_probe_is_answered(cluster: KubernetesCluster) -> None:
    gate = cluster.root / "open"
    script = (
        f"while [ ! -e {gate} ]; do sleep 0.05; done; exec python3 -m http.server 8000 --bind $(hostname -i)"
    )
    probe = {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1}
    box = {"readinessProbe": probe, "ports": [{"name": "web", "containerPort": 8000}]}
    name = start(cluster, script, box=box)
    assert not status_of(cluster, name, "Running")["containerStatuses"][0]["ready"]
    gate.touch()
    status = cluster.wait(
        lambda: (found := cluster.get(f"{PODS}/{name}")["status"])["containerStatuses"][0]["ready"] and found,
        "ready",
    )
    assert httpx2.get(f"http://{status['podIP']}:8000/", trust_env=False).status_code == 200
    remove(cluster, name)


def test_two_pods_of_a_node_have_different_devices(cluster: KubernetesCluster) -> None:
    box = {"resources": {"limits": {"huawei.com/Ascend910": "4"}}}
    names = [
        start(cluster, "echo $ASCEND_VISIBLE_DEVICES; sleep 600", box=box, nodeSelector={"zone": "a"})
        for _ in range(2)
    ]
    for name in names:
        cluster.wait(lambda name=name: log_of(cluster, name).strip(), "its devices")
    assert {log_of(cluster, name) for name in names} == {"0,1,2,3\n", "4,5,6,7\n"}
    remove(cluster, *names)
