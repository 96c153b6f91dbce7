"""Commands about tokens: of people, and of the service accounts of projects."""

from collections.abc import Iterable
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import IdArgument, build, group, revoke_key
from hutong.clients.cli.session import Json, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.wire import accounts as a

Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", "-s", help="A permission it is narrowed to, such as job.read; repeat for more."),
]
Days = Annotated[int, typer.Option("--days", min=1, max=366, help="Valid for so long.")]
AccountOption = Annotated[
    str, typer.Option("--service-account", "-a", help="Of this service account instead of you.")
]


def create_token(
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    scopes: Scopes = None,
    days: Days = 90,
    account: AccountOption = "",
    project: ProjectOption = "",
    as_json: Json = False,
) -> None:
    """Make a token of yours, or of a service account; it is shown once.

    Example: hutong token create laptop --scope job.read --scope job.submit

    Example: hutong token create nightly --service-account ci --project weather --days 30
    """
    given = {"name": name, "days": days, "scopes": tuple(scopes or ())}
    with connect() as client:
        if account:
            wanted = build(a.NewServiceToken, **given)
            made = client.service_accounts.create_token(project_of(client, project), account, wanted)
        else:
            made = client.tokens.create(build(a.NewToken, kind="person", **given))
    show_json(made) if as_json else say(made.secret or "")


def list_tokens(account: AccountOption = "", project: ProjectOption = "", as_json: Json = False) -> None:
    """List your tokens, or a service account's, with when each was last used.

    Example: hutong token list --service-account ci --project weather
    """
    with connect() as client:
        if account:
            found = list(client.service_accounts.list_tokens(project_of(client, project), account))
        else:
            found = list(client.tokens.list())
    show_json(found) if as_json else _show(found)


def _show(tokens: Iterable[a.Token]) -> None:
    made = table("id", "name", "kind", "scopes", "expires", "last used")
    rows = (
        (
            each.id,
            each.name,
            each.kind,
            ", ".join(each.scopes) or "all",
            local(each.expires),
            local(each.last_used) if each.last_used else "",
        )
        for each in tokens
    )
    rows_of(made, rows, "no tokens")


def create_account(
    name: IdArgument,
    title: Annotated[str, typer.Option("--title", help="What it is for.")] = "",
    project: ProjectOption = "",
    as_json: Json = False,
) -> None:
    """Make a service account: a program that acts in your project, whoever comes and goes.

    Example: hutong service-account create ci --project weather --title "Nightly training"
    """
    with connect() as client:
        made = client.service_accounts.set(project_of(client, project), name, title or name)
    show_json(made) if as_json else say(f"service account {made.name} of {made.project}: {made.title}")


def list_accounts(project: ProjectOption = "", as_json: Json = False) -> None:
    """List a project's service accounts.

    Example: hutong service-account list --project weather
    """
    with connect() as client:
        found = list(client.service_accounts.list(project_of(client, project)))
    if as_json:
        show_json(found)
        return
    rows = ((each.name, each.title, each.made_by, local(each.made)) for each in found)
    rows_of(table("name", "what for", "made by", "made"), rows, "no service accounts")


def remove_account(name: IdArgument, project: ProjectOption = "", as_json: Json = False) -> None:
    """End a service account and all its tokens; its jobs go on.

    Example: hutong service-account remove ci --project weather
    """
    with connect() as client:
        owner = project_of(client, project)
        client.service_accounts.remove(owner, name)
    show_json({"project": owner, "name": name}) if as_json else say(f"{name} and its tokens are ended")


def revoke_token(token: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """End a token at once.

    Example: hutong token revoke 01K2ABCDEFGHJKMNPQRSTVWXYZ
    """
    revoke_key(token, as_json)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group(
        app, "token", "Tokens that act as you or as a service account.", "You",
        create=create_token, list=list_tokens, revoke=revoke_token,
    )  # fmt: skip
    group(
        app, "service-account", "Programs that act in a project.", "You",
        create=create_account, list=list_accounts, remove=remove_account,
    )  # fmt: skip
