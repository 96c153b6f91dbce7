"""Commands about models: register, list, look, download, serve."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import JobArgument, Json, ProjectOption, connect, find_job, project_of
from hutong.clients.cli.terminal import console, local, money, rows_of, say, show_json, size, state, table
from hutong.clients.sdk.client import Client
from hutong.core.kernel.errors import Broken, Later, NotFound, Problem, Refused
from hutong.wire.models import Deployment, Model, NewDeployment, NewModel

ModelArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="NAME for its newest version, or NAME/VERSION.", show_default=False),
]
ANY_PROJECT = Annotated[str, typer.Option("--project", "-p", help="Whose, where several have that name.")]
READY_WITHIN_S = 300.0
LOOK_EVERY_S = 0.5


def find_model(client: Client, text: str, project: str = "") -> Model:
    """Return the version that `NAME`, `NAME/VERSION` or `PROJECT/NAME/VERSION` means."""
    parts = text.split("/")
    if len(parts) == 3:
        project, parts = parts[0], parts[1:]
    name, version = parts[0], parts[1] if len(parts) > 1 else ""
    if len(parts) > 2 or not name or (version and not (version.isascii() and version.isdigit())):
        problem = Problem("", f"{text!r} names no model", "NAME, or NAME/VERSION such as tiny-llm/2")
        raise Refused("bad_model", "which model?", (problem,))
    if version:
        return client.models.get(name, int(version), project=project or None)
    newest = max(
        client.models.versions(name, project=project or None), key=lambda each: each.version, default=None
    )
    if newest is None:
        raise NotFound("no_model", f"there is no model {name!r}")
    return newest


def register(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    job: JobArgument,
    path: Annotated[str, typer.Option("--path", help="The folder in the job's outputs.")] = "model",
    project: ProjectOption = "",
    as_json: Json = False,
) -> None:
    """Make a model's next version out of the files that a job left.

    Example: hutong models register tiny-llm last
    """
    with connect() as client:
        source = find_job(client, job)
        owner = project or client.jobs.get(source).project
        made = client.models.register(build(NewModel, name=name, project=owner, job=source, path=path))
    show_json(made) if as_json else say(
        f"{made.id}: {len(made.files)} files, {size(made.size_bytes)}, {made.digest}"
    )


def list_models(
    project: Annotated[str, typer.Option("--project", "-p", help="Only this project's.")] = "",
    as_json: Json = False,
) -> None:
    """List models, each with its newest version.

    Example: hutong models list
    """
    with connect() as client:
        found = list(client.models.list(project=project or None))
    if as_json:
        show_json(found)
        return
    made = table("model", ">size", "trained on", "made", "by")
    rows = (
        (
            each.id,
            size(each.size_bytes),
            f"{each.lineage.site}, {each.lineage.accelerator}",
            local(each.created),
            each.by,
        )
        for each in found
    )
    rows_of(made, rows, "no models")


def show(model: ModelArgument, project: ANY_PROJECT = "", as_json: Json = False) -> None:
    """Show a version of a model: its files, and where it comes from.

    Example: hutong models show tiny-llm
    """
    with connect() as client:
        found = find_model(client, model, project)
    if as_json:
        show_json(found)
        return
    line = found.lineage
    say(f"{found.id}  {size(found.size_bytes)}  {found.digest}")
    say(f"from job {line.job}, attempt {line.attempt}, at {line.site} on {line.accelerator}")
    for title, said in (("corpus", line.corpus), ("training", line.training)):
        for name, value in said.items():
            say(f"  {title} {name}: {value}")
    rows_of(
        table("file", ">size", "digest"),
        ((f.path, size(f.size_bytes), f.digest[:23]) for f in found.files),
        "",
    )


def download(
    model: ModelArgument,
    into: Annotated[Path, typer.Option("--to", help="The folder to fill; made if missing.")] = Path(),
    project: ANY_PROJECT = "",
    as_json: Json = False,
) -> None:
    """Download a version's files, each checked against its digest.

    Example: hutong models download tiny-llm --to ./tiny-llm
    """
    with connect() as client:
        found = find_model(client, model, project)
        folder = into / f"{found.name}-{found.version}" if into == Path() else into
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console(stderr=True),
            disable=as_json,
        )  # fmt: skip
        with bar:
            task = bar.add_task(found.id, total=found.size_bytes)
            for file in found.files:
                _fetch(client, found, file.path, file.digest, folder, lambda count: bar.advance(task, count))
    document = {"model": found.id, "folder": str(folder), "files": len(found.files)}
    show_json(document) if as_json else say(f"{len(found.files)} files in {folder}")


def _fetch(
    client: Client, model: Model, path: str, digest: str, folder: Path, note: Callable[[int], None]
) -> None:
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise Broken(f"the platform names a file outside of the model: {path!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft, hashed = target.with_name(f"{target.name}.part"), hashlib.sha256()
    with draft.open("wb") as file:
        for piece in client.models.download(model.name, model.version, path, project=model.project):
            file.write(piece)
            hashed.update(piece)
            note(len(piece))
    if f"sha256:{hashed.hexdigest()}" != digest:
        draft.unlink()
        raise Later(f"{path} did not arrive whole: its digest is not {digest}; try again")
    draft.replace(target)


def deploy(
    model: ModelArgument,
    accelerators: Annotated[
        str, typer.Option("--accelerators", "-a", help="Such as Ascend910B:1.")
    ] = "CPU:1",
    name: Annotated[str, typer.Option("--name", help="Callers name it PROJECT/NAME; else the model's.")] = "",
    project: ProjectOption = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it can be called.")] = True,
    as_json: Json = False,
) -> None:
    """Serve a model behind the gateway.

    Example: hutong deploy tiny-llm --accelerators Ascend910B:1
    """
    card, _, count = accelerators.partition(":")
    if not card or not (count or "1").isdigit():
        raise Refused(
            "bad_option", f"{accelerators!r} is no accelerator", (Problem("", "such as Ascend910B:1"),)
        )
    with connect() as client:
        found = find_model(client, model)
        wanted = build(
            NewDeployment, name=name or found.name, project=project or found.project, model=found.id,
            accelerators={card: int(count or 1)},
        )  # fmt: skip
        now = client.deployments.create(wanted)
        if wait:
            with console(stderr=True).status(f"{now.call_as} starts"):
                now = wait_ready(client, now)
    show_json(now) if as_json else say(f"{now.call_as} is {now.state} (job {now.job})")
    if now.state == "FAILED":
        raise typer.Exit(1)


def wait_ready(client: Client, deployment: Deployment, within_s: float = READY_WITHIN_S) -> Deployment:
    """Return the deployment once it is ready or has ended; raises Later if that takes too long."""
    deadline = time.monotonic() + within_s
    while deployment.state == "STARTING":
        if time.monotonic() > deadline:
            raise Later(f"{deployment.call_as} is still starting; `hutong logs {deployment.job}` may say why")
        time.sleep(LOOK_EVERY_S)
        deployment = client.deployments.get(deployment.project, deployment.name)
    return deployment


def deployments(
    project: Annotated[str, typer.Option("--project", "-p", help="Only this project's.")] = "",
    as_json: Json = False,
) -> None:
    """List what is being served.

    Example: hutong deployments
    """
    with connect() as client:
        found = list(client.deployments.list(project=project or None))
    if as_json:
        show_json(found)
        return
    made = table("call as", "state", "model", ">in", ">out", "since")
    rows = (
        (each.call_as, state(each.state), each.model, money(each.price_in_per_million),
         money(each.price_out_per_million), local(each.created))
        for each in found
    )  # fmt: skip
    rows_of(made, rows, "nothing is being served")


def undeploy(
    name: Annotated[str, typer.Argument(metavar="NAME")], project: ProjectOption = "", as_json: Json = False
) -> None:
    """Stop serving.

    Example: hutong undeploy tiny-llm
    """
    with connect() as client:
        owner, _, short = name.rpartition("/")
        owner = owner or project_of(client, project)
        client.deployments.remove(owner, short)
    show_json({"project": owner, "name": short}) if as_json else say(f"{owner}/{short} is asked to stop")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Models: versions of files with where they come from.", no_args_is_help=True)
    for name, verb in (("register", register), ("list", list_models), ("show", show), ("download", download)):
        group.command(name)(verb)
    app.add_typer(group, name="models", rich_help_panel="Models")
    for served in (deploy, deployments, undeploy):
        app.command(rich_help_panel="Models")(served)
