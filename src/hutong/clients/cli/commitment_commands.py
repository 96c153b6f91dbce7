"""Commands about commitments: make one, show what is used of them, end one."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import money, rows_of, show_json, table
from hutong.wire import commitments as w

Name = Annotated[str, typer.Argument(metavar="COMMITMENT", help="Its name.", show_default=False)]


def make(
    name: Name,
    accelerator: Annotated[str, typer.Option("--accelerator", help="Of which accelerator.")],
    hours: Annotated[str, typer.Option("--card-hours", help="How many card-hours each month.")],
    amount: Annotated[str, typer.Option("--price", metavar="YUAN", help="For a card-hour.")],
    start: Annotated[str, typer.Option("--from", metavar="MONTH", help="The first month: 2027-03.")],
    end: Annotated[str, typer.Option("--until", metavar="MONTH", help="The month after the last.")],
    reason: Annotated[str, typer.Option("--reason", help="By which contract; it is kept.")],
    institution: Annotated[str, typer.Option("--institution", help="Of this institution.")] = "",
    project: Annotated[str, typer.Option("--project", "-p", help="Of this project.")] = "",
    pays: Annotated[str, typer.Option("--pays", help="The project that pays what is unused.")] = "",
    take_or_pay: Annotated[
        bool, typer.Option("--take-or-pay/--use-only", help="What is unused is charged, too.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Make a commitment: card-hours of each month at a price of their own.

    Example: hutong commitments make rain-2027 --institution rain-tech --pays rain --accelerator H100
    --card-hours 10000 --price 5.20 --from 2027-01 --until 2028-01 --reason "contract 2027-14"
    """
    wanted = build(
        w.NewCommitment,
        id=name,
        scope="institution" if institution else "project",
        name=institution or project,
        pays=pays or None,
        accelerator=accelerator,
        card_hours=hours,
        amount={"amount": amount},
        take_or_pay=take_or_pay,
        starts=start,
        ends=end,
        reason=reason,
    )
    with connect() as client:
        made = client.commitments.make(wanted)
    show_json(made) if as_json else _show([made])


def list_all(
    project: Annotated[str, typer.Option("--project", "-p", help="That this project draws on.")] = "",
    as_json: Json = False,
) -> None:
    """List commitments with what is used of the running month; of one project, or (operators) all.

    Example: hutong commitments list --project rain
    """
    with connect() as client:
        found = list(client.commitments.of(project) if project else client.commitments.list())
    show_json(found) if as_json else _show(found)


def end(
    name: Name,
    month: Annotated[str, typer.Option("--until", metavar="MONTH", help="The month after the last.")],
    as_json: Json = False,
) -> None:
    """End a commitment sooner, from the month after the running one on.

    Example: hutong commitments end rain-2027 --until 2027-10
    """
    build(w.EndCommitment, ends=month)
    with connect() as client:
        ended = client.commitments.end(name, month)
    show_json(ended) if as_json else _show([ended])


def _show(found: list[w.Commitment]) -> None:
    rows = [
        (
            each.id, f"{each.scope} {each.name}", f"{each.card_hours} h {each.accelerator}",
            money(each.amount),
            "take or pay" if each.take_or_pay else "use only", f"{each.starts} to {each.ends}", each.state,
            *((each.numbers.settled, each.numbers.available) if each.numbers else ("", "")),
        )
        for each in found
    ]  # fmt: skip
    made = table("commitment", "of", ">a month", ">price", "", "months", "", ">used", ">left")
    rows_of(made, rows, "no commitments")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Card-hours that somebody promised to use.", no_args_is_help=True)
    group.command("make")(make)
    group.command("list")(list_all)
    group.command("end")(end)
    app.add_typer(group, name="commitments", rich_help_panel="Operators")
