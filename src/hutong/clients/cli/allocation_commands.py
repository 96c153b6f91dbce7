"""Commands about allocations: how they stand, changes, cuts and appeals, the review of their use."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.call_commands import sweep
from hutong.clients.cli.money_commands import read_time, read_yuan
from hutong.clients.cli.session import Json, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, state, table
from hutong.wire import allocations as al
from hutong.wire.calls import Answer

Allocation = Annotated[str, typer.Argument(metavar="ALLOCATION", show_default=False)]
Number = Annotated[int, typer.Argument(metavar="N", min=1, show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
Grant = Annotated[bool, typer.Option("--grant/--refuse", help="Grant it, or not.")]


def list_allocations(
    project: ProjectOption = "",
    everybody: Annotated[bool, typer.Option("--all", help="Of all projects (operators).")] = False,
    as_json: Json = False,
) -> None:
    """List the allocations of a project, as they stand.

    Example: hutong allocations list --project weather
    """
    with connect() as client:
        owner = "" if everybody else project_of(client, project)
        found = list(client.allocations.list(project=owner))
    if as_json:
        show_json(found)
        return
    rows = ((each.id, each.project, state(each.phase), money(each.free), local(each.ends)) for each in found)
    columns = (">allocation", "project", "phase", ">free", "ends")
    rows_of(table(*columns), rows, "no allocations")


def show(allocation: Allocation, as_json: Json = False) -> None:
    """Show an allocation: its money, changes, cuts and notices.

    Example: hutong allocations show ap-01kb7r5x0c8m3q6v9w2y4z1a3d
    """
    with connect() as client:
        found = client.allocations.get(allocation)
    _show(found, as_json)


def change(
    allocation: Allocation,
    kind: Annotated[
        str, typer.Argument(help="supplement, extend, transfer, reduce, suspend, resume, close.")
    ],
    reason: Reason,
    amount: Annotated[str, typer.Option("--amount", help="Yuan: supplement, transfer, reduce.")] = "",
    ends: Annotated[str, typer.Option("--ends", help="The new end: extend.")] = "",
    to_project: Annotated[str, typer.Option("--to-project", help="Of the same institution: transfer.")] = "",
    as_json: Json = False,
) -> None:
    """Ask for a change. Only officers suspend and resume; theirs that give nothing are done at once.

    Example: hutong allocations change ap-01kb7r5x0c8m3q6v9w2y4z1a3d extend --ends 2027-06-30 --reason late
    """
    wanted = build(
        al.NewChange,
        kind=kind,
        reason=reason,
        amount=read_yuan(amount) if amount else None,
        ends=read_time(ends, "--ends") or None,
        to_project=to_project or None,
    )
    with connect() as client:
        found = client.allocations.ask_change(allocation, wanted)
    _show(found, as_json)


def decide(allocation: Allocation, n: Number, reason: Reason, grant: Grant, as_json: Json = False) -> None:
    """Grant or refuse a change that was asked for (operators).

    Example: hutong allocations decide ap-01kb7r5x0c8m3q6v9w2y4z1a3d 1 --grant --reason "as agreed"
    """
    with connect() as client:
        found = client.allocations.decide_change(allocation, n, Answer(granted=grant, reason=reason))
    _show(found, as_json)


def appeal(allocation: Allocation, n: Number, reason: Reason, as_json: Json = False) -> None:
    """Appeal against a cut: nothing is taken until it is answered.

    Example: hutong allocations appeal ap-01kb7r5x0c8m3q6v9w2y4z1a3d 1 --reason "the site was down in May"
    """
    with connect() as client:
        found = client.allocations.appeal_cut(allocation, n, reason)
    _show(found, as_json)


def answer(allocation: Allocation, n: Number, reason: Reason, grant: Grant, as_json: Json = False) -> None:
    """Answer an appeal against a cut: grant waives it, refuse takes it (operators).

    Example: hutong allocations answer ap-01kb7r5x0c8m3q6v9w2y4z1a3d 1 --grant --reason "it was down"
    """
    with connect() as client:
        found = client.allocations.answer_cut(allocation, n, Answer(granted=grant, reason=reason))
    _show(found, as_json)


def review(as_json: Json = False) -> None:
    """Judge the use of all allocations, give notices, take cuts that are due, close what is over (operators).

    Run it daily: each step happens once, however often it runs. Example: hutong allocations review
    """
    with connect() as client:
        sweep(lambda cursor: client.allocations.review(cursor=cursor), "allocations", as_json)


def _show(found: al.Allocation, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    span = f"{local(found.starts)} to {local(found.ends)}"
    say(f"allocation {found.id} of {found.project}: {found.phase}, {span}")
    parts = f"{money(found.used)} used, {money(found.held)} held, {money(found.free)} free"
    say(f"  {money(found.granted)}: {parts}")
    for each in found.changes:
        what = money(each.amount) or local(each.ends)
        say(f"  change {each.n}: {each.kind} {what} {each.state}. {each.reason} {each.note}".rstrip())
    for cut in found.cuts:
        what = f"{money(cut.used)} of {money(cut.planned)} planned was used"
        say(f"  cut {cut.n}: {money(cut.amount)} {cut.state}; {what}; appeal until {local(cut.appeal_until)}")
    for notice in found.notices:
        say(f"  {local(notice.at)} {notice.text}")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Allocations: how they stand, changes, cuts.", no_args_is_help=True)
    group.command("list")(list_allocations)
    group.command("show")(show)
    group.command("change")(change)
    group.command("decide")(decide)
    group.command("appeal")(appeal)
    group.command("answer")(answer)
    group.command("review")(review)
    app.add_typer(group, name="allocations", rich_help_panel="Money")
