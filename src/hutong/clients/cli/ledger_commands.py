"""Commands about the ledger: its check, periods, suspense, settlements, refunds and claims (operators)."""

from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.statement_commands import journal
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, table
from hutong.clients.cli.usage_commands import rebuild
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire import ledger as w
from hutong.wire.base import Money

Project = Annotated[str, typer.Argument(metavar="PROJECT", show_default=False)]
Subject = Annotated[str, typer.Argument(help="Key of an attempt (ht-...) or a request (gw-...).")]
Why = Annotated[str, typer.Option("--reason", help="Why; it stays with the entries.")]
Site = Annotated[str, typer.Argument(metavar="SITE", show_default=False)]


def yuan(text: str) -> Money:
    """Return an amount that is more than nothing."""
    amount_micro = parse_micro(text)
    if amount_micro <= 0:
        raise Refused("bad_amount", f"{text} is not more than nothing")
    return Money(amount=format_micro(amount_micro))


def check(as_json: Json = False) -> None:
    """Check every entry of the ledger (operators). Exit code 1 if something is wrong.

    Example: hutong ledger check
    """
    with connect() as client:
        report = client.ledger.check()
    if as_json:
        show_json(report)
    else:
        counted = f"{report.txns} transactions, {report.entries} entries, {report.usage} records of use"
        style = "green" if report.ok else "bold red"
        say(Text(f"{'in order' if report.ok else 'NOT in order'}: {counted}", style))
        for fault in report.faults:
            say(f"  {fault}")
    if not report.ok:
        raise typer.Exit(1)


def periods(as_json: Json = False) -> None:
    """List the billing periods (operators).

    Example: hutong ledger periods
    """
    with connect() as client:
        found = client.ledger.periods()
    if as_json:
        show_json(found)
        return
    made = table("period", "from", "to", "state", "by", "note")
    rows = ((p.id, local(p.start), local(p.end), p.state, p.by, p.note) for p in found.items)
    rows_of(made, rows, "nothing was booked yet")


def close(
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="Such as 2026-11.", show_default=False)],
    final: Annotated[bool, typer.Option("--final", help="Close it for good, and settle.")] = False,
    note: Annotated[str, typer.Option("--note", help="Signs off what is in suspense.")] = "",
    as_json: Json = False,
) -> None:
    """Begin to close a period that has ended; with --final, close it for good (operators).

    Example: hutong ledger close 2026-11 --final
    """
    with connect() as client:
        done = client.ledger.close(period, build(w.ClosePeriod, final=final, note=note))
    show_json(done) if as_json else say(f"period {done.id} is {done.state}")


def suspense(as_json: Json = False) -> None:
    """List records of use that could not be matched (operators).

    Example: hutong ledger suspense
    """
    with connect() as client:
        found = list(client.ledger.suspense())
    if as_json:
        show_json(found)
        return
    made = table("source", "record", ">revision", "key", ">quantity", "end", "why")
    rows = (
        (
            each.source,
            each.record,
            str(each.revision),
            each.key,
            str(each.quantity),
            local(each.end),
            each.reason,
        )
        for each in found
    )
    rows_of(made, rows, "nothing is in suspense")


