"""Commands about bookings: cards of a pool that are kept for a project or an institution over some hours."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.site_commands import SiteArgument, read_time
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.core.kernel.errors import Refused
from hutong.wire import sites as w


def add_booking(
    place: Annotated[str, typer.Argument(metavar="SITE/POOL", help="Whose cards.", show_default=False)],
    cards: Annotated[int, typer.Option("--cards", min=1, help="How many.")],
    holder: Annotated[str, typer.Option("--for", help="project/NAME or institution/NAME.")],
    start: Annotated[str, typer.Option("--from", help="When it begins, such as 2026-12-01T08:00.")],
    end: Annotated[str, typer.Option("--until", help="When it is over. Without an offset: local time.")],
    reason: Annotated[str, typer.Option("--reason", help="What for; everybody sees it.")] = "",
    as_json: Json = False,
) -> None:
    """Book cards ahead (operators): until then others use them for what ends before.

    Example: hutong booking add beijing-a/h100 --cards 64 --for project/exam --from 2026-12-01T08:00 \
--until 2026-12-01T12:00
    """
    site, _, pool = place.partition("/")
    if not site or not pool:
        raise Refused("bad_input", f"{place!r} is not SITE/POOL")
    first, last = read_time("--from", start), read_time("--until", end)
    wanted = build(w.NewBooking, pool=pool, cards=cards, start=first, end=last, holder=holder, reason=reason)
    with connect() as client:
        now = client.sites.add_booking(site, wanted)
    show_json(now) if as_json else _show([now])


def list_bookings(as_json: Json = False) -> None:
    """List the bookings that go on or are to come.

    Example: hutong booking list
    """
    with connect() as client:
        found = list(client.sites.list())
    if as_json:
        show_json({site.id: [each.model_dump() for each in site.bookings] for site in found if site.bookings})
    else:
        _show(found)


def remove_booking(
    site: SiteArgument,
    name: Annotated[str, typer.Argument(metavar="ID", help="The booking's id.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Take a booking away (operators); what runs on its cards goes on.

    Example: hutong booking remove beijing-a 1f0c22d08a3b
    """
    with connect() as client:
        now = client.sites.remove_booking(site, name)
    show_json(now) if as_json else say(f"{site} has no booking {name} any more")


def _show(sites: list[w.Site]) -> None:
    rows = [
        (
            each.id,
            f"{site.id}/{each.pool}",
            str(each.cards),
            each.holder,
            local(each.start),
            local(each.end),
            each.reason,
        )
        for site in sites
        for each in site.bookings
    ]
    rows_of(table("id", "pool", ">cards", "for", "from", "until", ""), rows, "no bookings")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Cards that are kept for somebody over some hours.", no_args_is_help=True)
    group.command("add")(add_booking)
    group.command("list")(list_bookings)
    group.command("remove")(remove_booking)
    app.add_typer(group, name="booking", rich_help_panel="Centres")
