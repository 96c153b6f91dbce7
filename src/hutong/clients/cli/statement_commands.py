"""Commands about statements and invoices, and the exports of both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import console, local, money, rows_of, say, show_json, table
from hutong.clients.sdk import statements as calls
from hutong.clients.sdk.call import Call
from hutong.clients.sdk.client import Client
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire import statements as w
from hutong.wire.base import Money

PeriodArgument = Annotated[str, typer.Argument(metavar="PERIOD", help="Such as 2026-11.", show_default=False)]
NumberArgument = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Such as 2026-000017.", show_default=False)
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; else to stdout.")]
Institution = Annotated[str, typer.Option("--institution", help="Of this institution.")]
_FORMS = (".pdf", ".xlsx")


def save(client: Client, call: Call[bytes], out: Path, *, as_json: bool) -> None:
    """Write a download to a file; a broken-off one leaves no file of that name."""
    draft = out.with_name(f"{out.name}.part")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn())
    with Progress(*columns, console=console(stderr=True), disable=as_json, transient=True) as bar:
        task = bar.add_task(out.name, total=None)
        with draft.open("wb") as file:
            for piece in client.download(call):
                file.write(piece)
                bar.advance(task, len(piece))
    draft.replace(out)
    document = {"file": str(out), "bytes": out.stat().st_size}
    show_json(document) if as_json else say(f"wrote {out}")


def _form(out: Path) -> str:
    if out.suffix not in _FORMS:
        problem = Problem("", f"--out: {out.name} has another ending", "a file that ends in .pdf or .xlsx")
        raise Refused("bad_form", "a paper is a PDF or a spreadsheet", (problem,))
    return out.suffix.removeprefix(".")


def statement(
    period: PeriodArgument, project: ProjectOption = "", out: Out = None, as_json: Json = False
) -> None:
    """Show what a project had, was given, used and owes in a period; with --out as PDF or spreadsheet.

    Example: hutong statement 2026-11 --project weather --out november.pdf
    """
    with connect() as client:
        name = project_of(client, project)
        if out is not None:
            save(client, calls.statement_paper(name, period, _form(out)), out, as_json=as_json)
            return
        found = client.statements.get(name, period)
    if as_json:
        show_json(found)
        return
    say(f"{found.project} {found.period}: {'closed' if found.final else 'not closed yet'}")
    made = table("site", "sku", "unit", "quantity", "price", "amount")
    rows = (
        (use.site, use.sku, use.unit, use.quantity, money(use.price), money(use.amount)) for use in found.use
    )
    rows_of(made, rows, "Nothing was used.")
    made = table("credit", "source", "amount")
    rows_of(made, ((each.kind, each.source, money(each.amount)) for each in found.credits), "")
    made = table("lot", "opening", "given", "taken", "closing")
    rows_of(
        made,
        (
            (lot.lot, money(lot.opening), money(lot.given), money(lot.taken), money(lot.closing))
            for lot in found.lots
        ),
        "",
    )
    say(
        f"used {money(found.used)}, billed {money(found.billed)}, owed at the end {money(found.owed_closing)}"
    )


def focus(
    period: PeriodArgument,
    project: ProjectOption = "",
    institution: Institution = "",
    everybody: Annotated[bool, typer.Option("--all", help="Of everybody (operators).")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Write the charges of a period as FOCUS 1.2, the FinOps cost and usage format, in CSV.

    Example: hutong focus 2026-11 --project weather --out november.csv
    """
    with connect() as client:
        name = "" if everybody or institution else project_of(client, project)
        _write(client, calls.focus(period, project=name, institution=institution), out, as_json=as_json)


def journal(period: PeriodArgument, out: Out = None, as_json: Json = False) -> None:
    """Write what was booked in a period as a Beancount journal (operators).

    Example: hutong ledger journal 2026-11 --out november.beancount
    """
    with connect() as client:
        _write(client, calls.journal(period), out, as_json=as_json)


