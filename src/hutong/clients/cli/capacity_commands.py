"""Commands about computing power: cards and their figures, comparisons, conversions, totals and tables."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.capacity_words import cards_in, energy, gigaops, interval, percent, power, watts
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire import capacity as c

group = typer.Typer(help="Computing power: figures, conversions, published totals.", no_args_is_help=True)
CardOption = Annotated[list[str] | None, typer.Option("--card", "-c", help="A card; give several.")]
Precision = Annotated[str, typer.Option("--precision", help="FP16, BF16, FP8, INT8, FP64 ...")]
Pue = Annotated[float, typer.Option("--pue", min=1, max=5, help="Of the building.")]
Hosts = Annotated[
    float, typer.Option("--hosts", min=0, max=5, help="Power of hosts and network, as a share of the cards'.")
]
CsvFile = Annotated[Path, typer.Argument(help="A CSV file; - for standard input.", show_default=False)]
_COLORS = {"settled": "green", "conflicting": "yellow", "unverified": "yellow", "unpublished": "red"}


@group.command("cards")
def list_cards(
    vendor: Annotated[str, typer.Option("--vendor", help="Of one vendor only.")] = "",
    domestic: Annotated[
        bool | None, typer.Option("--domestic/--foreign", help="One of the two only.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the cards of the catalogue.

    Example: hutong capacity cards --domestic
    """
    with connect() as client:
        found = list(client.capacity.cards(vendor=vendor, domestic=domestic))
    if as_json:
        show_json(found)
        return
    rows = (
        (
            card.model, card.vendor, power(card.fp16.span) if card.fp16 else "",
            card.fp16.figure.basis if card.fp16 else "",
            f"{card.memory_bytes // 10**9}" if card.memory_bytes else "",
            f"{card.tdp_w}" if card.tdp_w else "",
            Text(card.status, style=_COLORS[card.status]),
        )
        for card in found
    )  # fmt: skip
    rows_of(table("card", "vendor", ">FP16", "basis", ">GB", ">W", "status"), rows, "no such cards")


