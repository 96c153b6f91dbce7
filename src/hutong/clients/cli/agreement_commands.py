"""The command that sets the registry of centres beside what connected sites declare."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli.capacity_words import gigaops, power
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.wire import agreement as w

_STYLES = {"agrees": "green", "unsure": "yellow", "unlike": "yellow"}


def reconcile(
    centre: Annotated[str, typer.Argument(metavar="[CENTRE]", help="One centre; else all.")] = "",
    region: Annotated[str, typer.Option("--region", help="Of one region only.")] = "",
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="DAY", help="2025-03-31, 2025-03 or 2025; today.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Set the phases of connected centres beside what their sites declare, chip by chip and kind by kind.

    Exit code 1 if a site declares more or less than is accepted and in service, or figures are unlike.
    Example: hutong centres reconcile shangzhuang
    """
    with connect() as client:
        pages = [client.centres.reconcile(centre=centre, as_of=as_of, region=region)]
        while pages[-1].next:
            cursor = pages[-1].next
            pages.append(client.centres.reconcile(as_of=as_of, region=region, cursor=cursor))
    items = tuple(each for page in pages for each in page.items)
    if as_json:
        show_json(pages[0].model_copy(update={"items": items, "next": ""}))
    else:
        _show(items, pages[0].unnamed)
    if any(each.verdict not in {"agrees", "unsure"} for each in items):
        raise typer.Exit(1)


def _show(items: tuple[w.Agreement, ...], unnamed: tuple[str, ...]) -> None:
    # Intervals are long: columns of numbers wrap here, or eighty columns would leave no room for the names.
    columns = ("centre", "what", "in service", "accepted", "declared", "difference", "")
    rows = (row for each in items for row in _rows(each))
    rows_of(table(*columns), rows, "no centre of the registry names a site")
    for each in items:
        for row in each.power:
            for why in row.why:
                kind = f"{row.precision} {row.sparsity}, {row.basis}"
                say(f"{each.centre}, {kind}: {why.field}: {why.left} is not {why.right}, {why.why}")
        for note in each.notes:
            say(f"{each.centre}: {note}")
    if unnamed:
        say(f"no centre names these sites: {', '.join(unnamed)}")


def _rows(found: w.Agreement) -> Iterator[tuple[str | Text, ...]]:
    head = found.centre
    for cards in found.cards:
        amounts = (f"{each:,}" for each in (cards.in_service, cards.accepted, cards.declared))
        yield (
            head, f"{cards.model} cards", *amounts, f"{cards.difference:+,}" if cards.difference else "",
            _verdict(cards.verdict),
        )  # fmt: skip
        head = ""
    for row in found.power:
        gap = row.difference
        yield (
            head, f"{row.precision} {row.sparsity}, {row.basis}", power(row.in_service), power(row.accepted),
            power(row.declared), f"{'-' if gap < 0 else '+'}{gigaops(abs(gap))}" if gap else "",
            _verdict(row.verdict),
        )  # fmt: skip
        head = ""


def _verdict(verdict: str) -> Text:
    return Text(verdict, style=_STYLES.get(verdict, "red"))
