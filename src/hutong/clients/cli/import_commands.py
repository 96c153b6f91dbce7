"""Commands that turn what users have into job files: batch scripts of Slurm, configurations of dstack."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hutong.clients.cli import given, run_commands
from hutong.clients.cli.session import Json
from hutong.clients.cli.terminal import console, say, show_json
from hutong.clients.sdk.importers.draft import Imported, Kept
from hutong.clients.sdk.importers.dstack import import_dstack
from hutong.clients.sdk.importers.sbatch import import_sbatch
from hutong.clients.sdk.jobfile import read_bytes
from hutong.clients.sdk.yaml_text import write_job
from hutong.clients.sdk.yaml_tree import FileProblem, JobFileError
from hutong.core.kernel.errors import Problem, Refused

OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="OUT", help="Where to write the job file; else stdout.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
AcceleratorOption = Annotated[
    list[str] | None,
    typer.Option("--accelerator", help="A card to take in place of the file's; several: any of them."),
]
_CARDS = "/resources/accelerators"
_STYLES = {Kept.SAME: "green", Kept.CHANGED: "yellow", Kept.LEFT_OUT: "red"}


def sbatch(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A batch script for sbatch.", show_default=False)
    ],
    out: OutOption = None,
    accelerator: AcceleratorOption = None,
    force: ForceOption = False,
    as_json: Json = False,
) -> None:
    """Turn a script for Slurm's sbatch into a job file; say on stderr what became of each line.

    The job file checks, or the script is refused with the lines that keep it from it. Nothing is submitted.

    Example: hutong import sbatch train.sh -o train.yaml

    Example: hutong import sbatch train.sh --accelerator Ascend910B --json
    """
    with _named(file):
        made = import_sbatch(
            read_bytes(file),
            file.name,
            catalogue=given.catalogue(),
            accelerators=accelerator or (),
            folder=_seen_from(out, Path.cwd()),
        )
    _give(made, file, out, force=force, as_json=as_json, command="sbatch")


def dstack(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A task or service of dstack (YAML).", show_default=False)
    ],
    out: OutOption = None,
    accelerator: AcceleratorOption = None,
    force: ForceOption = False,
    as_json: Json = False,
) -> None:
    """Turn a dstack task or service into a job file; say on stderr what became of each key.

    The job file checks, or the file is refused with the lines that keep it from it. Nothing is submitted.

    Example: hutong import dstack .dstack.yml -o job.yaml
    """
    with _named(file):
        made = import_dstack(
            read_bytes(file),
            file.name,
            catalogue=given.catalogue(),
            accelerators=accelerator or (),
            folder=_seen_from(out, file.parent),
        )
    _give(made, file, out, force=force, as_json=as_json, command="dstack")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Name the file in what is refused as the user did."""
    try:
        yield
    except JobFileError as error:
        raise JobFileError(str(file), error.file_problems) from error


def _seen_from(out: Path | None, folder: Path) -> str:
    """Return a folder as the job file must write it: relative to where the job file will lie."""
    return os.path.relpath(folder.resolve(), out.parent.resolve() if out else Path.cwd())


def _give(made: Imported, file: Path, out: Path | None, *, force: bool, as_json: bool, command: str) -> None:
    """Check the job, write it, and say what became of the file."""
    _check(made, file)
    name = "".join(letter if letter.isprintable() else "?" for letter in file.name)
    text = f"# Made of {name} by `hutong import {command}`.\n{write_job(made.job.document)}"
    if out is not None:
        _write(out, text, force=force)
    if as_json:
        notes = [asdict(note) for note in made.notes]
        document: dict[str, Any] = {"file": str(file), "out": str(out) if out else None}
        show_json({**document, "job": made.job.document, "yaml": text, "notes": notes})
        return
    _show_notes(made, file)
    if out is None:
        typer.echo(text, nl=False)
    else:
        say(f"wrote {out}: `hutong check {out}` says where it would go")


def _check(made: Imported, file: Path) -> None:
    """Raise JobFileError, with lines of the file that was imported, if the job would be refused."""
    document = {key: value for key, value in made.job.document.items() if key != "workdir"}
    try:
        with run_commands.located(file, made.job):
            given.check_job(document)
    except JobFileError as error:
        raise JobFileError(error.name, tuple(_with_hint(each) for each in error.file_problems)) from error


def _with_hint(problem: FileProblem) -> FileProblem:
    if not problem.path.startswith(_CARDS):
        return problem
    return replace(problem, hint=f"{problem.hint}; --accelerator NAME takes another".removeprefix("; "))


def _write(out: Path, text: str, *, force: bool) -> None:
    try:
        with out.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        problem = Problem("", f"{out} is there already", "another name, or --force")
        raise Refused("bad_option", "the job file was not written", (problem,)) from error
    except OSError as error:
        problem = Problem("", f"{out} cannot be written ({error.strerror})", "another place")
        raise Refused("bad_option", "the job file was not written", (problem,)) from error


def _show_notes(made: Imported, file: Path) -> None:
    screen = console(stderr=True)
    for note in made.notes:
        word = note.kind.value.replace("_", " ")
        place = (f"{file}:{note.line}: ", "bold")
        line = Text.assemble(
            place, (f"{word}: ", _STYLES[note.kind]), (note.source, "bold"), f": {note.message}"
        )
        screen.print(line, soft_wrap=True)
    number = Counter(note.kind for note in made.notes)
    told = (
        f"{number[Kept.SAME]} carried over, {number[Kept.CHANGED]} with a change in meaning,"
        f" {number[Kept.LEFT_OUT]} left out"
    )
    screen.print(Text(told, "dim"), soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Turn what you have into job files.", no_args_is_help=True)
    group.command()(sbatch)
    group.command()(dstack)
    app.add_typer(group, name="import", rich_help_panel="Jobs")
