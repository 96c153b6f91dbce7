"""Commands about centres."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.text import Text

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.link_commands import domains, link
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, state, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import MICRO, format_micro, parse_micro
from hutong.wire.sites import (
    ElectricityChange,
    HourlyPrices,
    Maintenance,
    NewPowerLimit,
    NewSite,
    PoolUse,
    PowerLimit,
    Site,
)

SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="The centre's id.", show_default=False)]
MOST_BYTES = 1 << 20
# What `hutong agent init` writes where only the operator can say what is right.
BLANK = "FILL IN"


def sites(as_json: Json = False) -> None:
    """List the centres: what they have, what is in use, how green their power is now.

    Example: hutong sites
    """
    with connect() as client:
        found = list(client.sites.list())
    if as_json:
        show_json(found)
        return
    made = table("site", "pool", "card", ">used", ">¥/card·h", ">green", "")
    rows_of(made, (row for site in found for row in _rows(site)), "no sites")
    if any(site.declared_only for site in found):
        say(Text("declared: the cards are declared; the work runs on CPU processes of this machine", "dim"))


def _rows(site: Site) -> list[tuple[str | Text, ...]]:
    if site.reachable:
        notes: list[str] = [site.admission] if site.admission != "active" else []
    else:
        notes = [f"out of reach since {local(site.last_seen)}" if site.last_seen else "not seen yet"]
    notes += ["declared"] if site.declared_only else []
    notes += [f"maintenance {local(each.start)} to {local(each.end)}" for each in site.maintenance[:1]]
    notes += [f"offers {', '.join(each.replace('/', ' ') for each in site.offers)}"] if site.offers else []
    notes += [f"no {', no '.join(site.lacks)}"] if site.lacks else []
    notes += [_limit_note(each) for each in site.power_limits[:2]]
    hours = site.node_hours_to_break
    notes += [f"breaks a run in {hours:,} node-hours"] if hours is not None else []
    notes += [f"last start failed: {site.trouble}"] if site.trouble else []
    return [
        (
            site.id if not index else "", pool.id, pool.accelerator, f"{pool.cards_in_use}/{pool.cards}",
            money(pool.price_per_card_hour), f"{site.green_percent_now} %",
            ", ".join([*(notes if not index else []), *_pool_notes(pool)]),
        )
        for index, pool in enumerate(site.pools)
    ]  # fmt: skip


def _limit_note(each: PowerLimit) -> str:
    since = f" from {local(each.start)}" if each.start else ""
    return f"power at most {each.limit_kw} kW{since}{f' until {local(each.end)}' if each.end else ''}"


def _pool_notes(pool: PoolUse) -> list[str]:
    """Return what the centre's own scheduler says that its operator did not declare."""
    down = pool.cards - pool.cards_up if pool.cards_up is not None else 0
    return [
        *([f"{down} cards down"] if down > 0 else []),
        *([f"{pool.cards_elsewhere} cards held by its own jobs"] if pool.cards_elsewhere else []),
        *([f"its queue waits {pool.wait_s} s"] if pool.wait_s else []),
        *([f"nodes by free cards: {by_free}"] if (by_free := _by_free(pool)) else []),
    ]


def _by_free(pool: PoolUse) -> str:
    """Say how many nodes have how many cards free, where some are partly free: `3 with 8, 2 with 4`."""
    found = [(free, count) for free, count in enumerate(pool.nodes_by_free_cards or ()) if free and count]
    if all(free >= pool.cards_per_node for free, _ in found):
        return ""
    return ", ".join(f"{count} with {free}" for free, count in reversed(found))


def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One site, or `sites:` with several.")],
    as_json: Json = False,
) -> None:
    """Enter centres from a YAML or JSON file.

    Example: hutong site add scenarios/demo/sites.yaml
    """
    wanted = read_sites(file)
    with connect() as client:
        made = [client.sites.create(each) for each in wanted]
    if as_json:
        show_json(made)
        return
    for site in made:
        say(f"site {site.id} is entered; `hutong site token {site.id}` makes its agent's token")


