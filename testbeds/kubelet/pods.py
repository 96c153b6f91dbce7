"""The life of one pod on a node: its containers are run, ended and reported as a kubelet does."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from testbeds.kubelet.containers import Container, Ended, Mount, Recipe
from testbeds.kubelet.probes import watch_readiness
from testbeds.kubelet.status import ENDS, PodStatus
from testbeds.kubelet.volumes import Json, NotReadyError, environment, expand, mounts, volumes

_AGAIN_S = 1.0  # between attempts at what is not ready, and before a restart (a real kubelet: 10 s and more)
_TURN_S = 0.1
_UNPULLABLE = "missing.example/"


class Node(Protocol):
    """What a pod needs of its node."""

    root: Path
    host: str
    variables: Mapping[str, str]

    async def fetch(self, path: str) -> Json | None:
        """Return an object of the API; None if there is none."""

    async def patch_status(self, pod: Json, status: Json) -> bool:
        """Write the pod's status, however long the API is away; False if the pod is gone."""

    async def remove(self, pod: Json) -> None:
        """Tell the API that nothing of the pod runs any more."""

    def peers_of(self, namespace: str) -> list[str]:
        """Return the lines of /etc/hosts by which pods of a namespace find each other."""

    def devices_of(self, uid: str, container: str) -> Mapping[str, str]:
        """Return the variables that name the container's devices."""


