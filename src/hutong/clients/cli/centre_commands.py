"""Commands about the registry of centres."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli import given
from hutong.clients.cli.account_commands import build
from hutong.clients.cli.agreement_commands import reconcile
from hutong.clients.cli.capacity_words import gigaops, percent, power
from hutong.clients.cli.scenario import CENTRES, enter_centres, read_centres
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.sheets import read_table
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.wire import centres as w

group = typer.Typer(
    help="The registry of centres: phases, import, sums, plans against what came.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(metavar="CENTRE", help="The centre's id.", show_default=False)]
PhaseName = Annotated[str, typer.Argument(metavar="PHASE", help="The phase's id.", show_default=False)]
AsOf = Annotated[str, typer.Option("--as-of", metavar="DAY", help="2025-03-31, 2025-03 or 2025; today.")]
Region = Annotated[str, typer.Option("--region", help="Of one region only.")]
Source = Annotated[str, typer.Option("--source", help="Who says so.", show_default=False)]


@group.command("list")
def list_centres(region: Region = "", as_of: AsOf = "", as_json: Json = False) -> None:
    """List the centres with their phases as of a day.

    Example: hutong centres list --region Beijing --as-of 2024-03
    """
    with connect() as client:
        found = list(client.centres.list(region=region, as_of=as_of))
    if as_json:
        show_json(found)
        return
    rows = (
        (centre.id if not at else "", centre.region if not at else "", phase.id, _state(phase),
         _capacity(phase.capacity), _due(phase))
        for centre in found
        for at, phase in enumerate(centre.phases or (None,))
        if phase is not None
    )  # fmt: skip
    rows_of(table("centre", "region", "phase", "state", "what", "due"), rows, "no centres")


@group.command("show")
def show_centre(centre: Name, as_of: AsOf = "", as_json: Json = False) -> None:
    """Show a centre with the whole history of its phases and who says so.

    Example: hutong centres show shangzhuang --as-of 2024-03
    """
    with connect() as client:
        found = client.centres.get(centre, as_of=as_of)
    if as_json:
        show_json(found)
        return
    names = "  ".join(each for each in (found.name_en, found.name_zh) if each)
    say(f"{found.id}  {names}  {found.region}")
    for label, text in (
        ("owner", found.owner.name), ("operator", found.operator.name), ("contract", found.contract),
        ("sites", ", ".join(found.sites)), ("note", found.note),
    ):  # fmt: skip
        if text:
            say(f"{label:<10}{text}")
    for phase in found.phases:
        note = f"; withdrawn: {phase.withdrawn}" if phase.withdrawn else ""
        say(f"phase {phase.id} {phase.name}  {_capacity(phase.capacity)}{note}")
        for plan in phase.plans:
            say(f"  due {plan.due}, as told {plan.told} ({plan.source})")
        for change in phase.changes:
            told = change.evidence
            shown = f"; {told.document}, confirmed by {told.confirmed_by}" if told.document else ""
            by = f", recorded by {change.by}" if change.by else ""
            say(f"  {change.on}  {change.state} ({told.source}{shown}{by})")
        if phase.note:
            say(f"  {phase.note}")


@group.command("load")
def load_centres(
    scenario: Annotated[
        str, typer.Argument(help="A scenario such as beijing, or a YAML file.", show_default=False)
    ],
    as_json: Json = False,
) -> None:
    """Enter the centres of a scenario or a YAML file; a repeat changes nothing (operators).

    Sites that they name are left out where they are not registered.
    Example: hutong centres load beijing
    """
    file = Path(scenario)
    wanted = read_centres(file if file.is_file() else given.scenarios(scenario) / CENTRES)
    with connect() as client:
        made, kept = enter_centres(client, wanted)
    if as_json:
        show_json(made)
        return
    say(f"{len(made)} centres are in the registry")
    for id in kept:
        say(f"{id} is there in another form, and stays as it is")


@group.command("import")
def import_centres(
    file: Annotated[Path, typer.Argument(help="CSV or .xlsx; - for standard input.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge the rows, enter nothing.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Enter the good ones all the same.")] = False,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Enter what may be there already too.")
    ] = False,
    source: Source = "",
    as_json: Json = False,
) -> None:
    """Import many centres: each row is taken, flagged or refused, with the reason; all or none (operators).

    Columns: name, region, state; id, lat, lon, owner, owner_uscc, operator, phase, on, due, card, cards, p,
    precision, source, document, confirmed_by and others if you like. Exit code 1 if a row was refused.
    Example: hutong centres import examples/centres/zhangjiakou.csv --dry-run
    """
    with connect() as client:
        found = client.centres.import_table(
            read_table(file), source=source, dry_run=dry_run, skip_bad=skip_bad,
            keep_duplicates=keep_duplicates,
        )  # fmt: skip
    if as_json:
        show_json(found)
    else:
        _show_import(found, dry_run)
    if found.refused and not skip_bad:
        raise typer.Exit(1)


def _show_import(found: w.ImportedCentres, dry_run: bool) -> None:
    rows = (
        (
            f"{each.line}" if not at else "",
            Text(each.outcome, style={"refused": "red", "flagged": "yellow"}.get(each.outcome, "green"))
            if not at else "",
            each.centre if not at else "", f"{remark.code}: {remark.message}" if remark else "",
            remark.hint if remark else "",
        )
        for each in found.verdicts
        for at, remark in enumerate(each.remarks or (None,))
    )  # fmt: skip
    rows_of(table(">line", "", "centre", "why", "what would be right"), rows, "no rows")
    kept = "nothing entered: a dry run" if dry_run else f"{found.stored} centres entered"
    if found.refused and not found.stored and not dry_run:
        kept = "nothing entered: mend the rows that are refused, or --skip-bad"
    same = f", {found.unchanged} there already" if found.unchanged else ""
    say(f"{found.taken} rows taken, {found.flagged} flagged, {found.refused} refused; {kept}{same}")


@group.command("change")
def change_phase(
    centre: Name,
    phase: PhaseName,
    state: Annotated[
        str, typer.Argument(help="under-construction, accepted, in-service, retired.", show_default=False)
    ],
    on: Annotated[str, typer.Option("--on", help="The day or month.", show_default=False)],
    source: Source,
    document: Annotated[str, typer.Option("--document", help="What shows it.")] = "",
    confirmed_by: Annotated[str, typer.Option("--confirmed-by", help="Who answers for that.")] = "",
    stated: Annotated[str, typer.Option("--stated", help="What it has, if not as planned: '480 P'.")] = "",
    as_json: Json = False,
) -> None:
    """Say that a phase came into its next state; what was said before stays (operators).

    Example: hutong centres change shangzhuang 2 accepted --on 2024-05 --source 'acceptance report'
    """
    evidence = build(w.PhaseEvidence, source=source, document=document, confirmed_by=confirmed_by)
    figure = {"amount": stated, "source": source, "dated": on}
    wanted = build(
        w.NewPhaseChange,
        state=state,
        on=on,
        evidence=evidence,
        capacity={"stated": figure} if stated else None,
    )
    with connect() as client:
        found = client.centres.add_change(centre, phase, wanted)
    show_json(found) if as_json else say(f"{centre}, phase {phase}: {state} since {on}")


@group.command("replan")
def plan_phase(
    centre: Name,
    phase: PhaseName,
    due: Annotated[str, typer.Option("--due", help="When it is to be in service.", show_default=False)],
    told: Annotated[str, typer.Option("--told", help="When that was said.", show_default=False)],
    source: Source,
    as_json: Json = False,
) -> None:
    """Say anew when a phase is to be in service; earlier plans stay (operators).

    Example: hutong centres replan shangzhuang 2 --due 2025-06 --told 2024-04 --source 'the operator'
    """
    wanted = build(w.NewPlan, due=due, told=told, source=source)
    with connect() as client:
        found = client.centres.add_plan(centre, phase, wanted)
    show_json(found) if as_json else say(f"{centre}, phase {phase}: due {due}, as told {told}")


@group.command("withdraw")
def withdraw_phase(
    centre: Name,
    phase: PhaseName,
    reason: Annotated[str, typer.Option("--reason", help="Why.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Say that a phase should not have been entered: it counts nowhere, and stays to be seen (operators).

    Example: hutong centres withdraw shangzhuang 2 --reason 'entered twice'
    """
    with connect() as client:
        found = client.centres.withdraw(centre, phase, reason)
    show_json(found) if as_json else say(f"{centre}, phase {phase} is withdrawn")


