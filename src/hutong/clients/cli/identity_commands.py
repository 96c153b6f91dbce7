"""Commands about identity providers (operators) and one's own identities."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import IdArgument, build, group, read_hidden
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.wire import accounts as a
from hutong.wire import identity as i


def set_issuer(
    name: IdArgument,
    url: Annotated[str, typer.Option("--url", help="The issuer, exactly as its tokens say it.")],
    client_id: Annotated[str, typer.Option("--client-id", help="Who the platform is there.")],
    institution: Annotated[str, typer.Option("--institution", "-i", help="New people belong to it.")],
    zh: Annotated[str, typer.Option("--zh", help="Its name in Chinese.")],
    en: Annotated[str, typer.Option("--en", help="Its name in English.")],
    name_claim: Annotated[str, typer.Option("--name-claim", help="The claim with people's names.")] = "name",
    creates: Annotated[bool, typer.Option("--create-people", help="Let in people not known yet.")] = False,
    multi_factor: Annotated[
        bool, typer.Option("--multi-factor", help="You vouch that it asks for a second factor.")
    ] = False,
    scim: Annotated[
        bool, typer.Option("--scim", help="Its subjects are the external ids of the directory (SCIM).")
    ] = False,
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="Read the client's secret.")] = False,
    as_json: Json = False,
) -> None:
    """Enter an OpenID Connect provider, or change it (operators). Tell it the two addresses printed.

    Example: hutong issuer set cau --url https://id.cau.edu.cn --client-id hutong -i cau --zh 农大 --en CAU
    """
    wanted = build(
        i.NewIssuer,
        url=url,
        client_id=client_id,
        secret=read_hidden("client secret").strip() if secret_stdin else None,
        institution=institution,
        name_zh=zh,
        name_en=en,
        name_claim=name_claim,
        creates=creates,
        multi_factor=multi_factor,
        scim=scim,
    )
    with connect() as client:
        made = client.issuers.set(name, wanted)
    if as_json:
        show_json(made)
        return
    say(f"issuer {made.id}: {made.url}")
    say(f"redirect URI             {made.redirect}")
    say(f"back-channel logout URI  {made.logout}")


def list_issuers(as_json: Json = False) -> None:
    """List the identity providers that one may sign in through.

    Example: hutong issuer list
    """
    with connect() as client:
        found = list(client.issuers.list())
    if as_json:
        show_json(found)
        return
    rows_of(table("id", "中文", "English"), ((each.id, each.name_zh, each.name_en) for each in found), "none")


def remove_issuer(name: IdArgument, as_json: Json = False) -> None:
    """Take an identity provider away (operators): nobody signs in through it any more.

    Example: hutong issuer remove cau
    """
    with connect() as client:
        client.issuers.remove(name)
    show_json({"id": name}) if as_json else say(f"nobody signs in through {name} any more")


def list_identities(as_json: Json = False) -> None:
    """List the identities that sign in as you; the portal's account page joins others.

    Example: hutong identity list
    """
    with connect() as client:
        found = list(client.identities.list())
    if as_json:
        show_json(found)
        return
    shown = ((each.id[:12], each.label, each.issuer, local(each.created)) for each in found)
    rows_of(table("id", "known there as", "issuer", "since"), shown, "only your password")


def remove_identity(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Its id, or how it begins.")],
    as_json: Json = False,
) -> None:
    """Part an identity from you: it does not sign in as you any more.

    Example: hutong identity remove 3f2a9c
    """
    with connect() as client:
        meant = [each.id for each in client.identities.list() if each.id.startswith(identity)]
        found = meant[0] if len(meant) == 1 else identity
        client.identities.remove(found)
    show_json({"id": found}) if as_json else say("it does not sign in as you any more")


def create_scim_token(
    institution: Annotated[str, typer.Argument(metavar="INSTITUTION")],
    name: Annotated[str, typer.Option("--name", help="Which directory it is for.")] = "directory",
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="Valid for so long.")] = 366,
    as_json: Json = False,
) -> None:
    """Make a token for an institution's directory (operators); it is shown once.

    Example: hutong scim token cau --days 366
    """
    with connect() as client:
        made = client.directories.create_token(institution, build(a.NewServiceToken, name=name, days=days))
    show_json(made) if as_json else say(made.secret or "")


def list_scim_tokens(
    institution: Annotated[str, typer.Argument(metavar="INSTITUTION")], as_json: Json = False
) -> None:
    """List the tokens of an institution's directory (operators); `hutong token revoke` ends one.

    Example: hutong scim tokens cau
    """
    with connect() as client:
        found = list(client.directories.list_tokens(institution))
    if as_json:
        show_json(found)
        return
    rows = (
        (each.id, each.name, local(each.expires), local(each.last_used) if each.last_used else "")
        for each in found
    )
    rows_of(table("id", "name", "expires", "last used"), rows, "no tokens")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group(
        app, "issuer", "Identity providers: OpenID Connect (operators).", "Operators",
        set=set_issuer, list=list_issuers, remove=remove_issuer,
    )  # fmt: skip
    group(
        app, "scim", "Directories that provision people (operators).", "Operators",
        token=create_scim_token, tokens=list_scim_tokens,
    )  # fmt: skip
    group(
        app, "identity", "What signs in as you.", "You", list=list_identities, remove=remove_identity
    )  # fmt: skip