@group.command("figures")
def show_figures(
    card: Annotated[str, typer.Argument(help="A card, by any of its names.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show every figure of a card side by side, who says so, which is used, and how users ask for it.

    Example: hutong capacity figures Ascend910B
    """
    with connect() as client:
        found = client.capacity.card(card)
    if as_json:
        show_json(found)
        return
    dies = f", {found.dies} dies" if found.dies > 1 else ""
    say(f"{found.model}  {found.vendor}{dies}, {found.stack}: {found.status}")
    used = {_said(choice.figure) for choice in found.used}
    rows = (
        (
            "*" if _said(each) in used else "", each.text, each.precision, each.sparsity, each.basis,
            each.of, each.confidence, f"{each.source}{': ' + each.note if each.note else ''}", each.id,
        )
        for each in found.figures
    )  # fmt: skip
    head = table("", ">value", "precision", "sparsity", "basis", "of", "", "source", "id")
    rows_of(head, rows, "no figure is published")
    say(f"* is used: {found.rule}")
    names = found.names
    for label, words in (
        ("Kubernetes", names.kubernetes), ("HAMi", names.hami), ("Slurm", names.slurm), ("tool",
        (names.tool,)),
        ("also", found.claims), ("note", (found.note, names.note)),
    ):  # fmt: skip
        if told := ", ".join(word for word in words if word):
            say(f"{label:<11}{told}")


@group.command("claims")
def list_claims(as_json: Json = False) -> None:
    """List published totals of machines, centres and cities.

    Example: hutong capacity claims
    """
    with connect() as client:
        found = list(client.capacity.claims())
    if as_json:
        show_json(found)
        return
    rows = (
        (each.id, each.figure.text, _kind(each.figure), each.status, each.at, each.figure.source)
        for each in found
    )
    rows_of(table("id", ">value", "what", "status", "at", "source"), rows, "none")


@group.command("compare")
def compare(
    left: Annotated[
        str, typer.Argument(help="A published total, a card, or a quantity.", show_default=False)
    ],
    right: Annotated[str, typer.Argument(help="What to set it against.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Compare two figures; unlike ones are refused, with the reason.

    Example: hutong capacity compare shangzhuang frontier
    Or: hutong capacity compare '500 P FP16 dense nominal' '1194 PF FP64 dense benchmark'
    """
    with connect() as client:
        found = client.capacity.compare(left, right)
    if as_json:
        show_json(found)
        return
    say(f"{found.left.text} is {found.ratio_milli / 1000:.3f} times {found.right.text} ({_kind(found.left)})")
    _flags(found.flags)


@group.command("convert")
def convert(
    amount: Annotated[
        str, typer.Argument(help="3000 P, 1024 cards, 12 racks, 3.35 MW, 35 GWh.", show_default=False)
    ],
    card: CardOption = None,
    precision: Precision = "FP16",
    pue: Pue = 1.35,
    load: Annotated[float, typer.Option("--load", min=0.001, max=1, help="Mean load in a year.")] = 0.85,
    hosts: Hosts = 0.0,
    cards_per_rack: Annotated[int, typer.Option("--cards-per-rack", min=1, max=1000)] = 32,
    as_json: Json = False,
) -> None:
    """Say what a quantity is in cards, racks, power and energy a year; each card is an alternative.

    Example: hutong capacity convert '3000 P' --card Ascend910B --card H100
    """
    with connect() as client:
        found = client.capacity.convert(
            amount, tuple(card or ()), precision=precision, cards_per_rack=cards_per_rack,
            load_milli=round(load * 1000), pue_milli=round(pue * 1000), host_milli=round(hosts * 1000),
        )  # fmt: skip
    if as_json:
        show_json(found)
        return
    _flags(found.flags)
    _show_chains(found.chains)
    say(f"PUE {pue:g}, load {load:g}, hosts {hosts:g} of the cards, {cards_per_rack} cards a rack")


@group.command("sum")
def add_up(
    parts: Annotated[list[str], typer.Argument(help="CARD=NUMBER, several.", show_default=False)],
    precision: Precision = "FP16",
    pue: Pue = 1.35,
    hosts: Hosts = 0.0,
    as_json: Json = False,
) -> None:
    """Say what cards of several models come to; figures of unlike kinds are told apart, never added.

    Example: hutong capacity sum H100=1000 Ascend910B=9000
    """
    terms = {"pue_milli": round(pue * 1000), "host_milli": round(hosts * 1000)}
    mix = build(c.NewMix, parts=tuple(map(_part, parts)), precision=precision, **terms)
    with connect() as client:
        found = client.capacity.add(mix)
    if as_json:
        show_json(found)
        return
    _show_totals(found.totals)
    say(
        f"domestic: {percent(found.domestic_cards_ppm)} by cards, "
        f"{interval(found.domestic_p_ppm, percent)} by P"
    )
    say(f"power     {interval(found.watts, watts)} with PUE")
    _show_without(found.without_figure)


@group.command("coverage")
def coverage(
    claim: Annotated[
        str, typer.Argument(help="A published total, of `hutong capacity claims`.", show_default=False)
    ],
    since: Annotated[str, typer.Option("--since", help="An earlier one of the same scope.")] = "",
    region: Annotated[list[str] | None, typer.Option("--region", help="Of these regions only.")] = None,
    as_json: Json = False,
) -> None:
    """Say what of a published total is registered here, with evidence, declared or planned, and what it adds.

    Example: hutong capacity coverage beijing-2025 --since beijing-2025-q1
    """
    with connect() as client:
        found = client.capacity.coverage(claim, since, regions=tuple(region or ()))
    if as_json:
        show_json(found)
        return
    told = found.claim
    say(
        f"{told.name}: {told.figure.text} {told.status}, {told.at} "
        f"({_kind(told.figure)}; {told.figure.source})"
    )
    if found.growth is not None:
        grown = found.growth
        what = "a plan, not a measurement" if grown.planned else "as declared"
        say(f"{grown.gops / 10**6:,.0f} P more than {grown.since.name} ({percent(grown.growth_ppm)}): {what}")
        _show_chains(grown.chains)
    for label, count, rows in (
        ("registered with evidence", found.sites_with_evidence, found.evidence),
        ("registered, declared only", found.sites_declared_only, found.declared),
        ("registered plans until then", None, found.planned),
    ):
        say(label if count is None else f"{label}; centres: {count}")
        for row in rows:
            unlike = "" if row.like else ", unlike the claim: not set against it"
            kind = f"{row.total.precision} {row.total.sparsity}, {row.total.basis}"
            say(
                f"  {power(row.total.gops)} of {row.total.cards:,} cards "
                f"({kind}{unlike}), {percent(row.covers_ppm)}"
            )
    _show_without(found.without_figure)
    say(f"on the publisher's word: {found.left_gops / 10**6:,.1f} P")


@group.command("check-table")
def check_table(file: CsvFile, as_json: Json = False) -> None:
    """Find arithmetic errors in a published table: exit code 1 if there is one.

    The first column names the row, a row `total` states totals, columns `cards` and `P` hold numbers.
    Example: hutong capacity check-table examples/capacity/sanjiangyuan.csv
    """
    with connect() as client:
        found = client.capacity.check_table(_read(file))
    if as_json:
        show_json(found)
    else:
        rows = (
            (
                Text(each.severity, style="red" if each.severity == "error" else "dim"),
                _place(each),
                each.message,
            )
            for each in found.findings
        )
        rows_of(table("", "where", "what"), rows, "nothing to say")
    if found.errors:
        raise typer.Exit(1)


@group.command("import")
def import_figures(
    file: CsvFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge the rows, keep nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Import figures of cards from CSV: each row is taken, flagged or refused, with the reason (operators).

    Columns: card, precision, teraflops, basis, source, dated; sparsity, of and confidence if you like.
    Example: hutong capacity import examples/capacity/figures.csv --dry-run
    """
    with connect() as client:
        found = client.capacity.import_figures(_read(file), dry_run=dry_run)
    if as_json:
        show_json(found)
        return
    rows = (
        (
            f"{each.line}",
            each.outcome,
            each.card,
            f"{each.code}: {each.reason}" if each.code else "",
            each.hint,
        )
        for each in found.verdicts
    )
    rows_of(table(">line", "", "card", "why", "what would be right"), rows, "no rows")
    kept = "nothing kept: a dry run" if dry_run else f"{found.stored} new ones kept"
    say(f"{found.taken} taken, {found.flagged} flagged, {found.refused} refused; {kept}")


@group.command("remove-figure")
def remove_figure(
    id: Annotated[str, typer.Argument(help="Of `hutong capacity figures`.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Take an imported figure away (operators).

    Example: hutong capacity remove-figure 0123456789abcdef01234567
    """
    with connect() as client:
        client.capacity.remove_figure(id)
    show_json({"id": id}) if as_json else say(f"figure {id} is gone")


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        problem = Problem("", f"{file}: {error}", "a CSV file in UTF-8")
        raise Refused("bad_file", f"{file} cannot be read", (problem,)) from error


def _part(text: str) -> c.MixPart:
    model, _, count = text.partition("=")
    if not model or not count.isdecimal():
        raise Refused(
            "bad_input", f"{text!r} is not CARD=NUMBER", (Problem("", "what is meant?", "H100=1000"),)
        )
    part: c.MixPart = build(c.MixPart, model=model, cards=int(count))
    return part


def _said(figure: c.Figure) -> tuple[object, ...]:
    return (figure.gops, figure.precision, figure.sparsity, figure.basis, figure.of, figure.source)


def _kind(figure: c.Figure) -> str:
    assumed = ", assumed" if figure.assumed else ""
    return f"{figure.precision} {figure.sparsity}, {figure.basis}{assumed}"


def _place(finding: c.TableFinding) -> str:
    return f"line {finding.line}, {finding.column}" if finding.line else finding.column


def _flags(flags: Iterable[str]) -> None:
    for each in flags:
        say(f"note: {each}")


def _show_chains(chains: Sequence[c.Chain]) -> None:
    columns = ("card", ">power", ">cards", ">racks", ">of cards", ">with PUE", ">a year")
    rows_of(table(*columns), (row for chain in chains for row in _chain_rows(chain)), "no cards")
    for chain in chains:
        figure = chain.choice.figure
        sparse = (
            f"; {chain.cards_if_sparse:,} cards if its sparse figure were taken for dense"
            if chain.cards_if_sparse
            else ""
        )
        say(f"{chain.model}: {figure.text} {_kind(figure)}, {chain.choice.status} ({figure.source}){sparse}")


def _chain_rows(chain: c.Chain) -> Iterator[tuple[str, ...]]:
    """Yield the likely values of a chain, and its ends where they differ."""
    told = (
        (chain.gops, gigaops), (chain.cards, cards_in), (chain.racks, cards_in), (chain.it_watts, watts),
        (chain.watts, watts), (chain.watt_hours, energy),
    )  # fmt: skip
    yield (chain.model, *(tell(span.likely) for span, tell in told))
    if any(span.low < span.high for span, _ in told):
        yield ("  from", *(tell(span.low) for span, tell in told))
        yield ("  to", *(tell(span.high) for span, tell in told))


def _show_totals(totals: Iterable[c.Total]) -> None:
    rows = (
        (f"{each.precision} {each.sparsity}", each.basis, power(each.gops), f"{each.cards:,}")
        for each in totals
    )
    rows_of(table("precision", "basis", ">power", ">cards"), rows, "no card has such a figure")


def _show_without(parts: Iterable[c.MixPart]) -> None:
    if told := ", ".join(f"{each.cards:,} {each.model}" for each in parts):
        say(f"without a figure: {told}")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="capacity", rich_help_panel="Operators")
