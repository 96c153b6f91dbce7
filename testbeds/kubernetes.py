"""A real Kubernetes 1.20 on loopback: etcd, API server, controllers, scheduler; nodes run local processes.

with KubernetesCluster(nodes=[Node("npu-0", {"huawei.com/Ascend910": 8})]) as cluster:
    cluster.request("POST", "/apis/batch/v1/namespaces/default/jobs", {...})
"""

import json
import os
import secrets
import shutil
import signal
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from testbeds.certificates import write_certificate
from testbeds.daemons import Daemon, wait_for
from testbeds.kubelet.node import Settings
from testbeds.ports import Ports

Json = dict[str, Any]
T = TypeVar("T")

VERSION = "1.20.2"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_UP_S = 120
_APPLY = {"PATCH": "application/merge-patch+json"}


def find_binaries() -> Path:
    """Return the folder of the three programs, or say how to get them."""
    folder = Path(os.environ.get("HUTONG_KUBERNETES") or Path.home() / ".cache/hutong/kubernetes" / VERSION)
    missing = [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)} missing in {folder}: run `make kubernetes`")
    for program, package in (("etcd", "etcd-server"), ("bwrap", "bubblewrap"), ("setpriv", "util-linux")):
        if shutil.which(program) is None:
            line = f"apt-get install --no-install-recommends -y {package}"
            raise FileNotFoundError(f"{program} is missing; as root: {line}")
    return folder


@dataclass(frozen=True)
class Node:
    """One node. `devices` are extended resources, `taints` as in kubectl: `key=value:NoSchedule`."""

    name: str
    devices: Mapping[str, int] = field(default_factory=dict)
    cpus: int = 64
    memory: str = "512Gi"
    pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[str] = ()

    def manifest(self) -> Json:
        """Return the object to create."""
        standard = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        return {
            "metadata": {"name": self.name, "labels": {**standard, **self.labels}},
            "spec": {"taints": [_taint(text) for text in self.taints]},
        }


def _taint(text: str) -> Json:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    if not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise ValueError(f"taint {text!r}: key=value:NoSchedule, PreferNoSchedule or NoExecute is right")
    return {"key": key, "value": value, "effect": effect}


