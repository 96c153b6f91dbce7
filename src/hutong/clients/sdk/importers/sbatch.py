"""Turns a batch script for Slurm's sbatch into a job file, and says of each line what became of it."""

import posixpath
import re
from collections.abc import Sequence
from pathlib import PurePath

from hutong.clients.sdk.importers.body_notes import (
    FINDINGS,
    logical_lines,
    note_findings,
    note_network,
    note_paths,
)
from hutong.clients.sdk.importers.draft import Card, Draft, Imported
from hutong.clients.sdk.importers.sbatch_layout import USED, Layout, read_layout
from hutong.clients.sdk.importers.sbatch_left_out import LEFT_OUT, SAME
from hutong.clients.sdk.importers.sbatch_options import Option
from hutong.clients.sdk.importers.sbatch_script import Script, Shebang, read_script
from hutong.clients.sdk.importers.sbatch_values import (
    UNLIMITED,
    BadValue,
    read_minutes,
    read_signal,
    write_minutes,
)
from hutong.clients.sdk.importers.slurm_launch import read_launch
from hutong.clients.sdk.importers.slurm_names import NOT_SET, SLURM_NAME, slurm_values
from hutong.clients.sdk.importers.variables import set_names
from hutong.core.kernel.arrays import read_array
from hutong.core.kernel.errors import Refused

_MOST_MINUTES = 30 * 1440
_MOST_GRACE_S = 3600
_MOST_PRIORITY = 1000
_NOT_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NICE = re.compile(r"(?a)-?\d{1,10}")


def import_sbatch(
    data: bytes,
    file: str,
    *,
    catalogue: Sequence[Card] = (),
    accelerators: Sequence[str] = (),
    folder: str = ".",
) -> Imported:
    """Return the job of a batch script; raises JobFileError with each line that keeps it from being one.

    `catalogue` says which cards a script may mean that asks for any; `accelerators` are models to take in
    place of the script's. `folder` is where sbatch would have been called, seen from the job file.
    """
    draft = Draft(file)
    script = read_script(data, draft)
    options = script.options
    name = _put_name(options.get("job-name"), file, draft)
    layout = read_layout(options, draft, catalogue, accelerators)
    _put_folder(options.get("chdir"), folder, draft)
    _put_time(options.get("time"), draft)
    _put_array(options.get("array"), draft)
    for option, read in (
        ("export", _read_export), ("signal", _read_signal), ("nice", _read_nice),
    ):  # fmt: skip
        if option in options:
            read(options[option], draft)
    _note_rest(options, draft)
    _put_run(script, layout, name, draft)
    return draft.finish(name)


def _put_name(option: Option | None, file: str, draft: Draft) -> str:
    told = (option.value or "") if option else PurePath(file).stem
    name = _NOT_NAME.sub("-", told).strip("-._")[:63].strip("-._") or "job"
    draft.put("name", name, option.line if option else 1)
    if option is not None and name == told:
        draft.same(option.line, option.source, f"name: {name}")
    elif option is not None:
        draft.changed(option.line, option.source, f"name: {name}: letters, digits, '-', '_' and '.' only")
    return name


def _put_folder(option: Option | None, folder: str, draft: Draft) -> None:
    asked = (option.value or "") if option else ""
    path = posixpath.normpath(posixpath.join(folder, asked))
    draft.put("workdir", path, option.line if option else 1)
    message = (
        f"workdir: {path}: that folder is packed and sent (at most 100 MB); Slurm works in it where it is"
    )
    draft.changed(option.line if option else 1, option.source if option else "the folder of sbatch", message)


def _put_time(option: Option | None, draft: Draft) -> None:
    if option is None:
        draft.changed(
            1, "no --time", "max_duration is 24h if nothing is said; Slurm takes the partition's limit"
        )
        return
    try:
        minutes = read_minutes(option.value or "")
    except BadValue as error:
        draft.refuse(option.line, f"{option.source[:60]}: {error.message}", error.hint, "/max_duration")
        return
    if minutes == UNLIMITED or minutes > _MOST_MINUTES:
        draft.put("max_duration", "30d", option.line)
        message = "max_duration: 30d, the most there is: write checkpoints below $HUTONG_CHECKPOINTS"
        draft.changed(option.line, option.source, message)
        return
    draft.put("max_duration", write_minutes(minutes), option.line)
    draft.same(option.line, option.source, f"max_duration: {write_minutes(minutes)}")