@group.command("rollup")
def roll_up(
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="region, owner, operator, centre, chip, vendor, precision, domestic, state or all.",
        ),
    ] = "region",
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Of phases in that state; several.")
    ] = None,
    region: Region = "",
    as_of: AsOf = "",
    as_json: Json = False,
) -> None:
    """Add up what centres have, kind by kind: with evidence, and declared only.

    Example: hutong centres rollup --by domestic --as-of 2025-06
    """
    with connect() as client:
        found = client.centres.roll_up(by, as_of=as_of, states=tuple(state or ()), region=region)
    if as_json:
        show_json(found)
        return
    say(f"as of {found.as_of}: {', '.join(found.states)}{f', {found.region}' if found.region else ''}")
    columns = (found.by, ">centres", ">cards", "kind", ">with evidence", ">declared", ">proved")
    rows_of(table(*columns), (row for each in found.groups for row in _group_rows(each)), "nothing")
    for each in found.groups:
        if each.domestic_cards_ppm or each.domestic_p_ppm:
            unknown = (
                f"; of {gigaops(each.unknown_origin_gops)} nobody said" if each.unknown_origin_gops else ""
            )
            say(f"{each.key}: domestic {percent(each.domestic_cards_ppm)} of cards, "
                f"{percent(each.domestic_p_ppm)} of P{unknown}")  # fmt: skip
        if each.silent:
            say(f"{each.key}: {each.silent} phases without a computing power that could be counted")