def _write(client: Client, call: Call[bytes], out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        save(client, call, out, as_json=as_json)
        return
    for text in _texts(client.download(call)):
        typer.echo(text, nl=False)


def _texts(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        whole, _, rest = (rest + piece).rpartition(b"\n")
        if whole:
            yield whole.decode() + "\n"
    yield rest.decode()


def cost_centres(
    parts: Annotated[
        list[str] | None, typer.Argument(help="NAME=PERCENT ...; `none` ends the split.", show_default=False)
    ] = None,
    project: ProjectOption = "",
    as_json: Json = False,
) -> None:
    """Show or set how a project's amounts are split over cost centres on invoices.

    Example: hutong cost-centres physics=66.6667 computing=33.3333 --project weather
    """
    with connect() as client:
        name = project_of(client, project)
        found = (
            client.statements.set_cost_centres(name, w.CostCentres(parts=_parts(parts)))
            if parts
            else client.statements.cost_centres(name)
        )
    if as_json:
        show_json(found)
        return
    made = table("cost centre", "percent")
    rows_of(made, ((part.name, part.percent) for part in found.parts), "Amounts are not split.")


def _parts(texts: list[str]) -> tuple[w.CostCentrePart, ...]:
    if texts == ["none"]:
        return ()
    found = []
    for text in texts:
        name, equals, percent = text.rpartition("=")
        try:
            found.append(w.CostCentrePart(name=name, percent=percent))
        except ValueError as err:
            problem = Problem(
                "", f"{text!r} is not a part{'' if equals else ': there is no ='}", "NAME=33.3333"
            )
            raise Refused("bad_split", "a cost centre has a name and a percentage", (problem,)) from err
    return tuple(found)


def issue(period: PeriodArgument, as_json: Json = False) -> None:
    """Make the invoices of a closed period that are missing (operators).

    Example: hutong invoices issue 2026-11
    """
    with connect() as client:
        done = client.invoices.issue(period)
    show_json(done) if as_json else say(f"{done.period}: {done.made} made, {done.there} were there")


def list_invoices(institution: Institution = "", as_json: Json = False) -> None:
    """List invoices in order of their numbers.

    Example: hutong invoices list --institution cau
    """
    with connect() as client:
        found = list(client.invoices.list(institution=institution or None))
    if as_json:
        show_json(found)
        return
    made = table("number", "institution", "period", "total", "state", "credits", "tax invoice")
    rows = (
        (
            each.number, each.institution, each.period, money(each.total), each.state, each.credits,
            each.tax_reference,
        )
        for each in found
    )  # fmt: skip
    rows_of(made, rows, "There are no invoices.")


def show(number: NumberArgument, out: Out = None, as_json: Json = False) -> None:
    """Show one invoice; with --out as PDF or spreadsheet.

    Example: hutong invoices show 2026-000017 --out invoice.pdf
    """
    with connect() as client:
        if out is not None:
            save(client, calls.invoice_paper(number, _form(out)), out, as_json=as_json)
            return
        found = client.invoices.get(number)
    if as_json:
        show_json(found)
        return
    _say(found)
    made = table("project", "what", "quantity", "unit", "price", "amount")
    rows = (
        (
            line.project, line.what, line.quantity, line.unit, money(line.price) if line.price else "",
            money(line.amount),
        )
        for line in found.lines
    )  # fmt: skip
    rows_of(made, rows, "")
    made = table("project", "cost centre", "amount")
    rows_of(made, ((each.project, each.name, money(each.amount)) for each in found.cost_centres), "")


def _say(invoice: w.Invoice) -> None:
    kind = f"credit note on {invoice.credits}" if invoice.credits else "invoice"
    state = f"paid by {invoice.paid_reference} at {local(invoice.paid)}" if invoice.paid else "unpaid"
    what = f"{kind} {invoice.number} for {invoice.institution}, {invoice.period}"
    say(f"{what}: {money(invoice.total)}, {state}")


def pay(
    number: NumberArgument,
    reference: Annotated[str, typer.Option("--reference", help="Of the bank's transfer.")],
    as_json: Json = False,
) -> None:
    """Note that an invoice was paid (operators).

    Example: hutong invoices pay 2026-000017 --reference ICBC-20261203-0042
    """
    with connect() as client:
        done = client.invoices.pay(number, build(w.NewPayment, reference=reference))
    show_json(done) if as_json else _say(done)


def tax(
    number: NumberArgument,
    reference: Annotated[str, typer.Option("--reference", help="Number of the tax invoice.")],
    as_json: Json = False,
) -> None:
    """Note the number of the tax authority's own invoice (operators).

    Example: hutong invoices tax 2026-000017 --reference 24112000000012345678
    """
    with connect() as client:
        done = client.invoices.tax(number, build(w.NewTaxReference, reference=reference))
    show_json(done) if as_json else _say(done)


def credit(
    number: NumberArgument,
    project: Annotated[str, typer.Argument(metavar="PROJECT", show_default=False)],
    amount: Annotated[str, typer.Argument(help="Yuan, with at most two decimals.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands on the note.")],
    as_json: Json = False,
) -> None:
    """Write a credit note over a part of an invoice, which itself never changes (operators).

    Example: hutong invoices credit 2026-000017 weather 12.50 --reason "price agreed later"
    """
    money_ = Money(amount=format_micro(parse_micro(amount), 2))
    with connect() as client:
        done = client.invoices.credit(
            number, build(w.NewCreditNote, project=project, amount=money_, reason=reason)
        )
    show_json(done) if as_json else _say(done)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Money")(statement)
    app.command(rich_help_panel="Money")(focus)
    app.command("cost-centres", rich_help_panel="Money")(cost_centres)
    group = typer.Typer(help="Invoices and credit notes of closed periods.", no_args_is_help=True)
    for name, verb in (
        ("issue", issue), ("list", list_invoices), ("show", show), ("pay", pay), ("tax", tax),
        ("credit", credit),
    ):  # fmt: skip
        group.command(name)(verb)
    app.add_typer(group, name="invoices", rich_help_panel="Money")
