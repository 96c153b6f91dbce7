"""What an operator sets for a site that runs Ray."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hutong.adapters.engines.attempt.config import FolderConfig


@dataclass(frozen=True, slots=True)
class RayPool:
    """What jobs of one pool ask of Ray.

    `per_card` are the resources that stand for one card, the one to count by first: `{"GPU": 1}`,
    `{"NPU": 1}`, or a custom one such as `{"hutong_h100": 1}`. For GPU and NPU Ray tells a job its devices.
    `per_node` comes once a node. `cpus_per_card` is asked for where the job names no CPUs. `strategy` places
    gangs of several nodes: STRICT_SPREAD gives each rank a node of its own.
    """

    per_card: Mapping[str, float] = field(default_factory=dict)
    per_node: Mapping[str, float] = field(default_factory=dict)
    cpus_per_card: float = 0
    strategy: str = "STRICT_SPREAD"


@dataclass(frozen=True, slots=True)
class RayConfig:
    """One cluster. `folder.root` must be mounted at the same path on every node, the head included.

    `url` is the dashboard's, `token_file` holds the token of a cluster that asks for one. `ray_python` runs
    the driver on the head and can import ray; `python` runs the supervisor and followers on the nodes: 3.11
    or newer, no packages needed. Times are seconds: `poll_s` between two questions to the head, `ask_s` for
    the answer to one, `lag_s` how long a job may be missing from all answers before it counts as missing,
    `beat_dead_s` how long a supervisor may be silent, `meet_s` for all nodes of a gang to come up.
    """

    folder: FolderConfig
    url: str
    pools: Mapping[str, RayPool] = field(default_factory=dict)
    ray_python: str = "python3"
    python: str = "python3"
    token_file: Path | None = None
    poll_s: float = 2.0
    ask_s: float = 60.0
    lag_s: float = 60.0
    beat_dead_s: float = 60.0
    meet_s: float = 120.0
