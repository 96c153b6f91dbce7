"""What an operator sets for a site that runs Slurm."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hutong.adapters.engines.attempt.config import FolderConfig


@dataclass(frozen=True, slots=True)
class SlurmPool:
    """How the jobs of one pool are submitted; empty fields leave the choice to the cluster.

    `gres` is the device without a count, such as `gpu:h100` or `npu:910c`; a pool without cards has none.
    `cpus_per_card` and `memory_mb_per_card` are asked for where the job names none. `visible` is the variable
    that tells a program its devices where Slurm does not set one itself, such as `ASCEND_RT_VISIBLE_DEVICES`.
    `options` are further sbatch options, as they stand on its command line.
    """

    partition: str = ""
    gres: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    reservation: str = ""
    licenses: str = ""
    cpus_per_card: int = 0
    memory_mb_per_card: int = 0
    visible: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestConfig:
    """slurmrestd, where jobs go that way. `url` has no path; `user` must own the site's folder.

    The token is read from `token_file`, or is the last word that `token_command` prints; it is read again
    before it ends, so something must renew the file.
    """

    url: str
    user: str = ""
    token_file: Path | None = None
    token_command: tuple[str, ...] = ()
    api_version: str = "v0.0.38"


@dataclass(frozen=True, slots=True)
class SlurmConfig:
    """One cluster. `folder.root` must be mounted at the same path on every node.

    `python` runs the supervisor on the nodes: 3.11 or newer, no packages needed. `bin` is the folder of
    Slurm's programs, found by PATH if empty; `conf` its slurm.conf where that is not the system's. With
    `rest` the agent itself uses none of them, but the nodes need srun, scancel and scontrol all the same.
    Times are seconds: `poll_s` between two questions to the controller, `ask_s` for the answer to one,
    `lag_s` how long a job may be missing from all answers before it counts as missing, `beat_dead_s` how
    long a supervisor must be silent before Slurm's word about its job is believed. Like attempts go as job
    `arrays`; None where jobs cannot reach Slurm from their boxes, for by its own number one may end them all.
    """

    folder: FolderConfig
    pools: Mapping[str, SlurmPool] = field(default_factory=dict)
    python: str = "python3"
    bin: Path | None = None
    conf: Path | None = None
    poll_s: float = 2.0
    ask_s: float = 60.0
    lag_s: float = 60.0
    beat_dead_s: float = 60.0
    rest: RestConfig | None = None
    arrays: bool | None = None
