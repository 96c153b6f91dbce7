"""A small kubelet: beats for one node, runs its pods as local processes, serves their logs.

    python -m testbeds.kubelet settings.json

What it does: env (values, fields, secrets, configMaps), command, args, workingDir; volumes (emptyDir,
hostPath, secret, configMap, downwardAPI, claims on folders); init containers, several containers, every
restartPolicy; grace, deadlines, exit codes; logs with their options; device variables; an address of 127/8
for each pod; names of pods with a `subdomain` in /etc/hosts. Annotate a pod with `testbed/evict` to have it
evicted.

What it does not do: pull images (any image is this machine; those of `missing.example/` cannot be pulled),
probes, lifecycle hooks, exec, services, DNS, limits of memory and CPU. See `testbeds.containers` for what a
container is.
"""

import asyncio
import json
import platform
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx2

from testbeds.podlogs import LogServer
from testbeds.pods import PodLife, now
from testbeds.volumes import Json

_BEAT_S = 1.0
_RETRY_S = 0.3
_WATCH_S = 300
_HOST = 254  # the node's own place in its block of addresses; pods have 1 to 253
_EVICT = "testbed/evict"
_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}
_DEVICE_VARIABLES = {
    "nvidia.com/gpu": "NVIDIA_VISIBLE_DEVICES",
    "huawei.com/Ascend": "ASCEND_VISIBLE_DEVICES",
}


@dataclass(frozen=True)
class Settings:
    """What a node's kubelet is told; its `port` is its own on this machine and makes its addresses unique."""

    name: str
    root: str
    server: str
    token: str
    certificate: str
    key: str
    port: int
    capacity: dict[str, str]
    devices: dict[str, int] = field(default_factory=dict)
    mark: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write them where the kubelet reads them."""
        path.write_text(json.dumps(asdict(self)))

    def address(self, place: int) -> str:
        """Return one of the node's 254 loopback addresses."""
        return f"127.{self.port >> 8}.{self.port & 255}.{place}"


