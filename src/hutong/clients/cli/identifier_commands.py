"""Commands about identifiers of centres, sites and pools."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.wire import centres as w

group = typer.Typer(help="Identifiers of centres, sites and pools.", no_args_is_help=True)
Name = Annotated[
    str, typer.Argument(metavar="IDENTIFIER", help="SCHEME:CODE, or a code of ours.", show_default=False)
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept.", show_default=False)]


@group.command("register")
def register(
    subject: Annotated[str, typer.Argument(help="centre/ID, site/ID or pool/SITE/POOL.", show_default=False)],
    scheme: Annotated[str, typer.Option("--scheme", help="Of `hutong identifiers schemes`.")] = "hutong",
    code: Annotated[str, typer.Option("--code", help="The code that another registry assigned.")] = "",
    holder: Annotated[str, typer.Option("--holder", help="Who answers for it.")] = "",
    as_json: Json = False,
) -> None:
    """Register an identifier; the one that a subject has already is told again (operators).

    Example: hutong identifiers register centre/shangzhuang --holder 'Beijing Energy Holding'
    """
    with connect() as client:
        wanted = build(w.NewIdentifier, subject=subject, scheme=scheme, code=code, holder=holder)
        found = client.identifiers.register(wanted)
    show_json(found) if as_json else say(found.id)


@group.command("resolve")
def resolve(identifier: Name, as_json: Json = False) -> None:
    """Say what an identifier stands for, who holds it, and what happened to it.

    Example: hutong identifiers resolve HT-C-00000001-N
    """
    with connect() as client:
        found = client.identifiers.resolve(identifier)
    if as_json:
        show_json(found)
        return
    say(f"{found.id}  {found.subject}  {found.name}  {found.region}  {found.state}")
    if found.successor:
        say(f"its place was taken by {found.successor}")
    for each in found.events:
        say(f"  {local(each.at)}  {each.what}, held by {each.holder or 'nobody'}  {each.reason}")


@group.command("list")
def list_identifiers(
    subject: Annotated[str, typer.Option("--subject", help="Of one subject only.")] = "",
    as_json: Json = False,
) -> None:
    """List identifiers, those that are retired too.

    Example: hutong identifiers list --subject centre/shangzhuang
    """
    with connect() as client:
        found = list(client.identifiers.list(subject=subject))
    if as_json:
        show_json(found)
        return
    rows = ((each.id, each.subject, each.name, each.holder, each.state) for each in found)
    rows_of(table("identifier", "subject", "name", "holder", "state"), rows, "no identifiers")


@group.command("schemes")
def list_schemes(as_json: Json = False) -> None:
    """List the schemes that are installed.

    Example: hutong identifiers schemes
    """
    with connect() as client:
        found = client.identifiers.schemes()
    if as_json:
        show_json(found)
        return
    rows = ((each.name, "made here" if each.issues else "given", each.about) for each in found.items)
    rows_of(table("scheme", "codes", "form"), rows, "none")


@group.command("transfer")
def transfer(
    identifier: Name,
    to: Annotated[str, typer.Option("--to", help="Who is to hold it.", show_default=False)],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Give an identifier to another holder (operators).

    Example: hutong identifiers transfer HT-C-00000001-N --to 'New operator' --reason 'sold'
    """
    with connect() as client:
        found = client.identifiers.transfer(identifier, to, reason)
    show_json(found) if as_json else say(f"{found.id} is held by {found.holder}")


@group.command("retire")
def retire(
    identifier: Name,
    reason: Reason,
    successor: Annotated[str, typer.Option("--successor", help="The identifier in its place.")] = "",
    as_json: Json = False,
) -> None:
    """Put an identifier out of use for ever; it still resolves (operators).

    Example: hutong identifiers retire HT-C-00000001-N --reason 'the centre is closed'
    """
    with connect() as client:
        found = client.identifiers.retire(identifier, reason, successor)
    show_json(found) if as_json else say(f"{found.id} is retired")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="identifiers", rich_help_panel="Operators")
