"""Pure: what is asked of Slurm, from an order and a pool, and how its command line says it."""

import json
import math
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.base import Order
from hutong.adapters.engines.slurm.config import SlurmPool
from hutong.core.kernel.errors import Problem, Refused

SEPARATOR = "\x1f"
SCRIPT_LOG = "slurm.log"
# Of an element of an array, the number is ARRAY_INDEX from its submission on: its own comes with its start.
SQUEUE_FIELDS = ("%i", "%j", "%T", "%r", "%V", "%S", "%e", "%D", "%P", "%k")
SACCT_FIELDS = (
    "JobID", "JobName", "State", "Reason", "Submit", "Start", "End", "NNodes", "Partition", "Comment",
    "ExitCode", "ConsumedEnergyRaw",
)  # fmt: skip
_PREPARE_S = 1_800
_MARGIN_S = 60
# What a job is called here. SLURM_JOB_ID will not do: with one element's, Slurm means all of its array.
_JOB = "HUTONG_SLURM_JOB"
_LAUNCHER_ENV = ("PATH", "SLURM_", "MUNGE_", "PMI", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
# Options that would undo how jobs are found again, how often they run, or where their ranks are.
_TAKEN = (
    "array", "chdir", "clusters", "comment", "gid", "help", "job-name", "no-requeue", "nodes", "ntasks",
    "ntasks-per-node", "open-mode", "parsable", "requeue", "test-only", "uid", "usage", "version", "wait",
    "wrap",
)  # fmt: skip
_OF_ARRAYS = ("JOB_ID", "TASK_ID", "TASK_COUNT", "TASK_MAX", "TASK_MIN", "TASK_STEP")
_TAKEN_LETTERS = "aDhJMnNVW"


@dataclass(frozen=True, slots=True)
class Submission:
    """One batch job as we want it, however it is brought to Slurm. An empty or zero field is left to Slurm.

    `gres` has its count, `memory_mb` is per node, `minutes` the time limit, `script` the text of the batch
    script and `path` where it lies. One task a node. An array has `elements`, which are alike.
    """

    name: str
    comment: str
    folder: Path
    path: Path
    script: str
    nodes: int
    gres: str = ""
    cpus: int = 0
    memory_mb: int = 0
    minutes: int = 0
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    reservation: str = ""
    licenses: str = ""
    options: tuple[str, ...] = ()
    elements: int = 0

    @property
    def log(self) -> str:
        """Where the script's output goes; each element of an array sees to its own."""
        return os.devnull if self.elements else str(self.folder / SCRIPT_LOG)

    @property
    def indices(self) -> str:
        """The indices of an array's elements, as Slurm reads them."""
        return f"0-{self.elements - 1}" if self.elements else ""


def alike(job: Submission) -> Submission:
    """Return what is asked for, whoever asks: those for whom it is the same may be one array."""
    return replace(job, name="", folder=Path(), path=Path(), script="")


def array(job: Submission, name: str, attempts: Path, keys: Sequence[str], supervisor: str) -> Submission:
    """Return an array of jobs that are all like one; `supervisor` is the command that takes their place.

    Which element is whose is in the script, which Slurm keeps. That they are an array at all is our doing
    alone: jobs see nothing of it.
    """
    lines = [
        "#!/bin/sh",
        f"set -- {shlex.join(keys)}",
        'shift "$SLURM_ARRAY_TASK_ID"',
        f'cd {shlex.quote(str(attempts))}/"${{1:?}}" || exit',
        f"exec >>{SCRIPT_LOG} 2>&1",
        f'export {_JOB}="${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"',
        f"unset {' '.join(f'SLURM_ARRAY_{each}' for each in _OF_ARRAYS)}",
        f'exec {supervisor} "$PWD"',
    ]
    script = "".join(f"{line}\n" for line in lines)
    return replace(job, name=name, folder=attempts, path=Path(), script=script, elements=len(keys))


def submission(order: Order, pool: SlurmPool, folder: Path, script: str, comment: str) -> Submission:
    """Return what is asked for; the attempt's key is the job's name, `comment` carries our origin."""
    spec, cards = order.spec, order.attempt.cards // max(order.spec.num_nodes, 1)
    return Submission(
        name=order.key,
        comment=comment,
        folder=folder,
        path=folder / files.SCRIPT,
        script=script,
        nodes=spec.num_nodes,
        gres=f"{pool.gres}:{cards}" if pool.gres and cards else "",
        cpus=spec.resources.cpus or pool.cpus_per_card * cards,
        memory_mb=math.ceil(spec.resources.memory_bytes / (1 << 20)) or pool.memory_mb_per_card * cards,
        minutes=_minutes(order),
        partition=pool.partition,
        account=pool.account,
        qos=pool.qos,
        constraint=pool.constraint,
        reservation=pool.reservation,
        licenses=pool.licenses,
        options=pool.options,
    )


def sbatch(job: Submission) -> list[str]:
    """Return sbatch's arguments; it reads the script of an array from its input."""
    options = {
        "job-name": job.name,
        "comment": job.comment,
        "chdir": str(job.folder),
        "output": job.log,
        "open-mode": "append",
        "array": job.indices,
        "nodes": str(job.nodes),
        "ntasks-per-node": "1",
        "partition": job.partition,
        "account": job.account,
        "qos": job.qos,
        "constraint": job.constraint,
        "reservation": job.reservation,
        "licenses": job.licenses,
        "gres": job.gres,
        "cpus-per-task": str(job.cpus or ""),
        "mem": f"{job.memory_mb}M" if job.memory_mb else "",
        "time": str(job.minutes or ""),
    }
    given = [f"--{name}={value}" for name, value in options.items() if value]
    file = [] if job.elements else [str(job.path)]
    return ["--parsable", "--no-requeue", *given, *job.options, *file]


def _minutes(order: Order) -> int:
    """Return Slurm's limit in minutes. It lies behind ours, so that the supervisor ends the job in order."""
    spec = order.spec
    if not spec.max_duration_s:
        return 0
    prepare_s = min(spec.max_duration_s, _PREPARE_S) if spec.setup or order.staged else 0
    return math.ceil((spec.max_duration_s + prepare_s + spec.grace_s + _MARGIN_S) / 60)


def supervisor(python: str, program: Path) -> str:
    """Return the command of a supervisor, but for its folder."""
    return shlex.join([python, "-I", "-S", str(program)])


def script(supervisor: str, folder: Path) -> str:
    """Return the batch script: the supervisor takes its place."""
    return f'#!/bin/sh\nexport {_JOB}="$SLURM_JOB_ID"\nexec {supervisor} {shlex.quote(str(folder))}\n'


def launcher(
    programs: Mapping[str, str], pool: SlurmPool, nodes: int, cpus: int, entry: Sequence[str]
) -> dict[str, Any]:
    """Return how the supervisor starts and signals ranks, with devices as Slurm gives them.

    The rank of one node is a child of the supervisor, in the batch step; of several, each is a step, which
    costs more than all the rest of a short job. `entry` starts `enter.py` on a node.
    """
    control = programs["scontrol"]
    return {
        "kind": "slurm",
        **(_steps(programs, cpus, entry) if nodes > 1 else {}),
        "asker": [control, "--oneliner", "show", "node", "{SLURM_JOB_NODELIST}"],
        "pattern": r"NodeAddr=(\S+)",
        "inherited": _LAUNCHER_ENV,
        "identity": ("SLURM_CLUSTER_NAME", _JOB, "SLURM_RESTART_COUNT"),
        "judge": [control, "--oneliner", "show", "job", f"{{{_JOB}}}"],
        "preempted": r"\bPreemptTime=\d|\bJobState=PREEMPTED\b",
        "ending": r"\bJobState=(?:COMPLETING|CANCELLED|TIMEOUT|DEADLINE|NODE_FAIL|OUT_OF_MEMORY|FAILED)\b",
        "away": r"(?i)unable to contact|connect|timed out|communicat",
        "oom": r"(?i)\boom[_ -]?kill|out of memory",
        "visible": pool.visible if pool.gres else "",
        "device": pool.gres.partition(":")[0],
        "owner": [control, "--details", "--oneliner", "show", "job", f"{{{_JOB}}}"],
        "namer": [control, "show", "hostnames", "{list}"],
        "nodelist": "{SLURM_JOB_NODELIST}",
    }


def _steps(programs: Mapping[str, str], cpus: int, entry: Sequence[str]) -> dict[str, Any]:
    """Return how ranks are started by srun, one step a node, and commands beside them."""
    one = [
        programs["srun"],
        "--nodes=1",
        "--ntasks=1",
        "--relative={rank}",
        "--export=ALL",
        "--mpi=none",
        "--quiet",
    ]
    # From 22.05 on srun does not take the job's CPUs per task for its own: a rank could be bound to one.
    bound = f"--cpus-per-task={cpus}" if cpus else "--cpu-bind=none"
    return {
        "prefix": [*one, "--input=none", "--kill-on-bad-exit=1", bound],
        "entry": list(entry),
        "teller": [programs["scancel"], "--signal={signal}", f"{{{_JOB}}}"],
        "beside": [*one, "--overlap", "--mem=0", "--unbuffered"],
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
    return [
        "--noheader",
        "--array",
        "--states=all",
        f"--user={user}",
        f"--format={SEPARATOR.join(SQUEUE_FIELDS)}",
    ]


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


def check_pool(name: str, pool: SlurmPool, *, rest: bool) -> None:
    """Raise Refused for what an operator cannot set for a pool."""
    for option in pool.options:
        if rest or _is_taken(option):
            why = "slurmrestd takes none" if rest else "the agent finds and shapes its jobs by it"
            text = f"{option!r} cannot be set: {why}"
            raise Refused("bad_config", text, (Problem(f"/pools/{name}/options", text, "leave it out"),))
    if pool.gres.count(":") > 1 or "," in pool.gres:
        text = f"{pool.gres!r} is not one device without a count"
        raise Refused(
            "bad_config", text, (Problem(f"/pools/{name}/gres", text, "name or name:type, as gpu:h100"),)
        )


def _is_taken(option: str) -> bool:
    if option.startswith("--"):
        word = option[2:].partition("=")[0]
        # sbatch takes any beginning of an option's name for the whole.
        return not word or any(each.startswith(word) for each in _TAKEN)
    return not option.startswith("-") or option[1:2] in _TAKEN_LETTERS or len(option) == 1
