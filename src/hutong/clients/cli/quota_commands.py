"""Commands about quotas, for operators: what an institution or a project is promised, and its most."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.core.kernel.errors import NotFound, Refused
from hutong.wire import quotas as q

Whose = Annotated[
    str, typer.Argument(metavar="KIND/NAME", help="institution/NAME or project/NAME.", show_default=False)
]
_ALL = "any"


def _named(whose: str) -> tuple[str, str]:
    kind, _, name = whose.partition("/")
    if kind not in {"institution", "project"} or not name:
        raise Refused("bad_input", f"{whose!r} is not institution/NAME or project/NAME")
    return kind, name


def set_quota(
    whose: Whose,
    accelerator: Annotated[str, typer.Argument(help="A model, or `*` for all together.")] = "*",
    nominal: Annotated[int | None, typer.Option("--nominal", min=0, help="Cards promised.")] = None,
    borrow: Annotated[str | None, typer.Option("--borrow", help="Cards beyond them, or any.")] = None,
    lend: Annotated[str | None, typer.Option("--lend", help="Idle cards others may hold, or any.")] = None,
    each_person: Annotated[
        str | None,
        typer.Option("--each-person", help="Cards that each person of a project may hold, or any."),
    ] = None,
    share: Annotated[
        float | None, typer.Option("--share", min=0.001, help="Its share, 1 by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Promise cards of an accelerator to an institution or a project, and bound what it may hold (operators).

    What is not given stays as it was. Example: hutong quota set institution/cau H100 --nominal 64 --borrow 32
    Or, for each person of a project: hutong quota set project/vision H100 --each-person 16
    """
    kind, name = _named(whose)
    with connect() as client:
        try:
            before: q.NewQuota = client.quotas.get(kind, name)
        except NotFound:
            before = q.NewQuota()
        known = {each.accelerator: each for each in before.allotments}
        if any(each is not None for each in (nominal, borrow, lend, each_person)):
            old = known.get(accelerator, q.Allotment(accelerator=accelerator))
            known[accelerator] = build(
                q.Allotment,
                accelerator=accelerator,
                nominal=old.nominal if nominal is None else nominal,
                borrow=_cards(borrow, old.borrow),
                lend=_cards(lend, old.lend),
                each_person=_cards(each_person, old.each_person),
            )
        share_milli = before.share_milli if share is None else round(share * 1000)
        wanted = build(q.NewQuota, share_milli=share_milli, allotments=tuple(known.values()))
        made = client.quotas.set(kind, name, wanted)
    show_json(made) if as_json else _show([made])


def list_quotas(as_json: Json = False) -> None:
    """List the quotas (operators).

    Example: hutong quota list
    """
    with connect() as client:
        found = list(client.quotas.list())
    show_json(found) if as_json else _show(found)


def remove_quota(whose: Whose, as_json: Json = False) -> None:
    """Take a quota away: equal shares, nothing promised and no limit (operators).

    Example: hutong quota remove institution/cau
    """
    kind, name = _named(whose)
    with connect() as client:
        client.quotas.remove(kind, name)
    show_json({"kind": kind, "name": name}) if as_json else say(f"{whose} has no quota any more")


def _cards(text: str | None, before: int | None) -> int | None:
    if text is None:
        return before
    if text == _ALL:
        return None
    if not text.isdecimal():
        raise Refused("bad_input", f"{text!r} is neither a number of cards nor `{_ALL}`")
    return int(text)


def _show(found: list[q.Quota]) -> None:
    rows = [
        (f"{each.kind}/{each.name}", f"{each.share_milli / 1000:g}", *cells)
        for each in found
        for cells in _cells(each)
    ]
    columns = ("whose", "share", "accelerator", "nominal", "borrow", "lend", "each person")
    rows_of(table(*columns), rows, "no quotas")


def _cells(quota: q.Quota) -> list[tuple[str, ...]]:
    def told(cards: int | None) -> str:
        return _ALL if cards is None else str(cards)

    cells: list[tuple[str, ...]] = [
        (each.accelerator, str(each.nominal), *map(told, (each.borrow, each.lend, each.each_person)))
        for each in quota.allotments
    ]
    return cells or [("*", "0", _ALL, _ALL, _ALL)]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What institutions and projects are promised (operators).", no_args_is_help=True)
    group.command("set")(set_quota)
    group.command("list")(list_quotas)
    group.command("remove")(remove_quota)
    app.add_typer(group, name="quota", rich_help_panel="Operators")
