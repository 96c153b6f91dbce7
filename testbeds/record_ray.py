"""Records what Ray's dashboard answers, for parser tests: `python -m testbeds.record_ray FOLDER`."""

import sys
from pathlib import Path

import httpx2

from testbeds.ray import Json, RayCluster
from testbeds.recording import Recorder

DEVICE = "ascend910b"
ENDS = ("SUCCEEDED", "FAILED", "STOPPED")
_HIDE = {
    r"(?:/[\w.-]+)+/lib/python3\.\d+": "/ray/lib/python3.11",
    r"(?:/[\w.-]+)+/\.venv-ray": "/ray",
    r"/tmp/hutong-ray-\w+": "/bed",  # noqa: S108
    r"session_[\d_-]+": "session_1",
    r"127\.\d+\.\d+\.(\d+)": r"10.0.0.\1",
    r"\[Node [\d.]+\]": "[Node 10.0.0.1]",
    r'"(hostname|nodeManagerHostname)": "[^"]*"': r'"\1": "node"',
}
GROUP = f"""
import time, ray
from ray.util.placement_group import placement_group
ray.init(address="auto", log_to_driver=False)
group = placement_group([{{"CPU": 1, "{DEVICE}": 8}}] * 2, strategy="STRICT_SPREAD", name="ht-gang")
ray.get(group.ready())
print("placed", flush=True)
time.sleep(600)
"""


