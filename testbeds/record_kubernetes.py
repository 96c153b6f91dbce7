"""Records what Kubernetes 1.20 answers, for parser tests: `python -m testbeds.record_kubernetes FOLDER`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from testbeds.kubernetes import Json, KubernetesCluster, Node
from testbeds.recording import Recorder

DEVICE = "huawei.com/Ascend910"
BASE = "/api/v1/namespaces/default"
PODS = f"{BASE}/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
_HIDE = {
    r"/tmp/[\w./-]+": "/bed",  # noqa: S108
    r"127\.\d+\.\d+\.(\d+)": r"127.10.1.\1",
    r'"Port": \d+': '"Port": 10250',
    r'"kernelVersion": "[^"]*"': '"kernelVersion": "6.1.0"',
    r"127\.0\.0\.1:\d+": "127.0.0.1:6443",
}


def job(
    name: str, script: str, *, devices: int = 0, pods: int = 1, pod: Json | None = None, **spec: object
) -> Json:
    """Return a job as an adapter would write it."""
    limits = {"cpu": "1", "memory": "1Gi"} | ({DEVICE: str(devices)} if devices else {})
    container = {"name": "main", "image": "registry.example/train:1", "command": ["sh", "-c", script]}
    template = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "containers": [{**container, "resources": {"limits": limits}}],
        **(pod or {}),
    }
    labels = {"hutong/key": name}
    whole = {"parallelism": pods, "completions": pods, "backoffLimit": 0, **spec}
    meta = {"labels": labels, "annotations": {"hutong/note": "样例"}}
    return {
        "metadata": {"name": name, **meta},
        "spec": {**whole, "template": {"metadata": meta, "spec": template}},
    }


class Kubernetes:
    """One recording."""

    def __init__(self, cluster: KubernetesCluster, recorder: Recorder) -> None:
        self.cluster, self.recorder = cluster, recorder

    def submit(self, body: Json) -> None:
        """Create a job."""
        self.cluster.request("POST", JOBS, body).raise_for_status()

    def pod(self, name: str) -> Json | None:
        """Return the pod of a job."""
        found = self.cluster.get(f"{PODS}?labelSelector=job-name%3D{name}")["items"]
        return found[0] if found else None

    def keep_pod(self, file: str, name: str, text: str) -> Json:
        """Record the pod of a job once its status says `text`."""

        def look() -> Json | None:
            found = self.pod(name)
            return found if found and text in str(found["status"]) else None

        found = self.cluster.wait(look, f"the pod of {name} says {text}")
        self.keep(f"pod-{file}", "GET", f"{PODS}/{found['metadata']['name']}")
        return found

    def keep_job(self, file: str, name: str, text: str) -> None:
        """Record a job once its status says `text`."""

        def look() -> Json | None:
            found = self.cluster.get(f"{JOBS}/{name}")
            return found if text in str(found["status"]) else None

        self.recorder.document(f"job-{file}", self.cluster.wait(look, f"job {name} says {text}"))

    def keep(
        self, file: str, method: str, path: str, body: Json | None = None, **more: str
    ) -> httpx2.Response:
        """Record one answer."""
        answer = self.cluster.request(method, path, body, **more)
        self.recorder.document(file, answer.json())
        return answer

    @contextmanager
    def watching(self, file: str, path: str, last: str) -> Iterator[None]:
        """Record the events of a collection from before the block until one of type `last`."""
        version = self.cluster.get(path)["metadata"]["resourceVersion"]
        yield
        events = []
        with self.cluster.watch(path, version) as stream:
            for event in stream:
                events.append(event)
                if event["type"] == last:
                    break
        self.recorder.lines(file, events)

    # --- what is recorded ---

    def life(self) -> None:
        """Record a job from its creation to its deletion, as watches tell it."""
        selector = "labelSelector=hutong%2Fkey%3Dseen"
        with (
            self.watching("watch-jobs", f"{JOBS}?{selector}", "DELETED"),
            self.watching("watch-pods", f"{PODS}?{selector}", "DELETED"),
        ):
            self.submit(job("seen", "echo one; sleep 0.5; echo two", devices=8))
            self.keep_job("running", "seen", "active")
            self.keep_pod("running", "seen", "'running'")
            self.keep_job("complete", "seen", "Complete")
            done = self.keep_pod("succeeded", "seen", "Succeeded")
            log = self.cluster.request("GET", f"{PODS}/{done['metadata']['name']}/log?timestamps=true")
            self.recorder.text("log.txt", log.text)
            self.keep("delete-job", "DELETE", f"{JOBS}/seen?propagationPolicy=Background")

    def ends(self) -> None:
        """Record the ways in which work ends."""
        self.submit(job("bad", "exit 7"))
        self.keep_job("failed", "bad", "BackoffLimitExceeded")
        self.keep_pod("failed", "bad", "Failed")
        self.submit(job("killed", "sh -c 'kill -9 $$$$'; exit $?"))
        self.keep_pod("killed", "killed", "137")
        self.submit(job("slow", "sleep 600", activeDeadlineSeconds=1))
        self.keep_job("deadline", "slow", "DeadlineExceeded")
        self.submit(job("late", "sleep 600", pod={"activeDeadlineSeconds": 1}))
        self.keep_pod("deadline", "late", "DeadlineExceeded")
        self.submit(job("pressed", "sleep 600"))
        pressed = self.keep_pod("running-small", "pressed", "'running'")
        self.cluster.evict(pressed["metadata"]["name"], "The node was low on resource: memory.")
        self.keep_pod("evicted", "pressed", "Evicted")
        body = job("nothing", "")
        body["spec"]["template"]["spec"]["containers"][0]["command"] = ["no-such-program"]
        self.submit(body)
        self.keep_pod("start-error", "nothing", "StartError")

    def waits(self) -> None:
        """Record the ways in which work waits."""
        self.submit(job("huge", "true", devices=9))
        self.keep_pod("unschedulable", "huge", "Unschedulable")
        body = job("unpullable", "true")
        body["spec"]["template"]["spec"]["containers"][0]["image"] = "missing.example/train:1"
        self.submit(body)
        self.keep_pod("image-pull", "unpullable", "ImagePullBackOff")
        body = job("no-secret", "true")
        source = {"secretKeyRef": {"name": "absent", "key": "token"}}
        body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "valueFrom": source}]
        self.submit(body)
        self.keep_pod("config-error", "no-secret", "CreateContainerConfigError")
        self.submit(job("crash", "exit 3", pod={"restartPolicy": "OnFailure"}, backoffLimit=6))
        self.keep_pod("crash-loop", "crash", "CrashLoopBackOff")
        held = job("held", "true")
        held["spec"]["template"]["metadata"]["finalizers"] = ["hutong/keep"]
        self.submit(held)
        self.keep_job("held", "held", "Complete")
        name = str((self.pod("held") or {})["metadata"]["name"])
        self.cluster.request("DELETE", f"{PODS}/{name}").raise_for_status()
        self.cluster.wait(
            lambda: self.cluster.get(f"{PODS}/{name}")["metadata"].get("deletionTimestamp"), "deletion"
        )
        self.keep("pod-deleted-with-finalizer", "GET", f"{PODS}/{name}")
        self.keep("event-list", "GET", f"{BASE}/events")

    def preemption(self) -> None:
        """Record how a pod goes when a more important one needs its place."""
        for name, value in (("low", 1), ("high", 1000)):
            body = {"metadata": {"name": name}, "value": value}
            self.cluster.request(
                "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body
            ).raise_for_status()
        self.submit(job("low", "sleep 600", devices=8, pods=2, pod={"priorityClassName": "low"}))
        for_all = f"{PODS}?labelSelector=hutong%2Fkey%3Dlow"
        self.cluster.wait(lambda: str(self.cluster.get(for_all)).count("'running'") == 2, "both run")
        with self.watching("watch-preempted", for_all, "DELETED"):
            self.submit(job("high", "true", devices=8, pod={"priorityClassName": "high"}))
            self.keep_job("preempting", "high", "Complete")
        self.cluster.request("DELETE", f"{JOBS}/low?propagationPolicy=Background").raise_for_status()

    def refusals(self) -> None:
        """Record the Status bodies of refusals; the file's name is the HTTP status and the reason."""
        cluster = self.cluster
        rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]}]
        token = cluster.service_account("reader", rules)
        self.keep("status-401-unauthorized", "GET", JOBS, token="wrong")  # noqa: S106
        self.keep("status-403-forbidden", "POST", JOBS, job("x", "true"), token=token)
        self.keep("status-404-not-found", "GET", f"{JOBS}/none")
        self.keep("status-404-delete", "DELETE", f"{JOBS}/none")
        self.keep("status-404-namespace", "POST", JOBS.replace("default", "none"), job("x", "true"))
        self.keep("status-409-already-exists", "POST", JOBS, job("bad", "true"))
        stale = cluster.get(f"{JOBS}/bad")
        label = {"metadata": {"labels": {"again": "1"}}}
        cluster.request("PATCH", f"{JOBS}/bad", label).raise_for_status()
        self.keep("status-409-conflict", "PUT", f"{JOBS}/bad", stale)
        self.keep("status-422-invalid", "POST", JOBS, job("Not_A_Name", "true"))
        self.keep("status-422-limits", "POST", JOBS, job("x", "true", devices=-1))
        self.keep("status-422-immutable", "PATCH", f"{JOBS}/bad", {"spec": {"completions": 5}})
        self.keep("status-400-bad-request", "POST", JOBS, {"kind": "Pod", "apiVersion": "v1"})
        waiting = str((self.pod("unpullable") or {})["metadata"]["name"])
        self.keep("status-400-log-of-waiting", "GET", f"{PODS}/{waiting}/log")
        quota = {"metadata": {"name": "quota"}, "spec": {"hard": {f"requests.{DEVICE}": "8"}}}
        cluster.request("POST", f"{BASE}/resourcequotas", quota).raise_for_status()
        path = f"{BASE}/resourcequotas/quota"
        cluster.wait(lambda: cluster.get(path).get("status", {}).get("used"), "the quota counts")
        pod = {"metadata": {"name": "over"}, "spec": job("x", "true", devices=9)["spec"]["template"]["spec"]}
        self.keep("status-403-quota", "POST", PODS, pod)
        self.submit(job("over-quota", "true", devices=9))
        selector = "fieldSelector=involvedObject.name%3Dover-quota"
        cluster.wait(lambda: cluster.get(f"{BASE}/events?{selector}")["items"], "the job's event")
        self.keep("event-list-over-quota", "GET", f"{BASE}/events?{selector}")
        self.keep("resource-quota", "GET", path)

    def forgetting(self) -> None:
        """Record what is said of versions that are no longer known."""
        page = self.keep("pod-list-page", "GET", f"{PODS}?limit=1").json()
        self.submit(job("after", "true"))
        self.keep_job("after", "after", "Complete")
        self.cluster.compact()
        token = page["metadata"]["continue"]
        self.keep("status-410-continue", "GET", f"{PODS}?limit=1&continue={token}")
        self.keep("status-410-expired", "GET", f"{PODS}?resourceVersion=1&resourceVersionMatch=Exact")
        self.cluster.kill_api_server()
        self.cluster.start_api_server()
        with self.cluster.watch(PODS, "1") as events:
            self.recorder.lines("watch-expired", [next(events)])

    def loss(self) -> None:
        """Record a node that falls silent and the pod that was on it."""
        self.cluster.request("DELETE", f"{BASE}/resourcequotas/quota").raise_for_status()
        self.submit(job("lost", "sleep 600", pod={"nodeSelector": {"zone": "b"}}))
        self.keep_pod("before-loss", "lost", "'running'")
        name = str((self.pod("lost") or {})["metadata"]["name"])
        self.cluster.kill_node("npu-1")
        path = f"{PODS}/{name}"
        self.cluster.wait(lambda: self.cluster.get(path)["metadata"].get("deletionTimestamp"), "eviction")
        self.keep("pod-on-lost-node", "GET", path)
        self.keep("node-lost", "GET", "/api/v1/nodes/npu-1")
        self.keep("job-of-lost-pod", "GET", f"{JOBS}/lost")

    def run(self) -> None:
        """Record everything."""
        self.keep("version", "GET", "/version")
        self.keep("node-list", "GET", "/api/v1/nodes")
        self.keep("list-empty", "GET", JOBS)
        self.life()
        self.ends()
        self.waits()
        self.preemption()
        self.keep("job-list", "GET", JOBS)
        self.keep("pod-list", "GET", PODS)
        self.refusals()
        self.forgetting()
        self.loss()


def main() -> None:
    """Record into the folder that is named."""
    nodes = [
        Node("npu-0", {DEVICE: 8}, labels={"zone": "a"}),
        Node("npu-1", {DEVICE: 8}, labels={"zone": "b"}),
        Node("gpu-0", {"nvidia.com/gpu": 4}, taints=["reserved=lab:NoSchedule"]),
    ]
    with KubernetesCluster(nodes=nodes, eviction_s=1) as cluster:
        Kubernetes(cluster, Recorder(Path(sys.argv[1]), _HIDE)).run()


if __name__ == "__main__":
    main()