def read_sites(file: Path) -> list[NewSite]:
    """Return the sites of a file; raises Refused that names file and field."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise Refused("bad_file", f"{file} is larger than {MOST_BYTES} bytes")
        document: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as err:
        raise Refused("bad_file", f"{file}: {err.strerror}") from err
    except (yaml.YAMLError, ValueError) as err:
        raise Refused("bad_file", f"{file} is not YAML: {err}") from err
    rows = document.get("sites", [document]) if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise Refused("bad_file", f"{file}: a site is a mapping, several are a list under `sites:`")
    blanks = tuple(Problem(path, "is not filled in") for path in _blanks(rows))
    if blanks:
        raise Refused("bad_site", f"{file} is not filled in yet", blanks)
    try:
        return [NewSite.model_validate(row) for row in rows]
    except ValidationError as err:
        problems = tuple(
            Problem("/" + "/".join(str(part) for part in each["loc"]), each["msg"]) for each in err.errors()
        )
        raise Refused("bad_site", f"{file} does not describe a site", problems) from err


def _blanks(value: Any, path: str = "") -> list[str]:  # noqa: ANN401 - YAML is anything
    """Return the places that `hutong agent init` left for the operator."""
    if value == BLANK:
        return [path]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, each in pairs for found in _blanks(each, f"{path}/{name}")]


def token(site: SiteArgument, as_json: Json = False) -> None:
    """Make a token for the centre's agent; it is shown once.

    Example: hutong site token beijing-a
    """
    with connect() as client:
        made = client.sites.create_token(site)
    show_json(made) if as_json else say(made.secret or "")


def drain(
    site: SiteArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Take new work again.")] = False,
    as_json: Json = False,
) -> None:
    """Let the centre finish what it has and take no new work.

    Example: hutong site drain beijing-a
    """
    with connect() as client:
        now = client.sites.set_admission(site, "active" if undo else "drain")
    if as_json:
        show_json(now)
    else:
        say(Text.assemble(now.id, " is ", state(now.admission)))


def maintain(
    site: SiteArgument,
    start: Annotated[str, typer.Option("--from", help="When it begins, such as 2026-12-01T08:00.")] = "",
    end: Annotated[str, typer.Option("--until", help="When it is over. Without an offset: local time.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="What users are told.")] = "",
    stop_jobs: Annotated[
        bool, typer.Option("--stop-jobs", help="Stop what still runs then; it is tried again elsewhere.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel all that goes on or is to come.")] = False,
    as_json: Json = False,
) -> None:
    """Announce a maintenance: no job is placed there that may still run when it begins.

    Example: hutong site maintain beijing-a --from 2026-12-01T08:00 --until 2026-12-01T20:00 --reason cooling
    """
    told = {"--from": start, "--until": end, "--reason": reason}
    wrong = [name for name, value in told.items() if bool(value) == cancel]
    wrong += ["--stop-jobs"] if cancel and stop_jobs else []
    if wrong:
        text = "does not go with --cancel" if cancel else "is missing"
        raise Refused("bad_option", "nothing was changed", tuple(Problem(name, text) for name in wrong))
    window = None
    if not cancel:
        first, last = read_time("--from", start), read_time("--until", end)
        window = Maintenance(start=first, end=last, reason=reason[:200], stop_jobs=stop_jobs)
    with connect() as client:
        now = client.sites.add_maintenance(site, window) if window else client.sites.cancel_maintenance(site)
    if as_json:
        show_json(now)
        return
    for each in now.maintenance:
        say(f"{now.id} is closed from {local(each.start)} to {local(each.end)}: {each.reason}")
    if not now.maintenance:
        say(f"{now.id} has no maintenance to come")


def power(
    site: SiteArgument,
    limit_kw: Annotated[int, typer.Option("--limit-kw", min=0, help="The most that jobs may draw.")] = 0,
    start: Annotated[str, typer.Option("--from", help="When it begins; at once if left out.")] = "",
    end: Annotated[str, typer.Option("--until", help="When it is over; never if left out.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="What for; everybody sees it.")] = "",
    stop_jobs: Annotated[
        bool, typer.Option("--stop-jobs", help="Stop preemptible jobs then until it holds.")
    ] = False,
    remove: Annotated[str, typer.Option("--remove", metavar="ID", help="Take this limit away.")] = "",
    as_json: Json = False,
) -> None:
    """Limit a centre's power (operators), take a limit away, or show what there is.

    Example: hutong site power beijing-a --limit-kw 800 --from 2026-12-01T18:00 --until 2026-12-01T20:00 \