class Kubelet:
    """One node."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.name
        self.root = Path(settings.root)
        host, port = settings.server.removeprefix("https://").split(":")
        service = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        self.variables: Mapping[str, str] = {"HOST_IP": settings.address(_HOST), **service, **settings.mark}
        self._api = httpx2.AsyncClient(
            base_url=settings.server,
            headers={"Authorization": f"Bearer {settings.token}"},
            verify=ssl.create_default_context(cafile=settings.certificate),
            timeout=30,
            trust_env=False,
        )
        self._pods: dict[str, PodLife] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, int] = {}
        self._devices: dict[str, dict[str, tuple[str, set[int]]]] = {}
        self._names: dict[str, dict[str, str]] = {}

    async def run(self) -> None:
        """Work until killed."""
        logs = LogServer(self._find)
        files = Path(self.settings.certificate), Path(self.settings.key)
        await logs.start(self.settings.address(_HOST), self.settings.port, *files)
        await self._report()
        await asyncio.gather(self._beat(), self._follow())

    def _find(self, namespace: str, name: str) -> PodLife | None:
        for life in self._pods.values():
            if (life.pod["metadata"]["namespace"], life.pod["metadata"]["name"]) == (namespace, name):
                return life
        return None

    # --- the API ---

    async def _ask(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Ask until there is an answer that is not "later"."""
        headers = _MERGE if method == "PATCH" else None
        while True:
            try:
                answer = await self._api.request(method, path, json=body, headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(_RETRY_S)
                continue
            if answer.status_code != 429 and answer.status_code < 500:
                return answer.status_code, answer.json()
            await asyncio.sleep(_RETRY_S)

    async def fetch(self, path: str) -> Json | None:
        """Return an object of the API; None if there is none."""
        status, body = await self._ask("GET", path)
        return body if status == 200 else None

    async def patch_status(self, pod: Json, status: Json) -> bool:
        """Write the pod's status; False if the pod is gone or is another by now."""
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        code, body = await self._ask("PATCH", path, {"metadata": {"uid": meta["uid"]}, "status": status})
        if code not in (200, 404, 409):
            sys.stderr.write(f"status of {meta['name']} refused: {body}\n")
        return code == 200

    async def remove(self, pod: Json) -> None:
        """Delete the pod for good."""
        meta = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        await self._ask("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", options)

    async def _report(self) -> None:
        """Write the node's status: what it has, where it is, that it is well."""
        amounts = {
            **self.settings.capacity,
            **{name: str(count) for name, count in self.settings.devices.items()},
        }
        beat = {"lastHeartbeatTime": now(), "lastTransitionTime": now()}
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
        }
        information = {
            "kubeletVersion": "v1.20.2",
            "containerRuntimeVersion": "process://1",
            "operatingSystem": "linux",
        }
        information |= {
            "architecture": "amd64",
            "kernelVersion": platform.release(),
            "osImage": "this machine",
        }
        information |= dict.fromkeys(("bootID", "machineID", "systemUUID", "kubeProxyVersion"), "")
        status = {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{**ready, **beat}],
            "addresses": [
                {"type": "InternalIP", "address": self.settings.address(_HOST)},
                {"type": "Hostname", "address": self.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.settings.port}},
            "nodeInfo": information,
        }
        await self._ask("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": status})

    async def _beat(self) -> None:
        """Renew the node's lease; after a silence, say that it is well again."""
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        last = time.monotonic()
        while True:
            moment = now()[:-1] + ".000000Z"
            spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": moment}
            status, _ = await self._ask("PATCH", f"{path}/{self.name}", {"spec": spec})
            if status == 404:
                await self._ask("POST", path, {"metadata": {"name": self.name}, "spec": spec})
            if time.monotonic() - last > 3 * _BEAT_S:
                await self._report()
            last = time.monotonic()
            await asyncio.sleep(_BEAT_S)

    # --- its pods ---

    async def _follow(self) -> None:
        """List and watch pods, for ever; the list tells what was missed."""
        while True:
            try:
                async for kind, pod in self._events():
                    self._on_pod(kind, pod)
            except (httpx2.HTTPError, ssl.SSLError, json.JSONDecodeError):
                await asyncio.sleep(_RETRY_S)

    async def _events(self) -> AsyncIterator[tuple[str, Json]]:
        answer = await self._api.get("/api/v1/pods")
        answer.raise_for_status()
        listed = answer.json()
        present = {pod["metadata"]["uid"] for pod in listed["items"]}
        for uid in set(self._pods) - present:
            yield "DELETED", self._pods[uid].pod
        for pod in listed["items"]:
            yield "ADDED", pod
        options = {
            "watch": "true",
            "resourceVersion": listed["metadata"]["resourceVersion"],
            "timeoutSeconds": _WATCH_S,
        }
        timeout = httpx2.Timeout(30, read=_WATCH_S + 30)
        async with self._api.stream("GET", "/api/v1/pods", params=options, timeout=timeout) as stream:
            async for line in stream.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]

    def _on_pod(self, kind: str, pod: Json) -> None:
        self._note_name(kind, pod)
        if pod["spec"].get("nodeName") != self.name:
            return
        meta = pod["metadata"]
        life = self._pods.get(meta["uid"])
        if kind == "DELETED":
            if life is not None:
                life.vanish()
            return
        if life is None:
            life = self._begin(pod)
        if (
            _EVICT in meta.get("annotations", {})
            and life.pod["metadata"].get("annotations") != meta["annotations"]
        ):
            life.fail("Evicted", meta["annotations"][_EVICT])
        life.pod["metadata"]["annotations"] = meta.get("annotations", {})
        if meta.get("deletionTimestamp"):
            life.delete(meta.get("deletionGracePeriodSeconds") or 0)

    def _begin(self, pod: Json) -> PodLife:
        uid = pod["metadata"]["uid"]
        taken = set(self._places.values())
        place = next(each for each in range(1, _HOST) if each not in taken)
        self._places[uid] = place
        address = self.settings.address(_HOST if pod["spec"].get("hostNetwork") else place)
        life = self._pods[uid] = PodLife(self, pod, address)
        problem = self._allot(pod)
        if problem:
            life.fail("UnexpectedAdmissionError", problem)
        self._tasks[uid] = asyncio.create_task(self._live(uid, life))
        return life

    async def _live(self, uid: str, life: PodLife) -> None:
        try:
            await life.run()
        finally:
            for registry in (self._pods, self._places, self._devices, self._tasks):
                registry.pop(uid, None)

    def _allot(self, pod: Json) -> str:
        """Give each container its devices by number; return why that is impossible."""
        given = self._devices[pod["metadata"]["uid"]] = {}
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return ""
        for container in pod["spec"]["containers"]:
            for resource, amount in container.get("resources", {}).get("limits", {}).items():
                if resource not in self.settings.devices:
                    continue
                used = {
                    number
                    for each in self._devices.values()
                    for kind, numbers in each.values()
                    if kind == resource
                    for number in numbers
                }
                free = sorted(set(range(self.settings.devices[resource])) - used)
                if len(free) < int(amount):
                    return (
                        "Allocate failed due to requested number of devices unavailable for "
                        f"{resource}. Requested: {amount}, Available: {len(free)}, which is unexpected"
                    )
                given[container["name"]] = (resource, set(free[: int(amount)]))
        return ""

    def devices_of(self, pod: Json, container: str) -> Mapping[str, str]:
        """Return the variable by which the vendor's runtime names the container's devices."""
        resource, numbers = self._devices.get(pod["metadata"]["uid"], {}).get(container, ("", set()))
        for prefix, variable in _DEVICE_VARIABLES.items():
            if resource.startswith(prefix):
                return {variable: ",".join(map(str, sorted(numbers)))}
        return {}

    # --- names ---

    def _note_name(self, kind: str, pod: Json) -> None:
        spec, meta = pod["spec"], pod["metadata"]
        address = pod.get("status", {}).get("podIP")
        if not spec.get("subdomain") or (kind != "DELETED" and not address):
            return
        names = self._names.setdefault(meta["namespace"], {})
        short = f"{spec.get('hostname') or meta['name']}.{spec['subdomain']}"
        line = (
            f"{address} {short}.{meta['namespace']}.svc.cluster.local {short}.{meta['namespace']}.svc {short}"
        )
        if kind == "DELETED":
            names.pop(meta["uid"], None)
        else:
            names[meta["uid"]] = line
        self._write_hosts(meta["namespace"])

    def _write_hosts(self, namespace: str) -> None:
        """Write in place: running pods have the file mounted."""
        path = self.root / "hosts" / namespace
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *self._names.get(namespace, {}).values()]
        with path.open("r+" if path.exists() else "w") as file:
            file.write("\n".join(lines) + "\n")
            file.truncate()

    def hosts_of(self, namespace: str) -> Path:
        """Return the file that the pods of a namespace see as /etc/hosts."""
        path = self.root / "hosts" / namespace
        if not path.exists():
            self._write_hosts(namespace)
        return path


if __name__ == "__main__":
    asyncio.run(Kubelet(Settings(**json.loads(Path(sys.argv[1]).read_text()))).run())
