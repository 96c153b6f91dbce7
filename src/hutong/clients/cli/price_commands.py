"""Commands about prices: books, what is in them over time, what a project pays, and a quote for a job."""

from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.bills import show_commitments
from hutong.clients.cli.money_commands import read_time
from hutong.clients.cli.run_commands import (
    EnvOption,
    FileArgument,
    SecretOption,
    note_array,
    read_job,
)
from hutong.clients.cli.session import Json, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import console, local, money, rows_of, say, show_json, table
from hutong.clients.sdk.bundle import find_workdir
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire import prices as p
from hutong.wire.jobs import Quote

BookOption = Annotated[str, typer.Option("--book", help="A price book.")]
SkuArgument = Annotated[
    str,
    typer.Argument(
        metavar="SKU",
        help="card:MODEL, card:MODEL@SITE or card:MODEL@SITE/POOL; storage; token_in, token_out or "
        "service_request, for one deployment with :PROJECT/NAME after it.",
    ),
]
PriceArgument = Annotated[str, typer.Argument(metavar="PRICE", help="Its id.", show_default=False)]


def books(
    make: Annotated[str, typer.Option("--make", metavar="ID", help="Make a book of this id.")] = "",
    title: Annotated[str, typer.Option("--title", help="What people call it.")] = "",
    kind: Annotated[list[str] | None, typer.Option("--for-kind", help="A kind of institution.")] = None,
    institution: Annotated[list[str] | None, typer.Option("--for", help="An institution.")] = None,
    as_json: Json = False,
) -> None:
    """List the price books, or make one: for kinds of institutions, for single ones, or for everybody.

    Example: hutong prices books --make universities --for-kind university --title "universities, 2027"
    """
    if not make and (title or kind or institution):
        raise Refused("bad_option", "nothing was changed", (Problem("--make", "is missing", "--make ID"),))
    with connect() as client:
        if make:
            wanted = build(
                p.PriceBook,
                id=make,
                title=title,
                kinds=tuple(kind or ()),
                institutions=tuple(institution or ()),
            )
            client.prices.create_book(wanted)
        found = list(client.prices.list_books())
    if as_json:
        show_json(found)
        return
    rows = [(each.id, _whom(each), each.title) for each in found]
    rows_of(table("book", "for", "title"), rows, "no price books: every pool has its own price")


def list_prices(book: BookOption = "", as_json: Json = False) -> None:
    """List what is paid now and later by the books.

    Example: hutong prices list --book universities
    """
    with connect() as client:
        found = list(client.prices.list(book or None))
    if as_json:
        show_json(found)
        return
    _show([each for line in found for each in line.prices if each.state != "ended"])


def timeline(sku: SkuArgument, book: BookOption = "", as_json: Json = False) -> None:
    """Show all prices that a thing had, has and will have, by who set them and why.

    Example: hutong prices timeline card:H100
    """
    with connect() as client:
        found = list(client.prices.list(book or None, sku))
    if as_json:
        show_json(found)
        return
    prices = [each for line in found for each in line.prices]
    _show(prices)
    for each in prices:
        say(f"{each.id}: {each.by}, {local(each.set)}: {each.reason}")


