"""The cost explorer: what was used and what it cost, grouped, filtered, beside the time before."""

import csv
import sys
from typing import Annotated

import typer

from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import money, rows_of, say, show_json, table
from hutong.clients.sdk.client import Client
from hutong.core.kernel.errors import Refused
from hutong.wire import budgets as w

GROUPS = ("project", "person", "site", "accelerator", "unit", "day", "month")
ROWS_MOST = 10_000
_PAGE = 500
_UNSAFE = ("=", "+", "-", "@", "\t", "\r")


def usage(
    by: Annotated[list[str] | None, typer.Option("--by", help=f"Up to two of {', '.join(GROUPS)}.")] = None,
    start: Annotated[str, typer.Option("--from", help="The first UTC day; 30 days ago.")] = "",
    end: Annotated[str, typer.Option("--to", help="The UTC day after the last; tomorrow.")] = "",
    project: Annotated[str, typer.Option("--project", "-p", help="Of this project; else all yours.")] = "",
    institution: Annotated[str, typer.Option("--institution", help="Of this institution.")] = "",
    person: Annotated[list[str] | None, typer.Option("--person", help="Of this person.")] = None,
    site: Annotated[list[str] | None, typer.Option("--site", help="At this site.")] = None,
    accelerator: Annotated[list[str] | None, typer.Option("--accelerator", help="Or of this model.")] = None,
    unit: Annotated[
        list[str] | None, typer.Option("--unit", help="card-hour, token in, or token out.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Beside the time before, as long.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values on stdout.")] = False,
    as_json: Json = False,
) -> None:
    """Show what was used and what it cost, by day and what you ask for.

    Example: hutong usage --by person --by accelerator --project vision --from 2026-11-01 --compare
    """
    asked = [part for each in by or () for part in each.split(",") if part]
    for part in asked:
        if part not in GROUPS:
            raise Refused("bad_input", f"there is no group {part!r}: one of {', '.join(GROUPS)}")
    with connect() as client:
        found = _read(
            client,
            by=asked,
            start=start,
            end=end,
            project=project,
            institution=institution,
            people=person or (),
            sites=site or (),
            accelerators=accelerator or (),
            units=unit or (),
            compare=compare,
            limit=_PAGE,
        )
    parts = [part for part in dict.fromkeys(asked) if part != "unit"]
    if as_json:
        show_json(found)
    elif as_csv:
        _write_csv(found, parts)
    else:
        _show(found, parts)


def rebuild(as_json: Json = False) -> None:
    """Make use by day anew from the usage records, where a check found it wrong (operators).

    Example: hutong ledger rebuild-usage
    """
    with connect() as client:
        made = client.usage.rebuild()
    show_json(made) if as_json else say(f"{made.groups} groups of use by day were made anew")


def _read(client: Client, **asked: object) -> w.Usage:
    """Read every page of an answer, up to many thousand rows."""
    first: w.Usage = client.usage.read(**asked)  # type: ignore[arg-type]
    rows, cursor = list(first.rows), first.next
    while cursor and len(rows) < ROWS_MOST:
        page: w.Usage = client.usage.read(**asked, cursor=cursor)  # type: ignore[arg-type]
        rows += page.rows
        cursor = page.next
    return first.model_copy(update={"rows": tuple(rows), "next": cursor})


def _write_csv(found: w.Usage, parts: list[str]) -> None:
    amounts = ["quantity", "charge", "kwh", "green_kwh", "co2e_kg"]
    compared = any(row.before for row in found.rows)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*parts, "unit", *amounts, *(f"before_{name}" for name in amounts if compared)])
    for row in found.rows:
        cells = [*(_safe(str(getattr(row, part))) for part in parts), row.unit, *_amounts(row)]
        writer.writerow([*cells, *(_amounts(row.before) if row.before else ())])


def _safe(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: names come from users."""
    return f"'{text}" if text.startswith(_UNSAFE) else text


def _amounts(used: w.Used) -> tuple[str, ...]:
    return (used.quantity, used.charge.amount, used.kwh, used.green_kwh, used.co2e_kg)


def _show(found: w.Usage, parts: list[str]) -> None:
    compared = any(row.before for row in found.rows)
    before = (">before", ">charge before") if compared else ()
    made = table(*parts, "unit", ">quantity", ">charge", ">kWh", ">kg CO2e", *before)
    rows = []
    for row in found.rows:
        cells = [str(getattr(row, part)) for part in parts]
        cells += [row.unit, row.quantity, money(row.charge), row.kwh, row.co2e_kg]
        rows.append((*cells, *((row.before.quantity, money(row.before.charge)) if row.before else ())))
    rows_of(made, rows, f"nothing was used from {found.start} to {found.end}")
    if found.next:
        say("there is more: narrow it, or ask the API page by page")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Money")(usage)
