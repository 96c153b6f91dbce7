"""Commands about energy by the hour: a site's balance and progress, a job's share, and its meters."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from hutong.clients.cli import energy_supply
from hutong.clients.cli.account_commands import build
from hutong.clients.cli.energy_supply import kwh, percent_of
from hutong.clients.cli.session import JobArgument, Json, connect, find_job
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.quantities import DAY_MS
from hutong.wire import energy as w
from hutong.wire.base import parse_rfc3339

SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="The site.", show_default=False)]
MeterArgument = Annotated[str, typer.Argument(metavar="METER", help="The meter.", show_default=False)]
From = Annotated[str, typer.Option("--from", help="RFC 3339, such as 2026-11-28T00:00:00Z; a day ago.")]
To = Annotated[str, typer.Option("--to", help="RFC 3339; now.")]
_AT_ONCE = 744
_SPAN_MS = 31 * DAY_MS


def balance(site: SiteArgument, start: From = "", end: To = "", as_json: Json = False) -> None:
    """Show a site's hours: jobs + idle + overhead is the meter, to the joule.

    Example: hutong energy balance haidian --from 2026-11-28T00:00:00Z --to 2026-11-29T00:00:00Z
    """
    with connect() as client:
        found = client.energy.balance(site, start=start, end=end)
    if as_json:
        show_json(found)
        return
    made = table(
        "hour", ">meter kWh", ">jobs", ">idle", ">overhead", ">green", ">location kg", ">market kg", "by"
    )
    rows = (
        (
            each.hour[:16], kwh(each.metered_j), kwh(each.jobs_j), kwh(each.idle_j), kwh(each.overhead_j),
            percent_of(each.green_j, each.metered_j), _kg(each.location_mg), _kg(each.market_mg),
            _basis(each),
        )
        for each in found.items
    )  # fmt: skip
    rows_of(made, rows, "no hour is settled in that time")
    say(
        f"{kwh(found.metered_j)} kWh = {kwh(found.jobs_j)} jobs + {kwh(found.idle_j)} idle"
        f" + {kwh(found.overhead_j)} overhead; {found.settled_hours} of {found.hours} hours are settled"
    )


def _basis(hour: w.SiteHour) -> str:
    """Return what an hour rests on, and how much of it a reading of several hours was spread over."""
    minutes = hour.spread_ms // 60_000
    return f"{hour.basis}; {minutes} min of it spread" if minutes else hour.basis


def progress(
    site: SiteArgument,
    year: Annotated[int | None, typer.Option("--year", help="Else this one.")] = None,
    as_json: Json = False,
) -> None:
    """Show a site's way to wholly green electricity: by the hour, and by volume with certificates.

    Example: hutong energy progress haidian --year 2026
    """
    with connect() as client:
        found = client.energy.progress(site, year=year)
    if as_json:
        show_json(found)
        return
    made = table(
        "month", ">used kWh", ">green by hour", ">by volume", ">retired kWh", ">location kg", ">market kg",
        ">hours known",
    )  # fmt: skip
    rows = (
        (
            each.month, kwh(each.used_j), percent_of(each.by_hour_j, each.used_j),
            percent_of(each.by_volume_j, each.used_j), kwh(each.retired_j), _kg(each.location_mg),
            _kg(each.market_mg), f"{each.hours_known} of {each.hours}",
        )
        for each in found.months
    )  # fmt: skip
    rows_of(made, rows, "no hour of that year is settled")
    for each in found.indicators:
        if each.value_milli is None:
            say(f"{each.name}: none, because {each.why}")
        else:
            interim = " (interim: less than twelve months)" if each.interim else ""
            say(f"{each.name}: {each.value_milli // 1000}.{each.value_milli % 1000:03d}{interim}")


def job(name: JobArgument, as_json: Json = False) -> None:
    """Show a job's energy as its bill has it, and beside it its share of its sites' meters.

    Example: hutong energy job last
    """
    with connect() as client:
        found = client.energy.of_job(find_job(client, name))
    if as_json:
        show_json(found)
        return
    for line in _lines_of(found):
        say(line)


def _lines_of(found: w.JobEnergy) -> Iterator[str]:
    how = found.booked_method or "nothing"
    yield f"booked: {kwh(found.booked_j)} kWh, {_kg(found.booked_mg)} kg CO2e ({how})"
    if found.counted_j is not None:
        yield f"counted: {kwh(found.counted_j)} kWh, without overhead ({found.counted_by})"
    elif found.counted_by:
        yield found.counted_by
    if not found.metered_hours:
        yield "metered: no hour of it is settled by a meter of its site"
        return
    whole = found.it_j + found.overhead_j
    yield (
        f"metered: {kwh(whole)} kWh in {found.metered_hours} hours, {kwh(found.overhead_j)} of it overhead;"
        f" {percent_of(found.green_j, whole)} green; {_kg(found.location_mg)} kg CO2e by location,"
        f" {_kg(found.market_mg)} by market"
    )
    for method, hours in Counter(each.method for each in found.items).most_common():
        yield f"  {hours} h {method}"
    if found.sci_mg_per_card_hour is not None:
        stated = "no embodied carbon stated" if found.embodied_mg is None else "embodied carbon in it"
        yield f"SCI: {found.sci_mg_per_card_hour / 1000:.3f} g per card-hour, {stated}"


def _kg(milligrams: int) -> str:
    """Return kilograms with three decimals."""
    grams = milligrams // 1000
    return f"{grams // 1000}.{grams % 1000:03d}"


def add_meter(
    name: MeterArgument,
    most_per_hour: Annotated[str, typer.Option("--most-per-hour", help="The most in an hour, in --unit.")],
    source: Annotated[str, typer.Option("--source", help="Who reads it.")],
    measures: Annotated[
        str, typer.Option("--measures", help="facility, it, reused, water or delivered.")
    ] = "facility",
    site: Annotated[str | None, typer.Option("--site", help="Of this site.")] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Of this contract's deliveries.")] = None,
    register: Annotated[bool, typer.Option("--register", help="It tells what its register shows.")] = False,
    wraps_at: Annotated[str | None, typer.Option("--wraps-at", help="Where its register is 0 again.")] = None,
    unit: Annotated[str, typer.Option("--unit", help="J, Wh, kWh, MWh; mL, L or m3.")] = "kWh",
    category: Annotated[int, typer.Option("--category", help="Of an IT meter, as in ISO/IEC 30134-2.")] = 0,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Its readings are invented.")] = False,
    by_agent: Annotated[
        bool, typer.Option("--by-agent", help="The site's agent reads its register.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Register a meter of a site, or of a contract's deliveries.

    Example: hutong energy meters add feed-1 --site haidian --most-per-hour 5000 --source "the grid's own"
    """
    asked = build(
        w.NewMeter, id=name, measures=measures, counts="register" if register else "interval", site=site,
        contract=contract, unit=unit, most_per_hour=most_per_hour, wraps_at=wraps_at, category=category,
        source=source, synthetic=synthetic, by_agent=by_agent,
    )  # fmt: skip
    with connect() as client:
        made = client.energy.add_meter(asked)
    show_json(made) if as_json else _show_meters([made])