def set_price(
    book: Annotated[str, typer.Argument(metavar="BOOK", help="A price book.")],
    sku: SkuArgument,
    amount: Annotated[str, typer.Argument(metavar="YUAN", help="For a card-hour, 10^6 tokens and so on.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, or by which decision; it is kept.")],
    start: Annotated[str, typer.Option("--from", help="When it begins; else now.")] = "",
    end: Annotated[str, typer.Option("--until", help="When it ends; else it has no end.")] = "",
    tier: Annotated[
        list[str] | None,
        typer.Option("--beyond", metavar="AMOUNT=YUAN", help="What a project uses in a month beyond."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="End the price in force when it begins.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Set a price in a book, from now or from a later time on.

    Example: hutong prices set universities card:H100 6.50 --reason "decision 2027-3" --replace
    """
    tiers = tuple(_tier(each) for each in tier or ())
    wanted = build(
        p.NewPrice,
        book=book,
        sku=sku,
        amount={"amount": amount},
        starts=read_time(start, "--from") or None,
        ends=read_time(end, "--until") or None,
        tiers=tiers,
        reason=reason,
        replace=replace,
    )
    with connect() as client:
        made = client.prices.set(wanted)
    show_json(made) if as_json else _show([made])


def end(
    price: PriceArgument,
    at: Annotated[str, typer.Option("--at", help="When; else now.")] = "",
    as_json: Json = False,
) -> None:
    """End a price, now or later. What was placed before keeps it; an ended price is never reopened.

    Example: hutong prices end universities.01jd0000000000000000000000 --at 2027-07-01
    """
    with connect() as client:
        ended = client.prices.end(price, read_time(at, "--at") or None)
    show_json(ended) if as_json else _show([ended])


def withdraw(price: PriceArgument, as_json: Json = False) -> None:
    """Withdraw a price that has not begun.

    Example: hutong prices withdraw universities.01jd0000000000000000000000
    """
    with connect() as client:
        client.prices.withdraw(price)
    show_json({"withdrawn": price}) if as_json else say(f"{price} is withdrawn")


def paid(project: ProjectOption = "", as_json: Json = False) -> None:
    """Show what a project pays for a card of each pool now.

    Example: hutong prices paid --project weather
    """
    with connect() as client:
        found = list(client.prices.paid(project_of(client, project)))
    if as_json:
        show_json(found)
        return
    rows = [
        (f"{each.site}/{each.pool}", each.accelerator, money(each.list_price), money(each.price), each.book)
        for each in found
    ]
    rows_of(table("pool", "accelerator", ">list price", ">paid", "by book"), rows, "no pools")


def quote(
    file: FileArgument,
    env: EnvOption = None,
    secret: SecretOption = None,
    project: ProjectOption = "",
    as_json: Json = False,
) -> None:
    """Say what a job file would cost in each pool, what would be held, and who would pay; nothing is stored.

    Example: hutong quote examples/train-tiny-llm.yaml
    """
    _, document = read_job(file, env or (), secret or ())
    with connect() as client:
        payer = project_of(client, project)
        if find_workdir(document, file) is not None:
            del document["workdir"]  # its content does not change the answer, and nothing is stored
        found = client.jobs.quote(payer, document)
    if as_json:
        show_json(found)
    else:
        _show_quote(found)
        note_array(document)


def _show_quote(found: Quote) -> None:
    rows = [
        (
            "*" if each.chosen else "",
            f"{each.site}/{each.pool}",
            f"{each.cards} {each.accelerator}",
            money(each.price_per_card_hour),
            money(each.hourly),
            money(each.whole),
            money(each.hold),
            each.why_not,
        )
        for each in found.pools
    ]
    hours = f"{found.run_s / 3600:g} h"
    made = table("", "pool", "cards", ">card-hour", ">an hour", f">{hours}", ">held first", "not now")
    rows_of(made, rows, "no pool has what it asks for")
    show_commitments(found.commitments, console())
    if found.reason:
        say(Text(found.reason, style="yellow"))
    for part in found.pays:
        say(f"{part.kind} {part.lot} would pay {money(part.amount)} of {hours} in {found.of}")
    if float(found.missing.amount):
        say(f"{money(found.missing)} of it nobody could pay now")


def _tier(text: str) -> p.PriceTier:
    above, _, amount = text.partition("=")
    tier: p.PriceTier = build(p.PriceTier, above=above, amount={"amount": amount})
    return tier


def _whom(book: p.PriceBook) -> str:
    return ", ".join((*book.kinds, *book.institutions)) or "everybody"


def _show(found: list[p.Price]) -> None:
    rows = [
        (
            each.book,
            each.sku,
            f"{money(each.amount)} a {each.unit}"
            + "".join(f", {money(tier.amount)} beyond {float(tier.above):g}" for tier in each.tiers),
            each.state,
            local(each.starts),
            local(each.ends) if each.ends else "no end",
            each.id,
        )
        for each in found
    ]
    rows_of(table("book", "sku", "price", "", "from", "until", "id"), rows, "no prices")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Price books, and what a project pays.", no_args_is_help=True)
    group.command("books")(books)
    group.command("list")(list_prices)
    group.command("timeline")(timeline)
    group.command("set")(set_price)
    group.command("end")(end)
    group.command("withdraw")(withdraw)
    group.command("paid")(paid)
    app.add_typer(group, name="prices", rich_help_panel="Operators")
    app.command(rich_help_panel="Jobs")(quote)
