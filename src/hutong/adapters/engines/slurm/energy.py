"""Pure: what Slurm's counters say that a job's nodes took, each node once, or why a job is not counted.

Slurm counts by node and step: every step has what its nodes took while it lasted, whoever else was there.
Steps of a node overlap (the batch step, a rank's, a command beside it), and the sum that accounting shows of
a job counts such a node twice. So of each node only its greatest step counts: the one that holds the others.
Where PrologFlags=Contain is set, the external step lasts as long as the job on all of its nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

COVERS: Mapping[str, str] = MappingProxyType(
    {
        "ipmi": "whole nodes",
        "xcc": "whole nodes",
        "pm_counters": "whole nodes",
        "cray_aries": "whole nodes",
        "gpu": "the cards of whole nodes",
    }
)
"""Plugins that are counters of what a job's model stands for, and what they cover.

Not `rapl`: processors and memory alone.
"""
NODE_MOST_W = 100_000
"""What no node takes on average: above it a counter wrapped, or was read wrongly. Our choice."""
_NO_VALUES = frozenset({2**32 - 2, 2**32 - 1})  # Slurm's "not set" and "no limit" in 32 bits


@dataclass(frozen=True, slots=True)
class Step:
    """A step of one start of a job: its nodes as Slurm lists them, how many, and joules, 0 if not counted."""

    id: str
    nodes: str
    count: int
    energy_j: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Joules that a start's nodes took, by which counters; None, and why not."""

    energy_j: int | None
    basis: str


def count(
    steps: tuple[Step, ...], nodes: int, cpus: int, elapsed_s: int, plugin: str, node_cpus: Mapping[str, int]
) -> Counted:
    """Return what the nodes of a start took. `cpus` are those that it had, `node_cpus` what nodes have.

    A start that did not have all CPUs of its nodes may have shared them, and the counters are the nodes'.
    """
    if plugin not in COVERS:
        return Counted(None, f"not counted: slurm/{plugin} does not cover cards")
    by_node: dict[str, int] = {}
    whole_j = 0
    for step in steps:
        energy_j = 0 if step.energy_j in _NO_VALUES else step.energy_j
        if step.count == 1 and energy_j:
            by_node[step.nodes] = max(by_node.get(step.nodes, 0), energy_j)
        if step.count == nodes and step.id.endswith(".extern"):
            whole_j = energy_j
    if not nodes or len(by_node) != nodes:
        return Counted(None, f"not counted: {len(by_node)} of {nodes} nodes have counters")
    if any(not node_cpus.get(name) for name in by_node):
        return Counted(None, "not counted: a node is gone, or its partition shares it")
    if cpus < sum(node_cpus[name] for name in by_node):
        return Counted(None, "not counted: it may have shared its nodes")
    energy_j = max(whole_j, sum(by_node.values()))
    if energy_j > nodes * elapsed_s * NODE_MOST_W:
        return Counted(None, "not counted: the counters say what cannot be")
    return Counted(energy_j, f"slurm/{plugin}: {COVERS[plugin]}")