def list_meters(
    region: Annotated[str, typer.Option("--region", help="Of this region.")] = "", as_json: Json = False
) -> None:
    """List the meters.

    Example: hutong energy meters list --region beijing
    """
    with connect() as client:
        found = list(client.energy.meters(region=region))
    show_json(found) if as_json else _show_meters(found)


def _show_meters(found: list[w.Meter]) -> None:
    made = table("meter", "measures", "counts", "of", "region", "ends", "source")
    rows = (
        (
            each.id,
            each.measures,
            each.counts,
            each.site or each.contract,
            each.region,
            each.ends or "",
            f"{each.source}, by the agent" if each.by_agent else each.source,
        )
        for each in found
    )
    rows_of(made, rows, "there are no meters")


def end_meter(
    name: MeterArgument, at: Annotated[str, typer.Option("--at", help="RFC 3339.")], as_json: Json = False
) -> None:
    """End a meter that was taken out: it counts no more from then on.

    Example: hutong energy meters end feed-1 --at 2026-12-01T00:00:00Z
    """
    with connect() as client:
        made = client.energy.end_meter(name, build(w.End, ends=at))
    show_json(made) if as_json else _show_meters([made])


def import_readings(
    name: MeterArgument,
    file: Annotated[Path, typer.Argument(help="CSV with start,end,value; a register without start.")],
    unit: Annotated[str, typer.Option("--unit", help="J, Wh, kWh, MWh; mL, L or m3.")] = "kWh",
    correct: Annotated[str, typer.Option("--correct", help="They replace what is there, and why.")] = "",
    as_json: Json = False,
) -> None:
    """Keep the readings of a file. What is there already changes nothing; an empty value takes one back.

    Example: hutong energy meters import feed-1 november.csv --unit kWh
    """
    total = w.Taken(news=0, repeats=0, hours=0)
    with connect() as client:
        for some in _parts(_rows(file)):
            batch = build(w.NewReadings, unit=unit, readings=some, correct=bool(correct), reason=correct)
            found = client.energy.add_readings(name, batch)
            total = w.Taken(
                news=total.news + found.news,
                repeats=total.repeats + found.repeats,
                hours=total.hours + found.hours,
            )
    if as_json:
        show_json(total)
    else:
        say(f"{total.news} readings are news, {total.repeats} were there; {total.hours} hours changed")


