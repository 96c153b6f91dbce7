"""Commands that take a job file: run it, or say what would happen."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hutong.clients.cli import given
from hutong.clients.cli.arrays import count_of, follow_array, succeeded
from hutong.clients.cli.progress import View
from hutong.clients.cli.receipts import show_check
from hutong.clients.cli.session import Json, JsonLines, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import console, say, show_json, size, warn
from hutong.clients.cli.watch import LogLine, watch
from hutong.clients.sdk.bundle import find_workdir, pack, with_bundle
from hutong.clients.sdk.client import Client
from hutong.clients.sdk.jobfile import LoadedJob, load_job, locate, override
from hutong.clients.sdk.yaml_tree import JobFileError
from hutong.core.kernel.arrays import read_array
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.wire.arrays import JobArray
from hutong.wire.jobs import Fact, Job

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A job file (YAML).", show_default=False)]
EnvOption = Annotated[
    list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE, or NAME to pass this shell's value on.")
]
SecretOption = Annotated[
    list[str] | None, typer.Option("--secret", help="The name of a stored secret the job shall see.")
]


def run(
    file: FileArgument,
    env: EnvOption = None,
    secret: SecretOption = None,
    array: Annotated[
        str | None,
        typer.Option("--array", "-a", help="Submit an array, a job for each index: like 0-99 or 0-99%10."),
    ] = None,
    project: ProjectOption = "",
    detach: Annotated[bool, typer.Option("--detach/--follow", "-d", help="Submit and return.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Submit a job file and follow the job; Ctrl-C leaves the job running.

    JSON: one document with --detach; else lines, each an object with one key: job, fact or log, or array.

    Example: hutong run examples/train-tiny-llm.yaml --env STEPS=200

    Example: hutong run sweep.yaml --array 0-99
    """
    loaded, document = read_job(file, env or (), secret or (), array)
    with connect() as client:
        payer = project_of(client, project)
        if document.get("array") is not None:
            with located(file, loaded):
                made = client.jobs.submit_array(payer, packed(client, file, document))
            _after(client, made, detach=detach, as_json=as_json)
            return
        with located(file, loaded):
            job = client.jobs.submit(payer, packed(client, file, document))
        if detach:
            show_json(job) if as_json else say(job.id)
            return
        try:
            final = follow_json(client, job) if as_json else follow(client, job)
        except KeyboardInterrupt:
            warn(f"\nthe job goes on; `hutong logs {job.id} -f` shows it, `hutong cancel {job.id}` stops it")
            raise typer.Exit(130) from None
    if final.state != "SUCCEEDED":
        raise typer.Exit(1)


def _after(client: Client, made: JobArray, *, detach: bool, as_json: bool) -> None:
    """Say which array was made, and follow it unless that is not wanted."""
    if detach:
        show_json(made) if as_json else say(made.id)
        return
    if not as_json:
        say(f"submitted array {made.id}: {made.jobs} jobs ({made.name}) in project {made.project}")
    try:
        final = follow_array(client, made.id, as_json=as_json)
    except KeyboardInterrupt:
        warn(f"\nthe jobs go on; `hutong jobs --array {made.id} --follow` waits for them")
        warn(f"`hutong cancel {made.id}` stops them")
        raise typer.Exit(130) from None
    if not succeeded(final):
        raise typer.Exit(1)


def check(
    file: FileArgument,
    env: EnvOption = None,
    secret: SecretOption = None,
    project: ProjectOption = "",
    as_json: Json = False,
) -> None:
    """Say what would happen to a job file: where it would go, why not elsewhere, what it could cost.

    Example: hutong check examples/train-tiny-llm.yaml
    """
    loaded, document = read_job(file, env or (), secret or ())
    with connect() as client:
        payer = project_of(client, project)
        if find_workdir(document, file) is not None:
            del document["workdir"]  # its content does not change the answer, and nothing is stored
        with located(file, loaded):
            found = client.jobs.check(payer, document)
    if as_json:
        show_json(found)
    else:
        show_check(found, console())
        note_array(document)


