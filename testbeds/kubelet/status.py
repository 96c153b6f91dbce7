"""What the kubelet says of a pod: the states of its containers, and the phase and conditions that follow."""

import time
from collections.abc import Callable, Sequence

from testbeds.kubelet.containers import Ended
from testbeds.kubelet.volumes import Json

ENDS = ("Succeeded", "Failed")


def now() -> str:
    """RFC 3339 in whole seconds, as in the API's objects."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class PodStatus:
    """The status of one pod; `changed` is called whenever it is another."""

    def __init__(self, pod: Json, *, address: str, host: str, changed: Callable[[], None]) -> None:
        self._pod = pod
        self._address = address
        self._host = host
        self._changed = changed
        self._since = now()
        self._verdict: tuple[str, str] | None = None
        self._bare = False
        self._condition_times: dict[str, tuple[str, str]] = {}
        self._inits: Sequence[Json] = pod["spec"].get("initContainers", [])
        self._mains: Sequence[Json] = pod["spec"]["containers"]
        self._ready: set[str] = set()
        self._before: dict[str, Json] = {}
        reason = "PodInitializing" if self._inits else "ContainerCreating"
        names = [container["name"] for container in (*self._inits, *self._mains)]
        self.states: dict[str, Json] = {name: {"waiting": {"reason": reason}} for name in names}
        self.restarts = dict.fromkeys(names, 0)

    # --- what happens ---

    def wait(self, reason: str, message: str, *names: str) -> None:
        """Containers (all, if none is named) have not started; this is why."""
        for name in names or self.states:
            self.states[name] = {"waiting": {"reason": reason, "message": message}}
        self._changed()

    def run(self, name: str) -> None:
        """A container has started."""
        self.states[name] = {"running": {"startedAt": now()}}
        self._changed()

    def ready(self, name: str, *, is_ready: bool) -> None:
        """A container answers its readiness probe, or no longer does."""
        (self._ready.add if is_ready else self._ready.discard)(name)
        self._changed()

    def end(self, name: str, ended: Ended) -> None:
        """A container has ended."""
        started = self.states[name].get("running", {}).get("startedAt", now())
        state = {
            "exitCode": ended.exit_code,
            "reason": ended.reason,
            "startedAt": started,
            "finishedAt": now(),
        }
        state["containerID"] = self._container_id(name)
        self.states[name] = {"terminated": state | ({"message": ended.message} if ended.message else {})}
        self._ready.discard(name)
        self._changed()

    def restart(self, name: str) -> None:
        """A container that has ended will be started again."""
        self._before[name] = self.states[name]
        self.restarts[name] += 1
        text = f"back-off restarting failed container={name} pod={self._pod['metadata']['name']}"
        self.wait("CrashLoopBackOff", text, name)

    def condemn(self, reason: str, message: str, *, bare: bool) -> None:
        """The kubelet itself ends the pod; of one that it evicts or rejects, `bare`, it says nothing else."""
        self._verdict, self._bare = (reason, message), bare
        self._changed()

    # --- what follows ---

    @property
    def condemned(self) -> bool:
        """Whether the kubelet itself has ended the pod."""
        return self._verdict is not None

    def phase(self) -> str:
        """Return the pod's phase; one that was over when the kubelet first saw it stays so."""
        before = str(self._pod.get("status", {}).get("phase"))
        if self._verdict is not None or before in ENDS:
            return "Failed" if self._verdict is not None else before
        inits = [self.states[each["name"]] for each in self._inits]
        mains = [self.states[each["name"]] for each in self._mains]
        never = self._pod["spec"].get("restartPolicy") == "Never"
        if never and any(state.get("terminated", {}).get("exitCode") for state in inits):
            return "Failed"
        if all("terminated" in state for state in mains):
            return "Failed" if any(state["terminated"]["exitCode"] for state in mains) else "Succeeded"
        begun = any("waiting" not in state or self.restarts[name] for name, state in self._main_states())
        return "Running" if begun else "Pending"

    def _main_states(self) -> list[tuple[str, Json]]:
        return [(each["name"], self.states[each["name"]]) for each in self._mains]

    def _condition(self, kind: str, reason: str, message: str, *, holds: bool) -> Json:
        status = "True" if holds else "False"
        before = self._condition_times.get(kind)
        since = before[1] if before and before[0] == status else now()
        self._condition_times[kind] = (status, since)
        condition = {"type": kind, "status": status, "lastTransitionTime": since, "lastProbeTime": None}
        return {**condition, "reason": None if holds else reason, "message": None if holds else message}

    def document(self) -> Json:
        """Return what is written to the API, as a strategic merge patch of the pod's status."""
        if self._verdict is not None:
            return self._condemned(*self._verdict)
        phase = self.phase()
        unready = [name for name, _ in self._main_states() if name not in self._ready]
        why = "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"
        text = "" if phase == "Succeeded" else f"containers with unready status: [{' '.join(unready)}]"
        left = [each["name"] for each in self._inits if "terminated" not in self.states[each["name"]]]
        status: Json = {
            "phase": phase,
            "startTime": self._since,
            "hostIP": self._host,
            "conditions": [
                self._condition(
                    "Initialized",
                    "ContainersNotInitialized",
                    f"containers with incomplete status: [{' '.join(left)}]",
                    holds=not left,
                ),
                self._condition("Ready", why, text, holds=not unready),
                self._condition("ContainersReady", why, text, holds=not unready),
            ],
            "containerStatuses": [self._container(each) for each in self._mains],
        }
        if any("waiting" not in state for state in self.states.values()):
            status |= {"podIP": self._address, "podIPs": [{"$patch": "replace"}, {"ip": self._address}]}
        if self._inits:
            status["initContainerStatuses"] = [self._container(each) for each in self._inits]
        return status

    def _condemned(self, reason: str, message: str) -> Json:
        """As in 1.20: no condition of the kubelet's; after an eviction no containers and no address."""
        names = ("containerStatuses", "initContainerStatuses", "podIP", "podIPs", "hostIP")
        rest = (
            dict.fromkeys(names)
            if self._bare
            else {"containerStatuses": [self._container(each) for each in self._mains]}
        )
        conditions = [
            {"type": kind, "$patch": "delete"} for kind in ("Initialized", "Ready", "ContainersReady")
        ]
        start = {"startTime": self._since, "conditions": conditions}
        return {"phase": "Failed", "reason": reason, "message": message, **start, **rest}

    def _container_id(self, name: str) -> str:
        return f"process://{self._pod['metadata']['uid']}-{name}-{self.restarts[name]}"

    def _container(self, container: Json) -> Json:
        name = container["name"]
        state = self.states[name]
        return {
            "name": name,
            "image": container.get("image", ""),
            "imageID": "",
            "containerID": self._container_id(name),
            "ready": name in self._ready,
            "started": "running" in state,
            "restartCount": self.restarts[name],
            "state": state,
            "lastState": self._before.get(name, {}),
        }
