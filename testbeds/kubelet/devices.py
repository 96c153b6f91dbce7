"""Which devices of a node each container has, as device plugins hand them out."""

from collections.abc import Callable, Mapping

from testbeds.kubelet.volumes import Json

_VARIABLES = {"nvidia.com/gpu": "NVIDIA_VISIBLE_DEVICES", "huawei.com/Ascend": "ASCEND_VISIBLE_DEVICES"}


class Devices:
    """The devices of one node, numbered from 0 in each resource; a pod that has ended holds none."""

    def __init__(self, amounts: Mapping[str, int], ended: Callable[[str], bool]) -> None:
        self._amounts = amounts
        self._ended = ended
        self._given: dict[str, dict[tuple[str, str], set[int]]] = {}

    def allot(self, pod: Json) -> str:
        """Give each container of a pod its devices; return why that is impossible, or nothing."""
        given = self._given[pod["metadata"]["uid"]] = {}
        for container in pod["spec"]["containers"]:
            for resource, amount in container.get("resources", {}).get("limits", {}).items():
                if resource not in self._amounts:
                    continue
                free = sorted(set(range(self._amounts[resource])) - self._used(resource))
                if len(free) < int(amount):
                    return (
                        "Allocate failed due to requested number of devices unavailable for "
                        f"{resource}. Requested: {amount}, Available: {len(free)}, which is unexpected"
                    )
                given[container["name"], resource] = set(free[: int(amount)])
        return ""

    def forget(self, uid: str) -> None:
        """Take back what a pod had."""
        self._given.pop(uid, None)

    def variables(self, uid: str, container: str) -> Mapping[str, str]:
        """Return the variables by which the vendors' runtimes name a container's devices."""
        found = {}
        for (name, resource), numbers in self._given.get(uid, {}).items():
            for prefix, variable in _VARIABLES.items():
                if name == container and resource.startswith(prefix):
                    found[variable] = ",".join(map(str, sorted(numbers)))
        return found

    def _used(self, resource: str) -> set[int]:
        used: set[int] = set()
        for uid, given in self._given.items():
            if not self._ended(uid):
                for (_, kind), numbers in given.items():
                    used |= numbers if kind == resource else set()
        return used