class Ray:
    """One recording: each file holds the request, the status and the body (parsed where it is JSON)."""

    def __init__(self, cluster: RayCluster, recorder: Recorder) -> None:
        self.cluster, self.recorder = cluster, recorder

    def keep(self, file: str, method: str, path: str, body: Json | None = None) -> httpx2.Response:
        """Record one answer."""
        answer = self.cluster.request(method, path, body)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        kept = {
            "request": f"{method} {path}",
            **({"sent": body} if body else {}),
            "status": answer.status_code,
        }
        kept["content_type"] = answer.headers.get("content-type", "")
        self.recorder.document(file, {**kept, "body": answer.json() if is_json else answer.text})
        return answer

    def submit(self, job: str, entrypoint: str, **more: object) -> None:
        """Submit a job."""
        body = {"submission_id": job, "entrypoint": entrypoint, "metadata": {"hutong": job}, **more}
        self.cluster.request("POST", "/api/jobs/", body).raise_for_status()

    def keep_job(self, file: str, job: str, *states: str) -> None:
        """Record a job once it is in one of the states."""
        path = f"/api/jobs/{job}"
        self.cluster.wait(lambda: self.cluster.get(path)["status"] in states, f"{job} is {states}")
        self.keep(f"job-{file}", "GET", path)

    def jobs(self) -> None:
        """Record jobs in all their states, and what is answered on the way."""
        sent = {
            "submission_id": "ht-good-a1",
            "entrypoint": "echo one; echo two",
            "metadata": {"hutong": "样例"},
        }
        self.keep("submit", "POST", "/api/jobs/", sent)
        self.keep_job("succeeded", "ht-good-a1", *ENDS)
        self.keep("logs", "GET", "/api/jobs/ht-good-a1/logs")
        self.keep("submit-again", "POST", "/api/jobs/", sent)
        self.submit("ht-bad-a1", "exit 7")
        self.keep_job("failed", "ht-bad-a1", *ENDS)
        self.submit("ht-killed-a1", "kill -9 $$")
        self.keep_job("killed", "ht-killed-a1", *ENDS)
        self.submit("ht-absent-a1", "no-such-program")
        self.keep_job("no-program", "ht-absent-a1", *ENDS)
        self.submit("ht-env-a1", "true", runtime_env={"working_dir": "file:///none.zip"})
        self.keep_job("bad-environment", "ht-env-a1", *ENDS)
        self.submit("ht-long-a1", "sleep 600", entrypoint_num_cpus=1, entrypoint_resources={DEVICE: 8})
        self.keep_job("running", "ht-long-a1", "RUNNING", *ENDS)
        self.submit("ht-huge-a1", "sleep 600", entrypoint_resources={DEVICE: 9})
        self.keep_job("pending", "ht-huge-a1", "PENDING")
        self.keep("stop-pending", "POST", "/api/jobs/ht-huge-a1/stop")
        self.keep("delete-running", "DELETE", "/api/jobs/ht-long-a1")
        self.keep("stop", "POST", "/api/jobs/ht-long-a1/stop")
        self.keep_job("stopped", "ht-long-a1", *ENDS)
        self.keep("stop-stopped", "POST", "/api/jobs/ht-long-a1/stop")
        self.keep_job("fits-nowhere", "ht-huge-a1", *ENDS)
        self.keep("job-list", "GET", "/api/jobs/")
        self.keep("delete", "DELETE", "/api/jobs/ht-bad-a1")

    def refusals(self) -> None:
        """Record what is answered to wrong requests."""
        for name, method, path in (
            ("unknown", "GET", "/api/jobs/none"),
            ("unknown-logs", "GET", "/api/jobs/none/logs"),
            ("unknown-stop", "POST", "/api/jobs/none/stop"),
            ("unknown-delete", "DELETE", "/api/jobs/none"),
        ):
            self.keep(name, method, path)
        self.keep("submit-without-entrypoint", "POST", "/api/jobs/", {"submission_id": "x"})
        self.keep("submit-wrong-type", "POST", "/api/jobs/", {"entrypoint": "true", "metadata": {"n": 1}})

    def cluster_state(self) -> None:
        """Record nodes, resources and placement groups while a gang is placed."""
        script = self.cluster.root / "group.py"
        script.write_text(GROUP)
        self.submit("ht-gang-a1", f"{self.cluster.python} {script}")
        logs = "/api/jobs/ht-gang-a1/logs"
        self.cluster.wait(lambda: "placed" in self.cluster.get(logs)["logs"], "the gang is placed")
        for name, path in (
            ("version", "/api/version"),
            ("nodes-summary", "/nodes?view=summary"),
            ("cluster-status", "/api/cluster_status"),
            ("state-nodes", "/api/v0/nodes?detail=true"),
            ("state-jobs", "/api/v0/jobs?detail=true"),
            ("state-placement-groups", "/api/v0/placement_groups?detail=true"),
            ("state-actors", "/api/v0/actors?detail=true"),
        ):
            self.keep(name, "GET", path)
        self.cluster.request("POST", "/api/jobs/ht-gang-a1/stop").raise_for_status()
        self.cluster.kill_node(1)
        self.cluster.wait(lambda: self.cluster.alive() == 1, "the lost node is counted out")
        self.keep("nodes-summary-after-loss", "GET", "/nodes?view=summary")
        self.keep("state-nodes-after-loss", "GET", "/api/v0/nodes?detail=true")


def main() -> None:
    """Record into the folder that is named."""
    recorder = Recorder(Path(sys.argv[1]), _HIDE)
    with RayCluster(nodes=2, resources={DEVICE: 8}, start_timeout_s=10) as cluster:
        recording = Ray(cluster, recorder)
        recording.jobs()
        recording.refusals()
        recording.cluster_state()
    with RayCluster(token="0" * 32) as closed:
        answer = httpx2.get(f"{closed.url}/api/jobs/", trust_env=False)
        kept = {"request": "GET /api/jobs/", "status": answer.status_code}
        kind = answer.headers.get("content-type", "")
        recorder.document("no-token", {**kept, "content_type": kind, "body": answer.text})
        wrong = httpx2.get(f"{closed.url}/api/jobs/", headers={"Authorization": "Bearer x"}, trust_env=False)
        kept = {"request": "GET /api/jobs/", "status": wrong.status_code}
        recorder.document("wrong-token", {**kept, "content_type": kind, "body": wrong.text})


if __name__ == "__main__":
    main()