--reason "demand response"
    """
    told = {"--from": start, "--until": end, "--reason": reason, "--stop-jobs": stop_jobs}
    wrong = [name for name, value in told.items() if value and not limit_kw]
    wrong += ["--remove"] if remove and limit_kw else []
    if wrong:
        text = "does not go with --limit-kw" if remove and limit_kw else "goes with --limit-kw only"
        raise Refused("bad_option", "nothing was changed", tuple(Problem(name, text) for name in wrong))
    with connect() as client:
        if limit_kw:
            now = client.sites.add_power_limit(
                site, _limit_of(limit_kw, start, end, reason, stop_jobs=stop_jobs)
            )
        else:
            now = client.sites.remove_power_limit(site, remove) if remove else client.sites.get(site)
    show_json(now) if as_json else _show_limits(now)


def electricity(
    site: SiteArgument,
    prices: Annotated[
        list[str] | None,
        typer.Argument(metavar="YUAN ...", help="Of a kWh: one, or 24 by hour of day in UTC."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Its price is not to be known any more.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a centre pays for electricity (operators), or show it: placement can weigh it.

    Example: hutong site electricity beijing-a 0.62
    """
    found = prices or []
    if none and found:
        raise Refused("bad_option", "nothing was changed", (Problem("--none", "goes without prices"),))
    with connect() as client:
        if found or none:
            now = client.sites.set_electricity(site, ElectricityChange(price_per_kwh=_hourly(found)))
        else:
            now = client.sites.get(site)
    if as_json:
        show_json(now)
        return
    price = now.price_per_kwh_now
    say(f"{now.id} pays {money(price)} for a kWh now" if price else f"{now.id} does not say what it pays")


def _hourly(prices: list[str]) -> HourlyPrices | None:
    """Return 24 prices of one or 24 that were typed, None of none; raises Refused."""
    amounts = [parse_micro(each, "YUAN") for each in prices]
    wrong = [text for text, amount in zip(prices, amounts, strict=True) if not 0 <= amount < 100 * MICRO]
    told = f"{wrong[0]} is no price of a kWh" if wrong else f"{len(prices)} prices"
    if wrong or len(prices) not in (0, 1, 24):
        problem = Problem("YUAN", told, "one, or 24, hour 0 in UTC first, each from 0 to below 100")
        raise Refused("bad_option", "nothing was changed", (problem,))
    if not prices:
        return None
    return HourlyPrices(amounts=tuple(map(format_micro, amounts)) * (24 // len(prices)))


def _limit_of(limit_kw: int, start: str, end: str, reason: str, *, stop_jobs: bool) -> NewPowerLimit:
    first = read_time("--from", start) if start else None
    last = read_time("--until", end) if end else None
    wanted: NewPowerLimit = build(
        NewPowerLimit, limit_kw=limit_kw, start=first, end=last, reason=reason, stop_jobs=stop_jobs
    )
    return wanted


def _show_limits(site: Site) -> None:
    rows = [
        (
            each.id,
            str(each.limit_kw),
            local(each.start) if each.start else "at once",
            local(each.end) if each.end else "for good",
            "stops jobs" if each.stop_jobs else "",
            each.reason,
        )
        for each in site.power_limits
    ]
    rows_of(table("id", ">kW", "from", "until", "", ""), rows, f"{site.id} has no limit of its power")
    say(f"its jobs draw {site.power_kw} kW now, by nameplate and PUE")


def read_time(option: str, text: str) -> str:
    """Return a time as the wire has it; one without an offset is this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as err:
        problem = Problem(option, f"{text!r} is not a time", "2026-12-01T08:00, or with an offset such as Z")
        raise Refused("bad_option", "nothing was changed", (problem,)) from err


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Centres")(sites)
    group = typer.Typer(help="Enter and run centres (operators).", no_args_is_help=True)
    for verb in (add, token, drain, maintain, power, electricity, link, domains):
        group.command()(verb)
    app.add_typer(group, name="site", rich_help_panel="Centres")
