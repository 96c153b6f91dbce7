"""Commands about programmes, calls and who institutions are; most are for operators."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, table, warn
from hutong.clients.sdk.shapefile import load_shape
from hutong.wire import calls as c

MONEY = frozenset({"/budget", "/policy/accept_at_once", "/policy/request_max"})
CallArgument = Annotated[str, typer.Argument(metavar="CALL", show_default=False)]


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
