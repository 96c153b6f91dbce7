"""What-if: what changed rules of a subsidy would have paid, from the book or from a CSV of charges."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.files import read_document
from hutong.clients.cli.money_commands import read_time
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import money, rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire.base import Money
from hutong.wire.subsidies import Compare, ComparedUse, SubsidyComparison, SubsidyProgramme

SUMS_AT_MOST = 4000
_NEEDED = ("BillingAccountId", "BilledCost", "ChargePeriodEnd", "x_InstitutionKind")
_LINES = {
    "ai and machine learning": "compute",
    "compute": "compute",
    "storage": "storage",
    "networking": "network",
}
_GAINS_SHOWN = 10


def what_if(
    programme: Annotated[
        Path, typer.Option("--programme", help="The rules as they are: a file of policies/subsidies.")
    ],
    changed: Annotated[Path, typer.Option("--changed", help="The rules as they might be.")],
    usage: Annotated[
        Path | None, typer.Option("--usage", help="A CSV of charges with FOCUS columns; else the book's.")
    ] = None,
    start: Annotated[
        str, typer.Option("--from", help="The book's use from this time on; else a year ago.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="The book's use before this time; else now.")] = "",
    as_json: Json = False,
) -> None:
    """Replay a year's settled use under changed rules: budget, who gains, who loses (operators).

    Example: hutong subsidies what-if --programme beijing-2023.yaml --changed thirty-percent.yaml
    """
    question = build(
        Compare,
        programme=read_document(SubsidyProgramme, programme),
        changed=read_document(SubsidyProgramme, changed),
        use=None if usage is None else tuple(read_usage(usage)),
        start=read_time(start, "--from") or None,
        end=read_time(end, "--to") or None,
    )
    with connect() as client:
        found = client.programmes.compare(question)
    show_json(found) if as_json else _show(found)


def read_usage(path: Path) -> Iterator[ComparedUse]:
    """Yield sums by institution, contract, line, provider and UTC month of a CSV that is read row by row.

    Columns of FOCUS: BillingAccountId (the institution), BilledCost, ChargePeriodEnd, ProviderName,
    ServiceCategory; of ours: x_InstitutionKind, x_Contract, x_RelatedParty (`true`).
    """
    sums: dict[tuple[str, ...], tuple[int, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [each for each in _NEEDED if each not in (rows.fieldnames or ())]
            if missing:
                raise _bad(path, 1, f"there is no column {missing[0]}", f"columns {', '.join(_NEEDED)}")
            for number, row in enumerate(rows, start=2):
                name, amount, at = _row(path, number, row)
                before, first = sums.get(name, (0, at))
                sums[name] = (before + amount, first)
                if len(sums) > SUMS_AT_MOST:
                    hint = "fewer institutions, contracts or months at a time"
                    raise _bad(path, number, f"more than {SUMS_AT_MOST} sums by institution and month", hint)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused("bad_file", f"{path} cannot be read: {error}") from error
    for (institution, kind, contract, provider, line, related, _), (amount, at) in sums.items():
        yield build(
            ComparedUse,
            institution=institution,
            kind=kind,
            contract=contract,
            provider=provider,
            line=line,
            related=related == "true",
            charge=Money(amount=format_micro(amount)),
            at=at,
        )


def _row(path: Path, number: int, row: dict[str, str]) -> tuple[tuple[str, ...], int, str]:
    try:
        amount = parse_micro(row["BilledCost"] or "")
        at = read_time((row["ChargePeriodEnd"] or "").strip().replace(" ", "T"), "ChargePeriodEnd")
    except Refused as error:
        raise _bad(path, number, str(error), "an amount such as 12.50, a time such as 2026-03-01") from error
    if not at or not row["BillingAccountId"]:
        raise _bad(path, number, "BillingAccountId or ChargePeriodEnd is empty", "say whose charge, and when")
    category = (row.get("ServiceCategory") or "compute").strip().lower()
    name = (
        row["BillingAccountId"],
        (row["x_InstitutionKind"] or "").strip().lower(),
        row.get("x_Contract") or "",
        row.get("ProviderName") or "",
        _LINES.get(category, "other"),
        (row.get("x_RelatedParty") or "").strip().lower(),
        at[:7],
    )
    return name, amount, at


def _bad(path: Path, line: int, what: str, right: str) -> Refused:
    return Refused("bad_file", f"{path}, line {line}: {what}", (Problem("", f"line {line}: {what}", right),))


def _show(found: SubsidyComparison) -> None:
    say(f"budget: {money(found.before.paid)} before, {money(found.after.paid)} after")
    say(f"of {found.institutions} institutions {found.gainers} gain and {found.losers} lose")
    ends = found.changes
    if len(ends) > 2 * _GAINS_SHOWN:
        ends = (*ends[:_GAINS_SHOWN], *ends[-_GAINS_SHOWN:])
    rows = [(e.institution, e.kind, money(e.before), money(e.after), money(e.gain)) for e in ends]
    rows_of(table("institution", "kind", ">before", ">after", ">gain"), rows, "no use")
    kept = {each.clause: each for each in found.before.kept_back}
    after = {each.clause: each for each in found.after.kept_back}
    bounds = [
        (
            name,
            money(kept[name].amount) if name in kept else "",
            money(after[name].amount) if name in after else "",
        )
        for name in sorted({*kept, *after})
    ]
    if bounds:
        rows_of(table("kept back by", ">before", ">after"), bounds, "")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help="Rules of subsidies tried on what was used (operators).", no_args_is_help=True)
    group.callback()(_group)
    group.command("what-if")(what_if)
    app.add_typer(group, name="subsidies", rich_help_panel="Operators")


def _group() -> None:
    """Rules of subsidies tried on what was used (operators)."""
