"""Commands about money: bills, balances, awards and vouchers."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.bills import show_balance, show_bill
from hutong.clients.cli.budget_commands import show_budgets
from hutong.clients.cli.session import Json, ProjectOption, connect, find_job, now_ms, project_of
from hutong.clients.cli.terminal import console, local, money, say, show_json
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.core.kernel.quantities import DAY_MS
from hutong.wire.base import Money, parse_rfc3339, rfc3339
from hutong.wire.money import Lot, NewAward, NewTopup, NewVoucherLot

Days = Annotated[int, typer.Option("--days", min=1, max=3660, help="Valid for so many days from now.")]
ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", show_default=False)]


def bill(
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="One job's bill; else the project's.")] = "",
    project: ProjectOption = "",
    start: Annotated[str, typer.Option("--from", help="From this time on (RFC 3339 or a date).")] = "",
    end: Annotated[str, typer.Option("--to", help="Before this time (RFC 3339 or a date).")] = "",
    as_json: Json = False,
) -> None:
    """Show a bill: every line, who paid, energy, and that the entries sum to zero.

    Example: hutong bill last
    """
    with connect() as client:
        if job:
            found = client.jobs.bill(find_job(client, job))
        else:
            span = {"start": read_time(start, "--from") or None, "end": read_time(end, "--to") or None}
            found = client.projects.bill(project_of(client, project), **span)
    if as_json:
        show_json(found)
    else:
        show_bill(found, console())


def read_time(text: str, option: str) -> str:
    """Return an RFC 3339 time for a time or a date (which begins in UTC); empty stays empty."""
    if not text:
        return ""
    try:
        return rfc3339(parse_rfc3339(text if "T" in text else f"{text}T00:00:00Z"))
    except ValueError as err:
        problem = Problem("", f"{option}: {err}", "such as 2026-11-22 or 2026-11-22T08:00:00Z")
        raise Refused("bad_time", f"{text!r} is not a time", (problem,)) from err


def balance(project: ProjectOption = "", as_json: Json = False) -> None:
    """Show what a project has, holds and has spent.

    Example: hutong balance --project weather
    """
    with connect() as client:
        found = client.projects.balance(project_of(client, project))
    if as_json:
        show_json(found)
    else:
        show_balance(found, console())
        if found.budgets:
            show_budgets(found.budgets)


def award(
    project: ProjectArgument,
    amount: Annotated[str, typer.Argument(help="Yuan, such as 1000 or 12.50.")],
    days: Days = 365,
    as_json: Json = False,
) -> None:
    """Give a project money for a time (operators).

    Example: hutong award weather 10000 --days 90
    """
    starts, ends = _span(days)
    with connect() as client:
        lot = client.projects.award(project, NewAward(amount=read_yuan(amount), starts=starts, ends=ends))
    _say_lot(lot, as_json)


def topup(
    project: ProjectArgument,
    amount: Annotated[str, typer.Argument(help="Yuan, such as 1000 or 12.50.")],
    reference: Annotated[str, typer.Option("--reference", help="Of the bank's transfer: it counts once.")],
    as_json: Json = False,
) -> None:
    """Book money that a project paid in advance (operators).

    Example: hutong topup weather 5000 --reference ICBC-20261203-0042
    """
    with connect() as client:
        lot = client.projects.topup(project, build(NewTopup, amount=read_yuan(amount), reference=reference))
    _say_lot(lot, as_json)


def voucher(
    project: ProjectArgument,
    face: Annotated[str, typer.Argument(help="Yuan it pays at most.")],
    rate: Annotated[int, typer.Option("--rate", min=1, max=100, help="Percent of each charge it pays.")] = 20,
    days: Days = 365,
    as_json: Json = False,
) -> None:
    """Give a project a voucher that pays a share of each charge (operators).

    Example: hutong voucher weather 2000 --rate 20
    """
    starts, ends = _span(days)
    with connect() as client:
        wanted = NewVoucherLot(face=read_yuan(face), rate_percent=rate, starts=starts, ends=ends)
        lot = client.projects.voucher(project, wanted)
    _say_lot(lot, as_json)


def _span(days: int) -> tuple[str, str]:
    now = now_ms()
    return rfc3339(now), rfc3339(now + days * DAY_MS)


def read_yuan(text: str) -> Money:
    """Return an amount of yuan that was typed; raises Refused for one that is not more than nothing."""
    amount_micro = parse_micro(text)
    if amount_micro <= 0:
        raise Refused("bad_amount", f"{text} is not more than nothing")
    return Money(amount=format_micro(amount_micro))


def _say_lot(lot: Lot, as_json: bool) -> None:
    if as_json:
        show_json(lot)
    else:
        say(f"{lot.kind} {lot.id} for {lot.project}: {money(lot.available)} until {local(lot.ends)}")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Money")(bill)
    app.command(rich_help_panel="Money")(balance)
    app.command(rich_help_panel="Operators")(award)
    app.command(rich_help_panel="Operators")(topup)
    app.command(rich_help_panel="Operators")(voucher)
