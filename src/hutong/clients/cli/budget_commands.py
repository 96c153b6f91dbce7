"""Commands about budgets: set, show, end; and the notices of thresholds that were reached."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, Limit, connect
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.wire import budgets as w

Name = Annotated[str, typer.Argument(metavar="BUDGET", help="Its name.", show_default=False)]
OfProject = Annotated[str, typer.Option("--project", "-p", help="Of this project.")]
OfInstitution = Annotated[str, typer.Option("--institution", help="Of this institution.")]
NOTICES_MOST = 1000


def set_budget(
    name: Name,
    amount: Annotated[str | None, typer.Option("--amount", help="How much, such as 1200.5.")] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help="CNY, card-hours, tokens, kWh or kgCO2e.")
    ] = None,
    project: OfProject = "",
    institution: OfInstitution = "",
    person: Annotated[str, typer.Option("--person", help="Of this person in the project.")] = "",
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", help="Card-hours of this one only; `*` for all.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Its first UTC day; today.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The UTC day on which it is over.")] = None,
    monthly: Annotated[
        bool | None, typer.Option("--monthly/--once", help="The amount is for each month.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="PERCENT:ACTION; notify, block_new, drain or stop. Again for more."),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="What it is for.")] = None,
    as_json: Json = False,
) -> None:
    """Set a budget; what is not given stays as it was.

    Example: hutong budget set h100-2026 --project vision --unit card-hours --accelerator H100 --amount 5000
    --at 80:notify --at 100:block_new
    """
    with connect() as client:
        try:
            before = client.budgets.get(name).model_dump(include=set(w.NewBudget.model_fields))
        except NotFound:
            before = {}
        given: dict[str, Any] = {
            "amount": amount, "unit": unit, "accelerator": accelerator, "start": start, "end": end,
            "monthly": monthly, "note": note, **_scope(project, institution, person),
            "thresholds": None if at is None else tuple(map(_threshold, at)),
        }  # fmt: skip
        wanted = {**before, **{key: value for key, value in given.items() if value is not None}}
        missing = [f"--{each}" for each in ("amount", "unit") if each not in wanted]
        missing += [] if "name" in wanted else ["--project or --institution"]
        if missing:
            problem = Problem(
                "", f"a new budget needs {' and '.join(missing)}", "see hutong budget set --help"
            )
            raise Refused("bad_input", f"there is no budget {name!r} yet", (problem,))
        made = client.budgets.set(name, build(w.NewBudget, **wanted))
    show_json(made) if as_json else show_budgets([made])


def _scope(project: str, institution: str, person: str) -> dict[str, str]:
    if (bool(project) and bool(institution)) or (person and not project):
        raise Refused("bad_input", "a budget is of --institution, of --project, or of --project and --person")
    if not project and not institution:
        return {}
    kind = "institution" if institution else "person" if person else "project"
    return {"scope": kind, "name": institution or project, "person": person}


def _threshold(text: str) -> w.BudgetThreshold:
    percent, _, action = text.removesuffix("%").partition(":")
    percent = percent.removesuffix("%")
    if not percent.isdecimal() or not action:
        raise Refused("bad_input", f"{text!r} is not PERCENT:ACTION, such as 80:notify")
    made: w.BudgetThreshold = build(w.BudgetThreshold, percent=int(percent), action=action)
    return made


def list_budgets(project: OfProject = "", institution: OfInstitution = "", as_json: Json = False) -> None:
    """List the budgets that you may see, with what is spent of each.

    Example: hutong budget list --project vision
    """
    with connect() as client:
        found = list(client.budgets.list(project=project, institution=institution))
    show_json(found) if as_json else show_budgets(found)


def show(name: Name, as_json: Json = False) -> None:
    """Show a budget: its four numbers, and what happens when.

    Example: hutong budget show h100-2026
    """
    with connect() as client:
        found = client.budgets.get(name)
    if as_json:
        show_json(found)
        return
    show_budgets([found])
    for each in found.thresholds:
        say(f"  at {each.percent} %: {each.action}")
    if found.note:
        say(f"  {found.note}")


def end(name: Name, as_json: Json = False) -> None:
    """End a budget: it bounds nothing any more.

    Example: hutong budget end h100-2026
    """
    with connect() as client:
        found = client.budgets.end(name)
    show_json(found) if as_json else say(f"budget {name} has ended")


def notices(
    project: OfProject = "", institution: OfInstitution = "", limit: Limit = 50, as_json: Json = False
) -> None:
    """List what budgets have reached, the newest first.

    Example: hutong notices --project vision
    """
    with connect() as client:
        found = list(client.budgets.notices(project=project, institution=institution, limit=NOTICES_MOST))
    found = sorted(found, key=lambda each: each.at, reverse=True)[:limit]
    if as_json:
        show_json(found)
        return
    rows = ((local(each.at), f"{each.percent} %", each.action, each.text) for each in found)
    rows_of(table("when", ">at", "action", "what"), rows, "no budget has reached a threshold")


def show_budgets(found: Iterable[w.Budget]) -> None:
    """Print budgets with their numbers, a row each."""
    made = table(
        "budget",
        "of",
        "unit",
        "period",
        ">amount",
        ">settled",
        ">in flight",
        ">committed",
        ">available",
        ">used",
    )
    rows_of(made, map(_row, found), "no budgets")


def _row(budget: w.Budget) -> tuple[str, ...]:
    whose = f"{budget.person} in {budget.name}" if budget.person else f"{budget.scope} {budget.name}"
    unit = budget.unit if budget.accelerator == "*" else f"{budget.unit} {budget.accelerator}"
    period = "ended" if budget.ended else budget.period or "not now"
    numbers = budget.numbers
    if numbers is None:
        return (budget.id, whose, unit, period, budget.amount, "", "", "", "", "")
    four = (numbers.settled, numbers.in_flight, numbers.committed, numbers.available)
    used = f"{numbers.percent} %" if numbers.percent else ""
    return (budget.id, whose, unit, period, budget.amount, *four, used)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Budgets, in any unit.", no_args_is_help=True)
    group.command("set")(set_budget)
    group.command("list")(list_budgets)
    group.command("show")(show)
    group.command("end")(end)
    app.add_typer(group, name="budget", rich_help_panel="Money")
    app.command(rich_help_panel="Money")(notices)
