"""Reads a job file safely, keeps the line of each of its parts, and puts problems where they stand."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hutong.clients.sdk.yaml_tree import (
    MOST_BYTES,
    BadYaml,
    FileProblem,
    JobFileError,
    Position,
    compose,
)
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.pointers import extend, parent

__all__ = [
    "FileProblem",
    "JobFileError",
    "LoadedJob",
    "Position",
    "load_job",
    "locate",
    "override",
    "parse_job",
    "read_bytes",
]

_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NOT_NAME = re.compile(r"[^A-Za-z0-9]+")
_VERBATIM = frozenset({"/envs"})


class Said(Protocol):
    """A problem as the platform tells it: by pointer."""

    @property
    def path(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job file as read: its document, where each pointer stands, and what the job is called."""

    document: dict[str, object]
    positions: Mapping[str, Position]
    name: str


def load_job(path: Path) -> LoadedJob:
    """Read a job file; raises JobFileError (`bad_job_file`) with the line of what is wrong."""
    return parse_job(read_bytes(path), path.name or str(path))


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, at most one more than a job file may have; raises JobFileError."""
    name = path.name or str(path)
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except IsADirectoryError as error:
        raise _refuse(name, "is a folder", "name the file in it") from error
    except FileNotFoundError as error:
        raise _refuse(name, "there is no such file", "check the path") from error
    except OSError as error:
        raise _refuse(name, f"cannot be read ({error.strerror})", "check its permissions") from error
    except ValueError as error:
        raise _refuse(ascii(name), "is no path of a file", "check the path") from error


def parse_job(data: bytes, name: str = "job.yaml", verbatim: frozenset[str] = _VERBATIM) -> LoadedJob:
    """Return the job in the bytes of a file; raises JobFileError with the line of what is wrong.

    Numbers and the like right below a pointer in `verbatim` stay the text they were written as.
    """
    if len(data) > MOST_BYTES:
        message = f"is larger than {MOST_BYTES >> 20} MiB"
        raise _refuse(name, message, "a job file is about a page; put data in files in workdir")
    text = _decode(data, name)
    if text.startswith("#!") and "\n#SBATCH" in text:
        hint = "`hutong import sbatch FILE` makes a job file of it"
        raise _refuse(name, "is a batch script of Slurm", hint, line=1)
    try:
        document, positions = compose(text, verbatim)
    except BadYaml as error:
        raise JobFileError(name, (error.problem,)) from error
    if document is None:
        raise _refuse(name, "is empty", "the least job is one line: run: python train.py", line=1)
    if not isinstance(document, dict):
        at = positions.get("", Position(1, 1))
        kind = "a list" if isinstance(document, list) else "a single value"
        hint = "keys and values, like run: python train.py"
        raise JobFileError(
            name, (FileProblem(at.line, at.column, "", f"a job is a mapping, this is {kind}", hint),)
        )
    given = document.get("name")
    return LoadedJob(document, positions, given if isinstance(given, str) and given else _name_from(name))


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8 text: byte 0x{data[error.start]:02x}"
        raise _refuse(name, message, "a job file is plain text; save it as UTF-8", line=line) from error


def _refuse(name: str, message: str, hint: str, line: int = 0) -> JobFileError:
    return JobFileError(name, (FileProblem(line, 1 if line else 0, "", message, hint),))


def _name_from(file: str) -> str:
    """Return a job's name made from its file's: `my job.yaml` is `my-job`."""
    return _NOT_NAME.sub("-", Path(file).stem).strip("-")[:63].strip("-") or "job"


def override(
    document: Mapping[str, object],
    *,
    envs: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    name: str = "",
    num_nodes: int | None = None,
    accelerators: str = "",
) -> dict[str, object]:
    """Return a copy of the document with what the command line says in place of what the file says.

    `envs` are `KEY=VALUE`, or `KEY` alone to take the value from `environ`. Raises Refused `bad_option`.
    """
    changed = dict(document)
    if name:
        changed["name"] = name
    if num_nodes is not None:
        changed.pop("nodes", None)
        changed["num_nodes"] = num_nodes
    if accelerators:
        below = changed.get("resources")
        kept = dict(below) if isinstance(below, dict) else {}
        for key in ("any_of", "ordered"):
            kept.pop(key, None)
        changed["resources"] = {**kept, "accelerators": accelerators}
    told = [_split(each, environ or {}) for each in envs]
    if told:
        before = changed.get("envs")
        if before is not None and not isinstance(before, dict):
            raise _refuse_option("/envs", "envs in the file is no mapping", "envs: {SEED: 1}")
        secrets = changed.get("secrets")
        for key, _ in told:
            if isinstance(secrets, dict | list) and key in secrets:
                hint = "store the value under that name: it must not travel in envs"
                raise _refuse_option(extend("/envs", key), f"{key} is a secret of this job", hint)
        changed["envs"] = {**(before or {}), **dict(told)}
    return changed


def _split(option: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return name and value of a `--env`; the value may be a secret, so no message repeats it."""
    key, equals, value = option.partition("=")
    if not _ENV.fullmatch(key):
        raise _refuse_option("/envs", f"{key[:40]!r} is no name of a variable", "--env NAME=VALUE")
    if equals:
        return key, value
    if key not in environ:
        hint = f"--env {key}=VALUE, or set {key} before"
        raise _refuse_option(extend("/envs", key), f"{key} is not set here", hint)
    return key, environ[key]


def _refuse_option(path: str, message: str, hint: str) -> Refused:
    return Refused("bad_option", f"--env: {message}: {hint}", (Problem(path, message, hint),))


def locate(problems: Iterable[Said], positions: Mapping[str, Position]) -> tuple[FileProblem, ...]:
    """Return the problems with their lines, in the order of the file.

    A pointer that the file does not have (a missing key, say) stands where its nearest parent does.
    """
    found = []
    for problem in problems:
        path = problem.path
        while path and path not in positions:
            path = parent(path)
        at = positions.get(path, Position(0, 0))
        found.append(FileProblem(at.line, at.column, problem.path, problem.message, problem.hint))
    return tuple(sorted(found, key=lambda each: (each.line, each.column)))