def resolve(
    source: Annotated[str, typer.Argument(metavar="SOURCE", show_default=False)],
    record: Annotated[str, typer.Argument(metavar="RECORD", show_default=False)],
    reason: Why,
    revision: Annotated[int, typer.Option("--revision", min=1)] = 1,
    key: Annotated[str, typer.Option("--key", help="The attempt that it belongs to.")] = "",
    dismiss: Annotated[bool, typer.Option("--dismiss", help="It counts for nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Match a suspended record with an attempt, or dismiss it (operators).

    Example: hutong ledger resolve slurm 4711 --key ht-...-a1 --reason "renamed by hand"
    """
    action = "dismiss" if dismiss else "match"
    wanted = build(
        w.Resolve, source=source, record=record, revision=revision, action=action, key=key, reason=reason
    )
    with connect() as client:
        done = client.ledger.resolve(wanted)
    show_json(done) if as_json else say(f"{done.source} {done.record} is {done.fate}: {done.reason}")


def counts(
    source: Annotated[str, typer.Argument(metavar="SOURCE", show_default=False)],
    start: Annotated[str, typer.Option("--from", help="From this day on, such as 2026-11-01.")],
    end: Annotated[str, typer.Option("--to", help="Before this day.")],
    as_json: Json = False,
) -> None:
    """Count what a source handed in, by UTC day and by what became of it (operators).

    Example: hutong ledger counts slurm --from 2026-11-01 --to 2026-12-01
    """
    with connect() as client:
        found = client.ledger.counts(source, _moment(start), _moment(end))
    if as_json:
        show_json(found)
        return
    fates = ("received", "confirmed", "corrected", "superseded", "suspended", "dismissed")
    made = table("day", *(f">{fate}" for fate in fates))
    rows = ((each.day, *(str(getattr(each, fate)) for fate in fates)) for each in found.items)
    rows_of(made, rows, "nothing was received")


def _moment(text: str) -> str:
    return text if "T" in text else f"{text}T00:00:00Z"


def settlements(as_json: Json = False) -> None:
    """List what centres are owed, and their shares (operators).

    Example: hutong ledger settlements
    """
    with connect() as client:
        found = client.ledger.settlements()
    show_json(found) if as_json else _show(found.items)


def share(
    site: Site,
    ppm: Annotated[int, typer.Argument(help="Parts per million of the revenue of its work.")],
    starts: Annotated[str, typer.Option("--from", help="From this day on, such as 2026-12-01.")],
    as_json: Json = False,
) -> None:
    """Say what part of its revenue a centre gets from a day on (operators).

    Example: hutong ledger share haidian 700000 --from 2026-12-01
    """
    with connect() as client:
        done = client.ledger.share(site, build(w.NewShare, starts=_moment(starts), ppm=ppm))
    show_json(done) if as_json else _show((done,))


def pay(
    site: Site,
    amount: Annotated[str, typer.Argument(help="Yuan.")],
    reference: Annotated[str, typer.Option("--reference", help="Of the bank transfer; once only.")],
    as_json: Json = False,
) -> None:
    """Book that a centre was paid (operators).

    Example: hutong ledger pay haidian 1000 --reference 2026-12-0001
    """
    with connect() as client:
        done = client.ledger.pay(site, build(w.NewPayout, amount=yuan(amount), reference=reference))
    show_json(done) if as_json else _show((done,))


def _show(items: tuple[w.Settlement, ...]) -> None:
    made = table("site", ">owed", "share")
    rows = (
        (each.site, money(each.owed), ", ".join(f"{s.ppm} ppm from {local(s.starts)}" for s in each.shares))
        for each in items
    )
    rows_of(made, rows, "no centre has a share")


def refund(
    project: Project,
    subject: Subject,
    reason: Why,
    amount: Annotated[str, typer.Option("--amount", help="Yuan; else all that is left.")] = "",
    as_json: Json = False,
) -> None:
    """Give a charge back to the lots that paid (operators).

    Example: hutong ledger refund weather ht-...-a1 --amount 12.50 --reason "slow disk"
    """
    wanted = build(w.NewRefund, subject=subject, amount=yuan(amount) if amount else None, reason=reason)
    with connect() as client:
        done = client.projects.refund(project, wanted)
    show_json(done) if as_json else say(f"{money(done.amount)} given back to {done.project}")


def correct(
    project: Project,
    subject: Subject,
    record: Annotated[str, typer.Argument(help="Id of the record of use.")],
    quantity: Annotated[int, typer.Argument(min=0, help="What it should be, such as card-milliseconds.")],
    reason: Why,
    as_json: Json = False,
) -> None:
    """Correct a record of use at the price it had (operators).

    Example: hutong ledger correct weather ht-...-a1 use:ht-...-a1:0-60000 30000 --reason "clock was wrong"
    """
    wanted = build(w.NewCorrection, subject=subject, record=record, quantity=quantity, reason=reason)
    with connect() as client:
        done = client.projects.correct(project, wanted)
    show_json(done) if as_json else say("corrected" if done.changed else "it said so already")


def claim(
    project: Project,
    lot: Annotated[str, typer.Argument(metavar="LOT", show_default=False)],
    reason: Why,
    as_json: Json = False,
) -> None:
    """Claim a lot back: what is left returns, what was spent the project owes (operators).

    Example: hutong ledger claim weather voucher-0123 --reason "false report"
    """
    with connect() as client:
        done = client.projects.claim(project, lot, build(w.NewLotClaim, reason=reason))
    show_json(done) if as_json else say(f"{done.id} is claimed back; {money(done.held)} of it are still held")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The ledger as a whole (operators).", no_args_is_help=True)
    for command in (
        check, periods, close, suspense, resolve, counts, settlements, share, pay, refund, correct, claim,
        journal,
    ):  # fmt: skip
        group.command()(command)
    group.command("rebuild-usage")(rebuild)
    app.add_typer(group, name="ledger", rich_help_panel="Operators")
