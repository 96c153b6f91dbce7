"""Looks at how a script starts its tasks, and writes stand-ins for srun and scontrol where they are exact."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from hutong.clients.sdk.importers.body_notes import BEGIN, Finding, also, note_findings
from hutong.clients.sdk.importers.draft import Draft, Kept
from hutong.clients.sdk.importers.sbatch_layout import Layout
from hutong.clients.sdk.importers.sbatch_options import BadOption, Option, Word, read_options
from hutong.clients.sdk.importers.sbatch_script import Line

_SRUN = re.compile(r"(?<![\w$-])(?:[\w./]{0,200}/)?srun(?![\w./-])")
_SRUN_BEGINS = re.compile(BEGIN.replace("|exec|nohup", "") + r"srun(?=\s)")
_MPI = re.compile(BEGIN + r"(mpirun|mpiexec(?:\.hydra)?|orterun|horovodrun)(?=\s|$)")
_HOSTNAMES = re.compile(
    r"scontrol\s+show\s+hostnames?(?:\s+\"?\$\{?(?:SLURM_JOB_NODELIST|SLURM_NODELIST)\}?\"?)?\s*(?=$|[|)`;&>])"
)
_SCONTROL = re.compile(BEGIN + r"scontrol(?=\s)")
# Options of srun that change nothing where srun starts one task on each node, or that `run` has anyway.
_HARMLESS = frozenset(
    (
        "account", "cpu-bind", "cpus-per-task", "disable-status", "distribution", "export", "hint",
        "job-name", "kill-on-bad-exit", "label", "mem", "mem-bind", "mem-per-cpu", "mpi", "nodes",
        "ntasks", "ntasks-per-node", "overlap", "partition", "preserve-env", "propagate", "qos", "quiet",
        "time", "unbuffered", "verbose", "wait", "gpu-bind", "accel-bind", "threads-per-core",
    )
)  # fmt: skip
_FOR_ONE_START = frozenset(
    ("gres", "gpus", "gpus-per-node", "gpus-per-task", "exact", "exclusive", "mem-per-gpu", "cpus-per-gpu")
)
_SRUN_ONLY_VALUES = {"cpu-bind", "mpi", "accel-bind", "wait", "export"}
_SRUN_ONLY_FLAGS = {
    "label",
    "unbuffered",
    "overlap",
    "exact",
    "disable-status",
    "preserve-env",
    "kill-on-bad-exit",
}
_SRUN_SHORT = {
    "-l": "--label",
    "-u": "--unbuffered",
    "-X": "--disable-status",
    "-E": "--preserve-env",
    "-K": "--kill-on-bad-exit",
}
_LAUNCHERS = re.compile(r"torchrun|accelerate|python[\d.]*")
_TORCH_MODULE = re.compile(r"torch\.distributed\.(?:run|launch)|accelerate\.commands\.launch")
_ENDS = re.compile(r"[;|)`<>]|&&|(?<!>)&(?!>)")

_TORCHRUN = (
    "`torchrun --nnodes $HUTONG_NUM_NODES --node-rank $HUTONG_NODE_RANK --master-addr $MASTER_ADDR"
    " --master-port $MASTER_PORT`"
)
_FINDINGS = (
    Finding(
        re.compile(BEGIN + r"(?:sbatch|salloc)(?=\s)"),
        "sbatch",
        Kept.LEFT_OUT,
        "a job cannot submit jobs: restarts come by themselves, `resources.job_recovery` allows more",
    ),
    Finding(
        re.compile(BEGIN + r"(?:squeue|scancel|sinfo|sacct|sstat|sattach|sbcast|seff|sprio)(?=\s|$)"),
        "squeue and its like",
        Kept.LEFT_OUT,
        "commands of Slurm are not there: hutong jobs, hutong cancel, hutong job are for outside",
    ),
)
_MANY_NODES = (
    Finding(
        re.compile(r"(?:MASTER_ADDR|head_node\w*|HEAD_NODE\w*)=[\"']?(?:\$\(|`)\s*hostname"),
        "hostname",
        Kept.CHANGED,
        "each node would name itself: $MASTER_ADDR is set to the first node already",
    ),
    Finding(
        re.compile(r"\$\{?RANDOM\b"),
        "$RANDOM",
        Kept.CHANGED,
        "differs from node to node, since `run` starts on each: take $HUTONG_JOB_ID where they must agree",
    ),
)


@dataclass(frozen=True, slots=True)
class _Start:
    """One srun as it stands in a line: its options, the words of its command."""

    options: tuple[Option, ...]
    separate: frozenset[str]
    command: tuple[str, ...]


def read_launch(lines: Sequence[Line], layout: Layout, draft: Draft) -> list[str]:
    """Note how the script starts its tasks; return the lines of bash that stand in for what is not there."""
    made: list[str] = []
    _read_srun(lines, layout, draft, made)
    _read_mpi(lines, layout, draft, made)
    _read_scontrol(lines, draft, made)
    note_findings(lines, _FINDINGS, draft)
    if layout.nodes > 1:
        note_findings(lines, _MANY_NODES, draft)
    return made


def _read_srun(lines: Sequence[Line], layout: Layout, draft: Draft, made: list[str]) -> None:
    uses = [line.number for line in lines for _ in _SRUN.finditer(line.text)]
    if not uses:
        return
    starts = [
        _start(line.text[match.end() :]) for line in lines for match in _SRUN_BEGINS.finditer(line.text)
    ]
    plain = [start for start in starts if start is not None and _stands_in(start, layout, len(uses))]
    if len(plain) == len(uses):
        made += _srun_function(frozenset().union(*(each.separate for each in plain)))
        message = "starts its command in place: one task on each node, and `run` is there already"
        draft.changed(uses[0], "srun", message + also(uses))
        return
    made.append(_guard("srun", min(uses)))
    if layout.tasks == 1:
        advice = "write the command alone"
    elif layout.tasks_per_node == 1:
        advice = f"`run` starts on each node: write the command alone, {_TORCHRUN} for torch"
    else:
        each = layout.tasks_per_node
        advice = (
            f"`run` starts once on each node: start the {each} tasks of a node yourself,"
            f" {_TORCHRUN} --nproc-per-node {each} for torch"
        )
    draft.left_out(uses[0], "srun", f"is not there, the job would end here: {advice}{also(uses)}")


def _start(text: str) -> _Start | None:
    """Return what an srun says, None where that cannot be told from the text alone."""
    end = _ENDS.search(text)
    try:
        words = shlex.split(text[: end.start()] if end else text)
    except ValueError:
        return None
    options: list[Option] = []
    separate: set[str] = set()
    at = 0
    while at < len(words) and words[at].startswith("-"):
        read = _option(words[at:])
        if read is None:
            return None
        option, used = read
        if used > 1:
            separate.add(words[at])
        options.append(option)
        at += used
    command = tuple(words[at:])
    return _Start(tuple(options), frozenset(separate), command) if command else None


def _option(words: Sequence[str]) -> tuple[Option, int] | None:
    """Return the option that begins the words, and how many words it takes."""
    word = _SRUN_SHORT.get(words[0], words[0])
    told, equals, value = word.removeprefix("--").partition("=")
    if word.startswith("--") and told in _SRUN_ONLY_FLAGS:
        return Option(told, value if equals else None, 0, word), 1
    if word.startswith("--") and told in _SRUN_ONLY_VALUES:
        if equals:
            return Option(told, value, 0, word), 1
        return (Option(told, words[1], 0, word), 2) if len(words) > 1 else None
    if word.startswith("-W"):  # srun's takes a value, sbatch's does not
        return None
    first = next(read_options([Word(each, 0) for each in words[:2]]))
    if isinstance(first, BadOption) or (word[1] != "-" and len(word) > 2 and first.value is None):
        return None
    return first, 2 if first.source != word else 1


def _stands_in(start: _Start, layout: Layout, uses: int) -> bool:
    """True if the command alone does the same as srun with it."""
    if any(set("$`*?") & set(each.source) for each in start.options):
        return False
    names = {each.name for each in start.options}
    if not names <= _HARMLESS | (_FOR_ONE_START if uses == 1 else frozenset()):
        return False
    said = {each.name: each.value for each in start.options}
    per_node = said.get("ntasks-per-node") or "1"
    if layout.nodes == 1:
        tasks = said.get("ntasks") or str(layout.tasks)
        return tasks == "1" and per_node == "1" and said.get("nodes", "1") == "1"
    if layout.tasks_per_node != 1 or per_node != "1":
        return False
    if not {said.get("ntasks", str(layout.tasks)), said.get("nodes", str(layout.nodes))} <= {
        str(layout.nodes)
    }:
        return False
    return _finds_its_rank(start.command)


def _finds_its_rank(command: Sequence[str]) -> bool:
    """True of launchers that are told which node they are on; an MPI program would think itself alone."""
    name = command[0].rpartition("/")[2]
    if not _LAUNCHERS.fullmatch(name):
        return False
    return not name.startswith("python") or any(_TORCH_MODULE.fullmatch(each) for each in command[1:5])


def _srun_function(separate: frozenset[str]) -> list[str]:
    taken = [f"    case $1 in {'|'.join(sorted(separate))}) shift ;; esac"] if separate else []
    return [
        "srun() {  # one task on each node: the command in its place",
        "  while [[ ${1-} == -* ]]; do",
        *taken,
        "    shift",
        "  done",
        "  SLURM_PROCID=$HUTONG_NODE_RANK SLURM_LOCALID=0 SLURM_NTASKS=$HUTONG_NUM_NODES \\",
        '    SLURM_NODEID=$HUTONG_NODE_RANK SLURM_NNODES=$HUTONG_NUM_NODES "$@"',
        "}",
    ]


def _guard(name: str, line: int) -> str:
    """Return a stand-in that ends the job: going on without the work would look like success."""
    return (
        f"{name}() {{ echo '{name} (line {line} of the batch script) is not available here' >&2; exit 127; }}"
    )


def _read_mpi(lines: Sequence[Line], layout: Layout, draft: Draft, made: list[str]) -> None:
    found = [(line.number, match[1]) for line in lines if (match := _MPI.search(line.text))]
    if not found:
        return
    number, name = found[0]
    numbers = [each for each, _ in found]
    if layout.nodes == 1:
        message = "starts its ranks on the one node; MPI must be installed there" + also(numbers)
        draft.changed(number, name, message)
        return
    made += [_guard(each, number) for each in dict.fromkeys(each for _, each in found)]
    message = "starts nothing on other nodes here, the job would end: one node, or torchrun on each" + also(
        numbers
    )
    draft.left_out(number, name, message)


def _read_scontrol(lines: Sequence[Line], draft: Draft, made: list[str]) -> None:
    shown = [line.number for line in lines if _HOSTNAMES.search(line.text)]
    others = [
        line.number for line in lines if _SCONTROL.search(line.text) and not _HOSTNAMES.search(line.text)
    ]
    if shown:
        made += [
            "scontrol() {  # show hostnames",
            '  [[ "${1-} ${2-}" == "show hostname"* ]] || return 127',
            "  printf '%s\\n' \"$HUTONG_NODE_IPS\"",
            "}",
        ]
        message = (
            "gives the nodes' addresses, the first node first: $HUTONG_NODE_IPS; $MASTER_ADDR is the first"
        )
        draft.changed(shown[0], "scontrol show hostnames", message + also(shown))
    if others:
        message = "is not there: `hutong job` and `hutong logs` are for outside"
        draft.left_out(others[0], "scontrol", message + also(others))