class PodLife:
    """Runs the containers of one pod and reports them until the pod is deleted."""

    def __init__(self, node: Node, pod: Json, address: str) -> None:
        meta = pod["metadata"]
        self.pod = pod
        self.address = address
        self.folder = node.root / "pods" / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"
        self._node = node
        self._changed = asyncio.Event()
        self._leave = asyncio.Event()
        self._gone = False
        self._grace_ends = float("inf")
        self._running: dict[str, Container] = {}
        self._status = PodStatus(pod, address=address, host=node.host, changed=self._changed.set)

    # --- what the node tells it, and asks ---

    def delete(self, grace_s: float) -> None:
        """TERM now, KILL after `grace_s`; a later call may only shorten it."""
        self._grace_ends = min(self._grace_ends, time.monotonic() + grace_s)
        self._leave.set()

    def vanish(self) -> None:
        """The pod is gone from the API: kill it, report nothing."""
        self._gone = True
        self.delete(0)

    def fail(self, reason: str, message: str, *, bare: bool = True) -> None:
        """End it as the kubelet itself does: Failed, for a reason, and the pod stays listed."""
        if not self.ended:
            self._status.condemn(reason, message, bare=bare)
            self._send(signal.SIGKILL)

    @property
    def ended(self) -> bool:
        """Whether nothing of it will run."""
        return self._status.phase() in ENDS

    def log_of(self, container: str, *, previous: bool = False) -> Path | None:
        """Return a container's log; None if it has not started or there is no such container."""
        if container not in self._status.states:
            return None
        count = self._status.restarts[container]
        between = count and not self._log(container, count).exists()  # it waits to be started again
        path = self._log(container, count - 1 if previous or between else count)
        return path if path.exists() else None

    def waiting(self, container: str) -> str:
        """Return why the container has not started; nothing if it has."""
        return str(self._status.states.get(container, {}).get("waiting", {}).get("reason", ""))

    def runs(self, container: str) -> bool:
        """Whether a container may still write to its log."""
        return container in self._running

    def write_hosts(self) -> None:
        """Write what its containers see as /etc/hosts, in place: they have the file mounted."""
        if not self.folder.exists():
            return
        name = self.pod["spec"].get("hostname") or self.pod["metadata"]["name"]
        peers = self._node.peers_of(self.pod["metadata"]["namespace"])
        path = self.folder / "hosts"
        with path.open("r+" if path.exists() else "w") as file:
            file.write("\n".join(["127.0.0.1 localhost", f"{self.address} {name}", *peers, ""]))
            file.truncate()

    # --- its life ---

    async def run(self) -> None:
        """Live until the API no longer lists it."""
        reporter = asyncio.create_task(self._report())
        over = self.ended or self._leave.is_set()  # before this kubelet: it knows nothing to add
        try:
            if not over:
                await self._live_within_deadline()
            await self._leave.wait()
        finally:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
        if not self._gone:
            if not over:
                await self._node.patch_status(self.pod, self._status.document())
            await self._node.remove(self.pod)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _report(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not await self._node.patch_status(self.pod, self._status.document()):
                return

    async def _live_within_deadline(self) -> None:
        life = asyncio.create_task(self._live())
        leaving = asyncio.create_task(self._leave.wait())
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        done, _ = await asyncio.wait({life, leaving}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            text = "Pod was active on the node longer than the specified deadline"
            self.fail("DeadlineExceeded", text, bare=False)
        elif life not in done:
            self._send(signal.SIGTERM)
            while not life.done() and time.monotonic() < self._grace_ends:
                await asyncio.wait({life}, timeout=_TURN_S)  # the grace may be shortened meanwhile
            self._send(signal.SIGKILL)
        leaving.cancel()
        await life

    async def _live(self) -> None:
        lost = self.pod.get("status", {}).get("phase") == "Running" and self._restart == "Never"
        if lost:  # its processes died with an earlier kubelet
            for name in self._status.states:
                self._status.end(name, Ended(255, "Unknown"))
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write_hosts()
        places = await self._make_volumes()
        if places is None:
            return
        self._changed.set()
        restart = "Never" if self._restart == "Never" else "OnFailure"
        for container in self.pod["spec"].get("initContainers", []):
            if not await self._keep(container, places, restart):
                return
        mains = self.pod["spec"]["containers"]
        async with asyncio.TaskGroup() as group:
            for container in mains:
                group.create_task(self._keep(container, places, self._restart))

    async def _make_volumes(self) -> Mapping[str, Path] | None:
        while not self._over:
            try:
                return await volumes(self.pod, self.folder / "volumes", self._node.fetch)
            except NotReadyError as error:
                self._status.wait(error.reason, str(error))
                await self._pause()
        return None

    @property
    def _restart(self) -> str:
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    @property
    def _over(self) -> bool:
        return self._leave.is_set() or self._status.condemned

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._leave.wait(), _AGAIN_S)
        except TimeoutError:
            return

    def _send(self, sign: signal.Signals) -> None:
        for container in self._running.values():
            container.send(sign)

    async def _keep(self, container: Json, places: Mapping[str, Path], restart: str) -> bool:
        """Run a container, again where its policy says so; return whether it ended well."""
        name = container["name"]
        while (recipe := await self._recipe(container, places)) is not None:
            ended = await self._run_once(container, recipe)
            again = restart == "Always" or (restart == "OnFailure" and ended.exit_code)
            if not again or self._over:
                return not ended.exit_code
            self._status.restart(name)
            await self._pause()
        return False

    async def _run_once(self, container: Json, recipe: Recipe) -> Ended:
        name = container["name"]
        run = self._running[name] = Container(recipe)
        self._status.run(name)

        def tell(is_ready: bool) -> None:
            self._status.ready(name, is_ready=is_ready)

        probing = asyncio.create_task(
            watch_readiness(container, self.address, partial(self.runs, name), tell)
        )
        ended = await run.run()
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        del self._running[name]
        self._status.end(name, ended)
        return ended

    async def _recipe(self, container: Json, places: Mapping[str, Path]) -> Recipe | None:
        """Return what to run, once it can be run; None if the pod is over before that."""
        name, image = container["name"], container.get("image", "")
        reason, text = (
            "ErrImagePull",
            f"rpc error: code = NotFound desc = failed to pull image {image}: not found",
        )
        while not self._over:
            if image.startswith(_UNPULLABLE):
                self._status.wait(reason, text, name)
                reason, text = "ImagePullBackOff", f'Back-off pulling image "{image}"'
            else:
                try:
                    return await self._mix(container, places)
                except NotReadyError as error:
                    self._status.wait(error.reason, str(error), name)
            await self._pause()
        return None

    def _log(self, container: str, count: int) -> Path:
        return self.folder / container / f"{count}.log"

    async def _mix(self, container: Json, places: Mapping[str, Path]) -> Recipe:
        name, meta, spec = container["name"], self.pod["metadata"], self.pod["spec"]
        if "exec" in container.get("readinessProbe", {}):
            raise NotReadyError("CreateContainerConfigError", "this bed probes by httpGet and tcpSocket only")
        known = {**self.pod.get("status", {}), "podIP": self.address, "hostIP": self._node.host}
        host = (spec.get("hostname") or meta["name"])[:63]
        base = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(Path.home()),
            "HOSTNAME": host,
            **self._node.variables,
            **self._node.devices_of(meta["uid"], name),
        }
        env = await environment({**self.pod, "status": known}, container, base, self._node.fetch)
        log = self._log(name, self._status.restarts[name])
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        return Recipe(
            command=[
                expand(word, env) for word in [*container.get("command", []), *container.get("args", [])]
            ],
            env=env,
            hostname=host,
            log=log,
            mounts=[Mount(self.folder / "hosts", "/etc/hosts"), *mounts(container, places)],
            folder=container.get("workingDir") or "/",
        )