def _group_rows(group: w.RollUpGroup) -> list[tuple[str, ...]]:
    head = (group.key, f"{group.centres}", f"{group.cards:,}")
    rows: list[tuple[str, ...]] = []
    for at, each in enumerate(group.rows):
        assumed = ", assumed" if each.assumed_gops else ""
        kind = f"{each.precision} {each.sparsity}, {each.basis}{assumed}"
        rows.append((*(head if not at else ("", "", "")), kind, power(each.evidence), power(each.declared),
                     percent(each.evidence_ppm)))  # fmt: skip
    return rows or [(*head, "no computing power", "", "", "")]


@group.command("plan")
def plan_against_actual(
    start: Annotated[str, typer.Option("--from", help="The first month.", show_default=False)],
    until: Annotated[str, typer.Option("--until", help="The last month.", show_default=False)],
    months: Annotated[int, typer.Option("--months", min=1, max=12, help="Between two points.")] = 3,
    region: Region = "",
    as_of: AsOf = "",
    as_json: Json = False,
) -> None:
    """Set plans beside what came of them, and say how late phases are.

    Example: hutong centres plan --from 2023-12 --until 2026-12 --months 6
    """
    with connect() as client:
        found = client.centres.plan(start, until, months=months, as_of=as_of, region=region)
    if as_json:
        show_json(found)
        return
    rows = (
        (point.day, f"{row.precision} {row.sparsity}, {row.basis}", power(row.first_plan),
         power(row.latest_plan), *(power(each) if point.day <= found.as_of else ""
                                   for each in (row.actual, row.unplanned)))
        for point in found.points
        for row in point.rows
    )  # fmt: skip
    columns = ("until", "kind", ">first plans", ">latest plans", ">of that in service", ">unplanned")
    rows_of(table(*columns), rows, "no plans")
    late = (
        (each.centre, each.phase, each.first_due, each.latest_due, each.state, each.in_service,
         "" if each.late_days is None else f"{each.late_days}")
        for each in found.delays
    )  # fmt: skip
    rows_of(
        table("centre", "phase", "first due", "latest due", "state", "in service", ">days late"), late, ""
    )
    if found.delays_in_all > len(found.delays):
        say(f"{found.delays_in_all - len(found.delays)} more")


def _state(phase: w.Phase) -> Text:
    styles = {"in-service": "green", "retired": "dim", "planned": "yellow"}
    text = "withdrawn" if phase.withdrawn else phase.state or "not known then"
    return Text(f"{text}{', proved' if phase.proved else ''}", style=styles.get(text, ""))


def _capacity(capacity: w.PhaseCapacity) -> str:
    told = [f"{line.cards:,} {line.model}" for line in capacity.cards]
    if capacity.stated:
        figure = capacity.stated
        told.append(f"{figure.text} {figure.precision}{', assumed' if figure.assumed else ''}")
    return "; ".join(told) or "not said"


def _due(phase: w.Phase) -> str:
    return phase.plans[-1].due if phase.plans else ""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group.command()(reconcile)
    app.add_typer(group, name="centres", rich_help_panel="Operators")
