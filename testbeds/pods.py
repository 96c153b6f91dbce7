"""The life of one pod on a node of the Kubernetes bed, told to the API server as a kubelet tells it."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from testbeds.containers import Container, Ended, Mount, Recipe
from testbeds.volumes import Json, NotReadyError, environment, expand, mounts, volumes

_AGAIN_S = 1.0  # between attempts at what is not ready, and before a restart (a real kubelet: 10 s and more)
_UNPULLABLE = "missing.example/"
_ENDS = ("Succeeded", "Failed")


class Node(Protocol):
    """What a pod needs of its node."""

    name: str
    root: Path
    variables: Mapping[str, str]

    async def fetch(self, path: str) -> Json | None:
        """Return an object of the API; None if there is none."""

    async def patch_status(self, pod: Json, status: Json) -> bool:
        """Write the pod's status, however long the API is away; False if the pod is gone."""

    async def remove(self, pod: Json) -> None:
        """Tell the API that nothing of the pod runs any more."""

    def hosts_of(self, namespace: str) -> Path:
        """Return the file that the pods of a namespace see as /etc/hosts."""

    def devices_of(self, pod: Json, container: str) -> Mapping[str, str]:
        """Return the variables that name the container's devices."""


def now() -> str:
    """RFC 3339 in whole seconds, as in the API's objects."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def folder_of(root: Path, pod: Json) -> Path:
    """Return where a pod's logs and volumes lie."""
    meta = pod["metadata"]
    return root / "pods" / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"


