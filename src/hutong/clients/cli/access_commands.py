"""Commands about who may do what: roles, grants, and the review of all access."""

import csv
import sys
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table, warn
from hutong.wire import grants as g

ScopeOption = Annotated[
    str, typer.Option("--scope", "-s", help="platform, institution/NAME or project/NAME.")
]
PersonOption = Annotated[str, typer.Option("--person", "-u", help="Whose; else everybody's.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the audit.")]


def list_roles(as_json: Json = False) -> None:
    """List the roles that can be granted, with what each allows.

    Example: hutong access roles
    """
    with connect() as client:
        found = list(client.access.roles())
    if as_json:
        show_json(found)
        return
    rows = [(each.name, "" if each.shipped else "defined here", " ".join(each.permissions)) for each in found]
    rows_of(table("role", "origin", "permissions"), rows, "no roles")


def define_role(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits, dashes.")],
    permissions: Annotated[list[str], typer.Argument(help="Such as job.read bill.read.")],
    title: Annotated[str, typer.Option("--title", help="What it is for.")] = "",
    as_json: Json = False,
) -> None:
    """Define a role (operators). It is never changed later: what was granted stays what it was.

    Example: hutong access define bookkeeper bill.read project.read
    """
    wanted = build(g.NewRole, name=name, permissions=tuple(permissions), title=title)
    with connect() as client:
        made = client.access.define(wanted)
    show_json(made) if as_json else say(f"role {made.name} allows {' '.join(made.permissions)}")


def list_grants(scope: ScopeOption = "", person: PersonOption = "", as_json: Json = False) -> None:
    """List grants: of a scope, of a person, or all that you may see.

    Example: hutong access grants --scope institution/cau
    """
    with connect() as client:
        found = list(client.access.grants(scope=scope or None, person=person or None))
    show_json(found) if as_json else _show(found)


def give(
    person: Annotated[str, typer.Argument(help="Who.", show_default=False)],
    role: Annotated[str, typer.Argument(help="A role: see `hutong access roles`.", show_default=False)],
    scope: Annotated[str, typer.Argument(help="platform, institution/NAME or project/NAME.")],
    reason: ReasonOption,
    starts: Annotated[str, typer.Option("--from", help="RFC 3339; now by default.")] = "",
    ends: Annotated[str, typer.Option("--to", help="RFC 3339; without end by default.")] = "",
    as_json: Json = False,
) -> None:
    """Give somebody a role in a scope for a time. Nobody gives what they do not hold there.

    Example: hutong access grant li institution-admin institution/cau --reason "head of computing"
    """
    wanted = build(
        g.NewGrant,
        person=person,
        role=role,
        scope=scope,
        reason=reason,
        starts=starts or None,
        ends=ends or None,
    )
    with connect() as client:
        made = client.access.grant(wanted)
    show_json(made) if as_json else _show([made])


def revoke(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Its id.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Take a grant away; it ends within five seconds.

    Example: hutong access revoke institution.cau.01jd0000000000000000000000
    """
    with connect() as client:
        client.access.revoke(grant)
    show_json({"id": grant}) if as_json else say(f"{grant} is taken away")


def impersonate(
    person: Annotated[str, typer.Argument(help="Whose view.", show_default=False)],
    reason: ReasonOption,
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=60, help="For how long.")] = 30,
    as_json: Json = False,
) -> None:
    """Print a token that reads as somebody and can change nothing (support). The audit tells of it.

    In the portal, give it in place of the password; on the command line, `hutong login --token`.
    Example: hutong access impersonate li --reason "ticket 4711: sees no jobs"
    """
    wanted = build(g.NewView, person=person, reason=reason, minutes=minutes)
    with connect() as client:
        made = client.access.view_as(wanted)
    if as_json:
        show_json(made)
    else:
        say(made.secret or "")
        warn(f"reads as {person} until {local(made.expires)}, and can change nothing")


def review(
    institution: Annotated[str, typer.Option("--institution", help="Only its people.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values on stdout.")] = False,
    as_json: Json = False,
) -> None:
    """List what everybody holds: grants, memberships and operators, with age, end and last activity.

    Example: hutong access review --csv
    """
    with connect() as client:
        found = list(client.access.review(institution=institution or None))
    if as_json:
        show_json(found)
    elif as_csv:
        fields = tuple(g.Reviewed.model_fields)
        writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in each.model_dump().items()} for each in found)
    else:
        columns = ("person", "role", "scope", "source", ">age, days", "until", "last active", "state")
        rows = [
            (
                each.person,
                each.role,
                each.scope,
                each.source,
                "" if each.age_days is None else str(each.age_days),
                local(each.ends),
                local(each.active),
                each.state,
            )
            for each in found
        ]
        rows_of(table(*columns), rows, "nobody holds anything")


def _cell(value: object) -> object:
    """Keep a spreadsheet from taking what somebody typed for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _show(found: list[g.Grant]) -> None:
    rows = [
        (each.person, each.role, each.scope, local(each.ends) or "without end", each.state, each.by, each.id)
        for each in found
    ]
    rows_of(table("person", "role", "scope", "until", "state", "given by", "id"), rows, "no grants")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Who may do what, where and until when.", no_args_is_help=True)
    group.command("roles")(list_roles)
    group.command("define")(define_role)
    group.command("grants")(list_grants)
    group.command("grant")(give)
    group.command("revoke")(revoke)
    group.command("impersonate")(impersonate)
    group.command("review")(review)
    app.add_typer(group, name="access", rich_help_panel="Operators")