class KubernetesCluster:
    """A cluster in a folder of its own, gone when the block ends.

    A node that is silent for `grace_s` is tainted unreachable; its pods are deleted `eviction_s` later
    (a real cluster: 40 s and 300 s).
    """

    def __init__(self, nodes: Sequence[Node] = (), *, grace_s: int = 10, eviction_s: int = 2) -> None:
        self._binaries = find_binaries()
        self._first = list(nodes)
        self._grace_s = grace_s
        self._eviction_s = eviction_s
        self._ports = Ports()
        self._daemons: dict[str, Daemon] = {}
        self._nodes: dict[str, Daemon] = {}
        self.root = Path(tempfile.mkdtemp(prefix="hutong-kubernetes-"))
        self.url = f"https://127.0.0.1:{self._ports.take()}"
        self._etcd = f"http://127.0.0.1:{self._ports.take()}"
        self.token = secrets.token_hex(16)
        self.kubeconfig = self.root / "kubeconfig"
        self._client: httpx2.Client | None = None

    # --- life ---

    def __enter__(self) -> "KubernetesCluster":
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _start(self) -> None:
        self.certificate, self._key = write_certificate(self.root)
        (self.root / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")
        self.write_kubeconfig(self.kubeconfig, self.token)
        self._client = httpx2.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=str(self.certificate)),
            timeout=30,
            trust_env=False,
        )
        self._prepare()
        self._daemons["etcd"].start()
        self.wait(lambda: httpx2.get(f"{self._etcd}/health", trust_env=False).is_success, "etcd is well")
        self.start_api_server()
        self.start_controller_manager()  # it gives up if the API is not there within ten seconds
        self.start_scheduler()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        for node in self._first:
            self.add_node(node, wait=False)
        self.wait(lambda: self.request("GET", account).json().get("secrets"), "the default service account")
        for node in self._first:
            self.wait_node(node.name)

    def _prepare(self) -> None:
        root, etcd = self.root, self._etcd
        peer = f"http://127.0.0.1:{self._ports.take()}"
        self._add(
            "etcd", "etcd", f"--data-dir={root}/etcd", f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--logger=zap",
            "--log-level=error", "--unsafe-no-fsync",
        )  # fmt: skip
        tls = (f"--tls-cert-file={self.certificate}", f"--tls-private-key-file={self._key}")
        self._add(
            "kube-apiserver", f"--etcd-servers={etcd}", *tls,
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--insecure-port=0",
            f"--secure-port={self.url.rpartition(':')[2]}", "--service-cluster-ip-range=10.0.0.0/24",
            f"--token-auth-file={root}/tokens.csv", "--authorization-mode=Node,RBAC",
            f"--service-account-key-file={self._key}",
            f"--service-account-signing-key-file={self._key}",
            "--service-account-issuer=https://kubernetes.default.svc", "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP", "--allow-privileged=true", "--profiling=false",
            f"--default-not-ready-toleration-seconds={self._eviction_s}",
            f"--default-unreachable-toleration-seconds={self._eviction_s}",
        )  # fmt: skip
        common = (
            f"--kubeconfig={self.kubeconfig}", "--kube-api-qps=500", "--kube-api-burst=1000", "--port=0",
            "--bind-address=127.0.0.1", "--leader-elect=false", *tls,
        )  # fmt: skip
        self._add(
            "kube-controller-manager", *common, f"--secure-port={self._ports.take()}",
            f"--service-account-private-key-file={self._key}", f"--root-ca-file={self.certificate}",
            "--use-service-account-credentials=true", f"--node-monitor-grace-period={self._grace_s}s",
            "--node-monitor-period=1s",
        )  # fmt: skip
        self._add("kube-scheduler", *common, f"--secure-port={self._ports.take()}")

    def _add(self, name: str, *arguments: str) -> None:
        program = [str(self._binaries / name)] if name in PROGRAMS else []
        self._daemons[name] = Daemon(name, [*program, *arguments], log=self.root / f"{name}.log")

    def _remove(self) -> None:
        if self._client is not None:
            self._client.close()
        for daemon in [*self._nodes.values(), *self._daemons.values()]:
            daemon.kill()  # throwaway data: no need to drain
        shutil.rmtree(self.root, ignore_errors=True)
        self._ports.release()

    # --- use ---

    def request(
        self, method: str, path: str, body: Json | None = None, *, token: str = "", kind: str = ""
    ) -> httpx2.Response:
        """Ask the API server, as the administrator or by a token; PATCH is a merge patch or of `kind`.

        Raises httpx2.TransportError when the server is away; any status is an answer.
        """
        if self._client is None:
            raise RuntimeError("the cluster is not started")
        headers = {"Authorization": f"Bearer {token or self.token}"}
        headers["Content-Type"] = kind or _APPLY.get(method, "application/json")
        content = None if body is None else json.dumps(body).encode()
        return self._client.request(method, path, content=content, headers=headers)

    def get(self, path: str) -> Json:
        """Return an object; raises httpx2.HTTPStatusError if there is none."""
        answer = self.request("GET", path)
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    @contextmanager
    def stream(self, path: str, **options: str) -> Iterator[httpx2.Response]:
        """Yield an answer that comes piece by piece, such as a followed log; `options` are its query."""
        if self._client is None:
            raise RuntimeError("the cluster is not started")
        headers = {"Authorization": f"Bearer {self.token}"}
        url = httpx2.URL(path).copy_merge_params(options)
        patient = httpx2.Timeout(30, read=None)
        with self._client.stream("GET", url, headers=headers, timeout=patient) as stream:
            yield stream

    @contextmanager
    def watch(self, path: str, version: str, *, seconds: int = 60) -> Iterator[Iterator[Json]]:
        """Yield the events of a collection after a resource version, until the server ends the watch."""
        options = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds)}
        with self.stream(path, **options) as stream:
            yield (json.loads(line) for line in stream.iter_lines())

    def wait(self, condition: Callable[[], T | None], what: str, seconds: float = _UP_S) -> T:
        """Ask until the answer is true; raises with the log of a daemon that ended or was too late."""
        daemons = [*self._daemons.values(), *self._nodes.values()]
        return wait_for(condition, seconds, what, daemons=daemons, retry=(httpx2.TransportError, OSError))

    def service_account(
        self,
        name: str,
        rules: Sequence[Json],
        *,
        namespace: str = "default",
        cluster_rules: Sequence[Json] = (),
    ) -> str:
        """Make an account and return a token of it, good for an hour.

        It may do what `rules` (RBAC) say in the namespace, and `cluster_rules` everywhere (nodes, say).
        """
        base, rbac = f"/api/v1/namespaces/{namespace}", "/apis/rbac.authorization.k8s.io/v1"
        self.request("POST", f"{base}/serviceaccounts", {"metadata": {"name": name}}).raise_for_status()
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        for kind, plural, place, allowed in (
            ("Role", "role", f"{rbac}/namespaces/{namespace}", rules),
            ("ClusterRole", "clusterrole", rbac, cluster_rules),
        ):
            if allowed:
                role = {"metadata": {"name": name}, "rules": list(allowed)}
                reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
                binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
                self.request("POST", f"{place}/{plural}s", role).raise_for_status()
                self.request("POST", f"{place}/{plural}bindings", binding).raise_for_status()
        wanted = {"spec": {"expirationSeconds": 3600, "audiences": ["https://kubernetes.default.svc"]}}
        answer = self.request("POST", f"{base}/serviceaccounts/{name}/token", wanted)
        answer.raise_for_status()
        return str(answer.json()["status"]["token"])

    def write_kubeconfig(self, path: Path, token: str, *, namespace: str = "default") -> Path:
        """Write a kubeconfig (JSON, which is YAML) for the bearer of a token."""
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bed",
            "clusters": [{"name": "bed", "cluster": cluster}],
            "users": [{"name": "bed", "user": {"token": token}}],
            "contexts": [
                {"name": "bed", "context": {"cluster": "bed", "user": "bed", "namespace": namespace}}
            ],
        }
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    # --- nodes ---

    def add_node(self, node: Node, *, wait: bool = True) -> None:
        """Register a node and start its kubelet; `wait` until the scheduler may use it."""
        self.request("POST", "/api/v1/nodes", node.manifest()).raise_for_status()
        root = self.root / "nodes" / node.name
        root.mkdir(parents=True)
        settings = Settings(
            name=node.name,
            root=str(root),
            server=self.url,
            token=self.token,
            certificate=str(self.certificate),
            key=str(self._key),
            port=self._ports.take(),
            capacity={"cpu": str(node.cpus), "memory": node.memory, "pods": str(node.pods)},
            devices=dict(node.devices),
        )
        settings.write(root / "settings.json")
        command = [sys.executable, "-m", "testbeds.kubelet", str(root / "settings.json")]
        self._nodes[node.name] = Daemon(f"kubelet {node.name}", command, log=root / "kubelet.log")
        self.start_node(node.name, wait=wait)

    def start_node(self, name: str, *, wait: bool = True) -> None:
        """Start a node's kubelet anew, after `kill_node`."""
        self._nodes[name].start()
        if wait:
            self.wait_node(name)

    def kill_node(self, name: str) -> None:
        """The machine is gone: its kubelet and all its pods' processes, at once and without a word."""
        self._nodes[name].kill()

    def pause_node(self, name: str) -> None:
        """Cut the node off: its pods go on, but nothing is heard of it and nothing reaches it."""
        self._nodes[name].signal(signal.SIGSTOP)

    def resume_node(self, name: str) -> None:
        """End what `pause_node` began."""
        self._nodes[name].signal(signal.SIGCONT)

    def evict(self, pod: str, message: str, *, namespace: str = "default") -> None:
        """Have the node fail a pod as it does when it runs out of memory or disk: Failed, reason Evicted."""
        change = {"metadata": {"annotations": {"testbed/evict": message}}}
        self.request("PATCH", f"/api/v1/namespaces/{namespace}/pods/{pod}", change).raise_for_status()

    def wait_node(self, name: str) -> None:
        """Wait until a node is ready and no taint of the node controller is on it."""

        def ready() -> bool:
            node = self.get(f"/api/v1/nodes/{name}")
            taints = [each["key"] for each in node["spec"].get("taints", [])]
            conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
            own = any(key.startswith("node.kubernetes.io/") for key in taints)
            return conditions.get("Ready") == "True" and not own

        self.wait(ready, f"node {name} is ready")

    # --- faults ---

    def kill_api_server(self) -> None:
        """SIGKILL the API server: etcd keeps the state."""
        self._daemons["kube-apiserver"].kill()

    def start_api_server(self) -> None:
        """Start it, again at the same address, and wait until it is ready."""
        self._daemons["kube-apiserver"].start()
        self.wait(lambda: self.request("GET", "/readyz").status_code == 200, "the API server is ready")

    def compact(self) -> None:
        """Have etcd forget all but the newest state: older resource versions and list pages are 410 Gone."""
        version = int(self.get("/api/v1/namespaces")["metadata"]["resourceVersion"])
        body = {"revision": version, "physical": True}
        httpx2.post(f"{self._etcd}/v3/kv/compaction", json=body, trust_env=False).raise_for_status()

    def kill_controller_manager(self) -> None:
        """SIGKILL the controllers: jobs make no pods, silent nodes are not noticed."""
        self._daemons["kube-controller-manager"].kill()

    def start_controller_manager(self) -> None:
        """Start the controllers."""
        self._daemons["kube-controller-manager"].start()

    def kill_scheduler(self) -> None:
        """SIGKILL the scheduler: pods stay pending."""
        self._daemons["kube-scheduler"].kill()

    def start_scheduler(self) -> None:
        """Start the scheduler."""
        self._daemons["kube-scheduler"].start()