class PodLife:
    """Runs the containers of one pod and reports them until the pod is deleted."""

    def __init__(self, node: Node, pod: Json, address: str) -> None:
        self.pod = pod
        self.address = address
        self.folder = folder_of(node.root, pod)
        self._node = node
        self._since = now()
        self._states: dict[str, Json] = {}
        self._before: dict[str, Json] = {}
        self._restarts: dict[str, int] = {}
        self._running: dict[str, Container] = {}
        self._verdict: tuple[str, str] | None = None
        self._changed = asyncio.Event()
        self._leave = asyncio.Event()
        self._gone = False
        self._grace_ends = float("inf")
        self._condition_times: dict[str, tuple[str, str]] = {}
        spec = pod["spec"]
        self._inits: list[Json] = spec.get("initContainers", [])
        self._mains: list[Json] = spec["containers"]
        for container in [*self._inits, *self._mains]:
            reason = "PodInitializing" if self._inits else "ContainerCreating"
            self._states[container["name"]] = {"waiting": {"reason": reason}}
            self._restarts[container["name"]] = 0

    # --- what the node tells it ---

    def delete(self, grace_s: float) -> None:
        """TERM now, KILL after `grace_s`; a later call may only shorten it."""
        self._grace_ends = min(self._grace_ends, time.monotonic() + grace_s)
        self._leave.set()

    def vanish(self) -> None:
        """The pod is gone from the API: kill it, report nothing."""
        self._gone = True
        self.delete(0)

    def fail(self, reason: str, message: str) -> None:
        """End it as the kubelet itself does (Evicted, DeadlineExceeded): Failed, and the pod stays listed."""
        self._verdict = (reason, message)
        self._changed.set()
        for container in self._running.values():
            container.send(signal.SIGKILL)

    def log_of(self, container: str, *, previous: bool = False) -> Path | None:
        """Return a container's log; None if it has not started or there is no such container."""
        if container not in self._states:
            return None
        path = self.folder / container / f"{self._restarts[container] - int(previous)}.log"
        return path if path.exists() else None

    def waiting(self, container: str) -> str:
        """Return why the container has not started; nothing if it has."""
        return str(self._states.get(container, {}).get("waiting", {}).get("reason", ""))

    def runs(self, container: str) -> bool:
        """Whether a container may still write to its log."""
        return container in self._running

    # --- its life ---

    async def run(self) -> None:
        """Live until the API no longer lists it."""
        reporter = asyncio.create_task(self._report())
        if self.pod.get("status", {}).get("phase") not in _ENDS:
            await self._live_within_deadline()
        await self._leave.wait()
        self._changed.set()
        if self._gone:
            reporter.cancel()
        else:
            await self._node.patch_status(self.pod, self._status())
            reporter.cancel()
            await self._node.remove(self.pod)
        await asyncio.gather(reporter, return_exceptions=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _live_within_deadline(self) -> None:
        life = asyncio.create_task(self._live())
        leaving = asyncio.create_task(self._leave.wait())
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        done, _ = await asyncio.wait({life, leaving}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self.fail("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            await life
        elif life not in done:
            await self._stop(life)
        leaving.cancel()
        await life

    async def _stop(self, life: "asyncio.Task[None]") -> None:
        for container in self._running.values():
            container.send(signal.SIGTERM)
        while not life.done():
            left = self._grace_ends - time.monotonic()
            if left <= 0:
                for container in self._running.values():
                    container.send(signal.SIGKILL)
                await life
                return
            await asyncio.wait({life}, timeout=min(left, 0.2))  # the grace may be shortened meanwhile

    async def _live(self) -> None:
        if self._lost():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        places: dict[str, Path] | None = None
        while places is None and not self._over:
            try:
                places = await volumes(self.pod, self.folder / "volumes", self._node.fetch)
            except NotReadyError as error:
                self._wait_all(error.reason, str(error))
                await self._pause()
        if places is None:
            return
        self._changed.set()
        for container in self._inits:
            if not await self._keep(
                container, places, restart="OnFailure" if self._restart != "Never" else "Never"
            ):
                return
        await asyncio.gather(*(self._keep(each, places, restart=self._restart) for each in self._mains))

    def _lost(self) -> bool:
        """Its processes died with an earlier kubelet: without a restart, that is its end."""
        if self.pod.get("status", {}).get("phase") != "Running" or self._restart != "Never":
            return False
        for name in self._states:
            ended = {"exitCode": 255, "reason": "Unknown", "finishedAt": now()}
            self._states[name] = {"terminated": ended}
        self._changed.set()
        return True

    @property
    def _restart(self) -> str:
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    @property
    def _over(self) -> bool:
        return self._leave.is_set() or self._verdict is not None

    async def _pause(self) -> None:
        waiter = asyncio.create_task(self._leave.wait())
        await asyncio.wait({waiter}, timeout=_AGAIN_S)
        waiter.cancel()

    def _wait_all(self, reason: str, message: str) -> None:
        for name in self._states:
            self._states[name] = {"waiting": {"reason": reason, "message": message}}
        self._changed.set()

    def _set(self, name: str, **state: Json) -> None:
        self._states[name] = state
        self._changed.set()

    async def _keep(self, container: Json, places: Mapping[str, Path], *, restart: str) -> bool:
        """Run a container, again where its policy says so; return whether it ended well."""
        name = container["name"]
        recipe = await self._recipe(container, places)
        while recipe is not None and not self._over:
            started = now()
            run = Container(recipe)
            self._running[name] = run
            self._set(name, running={"startedAt": started})
            ended: Ended = await run.run()
            del self._running[name]
            report = {
                "exitCode": ended.exit_code,
                "reason": ended.reason,
                "startedAt": started,
                "finishedAt": now(),
            }
            report |= {"message": ended.message} if ended.message else {}
            self._set(name, terminated=report)
            if restart == "Never" or (restart == "OnFailure" and not ended.exit_code) or self._over:
                return not ended.exit_code
            self._before[name] = {"terminated": report}
            self._set(name, waiting={"reason": "CrashLoopBackOff", "message": f"restarting {name}"})
            await self._pause()
            self._restarts[name] += 1
            recipe = await self._recipe(container, places)
        return False

    async def _recipe(self, container: Json, places: Mapping[str, Path]) -> Recipe | None:
        name, image = container["name"], container.get("image", "")
        tries = 0
        while not self._over:
            tries += 1
            if image.startswith(_UNPULLABLE):
                reason = "ErrImagePull" if tries == 1 else "ImagePullBackOff"
                text = (
                    f'Back-off pulling image "{image}"'
                    if tries > 1
                    else f"failed to pull image {image}: not found"
                )
                self._set(name, waiting={"reason": reason, "message": text})
            else:
                try:
                    return await self._mix(container, places)
                except NotReadyError as error:
                    self._set(name, waiting={"reason": error.reason, "message": str(error)})
            await self._pause()
        return None

    async def _mix(self, container: Json, places: Mapping[str, Path]) -> Recipe:
        name, meta, spec = container["name"], self.pod["metadata"], self.pod["spec"]
        pod = {
            **self.pod,
            "status": {**self.pod.get("status", {}), "podIP": self.address, "hostIP": self.address},
        }
        host = spec.get("hostname") or meta["name"]
        base = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(Path.home()),
            "HOSTNAME": host,
            **self._node.variables,
            **self._node.devices_of(self.pod, name),
        }
        env = await environment(pod, container, base, self._node.fetch)
        log = self.folder / name / f"{self._restarts[name]}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        hosts = Mount(self._node.hosts_of(meta["namespace"]), "/etc/hosts")
        return Recipe(
            [expand(word, env) for word in [*container.get("command", []), *container.get("args", [])]],
            env,
            host[:63],
            log,
            [hosts, *mounts(container, places)],
            container.get("workingDir") or "/",
        )

    # --- its reports ---

    async def _report(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not await self._node.patch_status(self.pod, self._status()):
                return

    def _phase(self) -> str:
        if self._verdict is not None:
            return "Failed"
        if self.pod.get("status", {}).get("phase") in _ENDS:
            return str(self.pod["status"]["phase"])
        inits = [self._states[each["name"]] for each in self._inits]
        mains = [self._states[each["name"]] for each in self._mains]
        if any(state.get("terminated", {}).get("exitCode") for state in inits) and self._restart == "Never":
            return "Failed"
        if all("terminated" in state for state in mains):
            return "Failed" if any(state["terminated"]["exitCode"] for state in mains) else "Succeeded"
        begun = any(
            "waiting" not in state or state["waiting"]["reason"] == "CrashLoopBackOff" for state in mains
        )
        return "Running" if begun else "Pending"

    def _condition(self, kind: str, holds: bool, reason: str, message: str) -> Json:
        status = "True" if holds else "False"
        before = self._condition_times.get(kind)
        since = before[1] if before and before[0] == status else now()
        self._condition_times[kind] = (status, since)
        condition = {"type": kind, "status": status, "lastTransitionTime": since, "lastProbeTime": None}
        return condition if holds else {**condition, "reason": reason, "message": message}

    def _status(self) -> Json:
        phase = self._phase()
        unready = [each["name"] for each in self._mains if "running" not in self._states[each["name"]]]
        why = "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"
        text = "" if phase == "Succeeded" else f"containers with unready status: [{' '.join(unready)}]"
        initialized = all(not self._states[each["name"]].get("waiting") for each in self._inits)
        status: Json = {
            "phase": phase,
            "startTime": self._since,
            "hostIP": self._node.variables["HOST_IP"],
            "conditions": [
                self._condition(
                    "Initialized", initialized, "ContainersNotInitialized", "init containers run"
                ),
                self._condition("Ready", not unready and phase == "Running", why, text),
                self._condition("ContainersReady", not unready and phase == "Running", why, text),
            ],
            "containerStatuses": [self._container_status(each) for each in self._mains],
        }
        if phase != "Pending" or self._running:
            status |= {"podIP": self.address, "podIPs": [{"$patch": "replace"}, {"ip": self.address}]}
        if self._inits:
            status["initContainerStatuses"] = [self._container_status(each) for each in self._inits]
        if self._verdict is not None:
            status |= {"reason": self._verdict[0], "message": self._verdict[1]}
        return status

    def _container_status(self, container: Json) -> Json:
        name = container["name"]
        state = self._states[name]
        return {
            "name": name,
            "image": container.get("image", ""),
            "imageID": "",
            "containerID": f"process://{self.pod['metadata']['uid']}-{name}-{self._restarts[name]}",
            "ready": "running" in state,
            "started": "running" in state,
            "restartCount": self._restarts[name],
            "state": state,
            "lastState": self._before.get(name, {}),
        }
