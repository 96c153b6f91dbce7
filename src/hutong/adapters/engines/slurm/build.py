"""Pure: the command lines for Slurm, and the batch script, from an order and a pool."""

import json
import math
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hutong.adapters.engines.base import Order
from hutong.adapters.engines.slurm.config import SlurmPool
from hutong.core.kernel.errors import Problem, Refused

SEPARATOR = "\x1f"
SQUEUE_FIELDS = ("%i", "%j", "%T", "%r", "%V", "%S", "%e", "%D", "%P", "%k")
SACCT_FIELDS = (
    "JobIDRaw", "JobName", "State", "Reason", "Submit", "Start", "End", "NNodes", "Partition", "Comment",
    "ExitCode", "ConsumedEnergyRaw",
)  # fmt: skip
_PREPARE_S = 1_800
_MARGIN_S = 60
_LAUNCHER_ENV = ("SLURM_", "MUNGE_", "PMI", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def sbatch(order: Order, pool: SlurmPool, folder: Path, script: Path, comment: str) -> list[str]:
    """Return sbatch's arguments: one task a node, the key as the job's name, `comment` with our origin."""
    spec, cards = order.spec, order.attempt.cards // max(order.spec.num_nodes, 1)
    options = {
        "job-name": order.key,
        "comment": comment,
        "chdir": str(folder),
        "output": str(folder / "slurm.log"),
        "open-mode": "append",
        "nodes": str(spec.num_nodes),
        "ntasks-per-node": "1",
        "gres": f"{pool.gres}:{cards}" if pool.gres and cards else "",
        "cpus-per-task": str(spec.resources.cpus or pool.cpus_per_card * cards or ""),
        "mem": _memory(spec.resources.memory_bytes, pool.memory_mb_per_card * cards),
        "time": _minutes(order),
    }
    given = [f"--{name}={value}" for name, value in options.items() if value]
    return ["--parsable", "--no-requeue", *given, *pool_options(pool), str(script)]


def _memory(memory_bytes: int, default_mb: int) -> str:
    megabytes = math.ceil(memory_bytes / (1 << 20)) or default_mb
    return f"{megabytes}M" if megabytes else ""


def _minutes(order: Order) -> str:
    """Return Slurm's limit in minutes. It lies behind ours, so that the supervisor ends the job in order."""
    spec = order.spec
    if not spec.max_duration_s:
        return ""
    prepare_s = min(spec.max_duration_s, _PREPARE_S) if spec.setup or order.staged else 0
    return str(math.ceil((spec.max_duration_s + prepare_s + spec.grace_s + _MARGIN_S) / 60))


def script(python: str, program: Path, folder: Path) -> str:
    """Return the batch script: the supervisor takes its place."""
    return f"#!/bin/sh\nexec {shlex.join([python, '-I', '-S', str(program), str(folder)])}\n"


def launcher(programs: dict[str, str], visible: str) -> dict[str, Any]:
    """Return how the supervisor starts and signals ranks: one step a node, devices as Slurm gives them."""
    step = [
        programs["srun"], "--nodes=1", "--ntasks=1", "--relative={rank}", "--export=ALL", "--input=none",
        "--mpi=none", "--quiet", "--kill-on-bad-exit=1",
    ]  # fmt: skip
    return {
        "kind": "slurm",
        "prefix": step,
        "teller": [programs["scancel"], "--signal={signal}", "{SLURM_JOB_ID}"],
        "asker": [programs["scontrol"], "--oneliner", "show", "node", "{SLURM_JOB_NODELIST}"],
        "pattern": r"NodeAddr=(\S+)",
        "inherited": _LAUNCHER_ENV,
        "beside": [
            programs["srun"],
            "--nodes=1",
            "--ntasks=1",
            "--relative={rank}",
            "--overlap",
            "--export=ALL",
            "--mpi=none",
            "--quiet",
            "--unbuffered",
        ],
        "identity": ("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_RESTART_COUNT"),
        "visible": visible,
    }


def pool_options(pool: SlurmPool) -> list[str]:
    """Return the options that send a job to a pool, without cards."""
    named = {
        "partition": pool.partition,
        "account": pool.account,
        "qos": pool.qos,
        "constraint": pool.constraint,
        "reservation": pool.reservation,
        "licenses": pool.licenses,
    }
    return [*(f"--{name}={value}" for name, value in named.items() if value), *pool.options]


def squeue(user: str) -> list[str]:
    """Return squeue's arguments for every job of ours that the controller still knows, in one answer."""
    return ["--noheader", "--states=all", f"--user={user}", f"--format={SEPARATOR.join(SQUEUE_FIELDS)}"]


def sacct(user: str, names: Iterable[str], since_days: int) -> list[str]:
    """Return sacct's arguments for jobs by name, the last run of each."""
    return [
        "--noheader", "--allocations", "--parsable2", f"--delimiter={SEPARATOR}", f"--user={user}",
        f"--name={','.join(names)}", f"--starttime=now-{max(1, since_days)}days",
        f"--format={','.join(SACCT_FIELDS)}",
    ]  # fmt: skip


def scancel(job_ids: Sequence[str]) -> list[str]:
    """Return scancel's arguments to end jobs by number."""
    return ["--quiet", *job_ids]


def comment(origin: str, project: str) -> str:
    """Return what marks a job as ours at the cluster; an administrator may read it."""
    return json.dumps({"hutong": origin, "project": project}, separators=(",", ":"))


def check_options(pool: str, options: Sequence[str]) -> None:
    """Raise Refused for an option of the operator's that would undo how jobs are found again."""
    taken = {
        "--job-name",
        "-J",
        "--comment",
        "--requeue",
        "--array",
        "-a",
        "--wrap",
        "--chdir",
        "-D",
        "--parsable",
    }
    for option in options:
        if option.partition("=")[0] in taken or not option.startswith("-"):
            text = f"{option!r} cannot be set: the agent finds its jobs by it"
            raise Refused("bad_config", text, (Problem(f"/pools/{pool}/options", text, "leave it out"),))
