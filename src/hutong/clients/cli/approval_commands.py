"""Commands about changes that take two people: what waits, yes or no, and from what size on."""

import json
from typing import Annotated, get_args

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire import approvals as a
from hutong.wire.base import Money

Id = Annotated[str, typer.Argument(metavar="PROPOSAL", help="Its id.", show_default=False)]
_BOUNDED = get_args(a.Bounded)
Note = Annotated[str, typer.Option("--note", help="Why; it is kept.")]


def list_proposals(
    closed: Annotated[bool, typer.Option("--closed", help="What is over instead.")] = False,
    as_json: Json = False,
) -> None:
    """List what waits for a second person, as far as it concerns you.

    Example: hutong approvals list
    """
    with connect() as client:
        found = list(client.approvals.list(state="closed" if closed else None))
    show_json(found) if as_json else _show(found)


def show(proposal: Id, as_json: Json = False) -> None:
    """Show one proposal with all that would be done.

    Example: hutong approvals show 01jd0000000000000000000000
    """
    with connect() as client:
        found = client.approvals.get(proposal)
    if as_json:
        show_json(found)
        return
    _show([found])
    say(json.dumps(found.request, indent=1, ensure_ascii=False))


def approve(proposal: Id, note: Note = "", as_json: Json = False) -> None:
    """Approve what somebody else proposed: it is done at once. You need the permission of the change itself.

    Example: hutong approvals approve 01jd0000000000000000000000
    """
    with connect() as client:
        done = client.approvals.approve(proposal, note)
    show_json(done) if as_json else _show([done])


def refuse(proposal: Id, note: Note = "", as_json: Json = False) -> None:
    """Refuse a proposal, or take back your own.

    Example: hutong approvals refuse 01jd0000000000000000000000 --note "ask again next term"
    """
    with connect() as client:
        done = client.approvals.refuse(proposal, note)
    show_json(done) if as_json else _show([done])


def break_glass(
    proposal: Id,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why nobody else could be asked.")],
    as_json: Json = False,
) -> None:
    """Go on alone in an emergency (operators). The audit marks every event of it.

    Example: hutong approvals break-glass 01jd0000000000000000000000 --reason "the centre is on fire"
    """
    build(a.BreakGlass, reason=reason)
    with connect() as client:
        done = client.approvals.break_glass(proposal, reason)
    show_json(done) if as_json else _show([done])


def thresholds(as_json: Json = False) -> None:
    """List the sizes above which a change takes two people.

    Example: hutong approvals thresholds
    """
    with connect() as client:
        found = list(client.approvals.thresholds())
    if as_json:
        show_json(found)
        return
    rows = [
        (each.change, money(each.amount) if each.amount else f"{each.cards} cards", f"{each.hours} h")
        for each in found
    ]
    rows_of(table("change", ">above", ">waits"), rows, "one person suffices for everything")


def threshold(
    change: Annotated[str, typer.Argument(help=f"{', '.join(_BOUNDED)}.")],
    above: Annotated[str, typer.Argument(help="Yuan, or cards of a quota; `none`: one person suffices.")],
    hours: Annotated[int, typer.Option("--hours", min=1, max=8_784, help="How long one waits.")] = 168,
    as_json: Json = False,
) -> None:
    """Say above what size a change takes two people (operators). To loosen it takes two people as well.

    Example: hutong approvals threshold award 100000
    """
    if change not in _BOUNDED:
        problem = Problem("CHANGE", f"{change!r} has no threshold", f"one of {', '.join(_BOUNDED)}")
        raise Refused("bad_input", problem.message, (problem,))
    amount, cards = None, None
    if above != "none" and change == "quota":
        cards = above
    elif above != "none":
        amount = Money(amount=format_micro(parse_micro(above)))
    wanted = build(a.NewThreshold, amount=amount, cards=cards, hours=hours)
    with connect() as client:
        made = client.approvals.set_threshold(change, wanted)
    show_json(made) if as_json else say(f"{change}: {'one person suffices' if above == 'none' else above}")


def _show(found: list[a.Proposal]) -> None:
    rows = [
        (
            each.id,
            each.change,
            each.project or each.institution or "the platform",
            each.by,
            local(each.expires),
            each.state,
            f"{each.decided_by}{' alone' if each.broke_glass else ''}",
        )
        for each in found
    ]
    columns = ("proposal", "change", "where", "proposed by", "waits until", "state", "decided by")
    rows_of(table(*columns), rows, "nothing waits for a second person")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Changes that take two people.", no_args_is_help=True)
    group.command("list")(list_proposals)
    group.command("show")(show)
    group.command("approve")(approve)
    group.command("refuse")(refuse)
    group.command("break-glass")(break_glass)
    group.command("thresholds")(thresholds)
    group.command("threshold")(threshold)
    app.add_typer(group, name="approvals", rich_help_panel="Operators")
