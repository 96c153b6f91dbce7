"""Commands about disputes of charges."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, ProjectOption, connect, find_job, project_of
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire import statements as w
from hutong.wire.base import Money

Name = Annotated[str, typer.Argument(metavar="DISPUTE", show_default=False)]
Text = Annotated[str, typer.Option("--text", "-m", help="What you have to say.")]
Evidence = Annotated[str, typer.Option("--evidence", help="Digest (sha256:...) of an uploaded file.")]
_GROUNDS = ("site-fault", "not-run", "wrong-price", "wrong-project", "other")


def open_dispute(
    job: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    text: Text,
    ground: Annotated[str, typer.Option("--ground", help=f"One of {', '.join(_GROUNDS)}.")] = "other",
    attempt: Annotated[int | None, typer.Option("--attempt", help="Else the last one charged.")] = None,
    evidence: Evidence = "",
    as_json: Json = False,
) -> None:
    """Say that what a job was charged is wrong; somebody else decides.

    Example: hutong disputes open last --ground site-fault --text "node 3 lost its disk at 14:02"
    """
    if ground not in _GROUNDS:
        problem = Problem("", f"--ground: {ground!r}", f"one of {', '.join(_GROUNDS)}")
        raise Refused("bad_ground", "on what ground is the charge wrong?", (problem,))
    wanted = build(w.NewDispute, ground=ground, text=text, attempt=attempt, evidence=evidence)
    with connect() as client:
        _tell(client.disputes.open(find_job(client, job), wanted), as_json)


def list_disputes(
    project: ProjectOption = "",
    to_decide: Annotated[
        bool, typer.Option("--to-decide", help="The open ones that you may decide.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the disputes of a project, or those that wait for your decision.

    Example: hutong disputes list --to-decide
    """
    with connect() as client:
        found = list(client.disputes.list("" if to_decide else project_of(client, project)))
    if as_json:
        show_json(found)
        return
    made = table("dispute", "project", "charge", "ground", "charged", "state", "refund", "opened")
    rows = (
        (
            each.id, each.project, each.key, each.ground, money(each.charged), each.state,
            money(each.refund), local(each.opened),
        )
        for each in found
    )  # fmt: skip
    rows_of(made, rows, "There are no disputes.")


def show(dispute: Name, as_json: Json = False) -> None:
    """Show a dispute with all that was written.

    Example: hutong disputes show 01k8abcdefghjkmnpqrstvwxyz
    """
    with connect() as client:
        _tell(client.disputes.get(dispute), as_json)


def write(dispute: Name, text: Text, evidence: Evidence = "", as_json: Json = False) -> None:
    """Write in an open dispute.

    Example: hutong disputes write 01k8abcdefghjkmnpqrstvwxyz --text "here is the log"
    """
    with connect() as client:
        _tell(
            client.disputes.write(dispute, build(w.NewDisputeMessage, text=text, evidence=evidence)), as_json
        )


def withdraw(dispute: Name, as_json: Json = False) -> None:
    """Take a dispute back.

    Example: hutong disputes withdraw 01k8abcdefghjkmnpqrstvwxyz
    """
    with connect() as client:
        _tell(client.disputes.withdraw(dispute), as_json)


def decide(
    dispute: Name,
    refund: Annotated[str, typer.Option("--refund", help="Yuan that go back; 0 rejects it.")],
    reasons: Annotated[str, typer.Option("--reasons", help="The opener will read them.")],
    as_json: Json = False,
) -> None:
    """Decide a dispute of somebody else; what goes back is refunded at once.

    Example: hutong disputes decide 01k8abcdefghjkmnpqrstvwxyz --refund 12.50 --reasons "the node did fail"
    """
    amount = Money(amount=format_micro(parse_micro(refund)))
    with connect() as client:
        _tell(
            client.disputes.decide(dispute, build(w.NewDisputeDecision, refund=amount, reasons=reasons)),
            as_json,
        )


def _tell(found: w.Dispute, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    outcome = f", {money(found.refund)} refunded" if found.state in {"upheld", "partly"} else ""
    say(f"dispute {found.id} of {found.key} ({found.ground}), {money(found.charged)}: {found.state}{outcome}")
    for message in found.messages:
        with_file = f" [{message.evidence[:23]}]" if message.evidence else ""
        say(f"  {local(message.at)} {message.by}: {message.text}{with_file}")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Disputes of charges.", no_args_is_help=True)
    for name, verb in (
        ("open", open_dispute), ("list", list_disputes), ("show", show), ("write", write),
        ("withdraw", withdraw), ("decide", decide),
    ):  # fmt: skip
        group.command(name)(verb)
    app.add_typer(group, name="disputes", rich_help_panel="Money")
