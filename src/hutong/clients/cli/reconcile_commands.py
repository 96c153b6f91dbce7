"""The command that compares schedulers, records of use and the ledger (operators)."""

from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.wire import reconciliation as w

_HOUR_MS = 3_600_000


def reconcile(
    day: Annotated[str, typer.Option("--day", help="UTC day, such as 2026-11-28; else yesterday.")] = "",
    source: Annotated[str, typer.Option("--source", help="One site; else all.")] = "",
    as_json: Json = False,
) -> None:
    """Compare what schedulers say, what was recorded and what was booked. Exit code 1 if there is drift.

    Example: hutong reconcile --day 2026-11-28 --source haidian
    """
    with connect() as client:
        found = client.ledger.reconcile(day, source)
    if as_json:
        show_json(found)
    else:
        _show(found.items)
    if any(each.drifts for each in found.items):
        raise typer.Exit(1)


def _show(items: tuple[w.SourceDay, ...]) -> None:
    made = table("site", "day", ">scheduler", ">records", ">ledger", ">held, not billed", ">others", ">drift")
    rows = (
        (
            each.source,
            each.day,
            _column(each.scheduler),
            _column(each.usage),
            _column(each.ledger),
            _hours(each.unbilled_card_ms),
            str(each.others),
            str(each.drifts),
        )
        for each in items
    )
    rows_of(made, rows, "there are no sites")
    for item in items:
        for each in item.differences:
            state = Text("may come right", "yellow") if each.waits else Text("drift", "bold red")
            name = each.key or each.record
            say(Text.assemble(state, f" {item.source}: {each.kind}{f' {name}' if name else ''}"))
            say(Text(f"  {each.reason}"))
            say(Text(f"  {each.to_do}", "dim"))
        if item.found > len(item.differences):
            say(f"  and {item.found - len(item.differences)} more at {item.source}")


def _column(column: w.Column | None) -> str:
    return f"{column.count} / {_hours(column.card_ms)}" if column else "not read"


def _hours(card_ms: int) -> str:
    """Return card-hours with three decimals."""
    thousandths = (card_ms * 1000 + _HOUR_MS // 2) // _HOUR_MS
    return f"{thousandths // 1000}.{thousandths % 1000:03d} h"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Operators")(reconcile)
