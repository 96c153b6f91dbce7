"""Commands about what is yours: gateway keys, and secrets of projects."""

import sys
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from hutong.clients.cli.session import Json, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire import accounts as a

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Lower case letters, digits, dashes.", show_default=False)
]


def read_hidden(what: str) -> str:
    """Return a secret from standard input, or ask for it without showing it; never from the command line."""
    if sys.stdin.isatty():
        text = str(typer.prompt(what, hide_input=True, err=True))
    else:
        text = sys.stdin.read().removesuffix("\n")
    if not text:
        raise Refused("bad_secret", f"{what}: nothing was given")
    return text


def build(shape: type[Any], **fields: object) -> Any:  # noqa: ANN401 - as many shapes as commands
    """Return a shape of what was typed; raises Refused that names what is wrong."""
    try:
        return shape.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as err:
        problems = tuple(Problem("/".join(map(str, each["loc"])), each["msg"]) for each in err.errors())
        raise Refused("bad_input", "that cannot be used", problems) from err


def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    project: ProjectOption = "",
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="Valid for so long.")] = 90,
    as_json: Json = False,
) -> None:
    """Make a gateway key of a project: it may ask the project's models, nothing else. It is shown once.

    Example: hutong key create chatbot --project weather
    """
    with connect() as client:
        wanted = build(a.NewToken, name=name, kind="key", project=project_of(client, project), days=days)
        made = client.tokens.create(wanted)
    show_json(made) if as_json else say(made.secret or "")


def list_keys(as_json: Json = False) -> None:
    """List your tokens and keys, without their secrets.

    Example: hutong key list
    """
    with connect() as client:
        found = list(client.tokens.list())
    if as_json:
        show_json(found)
        return
    made = table("id", "name", "kind", "project", "expires")
    rows_of(
        made,
        ((each.id, each.name, each.kind, each.project, local(each.expires)) for each in found),
        "no keys",
    )


def revoke_key(token: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """End a token or key at once.

    Example: hutong key revoke 01K2ABCDEFGHJKMNPQRSTVWXYZ
    """
    with connect() as client:
        client.tokens.revoke(token)
    show_json({"id": token}) if as_json else say(f"{token} is no longer valid")


SecretArgument = Annotated[str, typer.Argument(metavar="NAME", help="An environment variable's name.")]


def set_secret(name: SecretArgument, project: ProjectOption = "", as_json: Json = False) -> None:
    """Store a secret; its value is asked for, or read from standard input.

    Example: hutong secret set WANDB_API_KEY < key.txt
    """
    value = read_hidden(name)
    with connect() as client:
        owner = project_of(client, project)
        client.secrets.set(owner, name, value)
    show_json({"project": owner, "name": name}) if as_json else say(f"{name} is stored for {owner}")


def list_secrets(project: ProjectOption = "", as_json: Json = False) -> None:
    """List the names of a project's secrets; values never come out.

    Example: hutong secret list
    """
    with connect() as client:
        found = list(client.secrets.list(project_of(client, project)))
    if as_json:
        show_json(found)
        return
    rows_of(table("name", "changed"), ((each.name, local(each.updated)) for each in found), "no secrets")


def remove_secret(name: SecretArgument, project: ProjectOption = "", as_json: Json = False) -> None:
    """Forget a secret.

    Example: hutong secret remove WANDB_API_KEY
    """
    with connect() as client:
        owner = project_of(client, project)
        client.secrets.remove(owner, name)
    show_json({"project": owner, "name": name}) if as_json else say(f"{name} is forgotten")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group(
        app,
        "key",
        "Keys for the models' gateway.",
        "You",
        create=create_key,
        list=list_keys,
        revoke=revoke_key,
    )
    group(
        app, "secret", "Secrets of a project, for its jobs.", "You",
        set=set_secret, list=list_secrets, remove=remove_secret,
    )  # fmt: skip


def group(app: typer.Typer, name: str, text: str, panel: str, **verbs: Any) -> None:  # noqa: ANN401 - any command
    """Add a group of commands."""
    made = typer.Typer(help=text, no_args_is_help=True)
    for verb, function in verbs.items():
        made.command(verb)(function)
    app.add_typer(made, name=name, rich_help_panel=panel)
