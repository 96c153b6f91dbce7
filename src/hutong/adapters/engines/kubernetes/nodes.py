"""Pure: what nodes and pods say of the pools of a site: cards that take work, and who holds them."""

import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hutong.adapters.engines.kubernetes.config import KubernetesPool, Toleration
from hutong.adapters.engines.kubernetes.parse import KEY, ORIGIN, POOL, seconds
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import Spread, spread_of

Json = Mapping[str, Any]
_UNITS = {
    "": 1, "n": 10**-9, "u": 10**-6, "m": 10**-3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "P": 10**15, "E": 10**18, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
    "Pi": 1 << 50, "Ei": 1 << 60,
}  # fmt: skip
_QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([numkMGTPE]i?|Ki)?")
_HARD = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its labels, hard taints, and what pods may have of it. `up` if it takes work now."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[tuple[str, str, str], ...]
    allocatable: Mapping[str, float]
    up: bool = True


@dataclass(frozen=True, slots=True)
class Use:
    """What one pod holds, or waits for if it is on no node; `ours` if it is of an attempt of this site.

    `key` and `pool` are then those of the attempt; empty where its pods do not bear them.
    """

    node: str
    requests: Mapping[str, float] = field(default_factory=dict)
    ours: bool = False
    since_s: int = 0
    key: str = ""
    pool: str = ""


def quantity(text: object) -> float:
    """Return a quantity such as `16`, `500m` or `64Gi` in base units; 0 for what is none."""
    found = _QUANTITY.fullmatch(str(text).strip())
    try:
        return float(found[1]) * _UNITS[found[2] or ""] if found else 0.0
    except (ValueError, KeyError, OverflowError):
        return 0.0


def node(body: Json) -> Node:
    """Return the record of a node."""
    meta, spec, status = _table(body, "metadata"), _table(body, "spec"), _table(body, "status")
    conditions = {str(each.get("type")): str(each.get("status")) for each in _rows(status, "conditions")}
    taints = tuple(
        (str(each.get("key", "")), str(each.get("value", "")), str(each.get("effect", "")))
        for each in _rows(spec, "taints")
    )
    ready = conditions.get("Ready") == "True" and spec.get("unschedulable") is not True
    return Node(
        str(meta.get("name", "")),
        {str(name): str(value) for name, value in _table(meta, "labels").items()},
        tuple(each for each in taints if each[2] in _HARD),
        {str(name): quantity(value) for name, value in _table(status, "allocatable").items()},
        ready,
    )


def use(body: Json, origin: str) -> Use | None:
    """Return what a pod holds or waits for; None for one that is over."""
    meta, spec, status = _table(body, "metadata"), _table(body, "spec"), _table(body, "status")
    if str(status.get("phase")) in {"Succeeded", "Failed"}:
        return None
    sums: dict[str, float] = {}
    for container in _rows(spec, "containers"):
        resources = _table(container, "resources")
        asked = {**_table(resources, "limits"), **_table(resources, "requests")}
        for name, amount in asked.items():
            sums[str(name)] = sums.get(str(name), 0.0) + quantity(amount)
    labels, since_s = _table(meta, "labels"), seconds(str(meta.get("creationTimestamp", "")))
    mine = labels.get(ORIGIN) == origin
    key, pool = (str(labels.get(name, "")) if mine else "" for name in (KEY, POOL))
    return Use(str(spec.get("nodeName") or ""), sums, mine, since_s, key, pool)


def suits(node: Node, pool: KubernetesPool) -> bool:
    """Return whether a pool's pods may go to a node at all, whatever is free there."""
    if any(node.labels.get(name) != value for name, value in pool.node_selector.items()):
        return False
    if pool.device and not node.allocatable.get(pool.device):
        return False
    return all(any(_tolerates(each, taint) for each in pool.tolerations) for taint in _own(node.taints))


def fits(node: Node, requests: Mapping[str, float]) -> bool:
    """Return whether a pod could run on a node if nothing else did."""
    return all(node.allocatable.get(name, 0.0) >= amount for name, amount in requests.items())


def pool_states(
    pools: Mapping[str, KubernetesPool], nodes: Iterable[Node], uses: Iterable[Use], now_s: int
) -> tuple[PoolState, ...]:
    """Return the state of each pool that has a device; `wait_s` is the median wait of pods without a node."""
    everything, held = list(nodes), list(uses)
    states = []
    for name, pool in pools.items():
        if not pool.device:
            continue
        mine = {each.name: each for each in everything if suits(each, pool)}
        up = sum(each.allocatable[pool.device] for each in mine.values() if each.up and not _lost(each))
        elsewhere = sum(
            each.requests.get(pool.device, 0) for each in held if each.node in mine and not each.ours
        )
        waits = [
            max(0, now_s - each.since_s)
            for each in held
            if not each.node and each.requests.get(pool.device) and each.since_s
        ]
        wait_s = int(statistics.median(waits)) if waits else 0
        spread = _spread(name, pool.device, mine, held)
        states.append(PoolState(name, int(up), int(elsewhere), wait_s, spread))
    return tuple(states)


def _spread(pool: str, device: str, nodes: Mapping[str, Node], held: Iterable[Use]) -> Spread | None:
    """Return how the free cards of a pool are spread over its nodes; pods of an attempt make one gang."""
    free = {name: each.allocatable[device] for name, each in nodes.items() if each.up and not _lost(each)}
    gangs: dict[str, list[int]] = {}
    for each in held:
        cards = each.requests.get(device, 0)
        if each.node in nodes and cards:
            if each.node in free:
                free[each.node] -= cards
            if each.ours and each.pool in {"", pool}:
                gangs.setdefault(each.key, []).append(int(cards))
    return spread_of(map(int, free.values()), ((len(pods), pods[0]) for pods in gangs.values()))


def _own(taints: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return the taints that an operator set: those of the node controller come and go."""
    return [each for each in taints if not each[0].startswith("node.kubernetes.io/")]


def _lost(node: Node) -> bool:
    return len(_own(node.taints)) < len(node.taints)


def _tolerates(toleration: Toleration, taint: tuple[str, str, str]) -> bool:
    key, value, effect = taint
    if toleration.effect and toleration.effect != effect:
        return False
    return not toleration.key or (toleration.key == key and toleration.value in {"", value})


def _table(body: Json, name: str) -> Json:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}


def _rows(body: Json, name: str) -> list[Json]:
    found = body.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
