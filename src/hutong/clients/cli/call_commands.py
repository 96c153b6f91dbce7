"""Commands about programmes, calls and who institutions are; most are for operators."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build, create_institution
from hutong.clients.cli.money_commands import read_time
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, table, warn
from hutong.clients.sdk.shapefile import load_shape
from hutong.wire import calls as c
from hutong.wire import institutions as i

MONEY = frozenset({"/budget", "/policy/accept_at_once", "/policy/request_max"})
CallArgument = Annotated[str, typer.Argument(metavar="CALL", show_default=False)]
Institution = Annotated[str, typer.Argument(metavar="INSTITUTION", show_default=False)]


def create_programme(
    name: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    zh: Annotated[str, typer.Option("--zh", help="Its name in Chinese.")],
    en: Annotated[str, typer.Option("--en", help="Its name in English.")],
    about: Annotated[str, typer.Option("--about", help="What it is for.")] = "",
    as_json: Json = False,
) -> None:
    """Open a programme, under which calls are made (operators).

    Example: hutong calls programme science --zh 科学智能计划 --en "AI for science"
    """
    with connect() as client:
        made = client.calls.create_programme(build(c.Programme, id=name, name_zh=zh, name_en=en, about=about))
    show_json(made) if as_json else say(f"programme {made.id}: {made.name_zh}, {made.name_en}")


def create_call(
    file: Annotated[Path, typer.Argument(help="A YAML file, such as examples/calls/call.yaml.")],
    as_json: Json = False,
) -> None:
    """Make a call of a programme from a file (operators). Its rules do not change once it is made.

    Example: hutong calls create examples/calls/call.yaml
    """
    wanted, _ = load_shape(file, c.NewCall, MONEY)
    with connect() as client:
        made = client.calls.create(wanted)
    show_json(made) if as_json else _say_call(made)


def list_calls(as_json: Json = False) -> None:
    """List the calls: when one may apply, and what is left of their money.

    Example: hutong calls list
    """
    with connect() as client:
        found = list(client.calls.list())
    if as_json:
        show_json(found)
        return
    rows = (
        (each.id, each.title, local(each.opens), local(each.closes), money(each.left), str(each.waiting))
        for each in found
    )
    rows_of(table("call", "title", "opens", "closes", ">left", ">waiting"), rows, "no calls")


def show_call(call: CallArgument, as_json: Json = False) -> None:
    """Show the rules of a call.

    Example: hutong calls show spring
    """
    with connect() as client:
        found = client.calls.get(call)
    show_json(found) if as_json else _say_call(found)


def list_applications(call: CallArgument, as_json: Json = False) -> None:
    """List what was handed in to a call (operators).

    Example: hutong calls applications spring
    """
    with connect() as client:
        found = list(client.applications.list(call=call))
    show_json(found) if as_json else show_applications(found)


def show_applications(found: list[c.Application]) -> None:
    """Show a table of applications."""
    rows = (
        (
            each.id,
            each.project,
            money(each.ask.amount),
            each.state + (f": {each.outcome}" if each.outcome else ""),
            ("overdue " if each.overdue else "") + local(each.due),
        )
        for each in found
    )
    rows_of(table(">application", "project", ">asks", "state", "due"), rows, "no applications")


def settle(call: CallArgument, as_json: Json = False) -> None:
    """Take every step that is due in a call: admit, serve the waiting list, award (operators).

    Run it after an institution was verified, or daily. Example: hutong calls settle spring
    """
    with connect() as client:
        sweep(lambda cursor: client.calls.settle(call, cursor=cursor), "applications", as_json)


def sweep(page: Callable[[str], c.Swept], what: str, as_json: bool) -> None:
    """Go through all pages and say what was done; exit code 1 if something could not be."""
    changed, cursor = 0, ""
    faults: list[str] = []
    while True:
        swept = page(cursor)
        changed, cursor = changed + swept.changed, swept.next
        faults += swept.faults
        if not cursor:
            break
    if as_json:
        show_json({"changed": changed, "faults": faults})
    else:
        say(f"{changed} {what} changed")
        for fault in faults:
            warn(fault)
    if faults:
        raise typer.Exit(1)


def _say_call(call: c.Call) -> None:
    say(f"call {call.id} of {call.programme}: {call.title}")
    say(
        f"  apply {local(call.opens)} to {local(call.closes)}, use {local(call.starts)} to {local(call.ends)}"
    )
    say(f"  {money(call.left)} of {money(call.budget)} left; {call.waiting} wait")
    rules = call.policy
    say(f"  {rules.reviewers_min} reviews with a mean of {rules.score_min} or more")
    if rules.accept_at_once:
        say(f"  up to {money(rules.accept_at_once)} is accepted at once")


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
    for each in found.kinds:
        say(f"  {each.kind} from {local(each.start)}" + (f" to {local(each.end)}" if each.end else ""))


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Programmes and calls for applications.", no_args_is_help=True)
    group.command("list")(list_calls)
    group.command("show")(show_call)
    group.command("programme")(create_programme)
    group.command("create")(create_call)
    group.command("applications")(list_applications)
    group.command("settle")(settle)
    app.add_typer(group, name="calls", rich_help_panel="Money")
    institutions = typer.Typer(
        help="Institutions: enter them, what they are (operators).", no_args_is_help=True
    )
    institutions.command("create")(create_institution)
    institutions.command("kind")(kind)
    institutions.command("history")(history)
    institutions.command("identify")(identify)
    institutions.command("verify")(verify)
    institutions.command("relate")(relate)
    app.add_typer(institutions, name="institution", rich_help_panel="Operators")