def _rows(file: Path) -> list[dict[str, str | None]]:
    """Return the readings of a file in order of their ends; raises Refused that names the line."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            lines = csv.DictReader(text, strict=True)
            missing = {"end", "value"} - set(lines.fieldnames or ())
            if missing:
                raise _bad(file, 1, f"there is no column {' nor '.join(sorted(missing))}")
            rows = []
            for number, line in enumerate(lines, start=2):
                end = (line["end"] or "").strip()
                try:
                    parse_rfc3339(end)
                except ValueError as error:
                    raise _bad(file, number, f"{end!r} is not a time: RFC 3339 with an offset") from error
                start, value = (line.get("start") or "").strip(), (line["value"] or "").strip()
                rows.append({"start": start or None, "end": end, "value": value or None})
    except (OSError, UnicodeError, csv.Error) as error:
        raise Refused("bad_file", f"{file} cannot be read: {error}") from error
    return sorted(rows, key=lambda row: parse_rfc3339(row["end"] or ""))


def _bad(file: Path, line: int, message: str) -> Refused:
    return Refused("bad_file", f"{file}:{line}: {message}", (Problem("", message, "see the manual"),))


def _parts(rows: list[dict[str, str | None]]) -> Iterator[list[dict[str, str | None]]]:
    """Cut readings so that each part is small, and lies in a month."""
    part: list[dict[str, str | None]] = []
    for row in rows:
        first = parse_rfc3339(part[0]["end"] or "") if part else 0
        if part and (len(part) >= _AT_ONCE or parse_rfc3339(row["end"] or "") - first > _SPAN_MS):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def readings(name: MeterArgument, start: From = "", end: To = "", as_json: Json = False) -> None:
    """List the readings of a meter that end in a time, in all revisions.

    Example: hutong energy meters readings feed-1 --from 2026-11-28T00:00:00Z
    """
    with connect() as client:
        found = list(client.energy.readings(name, start=start, end=end, limit=10_000))
    if as_json:
        show_json(found)
        return
    made = table("from", "until", ">value", ">revision", "by", "reason")
    rows = (
        (
            each.start, each.end, "taken back" if each.value is None else str(each.value),
            str(each.revision), each.by, each.reason,
        )
        for each in found
    )  # fmt: skip
    rows_of(made, rows, "there are no readings in that time")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Energy by the hour: balances, progress, meters, contracts, certificates.", no_args_is_help=True
    )
    group.command("balance")(balance)
    group.command("progress")(progress)
    group.command("job")(job)
    meters = typer.Typer(help="Meters and their readings.", no_args_is_help=True)
    for name, work in (
        ("add", add_meter), ("list", list_meters), ("end", end_meter), ("import", import_readings),
        ("readings", readings),
    ):  # fmt: skip
        meters.command(name)(work)
    group.add_typer(meters, name="meters")
    energy_supply.add_to(group)
    app.add_typer(group, name="energy", rich_help_panel="Operators")
