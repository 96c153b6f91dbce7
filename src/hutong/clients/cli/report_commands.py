"""Commands about reports: show, save, publish, list, fetch, verify."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from hutong.clients.cli.session import Json, Limit, connect
from hutong.clients.cli.statement_commands import save
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.clients.sdk import reports as calls
from hutong.clients.sdk.signed import faults_of
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire import reports as w

KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="supply, use, waits, served, domestic, green, subsidy, unmet, or node: all of them.",
        show_default=False,
    ),
]
NumberArgument = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Such as 2026-000017.", show_default=False)
]
From = Annotated[str, typer.Option("--from", help="Its first day; the first of this month.")]
To = Annotated[str, typer.Option("--to", help="The day after its last; tomorrow.")]
By = Annotated[
    list[str] | None,
    typer.Option("--by", help="site, accelerator, kind, district, institution, project or size; up to two."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="A file: .html, .csv, .xlsx or .pdf.")]
_FORMS = (".html", ".csv", ".xlsx", ".pdf")


def _form(out: Path) -> str:
    if out.suffix not in _FORMS:
        problem = Problem("", f"--out: {out.name} has another ending", f"one of {', '.join(_FORMS)}")
        raise Refused("bad_form", "a report has no such form", (problem,))
    return out.suffix.removeprefix(".")


def _print(report: w.Report) -> None:
    say(f"{report.title}: {report.start} to {report.end} ({report.zone}), made {local(report.made)}")
    for each in report.tables:
        heads = (f"{column.title}, {column.unit}" if column.unit else column.title for column in each.columns)
        say(f"\n{each.title}")
        rows_of(table(*heads), (*each.rows, each.total) if each.total else each.rows, "Nothing.")
    for text in (*report.definitions, *report.coverage):
        say(f"- {text}")


def show(
    kind: KindArgument,
    start: From = "",
    end: To = "",
    by: By = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show a report; with --out as a page with charts, CSV, a spreadsheet or PDF.

    Example: hutong reports show use --from 2026-11-01 --to 2026-12-01 --by kind --out november.html
    """
    with connect() as client:
        if out is not None:
            call = calls.report_paper(kind, _form(out), start=start, end=end, by=by or ())
            save(client, call, out, as_json=as_json)
            return
        found = client.reports.get(kind, start=start, end=end, by=by or ())
    show_json(found) if as_json else _print(found)


def publish(
    kind: KindArgument,
    start: Annotated[str, typer.Option("--from", help="Its first day.")],
    end: Annotated[str, typer.Option("--to", help="The day after its last.")],
    by: By = None,
    replaces: Annotated[str, typer.Option("--replaces", help="The number that it corrects.")] = "",
    note: Annotated[str, typer.Option("--note", help="What there is to say of it.")] = "",
    as_json: Json = False,
) -> None:
    """Freeze and sign a report, for everybody to read. It never changes again.

    Example: hutong reports publish node --from 2026-10-01 --to 2026-11-01
    """
    document = {"start": start, "end": end, "by": by or [], "replaces": replaces or None, "note": note}
    try:
        wish = w.NewPublication.model_validate(document)
    except ValidationError as error:
        problems = tuple(Problem(f"--{each['loc'][0]}", str(each["msg"]), "") for each in error.errors())
        raise Refused("bad_query", "this cannot be published", problems) from error
    with connect() as client:
        found = client.reports.publish(kind, wish)
    if as_json:
        show_json(found)
        return
    say(f"published {found.edition.number}: {found.edition.digest}")


def list_reports(limit: Limit = 50, as_json: Json = False) -> None:
    """List what is published.

    Example: hutong reports list
    """
    with connect() as client:
        found = list(client.reports.published(limit=limit))
    if as_json:
        show_json(found)
        return
    rows = ((each.number, each.kind, each.start, each.end, each.replaces, each.note) for each in found)
    rows_of(table("number", "kind", "from", "to", "corrects", "note"), rows, "Nothing is published.")


def fetch(number: NumberArgument, out: Out = None, as_json: Json = False) -> None:
    """Fetch a published report: as JSON with its signature, or with --out as a page, CSV, xlsx or PDF.

    Example: hutong reports fetch 2026-000017 > report.json
    """
    with connect() as client:
        if out is not None:
            save(client, calls.published_paper(number, _form(out)), out, as_json=as_json)
            return
        show_json(client.reports.read(number))


def key(as_json: Json = False) -> None:
    """Show the key that signs reports: note it where the platform cannot change it.

    Example: hutong reports key > reports.key
    """
    with connect() as client:
        found = client.reports.key()
    show_json(found) if as_json else say(found.public_key)


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What fetch or publish --json wrote.")],
    public_key: Annotated[str, typer.Option("--key", help="The key that was noted, in hex.")] = "",
    as_json: Json = False,
) -> None:
    """Check that a published report is what was signed, without asking anybody.

    Example: hutong reports verify report.json --key "$NOTED_KEY"
    """
    try:
        found = w.Publication.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        problem = Problem("", f"{file} cannot be read as a published report", "what `reports fetch` wrote")
        raise Refused("bad_file", problem.message, (problem,)) from error
    faults = faults_of(found, public_key.strip().lower())
    if as_json:
        show_json({"number": found.edition.number, "ok": not faults, "faults": list(faults)})
    else:
        for each in faults:
            say(each)
        if not faults:
            by = "the key that was given" if public_key else "the key that it names: compare it"
            say(f"{found.edition.number} is as it was published, signed by {by}")
    if faults:
        raise typer.Exit(1)


def rebuild(as_json: Json = False) -> None:
    """Make the sums that reports read anew from records, transactions and jobs; it reads them all.

    Example: hutong reports rebuild
    """
    with connect() as client:
        found = client.reports.rebuild()
    show_json(found) if as_json else say(f"made anew from {found.records} records")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Reports: what there was, who was served, how long jobs waited.")
    for name, command in (
        ("show", show),
        ("publish", publish),
        ("list", list_reports),
        ("fetch", fetch),
        ("verify", verify),
        ("key", key),
        ("rebuild", rebuild),
    ):
        group.command(name)(command)
    app.add_typer(group, name="reports", rich_help_panel="Operators")
