"""Commands of applicants and reviewers: apply from a file, hand in, appeal; review and decide."""

from pathlib import Path
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.call_commands import show_applications
from hutong.clients.cli.money_commands import read_yuan
from hutong.clients.cli.session import Json, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import local, money, say, show_json
from hutong.clients.sdk.shapefile import load_shape
from hutong.wire import calls as c

MONEY = frozenset({"/amount"})
Application = Annotated[str, typer.Argument(metavar="APPLICATION", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]


def save(
    file: Annotated[Path, typer.Argument(help="A YAML file, such as examples/calls/application.yaml.")],
    project: ProjectOption = "",
    to: Annotated[str, typer.Option("--to", metavar="APPLICATION", help="Save to this draft.")] = "",
    submit: Annotated[bool, typer.Option("--submit", help="Hand it in at once.")] = False,
    as_json: Json = False,
) -> None:
    """Keep an application as a draft, from a file; save to the same draft again with --to.

    Example: hutong apply save examples/calls/application.yaml --project weather
    """
    wanted, _ = load_shape(file, c.NewApplication, MONEY)
    with connect() as client:
        if to:
            fields = wanted.model_dump(exclude={"call"}, exclude_unset=True)
            made = client.applications.save(to, c.ApplicationAsk.model_validate(fields))
        else:
            made = client.applications.create(project_of(client, project), wanted)
        if submit:
            made = client.applications.submit(made.id)
    _show(made, as_json)


def submit(application: Application, as_json: Json = False) -> None:
    """Hand in a draft or a revision; what is not eligible is said field by field, and stays a draft.

    Example: hutong apply submit ap-01kb7r5x0c8m3q6v9w2y4z1a3d
    """
    with connect() as client:
        found = client.applications.submit(application)
    _show(found, as_json)


def show(application: Application, as_json: Json = False) -> None:
    """Show an application: its state, when a decision is due, reviews once decided.

    Example: hutong apply show ap-01kb7r5x0c8m3q6v9w2y4z1a3d
    """
    with connect() as client:
        found = client.applications.get(application)
    _show(found, as_json)


def list_mine(project: ProjectOption = "", as_json: Json = False) -> None:
    """List the applications of a project.

    Example: hutong apply list --project weather
    """
    with connect() as client:
        found = list(client.applications.list(project=project_of(client, project)))
    show_json(found) if as_json else show_applications(found)


def withdraw(application: Application, reason: Reason, as_json: Json = False) -> None:
    """Withdraw an application that has not been decided, or that waits for money.

    Example: hutong apply withdraw ap-01kb7r5x0c8m3q6v9w2y4z1a3d --reason "found other money"
    """
    with connect() as client:
        found = client.applications.withdraw(application, reason)
    _show(found, as_json)


def appeal(application: Application, reason: Reason, as_json: Json = False) -> None:
    """Appeal against a rejection, once and in time.

    Example: hutong apply appeal ap-01kb7r5x0c8m3q6v9w2y4z1a3d --reason "reviewer 2 read another version"
    """
    with connect() as client:
        found = client.applications.appeal(application, reason)
    _show(found, as_json)


def list_reviews(as_json: Json = False) -> None:
    """List the applications that you are to review.

    Example: hutong review list
    """
    with connect() as client:
        found = list(client.applications.to_review())
    show_json(found) if as_json else show_applications(found)


def write_review(
    application: Application,
    score: Annotated[int, typer.Option("--score", min=0, max=100, help="0 to 100.")],
    public: Annotated[str, typer.Option("--public", help="What the applicant may read.")],
    private: Annotated[str, typer.Option("--private", help="What only officers may read.")] = "",
    as_json: Json = False,
) -> None:
    """Write your review of an application; another one takes its place.

    Example: hutong review write ap-01kb7r5x0c8m3q6v9w2y4z1a3d --score 80 --public "sound plan"
    """
    with connect() as client:
        wanted = build(c.NewReview, score=score, public=public, private=private)
        found = client.applications.review(application, wanted)
    _show(found, as_json)


def declare(application: Application, reason: Reason, as_json: Json = False) -> None:
    """Name your own conflict of interest, and cease to be a reviewer.

    Example: hutong review conflict ap-01kb7r5x0c8m3q6v9w2y4z1a3d --reason "we publish together"
    """
    with connect() as client:
        found = client.applications.declare_conflict(application, reason)
    _show(found, as_json)


def assign(
    application: Application,
    person: Annotated[str, typer.Argument(metavar="PERSON", show_default=False)],
    as_json: Json = False,
) -> None:
    """Make somebody impartial a reviewer (operators).

    Example: hutong review assign ap-01kb7r5x0c8m3q6v9w2y4z1a3d wang
    """
    with connect() as client:
        found = client.applications.assign(application, person)
    _show(found, as_json)


def ask_revision(application: Application, reason: Reason, as_json: Json = False) -> None:
    """Give an application back for revision; its clock stands still meanwhile (operators).

    Example: hutong review revision ap-01kb7r5x0c8m3q6v9w2y4z1a3d --reason "say which data you need"
    """
    with connect() as client:
        found = client.applications.ask_revision(application, reason)
    _show(found, as_json)


def decide(
    application: Application,
    outcome: Annotated[str, typer.Argument(help="accepted, partly, rejected or waitlisted.")],
    reason: Reason,
    amount: Annotated[str, typer.Option("--amount", help="Yuan, for a part; else all.")] = "",
    as_json: Json = False,
) -> None:
    """Decide on an application; what is accepted has its allocation at once (operators).

    Example: hutong review decide ap-01kb7r5x0c8m3q6v9w2y4z1a3d partly --amount 5000 --reason "a third less"
    """
    fields = {"outcome": outcome, "reason": reason, "amount": read_yuan(amount) if amount else None}
    with connect() as client:
        found = client.applications.decide(application, build(c.NewDecision, **fields))
    _show(found, as_json)


def answer(
    application: Application,
    reason: Reason,
    grant: Annotated[bool, typer.Option("--grant/--dismiss", help="Review it anew, or not.")],
    as_json: Json = False,
) -> None:
    """Answer an appeal; another officer than the one who rejected it (operators).

    Example: hutong review answer ap-01kb7r5x0c8m3q6v9w2y4z1a3d --grant --reason "a page was missing"
    """
    with connect() as client:
        found = client.applications.answer_appeal(application, c.Answer(granted=grant, reason=reason))
    _show(found, as_json)


def _show(found: c.Application, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    outcome = f", {found.outcome}" if found.outcome else ""
    say(f"application {found.id} of {found.project} to {found.call}: {found.state}{outcome}")
    say(f"  {found.ask.title}, asks for {money(found.ask.amount)}")
    if found.outcome and found.amount and found.outcome != "rejected":
        say(f"  gets {money(found.amount)}")
    if found.place:
        say(f"  number {found.place} on the waiting list")
    if found.awaits:
        say(f"  waits until {found.awaits}")
    if found.due:
        say(f"  a decision is due {local(found.due)}" + (" (overdue)" if found.overdue else ""))
    for each in found.reviews:
        who = f"{each.reviewer}: " if each.reviewer else ""
        say(f"  {who}{each.score} of 100. {each.public}" + (f" ({each.private})" if each.private else ""))
    for step in found.history:
        say(f"  {local(step.at)} {step.action} {step.by} {step.note}".rstrip())


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    applicants = typer.Typer(help="Apply for computing: draft, hand in, appeal.", no_args_is_help=True)
    applicants.command("save")(save)
    applicants.command("submit")(submit)
    applicants.command("show")(show)
    applicants.command("list")(list_mine)
    applicants.command("withdraw")(withdraw)
    applicants.command("appeal")(appeal)
    app.add_typer(applicants, name="apply", rich_help_panel="Money")
    reviewers = typer.Typer(help="Review applications; operators assign and decide.", no_args_is_help=True)
    reviewers.command("list")(list_reviews)
    reviewers.command("write")(write_review)
    reviewers.command("conflict")(declare)
    reviewers.command("assign")(assign)
    reviewers.command("revision")(ask_revision)
    reviewers.command("decide")(decide)
    reviewers.command("answer")(answer)
    app.add_typer(reviewers, name="review", rich_help_panel="Money")
