"""A real Ray cluster of several nodes on loopback, from the `ray` of a virtual environment of its own.

with RayCluster(nodes=2, resources={"ascend910b": 8}) as cluster:
    httpx2.post(f"{cluster.url}/api/jobs/", json={"entrypoint": "echo hello"})
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from testbeds.daemons import NAMESPACE, Daemon, wait_for
from testbeds.ports import Ports

Json = dict[str, Any]
T = TypeVar("T")

_UP_S = 240
_TRIALS = 4
_STORE_BYTES = 100_000_000  # Ray refuses an object store under 75 MB
_SOCKET_PATH = 107  # bytes that the kernel takes
_SESSION = 70  # what Ray adds to its folder for a socket


def find_programs() -> Path:
    """Return the folder with the programs `ray` and `python`, or say how to get them."""
    root = Path(__file__).parent.parent
    folder = Path(os.environ.get("HUTONG_RAY") or root / ".venv-ray/bin")
    if not os.access(folder / "ray", os.X_OK):
        raise FileNotFoundError(f"ray is missing in {folder}: run `make ray`")
    return folder


class RayCluster:
    """A cluster in a folder of its own, gone when the block ends; node 0 is the head.

    Each node is a process namespace with an address of its own: nothing of it outlives it, however it ends.
    The API listens on 127.0.0.1, Ray's internal ports on all interfaces, whatever it is told.

    `resources` are those of every node, or a list with those of each. A job that fits nowhere fails after
    `start_timeout_s` (Ray's own default is 900 s). With a `token`, only requests that bear it are taken.
    """

    def __init__(
        self,
        nodes: int = 1,
        resources: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
        *,
        cpus: int = 4,
        start_timeout_s: int = 30,
        token: str = "",
    ) -> None:
        self._bin = find_programs()
        given = [resources] * nodes if isinstance(resources, Mapping) else list(resources)
        each: list[Mapping[str, float]] = given or [{}] * nodes
        if len(each) != nodes:
            raise ValueError(f"resources of {len(each)} nodes for {nodes} nodes")
        self._ports = Ports()
        self._cpus = cpus
        self.root = Path(tempfile.mkdtemp(prefix="hutong-ray-"))
        self.python = self._bin / "python"
        self._gcs = self._ports.take()
        self._dashboard = self._ports.take()
        self.url = f"http://127.0.0.1:{self._dashboard}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._env = {
            "RAY_AUTH_MODE": "token" if token else "disabled",  # else a token in the home folder would decide
            "RAY_AUTH_TOKEN": token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DEDUP_LOGS": "0",
            "RAY_TMPDIR": str(self.root),
            "RAY_JOB_START_TIMEOUT_SECONDS": str(start_timeout_s),
            "AUTOSCALER_METRIC_PORT": str(self._ports.take()),
            "DASHBOARD_METRIC_PORT": str(self._ports.take()),
            "PATH": f"{self._bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
        self._nodes = [self._node(index, each[index]) for index in range(nodes)]

    def _node(self, index: int, resources: Mapping[str, float]) -> Daemon:
        head = [
            "--head", f"--port={self._gcs}", f"--temp-dir={self.root}", "--include-dashboard=true",
            "--dashboard-host=127.0.0.1", f"--dashboard-port={self._dashboard}",
            f"--ray-client-server-port={self._ports.take()}",
        ]  # fmt: skip
        role = head if index == 0 else [f"--address={self.address(0)}:{self._gcs}"]
        own = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
        command = [
            *NAMESPACE, str(self._bin / "ray"), "start", "--block", *role,
            f"--node-ip-address={self.address(index)}",
            *(f"--{name}-port={self._ports.take()}" for name in own),
            "--min-worker-port=0", "--max-worker-port=0", f"--num-cpus={self._cpus}",
            f"--resources={json.dumps(dict(resources))}",
            f"--object-store-memory={_STORE_BYTES}", "--disable-usage-stats",
        ]  # fmt: skip
        return Daemon(f"ray node {index}", command, log=self.root / f"node{index}.log", env=self._env)

    def __enter__(self) -> "RayCluster":
        try:
            if len(str(self.root)) + _SESSION > _SOCKET_PATH:
                raise ValueError(
                    f"{self.root} is too long a path for Ray's sockets: set TMPDIR to a shorter one"
                )
            self._start_nodes()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        for node in reversed(self._nodes):
            node.kill()
        shutil.rmtree(self.root, ignore_errors=True)
        self._ports.release()

    def address(self, index: int) -> str:
        """Return the loopback address of a node: no other cluster on this machine has it."""
        return f"127.{self._gcs >> 8}.{self._gcs & 255}.{index + 1}"

    @property
    def gcs(self) -> str:
        """Where the head's own table is asked, as Ray's programs ask."""
        return f"{self.address(0)}:{self._gcs}"

    # --- use ---

    def request(self, method: str, path: str, body: Json | None = None) -> httpx2.Response:
        """Ask the dashboard. Raises httpx2.TransportError when it is away; any status is an answer."""
        return httpx2.request(
            method, self.url + path, json=body, headers=self._headers, timeout=60, trust_env=False
        )

    def get(self, path: str) -> Any:  # noqa: ANN401 - the dashboard answers with lists and with objects
        """Return what the dashboard answers; raises httpx2.HTTPStatusError if it refuses."""
        answer = self.request("GET", path)
        answer.raise_for_status()
        return answer.json()

    def wait(self, condition: Callable[[], T | None], what: str, seconds: float = _UP_S) -> T:
        """Ask until the answer is true; raises with the log of a node that ended or was too late."""
        return wait_for(condition, seconds, what, daemons=self._nodes, retry=(httpx2.HTTPError, OSError))

    def alive(self) -> int:
        """Return how many nodes the head counts as alive."""
        nodes = self.get("/nodes?view=summary")["data"]["summary"]
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)

    def _start_nodes(self) -> None:
        """Start one after the other: a node gives itself up after 30 s, on a busy machine more than once."""
        for count, node in enumerate(self._nodes, 1):
            for trials_left in reversed(range(_TRIALS)):
                try:
                    node.start()
                    self._wait_nodes(count)
                    break
                except RuntimeError:  # it ended by itself
                    if not trials_left:
                        raise
                    node.kill()

    def _wait_nodes(self, count: int) -> None:
        self.wait(lambda: self.alive() == count, f"{count} Ray nodes are alive")

    # --- faults ---

    def kill_node(self, index: int) -> None:
        """A node's machine is gone: raylet, agent, workers, at once and without a word."""
        self._nodes[index].kill()

    def start_node(self, index: int) -> None:
        """Start a node anew, after `kill_node`; the head counts it within seconds."""
        before = self.alive()
        self._nodes[index].start()
        self._wait_nodes(before + 1)

    def kill_head(self) -> None:
        """The head's machine is gone, and with it the table of jobs, which Ray keeps in memory."""
        self._nodes[0].kill()

    def start_head(self) -> None:
        """Start an empty head at the same address; the other nodes are restarted, as their operator does."""
        for node in self._nodes:
            node.kill()
        self._start_nodes()
