"""What Slurm puts into a job's environment, in the words of ours; only what a script mentions is set."""

import re
import shlex
from collections.abc import Mapping

from hutong.clients.sdk.importers.draft import Kept
from hutong.clients.sdk.importers.sbatch_layout import Layout
from hutong.clients.sdk.importers.sbatch_options import Option
from hutong.clients.sdk.importers.variables import Value

SLURM_NAME = re.compile(r"(?<![A-Za-z0-9_])(SLURM_[A-Z0-9_]+|SLURMD_NODENAME)(?![A-Za-z0-9_])(?!=(?!=))")
_NUMBER = '"$(printf %s "$HUTONG_JOB_ID" | cksum | cut -d " " -f 1)"'
_ADDRESSES = '"$(printf %s "$HUTONG_NODE_IPS" | paste -s -d ,)"'
_ARRAY = ("TASK_ID", "TASK_COUNT", "TASK_MIN", "TASK_MAX", "TASK_STEP")
# What Slurm too sets only if the script asks for it.
_ASKED = {
    "SLURM_NTASKS": "--ntasks", "SLURM_NPROCS": "--ntasks", "SLURM_NTASKS_PER_NODE": "--ntasks-per-node",
    "SLURM_CPUS_PER_TASK": "--cpus-per-task", "SLURM_CPUS_ON_NODE": "--cpus-per-task",
    "SLURM_JOB_CPUS_PER_NODE": "--cpus-per-task", "SLURM_MEM_PER_NODE": "--mem",
    "SLURM_GPUS_ON_NODE": "--gres", "SLURM_GPUS_PER_NODE": "--gpus-per-node", "SLURM_GPUS": "--gpus",
}  # fmt: skip
NOT_SET = {
    **{name: f"is not set: the script does not say {option}" for name, option in _ASKED.items()},
    **{f"SLURM_ARRAY_{each}": "is not set: the script does not say --array" for each in _ARRAY},
}


def slurm_values(layout: Layout, options: Mapping[str, Option], name: str) -> dict[str, Value]:
    """Return the variables that have a meaning here, for a job of this shape."""
    rank, nodes = "$HUTONG_NODE_RANK", "$HUTONG_NUM_NODES"
    number = Value(_NUMBER, "a number made from $HUTONG_JOB_ID: the same on every node", Kept.CHANGED)
    listed = Value(_ADDRESSES, "addresses, not names of nodes: $HUTONG_NODE_IPS", Kept.CHANGED)
    values = {
        **dict.fromkeys(("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_JOB_ID"), number),
        **dict.fromkeys(("SLURM_JOB_NODELIST", "SLURM_NODELIST"), listed),
        **dict.fromkeys(("SLURM_JOB_NUM_NODES", "SLURM_NNODES"), Value(nodes, "$HUTONG_NUM_NODES")),
        "SLURM_NODEID": Value(rank, "$HUTONG_NODE_RANK: here the script runs on every node"),
        "SLURM_JOB_NAME": Value(shlex.quote(name), "the job's name"),
        "SLURM_SUBMIT_DIR": Value('"$PWD"', "the work folder, which `workdir` fills", Kept.CHANGED),
        "SLURMD_NODENAME": Value('"$(hostname)"', "the node's name"),
        "SLURM_TMPDIR": Value('"${TMPDIR:-/tmp}"', "$TMPDIR"),
        "SLURM_RESTART_COUNT": Value(
            "$((HUTONG_ATTEMPT - 1))",
            "$HUTONG_ATTEMPT - 1, and not set in the first attempt",
            condition="((HUTONG_ATTEMPT > 1))",
        ),
    }
    if layout.tasks_per_node == 1:
        kind = Kept.SAME if layout.nodes == 1 else Kept.CHANGED
        values["SLURM_PROCID"] = Value(rank, "$HUTONG_NODE_RANK: one task on each node", kind)
        values["SLURM_LOCALID"] = Value("0", "0: one task on each node")
    else:
        values.update(_of_tasks())
    values.update(_of_options(layout, options))
    if "array" in options:
        values.update(_of_array())
    return values


def _of_tasks() -> dict[str, Value]:
    message = "0, as in a batch script: what starts the tasks must number them"
    return dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID"), Value("0", message, Kept.CHANGED))


def _of_array() -> dict[str, Value]:
    there = Value("", "set by the platform for each job of the array")
    number = Value("", "a number made from $HUTONG_ARRAY_ID", Kept.CHANGED)
    return {**{f"SLURM_ARRAY_{each}": there for each in _ARRAY}, "SLURM_ARRAY_JOB_ID": number}


def _of_options(layout: Layout, options: Mapping[str, Option]) -> dict[str, Value]:
    """Return what Slurm sets because a script asks for it."""
    values: dict[str, Value] = {}

    def add(text: object, *names: str) -> None:
        values.update(dict.fromkeys(names, Value(str(text), f"{text}, as the script asks")))

    times = f"(x{layout.nodes})" if layout.nodes > 1 else ""
    add(shlex.quote(f"{layout.tasks_per_node}{times}"), "SLURM_TASKS_PER_NODE")
    if layout.tasks_said:
        add(layout.tasks, "SLURM_NTASKS", "SLURM_NPROCS")
    if "ntasks-per-node" in options:
        add(layout.tasks_per_node, "SLURM_NTASKS_PER_NODE")
    if layout.cpus_per_task:
        add(layout.cpus_per_task, "SLURM_CPUS_PER_TASK")
    if layout.cpus:
        add(layout.cpus, "SLURM_CPUS_ON_NODE")
        add(shlex.quote(f"{layout.cpus}{times}"), "SLURM_JOB_CPUS_PER_NODE")
    if layout.cards:
        told = Value("$HUTONG_NUM_GPUS_PER_NODE", "$HUTONG_NUM_GPUS_PER_NODE")
        values.update(dict.fromkeys(("SLURM_GPUS_ON_NODE", "SLURM_GPUS_PER_NODE"), told))
        add(layout.cards * layout.nodes, "SLURM_GPUS")
    if layout.megabytes and "mem" in options:
        add(layout.megabytes, "SLURM_MEM_PER_NODE")
    for option, name in (
        ("partition", "SLURM_JOB_PARTITION"),
        ("account", "SLURM_JOB_ACCOUNT"),
        ("qos", "SLURM_JOB_QOS"),
    ):
        if option in options:
            add(shlex.quote(options[option].value or ""), name)
    return values
