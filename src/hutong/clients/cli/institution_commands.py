"""Commands about institutions: enter them, and what is known of who they are (operators)."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import IdArgument, build, group
from hutong.clients.cli.money_commands import read_time
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.wire import accounts as a
from hutong.wire import institutions as i

Institution = Annotated[str, typer.Argument(metavar="INSTITUTION", show_default=False)]


def create_institution(
    name: IdArgument,
    kind: Annotated[str, typer.Option("--kind", help="university, research, sme, startup, enterprise, ...")],
    zh: Annotated[str, typer.Option("--zh", help="Its name in Chinese.")],
    en: Annotated[str, typer.Option("--en", help="Its name in English.")],
    as_json: Json = False,
) -> None:
    """Open an institution (operators).

    Example: hutong institution create cau --kind university --zh 中国农业大学 --en "CAU"
    """
    wanted = build(a.Institution, id=name, kind=kind, name_zh=zh, name_en=en)
    with connect() as client:
        made = client.institutions.create(wanted)
    show_json(made) if as_json else say(f"institution {made.id}: {made.name_zh}, {made.name_en}")


def list_institutions(as_json: Json = False) -> None:
    """List the institutions that you may see.

    Example: hutong institution list
    """
    with connect() as client:
        found = client.institutions.list()
        if as_json:
            show_json(list(found))
            return
        rows = ((each.id, each.kind, each.name_zh, each.name_en) for each in found)
        rows_of(table("id", "kind", "name in Chinese", "name in English"), rows, "no institutions")


def kind(
    institution: Institution,
    new: Annotated[str, typer.Argument(metavar="KIND", show_default=False)],
    start: Annotated[str, typer.Option("--from", help="From then on (RFC 3339 or a date); else now.")] = "",
    as_json: Json = False,
) -> None:
    """Give an institution another kind; reports of times before keep the old one (operators).

    Example: hutong institution kind deepnova enterprise --from 2027-01-01
    """
    wanted = build(i.NewKind, kind=new, start=read_time(start, "--from") or None)
    with connect() as client:
        found = client.institutions.change_kind(institution, wanted)
    show_json(found) if as_json else _say_history(found)


def history(institution: Institution, as_json: Json = False) -> None:
    """Show the kinds of an institution with their times, its identifiers, and its verification (operators).

    Example: hutong institution history deepnova
    """
    with connect() as client:
        found = client.institutions.history(institution)
    show_json(found) if as_json else _say_history(found)


def identify(
    institution: Institution,
    uscc: Annotated[str, typer.Option("--uscc", help="Unified social credit code.")] = "",
    ror: Annotated[str, typer.Option("--ror", help="ROR, with or without its address.")] = "",
    as_json: Json = False,
) -> None:
    """Set the identifiers of an institution; their check digits must hold (operators).

    Example: hutong institution identify thu --ror https://ror.org/03cve4549
    """
    with connect() as client:
        found = client.institutions.set_identifiers(institution, build(i.Identifiers, uscc=uscc, ror=ror))
    show_json(found) if as_json else _say_history(found)


def verify(
    institution: Institution,
    note: Annotated[str, typer.Option("--note", help="At what you looked.")],
    refuse: Annotated[bool, typer.Option("--refuse", help="It is not who it says.")] = False,
    as_json: Json = False,
) -> None:
    """Say whether an institution is who it says it is (operators).

    Example: hutong institution verify thu --note "licence seen, register asked 2026-11-29"
    """
    wanted = build(i.NewVerification, state="refused" if refuse else "verified", note=note)
    with connect() as client:
        found = client.institutions.verify(institution, wanted)
    show_json(found) if as_json else _say_history(found)


def relate(
    institution: Institution,
    other: Annotated[str, typer.Argument(metavar="OTHER", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why, such as a common owner.")],
    end: Annotated[str, typer.Option("--until", help="Until then (RFC 3339 or a date).")] = "",
    as_json: Json = False,
) -> None:
    """Note that two institutions are related parties: neither reviews the other's applications (operators).

    Example: hutong institution relate deepnova thu --reason "spin-off; the university holds 15 %"
    """
    wanted = build(i.NewRelation, reason=reason, end=read_time(end, "--until") or None)
    with connect() as client:
        made = client.institutions.relate(institution, other, wanted)
    show_json(made) if as_json else say(f"{made.institution} and {made.other} are related: {made.reason}")


def _say_history(found: i.InstitutionHistory) -> None:
    say(f"institution {found.id}: {found.verification} {found.verified_note}".rstrip())
    for name, value in (("USCC", found.identifiers.uscc), ("ROR", found.identifiers.ror)):
        if value:
            say(f"  {name} {value}")
    for n, each in enumerate(found.kinds):
        since = f" from {local(each.start)}" if n else ""  # the first kind has been there for ever
        say(f"  {each.kind}{since}" + (f" to {local(each.end)}" if each.end else ""))


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group(
        app, "institution", "Institutions: enter them, what they are (operators).", "Operators",
        create=create_institution, list=list_institutions, kind=kind, history=history, identify=identify,
        verify=verify, relate=relate,
    )  # fmt: skip
