"""Commands about what cards really did: utilisation in four levels, and the chains that sites seal."""

from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.wire import utilisation as w

_HOUR_MS = 3_600_000
SiteName = Annotated[str, typer.Argument(metavar="SITE", help="The centre's id, such as beijing-a.")]


def utilisation(
    site: Annotated[str, typer.Option("--site", help="One site; else all.")] = "",
    start: Annotated[str, typer.Option("--from", help="UTC day, such as 2026-11-01; else yesterday.")] = "",
    end: Annotated[str, typer.Option("--to", help="UTC day before which it ends; at most 31 later.")] = "",
    as_json: Json = False,
) -> None:
    """Show capacity, allocated, busy and effective card-hours of each pool, and what each of them means.

    Example: hutong utilisation --site haidian --from 2026-11-01 --to 2026-11-08
    """
    with connect() as client:
        found = client.witnesses.utilisation(start, end, site)
    if as_json:
        show_json(found)
        return
    made = table("pool", ">seen", ">available", ">up", ">allocated", ">busy", ">effective")
    rows_of(made, (_row(each) for each in found.items), "there are no sites")
    say(f"card-hours of UTC days {found.start} to before {found.end}; - is not measured")
    say("allocated: (part of available); busy: (part of allocated)")
    unsigned = sorted({each.site for each in found.items if not each.signed})
    if unsigned:
        say(f"unsigned reports: {', '.join(unsigned)}")
    for name, text in found.definitions.items():
        say(Text.assemble((name, "bold"), f": {text}"))
    methods = sorted({each for item in found.items for each in item.methods})
    if methods:
        say(f"counted by: {'; '.join(methods)}")


def _row(each: w.PoolLevels) -> tuple[str, ...]:
    allocated, busy = _share(each.allocated_of_available_ppm), _share(each.busy_of_allocated_ppm)
    return (
        f"{each.site}/{each.pool}",
        _hours(each.seen_card_ms),
        _hours(each.available_card_ms),
        _hours(each.up_card_ms),
        f"{_hours(each.allocated_card_ms)}{allocated}",
        f"{_hours(each.busy_card_ms)}{busy}",
        _hours(each.effective_card_ms),
    )


def _hours(card_ms: int | None) -> str:
    if card_ms is None:
        return "-"
    tenths = (card_ms * 10 + _HOUR_MS // 2) // _HOUR_MS
    return f"{tenths // 10}.{tenths % 10}"


def _share(ppm: int | None) -> str:
    return "" if ppm is None else f" ({ppm // 10_000}.{ppm // 1000 % 10} %)"


def verify(
    site: SiteName,
    after: Annotated[str, typer.Option("--after", help="SEQ:HASH where an earlier check ended.")] = "",
    as_json: Json = False,
) -> None:
    """Check the chain of a site's sealed reports: hashes, order, signatures. Exit code 1 if it is broken.

    Example: hutong sealed verify haidian
    """
    with connect() as client:
        parts = [client.witnesses.check(site, after)]
        while parts[-1].more:
            parts.append(client.witnesses.check(site, parts[-1].head))
    total = parts[-1].model_copy(
        update={
            "reports": sum(each.reports for each in parts),
            "signed": sum(each.signed for each in parts),
            "unsigned": sum(each.unsigned for each in parts),
            "faults": tuple(fault for each in parts for fault in each.faults),
        }
    )
    if as_json:
        show_json(total)
    else:
        say(f"{total.reports} reports of {site}: {total.signed} signed, {total.unsigned} unsigned")
        say(f"head {total.head}  (note it elsewhere, and check --after it later)")
        for fault in total.faults:
            say(Text(f"  {fault.text}", "bold red"))
    if total.faults:
        raise typer.Exit(1)


def keys(site: SiteName, as_json: Json = False) -> None:
    """List the keys with which a site's agents seal.

    Example: hutong sealed keys haidian
    """
    with connect() as client:
        found = client.witnesses.keys(site)
    if as_json:
        show_json(found)
        return
    made = table("key", "registered", "retired", "public")
    rows = ((each.id, each.registered, each.retired or "-", each.public) for each in found.items)
    rows_of(made, rows, f"{site} has no key: its reports are unsigned")


def key(
    site: SiteName,
    public: Annotated[str, typer.Argument(metavar="PUBLIC", help="As `hutong agent key` prints it.")],
    retire: Annotated[
        bool, typer.Option("--retire", help="PUBLIC is a key's id: let it seal no more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Register a public key of a site's agent, or retire one (operators).

    Example: hutong sealed key haidian 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29
    """
    with connect() as client:
        verbs = client.witnesses
        found = verbs.retire_key(site, public) if retire else verbs.add_key(site, public)
    show_json(found) if as_json else say(f"{found.id}  {'retired' if found.retired else 'registered'}")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Operators")(utilisation)
    group = typer.Typer(
        no_args_is_help=True, help="What sites seal: check their chains, register their keys."
    )
    group.command()(verify)
    group.command()(keys)
    group.command()(key)
    app.add_typer(group, name="sealed", rich_help_panel="Operators")