def _put_array(option: Option | None, draft: Draft) -> None:
    if option is None:
        return
    try:
        array = read_array(option.value or "")
    except Refused as error:
        message = f"{option.source[:60]}: {error.message}"
        draft.refuse(option.line, message, error.problems[0].hint, "/array")
        return
    draft.put("array", str(array), option.line)
    limit = f", {array.at_once} at work at once" if array.at_once else ""
    draft.same(option.line, option.source, f"array: {array}: {array.count} jobs{limit}")


def _read_export(option: Option, draft: Draft) -> None:
    """Carry the variables with values; Slurm passes the shell's environment on, and we do not."""
    missing: list[str] = []
    for item in (option.value or "").split(","):
        name, equals, value = item.strip().partition("=")
        if equals and _ENV.fullmatch(name):
            draft.put(f"envs/{name}", value, option.line)
        elif equals:
            draft.refuse(
                option.line, f"{name[:40]!r} is no name of a variable", "letters, digits and _", "/envs"
            )
        elif name.upper() not in {"ALL", "NONE", "NIL", ""}:
            missing.append(name)
    if (option.value or "").upper() in {"NONE", "NIL"}:
        draft.same(option.line, option.source, "only `envs` reach a job, never your shell's variables")
        return
    more = f"; pass them with {' '.join(f'--env {name}' for name in missing)}" if missing else ""
    message = f"only `envs` reach a job, not your shell's variables{more}"
    draft.changed(option.line, option.source, message)


def _read_signal(option: Option, draft: Draft) -> None:
    try:
        name, seconds = read_signal(option.value or "")
    except BadValue as error:
        draft.refuse(option.line, f"{option.source[:60]}: {error.message}", error.hint, "/grace")
        return
    grace_s = min(seconds, _MOST_GRACE_S)
    draft.put("grace", f"{grace_s}s", option.line)
    trap = "" if name in {"TERM", "15"} else f" and is TERM, not {name}: trap that"
    message = f"grace: {grace_s}s: the signal comes at the end of max_duration, KILL {grace_s} s later{trap}"
    draft.changed(option.line, option.source, message)


def _read_nice(option: Option, draft: Draft) -> None:
    value = option.value if option.value is not None else "100"
    if not _NICE.fullmatch(value):
        draft.refuse(option.line, f"{option.source[:60]}: is no number", "like --nice=100", "/priority")
        return
    priority = max(-_MOST_PRIORITY, min(_MOST_PRIORITY, -int(value)))
    draft.put("priority", priority, option.line)
    draft.changed(option.line, option.source, f"priority: {priority}: orders the queue, in another scale")


def _note_rest(options: dict[str, Option], draft: Draft) -> None:
    read = USED | {"job-name", "chdir", "time", "array", "export", "signal", "nice"}
    for name, option in options.items():
        if name in SAME:
            draft.same(option.line, option.source, SAME[name])
        elif name not in read:
            draft.left_out(option.line, option.source, LEFT_OUT[name])


def _put_run(script: Script, layout: Layout, name: str, draft: Draft) -> None:
    lines = logical_lines(script.body)
    note_network(lines, draft)
    stand_ins = read_launch(lines, layout, draft)
    note_findings(lines, FINDINGS, draft)
    note_paths(lines, draft)
    values = slurm_values(layout, script.options, name)
    names = set_names(lines, SLURM_NAME, values, NOT_SET, draft)
    before: list[str] = []
    if script.shebang.settings:
        before.append(f"set {script.shebang.settings}")
    if script.shebang.login:
        message = "no profile is read: make what it gave you in `setup`"
        draft.left_out(1, script.whole[0].text, message)
    if names or (stand_ins and script.shebang.bash):
        before.append("# What Slurm would have given, in terms of Hutong (hutong import sbatch).")
        before += names
    first = next((line.number for line in script.body if line.text.strip()), 1)
    if script.shebang.bash:
        text = "\n".join(line.text for line in script.body).strip("\n")
        before += stand_ins
    else:
        text = _handed_over(script, script.shebang)
        draft.same(1, script.whole[0].text, f"run hands the script to {script.shebang.command}")
    if not any(line.text.strip() and not line.text.lstrip().startswith("#") for line in script.body):
        draft.refuse(first, "the script has no command", "commands below the #SBATCH lines", "/run")
    draft.put("run", "\n".join([*before, *[""] * bool(before), text]) + "\n", first)


def _handed_over(script: Script, shebang: Shebang) -> str:
    """Return lines of bash that give the script, whole, to the program that is to run it."""
    lines = [line.text for line in script.whole]
    end = "END_OF_SCRIPT"
    while end in lines:
        end += "_"
    return "\n".join(
        ["script=$(mktemp)", f"cat > \"$script\" <<'{end}'", *lines, end, f'exec {shebang.command} "$script"']
    )
