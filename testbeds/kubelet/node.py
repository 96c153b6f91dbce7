"""One node's kubelet: it beats, follows the API's pods and gives those of its node a life."""

import asyncio
import json
import os
import platform
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx2

from testbeds.kubelet.devices import Devices
from testbeds.kubelet.logs import LogServer
from testbeds.kubelet.pods import PodLife
from testbeds.kubelet.status import ENDS, now
from testbeds.kubelet.volumes import Json

_BEAT_S = 1.0
_REPORT_S = 10.0
_RETRY_S = 0.3
_WATCH_S = 300
_HOST = 254  # the node's own place in its block of addresses; pods have 1 to 253
_EVICT = "testbed/evict"
_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


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
        self.root = Path(settings.root)
        self.host = settings.address(_HOST)
        host, port = settings.server.removeprefix("https://").split(":")
        mark = {"HUTONG_TESTBED": os.environ.get("HUTONG_TESTBED", "")}  # so that the bed finds what is left
        service = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        self.variables: Mapping[str, str] = {**service, **mark}
        self._api = httpx2.AsyncClient(
            base_url=settings.server,
            headers={"Authorization": f"Bearer {settings.token}"},
            verify=ssl.create_default_context(cafile=settings.certificate),
            timeout=30,
            trust_env=False,
        )
        self._pods: dict[str, PodLife] = {}
        self._places: dict[str, int] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._devices = Devices(settings.devices, lambda uid: uid not in self._pods or self._pods[uid].ended)
        self._told = 0.0

    async def run(self) -> None:
        """Work until killed."""
        files = Path(self.settings.certificate), Path(self.settings.key)
        await LogServer(self._find).start(self.host, self.settings.port, *files)
        await self._report()
        async with asyncio.TaskGroup() as self._tasks:  # an error in any of them ends the kubelet, loudly
            self._tasks.create_task(self._beat())
            self._tasks.create_task(self._follow())

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
                found: Json = answer.json()
                return answer.status_code, found
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
            raise RuntimeError(f"the status of {meta['name']} is refused: {body}")
        return code == 200

    async def remove(self, pod: Json) -> None:
        """Delete the pod for good."""
        meta = pod["metadata"]
        self._devices.forget(meta["uid"])  # first: once it is gone, the scheduler gives them to another
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        await self._ask("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", options)

    async def _report(self) -> None:
        """Write the node's status: what it has, where it is, that it is well."""
        devices = {name: str(count) for name, count in self.settings.devices.items()}
        amounts = {**self.settings.capacity, **devices}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now()}
        ready |= {"lastTransitionTime": now(), "message": "kubelet is posting ready status"}
        about = {
            "kubeletVersion": "v1.20.2",
            "containerRuntimeVersion": "process://1",
            "osImage": "this machine",
        }
        about |= {"operatingSystem": "linux", "architecture": "amd64", "kernelVersion": platform.release()}
        about |= dict.fromkeys(("bootID", "machineID", "systemUUID", "kubeProxyVersion"), "")
        status = {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [ready],
            "addresses": [
                {"type": "InternalIP", "address": self.host},
                {"type": "Hostname", "address": self.settings.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.settings.port}},
            "nodeInfo": about,
        }
        await self._ask("PATCH", f"/api/v1/nodes/{self.settings.name}/status", {"status": status})
        self._told = time.monotonic()

    async def _beat(self) -> None:
        """Renew the node's lease; now and then, and after a silence, say that it is well."""
        leases, name = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", self.settings.name
        last = time.monotonic()
        while True:
            spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": f"{now()[:-1]}.000000Z"}
            status, _ = await self._ask("PATCH", f"{leases}/{name}", {"spec": spec})
            if status == 404:
                await self._ask("POST", leases, {"metadata": {"name": name}, "spec": spec})
            if time.monotonic() - last > 3 * _BEAT_S or time.monotonic() - self._told > _REPORT_S:
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
            except (httpx2.HTTPError, ssl.SSLError, json.JSONDecodeError) as error:
                sys.stderr.write(f"the watch is begun anew: {error!r}\n")
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
        version = listed["metadata"]["resourceVersion"]
        options: dict[str, str | int] = {
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": _WATCH_S,
        }
        timeout = httpx2.Timeout(30, read=_WATCH_S + 30)
        async with self._api.stream("GET", "/api/v1/pods", params=options, timeout=timeout) as stream:
            async for line in stream.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":  # the version is too old: list again
                    return
                yield event["type"], event["object"]

    def _on_pod(self, kind: str, pod: Json) -> None:
        self._note_name(kind, pod)
        if pod["spec"].get("nodeName") != self.settings.name:
            return
        meta = pod["metadata"]
        life = self._pods.get(meta["uid"])
        if kind == "DELETED":
            if life is not None:
                life.vanish()
            return
        if life is None:
            life = self._begin(pod)
        if _EVICT in meta.get("annotations", {}):
            life.fail("Evicted", meta["annotations"][_EVICT])
        if meta.get("deletionTimestamp"):
            life.delete(meta.get("deletionGracePeriodSeconds") or 0)

    def _begin(self, pod: Json) -> PodLife:
        uid = pod["metadata"]["uid"]
        taken = set(self._places.values())
        self._places[uid] = next(each for each in range(1, _HOST) if each not in taken)
        place = _HOST if pod["spec"].get("hostNetwork") else self._places[uid]
        life = PodLife(self, pod, self.settings.address(place))
        problem = "" if life.ended else self._devices.allot(pod)
        self._pods[uid] = life
        if problem:
            life.fail("UnexpectedAdmissionError", f"Pod {problem}")
        self._tasks.create_task(self._live(uid, life))
        return life

    async def _live(self, uid: str, life: PodLife) -> None:
        await life.run()
        del self._pods[uid], self._places[uid]
        self._devices.forget(uid)

    def devices_of(self, uid: str, container: str) -> Mapping[str, str]:
        """Return the variables by which the vendors' runtimes name a container's devices."""
        return self._devices.variables(uid, container)

    # --- names ---

    def _note_name(self, kind: str, pod: Json) -> None:
        """Keep what a cluster's DNS would know of the pods of headless services."""
        spec, meta = pod["spec"], pod["metadata"]
        address = pod.get("status", {}).get("podIP")
        if not spec.get("subdomain") or not address:
            return
        namespace, names = meta["namespace"], self._names.setdefault(meta["namespace"], {})
        short = f"{spec.get('hostname') or meta['name']}.{spec['subdomain']}"
        line = f"{address} {short}.{namespace}.svc.cluster.local {short}.{namespace}.svc {short}"
        over = kind == "DELETED" or pod["status"].get("phase") in ENDS
        if names.get(meta["uid"], "") == ("" if over else line):
            return
        if over:
            del names[meta["uid"]]
        else:
            names[meta["uid"]] = line
        for life in self._pods.values():
            if life.pod["metadata"]["namespace"] == namespace:
                life.write_hosts()

    def peers_of(self, namespace: str) -> list[str]:
        """Return the lines of /etc/hosts by which pods of a namespace find each other."""
        return list(self._names.get(namespace, {}).values())