def note_array(document: dict[str, Any]) -> None:
    """Say that what was said of one job is so of each of an array."""
    if (jobs := count_of(document)) > 1:
        say(f"that is of one job; the array has {jobs}")


def read_job(
    file: Path, envs: Sequence[str], secrets: Sequence[str], array: str | None = None
) -> tuple[LoadedJob, dict[str, Any]]:
    """Return a job file as read, and its document with what the command line adds."""
    try:
        loaded = load_job(file)
    except JobFileError as error:
        raise JobFileError(str(file), error.file_problems) from error
    document: dict[str, Any] = override(loaded.document, envs=envs, environ=os.environ)
    document.setdefault("name", loaded.name)
    if array is not None:  # empty is a mistake, such as a variable of the shell that is not set
        document["array"] = _asked_array(array)
    if secrets:
        there = document.get("secrets") or []
        if not isinstance(there, list | dict):
            raise Refused(
                "bad_option", "secrets in the file is no list", (Problem("/secrets", "a list of names"),)
            )
        if isinstance(there, dict):  # a value that stands in the file must reach the check that refuses it
            document["secrets"] = {**dict.fromkeys(secrets), **there}
        else:
            document["secrets"] = list(dict.fromkeys([*there, *secrets]))
    away = {"workdir"} if find_workdir(document, file) is not None else set()
    with located(file, loaded):
        given.check_job({key: value for key, value in document.items() if key not in away})
    return loaded, document


def _asked_array(text: str) -> str:
    """Return what `--array` says; what is wrong with it stands in no line of the file."""
    try:
        read_array(text)
    except Refused as error:
        (problem,) = error.problems
        raise Refused("bad_option", f"--array: {problem.message}", (Problem("", problem.hint),)) from error
    return text


def packed(client: Client, file: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with its local work folder packed and stored at the platform."""
    folder = find_workdir(document, file)
    if folder is None:
        return document
    with console(stderr=True).status(f"packing {folder}"):
        bundle = pack(folder)
    try:
        try:
            client.objects.check(bundle.digest)
        except NotFound:
            with console(stderr=True).status(f"sending {bundle.files} files, {size(bundle.size_bytes)}"):
                client.objects.put(bundle.digest, bundle.path)
    finally:
        bundle.path.unlink(missing_ok=True)
    return with_bundle(document, bundle)


@contextmanager
def located(file: Path, loaded: LoadedJob) -> Iterator[None]:
    """Say of the platform's problems with a job's document on which line of its file they stand."""
    try:
        yield
    except Refused as error:
        ours = [
            Problem(each.path.removeprefix("/spec"), each.message, each.hint)
            for each in error.problems
            if each.path.startswith("/spec") or error.code == "bad_spec"
        ]
        if not ours:
            raise
        raise JobFileError(str(file), locate(ours, loaded.positions)) from error


def follow(client: Client, job: Job) -> Job:
    """Show a job until it is over; return it then."""
    screen = console()
    screen.print(Text.assemble("submitted ", (job.id, "bold"), f" ({job.name}) in project {job.project}"))
    with View(screen, job.name) as view:
        for item in watch(client, job.id):
            view.show(item)
    final = client.jobs.get(job.id)
    style = "bold green" if final.state == "SUCCEEDED" else "bold red"
    reason = f": {final.reason}" if final.reason else ""
    screen.print(Text(f"{final.state}{reason}", style))
    screen.print(
        Text(f"`hutong receipt {job.id}` says why there, `hutong bill {job.id}` what it cost", "dim")
    )
    return final


def follow_json(client: Client, job: Job) -> Job:
    """Write a job's story as JSON lines; return the job when it is over."""
    show_json({"job": job.model_dump(mode="json")})
    for item in watch(client, job.id):
        if isinstance(item, LogLine):
            show_json({"log": {"attempt": item.attempt, "rank": 0, "text": item.text}})
        elif isinstance(item, Fact):
            show_json({"fact": item.model_dump(mode="json")})
        else:
            show_json({"moving": item.model_dump(mode="json")})
    final = client.jobs.get(job.id)
    show_json({"job": final.model_dump(mode="json")})
    return final


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Jobs")(run)
    app.command(rich_help_panel="Jobs")(check)
