"""Pure: what Slurm says of its nodes and of its queue, summed up for the pools of a site."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hutong.adapters.engines.slurm.build import SEPARATOR
from hutong.adapters.engines.slurm.config import SlurmPool
from hutong.adapters.engines.slurm.parse import number
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import spread_of

SHOW_NODES = ("--oneliner", "--details", "show", "node")
WAITING_FIELDS = ("%P", "%V", "%r", "%j")
# A node with any of these takes no new work. One that is powered down is woken by Slurm, so it does.
_NOT_UP = frozenset(
    {
        "DOWN", "DRAIN", "DRAINED", "DRAINING", "ERROR", "FAIL", "FAILING", "FUTURE", "MAINT", "NO_RESPOND",
        "NOT_RESPONDING", "UNKNOWN",
    }
)  # fmt: skip
# Jobs that wait for these wait for nodes; others wait for a person, a date or another job.
_FOR_NODES = ("Resources", "Priority", "ReqNodeNotAvail")
_GRES = re.compile(r"([A-Za-z][\w.-]*(?::[A-Za-z0-9][\w.-]*)?):(\d+)(?=,|$)")


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its states, partitions, and devices there are and are in use, by `name` or `name:type`.

    `cpus` and `memory_mb` are what jobs may have of it, `cpus_used` what they have.
    """

    name: str
    states: frozenset[str]
    partitions: frozenset[str]
    devices: Mapping[str, int]
    used: Mapping[str, int]
    cpus: int = 0
    memory_mb: int = 0
    features: frozenset[str] = frozenset()
    threads: int = 1
    cpus_used: int = 0

    @property
    def up(self) -> bool:
        """True if the node takes work."""
        return not self.states & _NOT_UP


def read_nodes(text: str) -> list[Node]:
    """Return the nodes of an answer of `scontrol --oneliner --details show node`."""
    nodes = []
    for line in text.splitlines():
        # What a person wrote stands last, and may look like a field: the first of a name counts.
        fields = dict(reversed(re.findall(r"(?:^|\s)(\w+)=(\S*)", line)))
        if "NodeName" in fields:
            nodes.append(
                Node(
                    fields["NodeName"],
                    frozenset(re.findall(r"[A-Z_]+", fields.get("State", ""))),
                    _words(fields.get("Partitions", "")),
                    read_devices(fields.get("Gres", "")),
                    read_devices(fields.get("GresUsed", "")),
                    number(fields.get("CPUEfctv", "")) or number(fields.get("CPUTot", "")),
                    number(fields.get("RealMemory", "")) - number(fields.get("MemSpecLimit", "")),
                    _words(fields.get("AvailableFeatures", "")),
                    number(fields.get("ThreadsPerCore", "")),
                    number(fields.get("CPUAlloc", "")),
                )
            )
    return nodes


def shared_partitions(text: str) -> frozenset[str]:
    """Return the partitions where several jobs may have the same CPUs, of `scontrol show partition`."""
    told = re.findall(r"^PartitionName=(\S+).*?\sOverSubscribe=(?:FORCE|YES):(\d+)", text, re.MULTILINE)
    return frozenset(name for name, most in told if most != "1")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split(",")) - {"", "(null)"}


def read_devices(text: str) -> dict[str, int]:
    """Return counts by device: `gpu:h100:4(S:0-1),npu:910c:16` is 4 of `gpu:h100` and 16 of `npu:910c`."""
    found: dict[str, int] = {}
    for name, count in _GRES.findall(re.sub(r"\([^)]*\)", "", text)):
        found[name] = found.get(name, 0) + int(count)
    return found


def read_waits(text: str) -> list[tuple[str, int, str]]:
    """Return partitions, time of submission and reason of each job that waits, of an answer of squeue."""
    rows = (line.split(SEPARATOR) for line in text.splitlines())
    return [(row[0], number(row[1]), row[2]) for row in rows if len(row) >= len(WAITING_FIELDS)]


def median_waits(queue: Iterable[tuple[str, int, str]], now_s: int) -> dict[str, int]:
    """Return for each partition the median time, in seconds, that jobs in its queue have waited for nodes."""
    waits: dict[str, list[int]] = {}
    for partitions, submitted_s, reason in queue:
        if submitted_s and reason.startswith(_FOR_NODES):
            for partition in partitions.split(","):
                waits.setdefault(partition, []).append(max(0, now_s - submitted_s))
    return {partition: int(statistics.median(each)) for partition, each in waits.items()}


def pool_states(
    pools: Mapping[str, SlurmPool],
    nodes: Iterable[Node],
    waits: Mapping[str, int],
    ours: Mapping[str, Sequence[tuple[int, int]]],
    default_partition: str,
) -> tuple[PoolState, ...]:
    """Return the state of each pool that has a device; `ours` are nodes and cards of our jobs that run."""
    everything = list(nodes)
    states = []
    for name, pool in pools.items():
        if not pool.gres:
            continue
        partition = pool.partition or default_partition
        mine = [node for node in everything if partition in node.partitions]
        up = sum(_count(node.devices, pool.gres) for node in mine if node.up)
        used = sum(_count(node.used, pool.gres) for node in mine)
        held = ours.get(name, ())
        elsewhere = max(0, used - sum(cards for _, cards in held))
        shapes = ((nodes, cards // nodes) for nodes, cards in held)
        spread = spread_of((_free(node, pool.gres) for node in mine if node.up), shapes)
        states.append(PoolState(name, up, elsewhere, waits.get(partition, 0), spread))
    return tuple(states)


def _free(node: Node, gres: str) -> int:
    """Return how many devices of a node a job may have now: none where no processor is left."""
    if 0 < node.cpus <= node.cpus_used:
        return 0
    return _count(node.devices, gres) - _count(node.used, gres)


def _count(devices: Mapping[str, int], gres: str) -> int:
    """Return how many devices a job that asks for `gres` may have: without a type, those of all types."""
    return sum(count for name, count in devices.items() if name == gres or name.startswith(f"{gres}:"))
