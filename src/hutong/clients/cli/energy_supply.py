"""Commands about where electricity comes from: contracts, certificates, residual mixes, tables of PUE."""

from typing import Annotated

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.wire import energy as w

_KWH_J = 3_600_000
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", show_default=False)]
PortionArgument = Annotated[str, typer.Argument(metavar="PORTION", help="The portion.", show_default=False)]
Source = Annotated[str, typer.Option("--source", help="wind, solar, hydro, biomass or geothermal.")]
Region = Annotated[str, typer.Option("--region", help="The region of the grid.")]
Starts = Annotated[str, typer.Option("--from", help="RFC 3339.")]
Synthetic = Annotated[bool, typer.Option("--synthetic", help="It is invented.")]


def kwh(joules: int) -> str:
    """Return kilowatt-hours with three decimals."""
    watt_hours = (joules + 1800) // 3600
    return f"{watt_hours // 1000:,}.{watt_hours % 1000:03d}"


def percent_of(part: int, whole: int) -> str:
    """Return a share with one decimal, rounded down."""
    if not whole:
        return ""
    tenths = part * 1000 // whole
    return f"{tenths // 10}.{tenths % 10} %"


def add_contract(
    name: Name,
    kind: Annotated[str, typer.Option("--kind", help="direct, ppa or tariff.")],
    source: Source,
    region: Region,
    sites: Annotated[list[str], typer.Option("--site", help="In the order in which they are met.")],
    supplier: Annotated[str, typer.Option("--supplier", help="Who delivers.")],
    starts: Starts,
    ends: Annotated[str | None, typer.Option("--to", help="RFC 3339; else it does not end.")] = None,
    evidence: Annotated[str | None, typer.Option("--evidence", help="Where the contract is.")] = None,
    synthetic: Synthetic = False,
    as_json: Json = False,
) -> None:
    """Register a contract for renewable electricity. Its deliveries are readings of a meter of its own.

    Example: hutong energy contracts add wind-1 --kind ppa --source wind --region beijing --site haidian
    --supplier "a wind farm" --from 2026-01-01T00:00:00Z
    """
    asked = build(
        w.PowerContract, id=name, kind=kind, source=source, region=region, sites=tuple(sites),
        supplier=supplier, starts=starts, ends=ends, evidence=evidence, synthetic=synthetic,
    )  # fmt: skip
    with connect() as client:
        made = client.energy.add_contract(asked)
    show_json(made) if as_json else _show_contracts([made])


def list_contracts(as_json: Json = False) -> None:
    """List the contracts.

    Example: hutong energy contracts list
    """
    with connect() as client:
        found = list(client.energy.contracts())
    show_json(found) if as_json else _show_contracts(found)


def end_contract(
    name: Name, at: Annotated[str, typer.Option("--at", help="RFC 3339.")], as_json: Json = False
) -> None:
    """End a contract, now or later.

    Example: hutong energy contracts end wind-1 --at 2027-01-01T00:00:00Z
    """
    with connect() as client:
        made = client.energy.end_contract(name, build(w.End, ends=at))
    show_json(made) if as_json else _show_contracts([made])


def _show_contracts(found: list[w.PowerContract]) -> None:
    made = table("contract", "kind", "source", "region", "sites", "supplier", "from", "to")
    rows = (
        (
            each.id, each.kind, each.source, each.region, ", ".join(each.sites), each.supplier,
            each.starts[:10], (each.ends or "")[:10],
        )
        for each in found
    )  # fmt: skip
    rows_of(made, rows, "there are no contracts")


def add_certificates(
    name: Name,
    scheme: Annotated[str, typer.Option("--scheme", help="gec, rec, go or another.")],
    series: Annotated[str, typer.Option("--series", help="What stands before the serial numbers.")],
    first: Annotated[int, typer.Option("--first", help="The first serial number.")],
    last: Annotated[int, typer.Option("--last", help="The last one.")],
    source: Source,
    region: Region,
    starts: Starts,
    ends: Annotated[str, typer.Option("--to", help="RFC 3339: until when the energy was made.")],
    expires: Annotated[str, typer.Option("--expires", help="RFC 3339.")],
    bought_from: Annotated[str, typer.Option("--bought-from", help="Who sold them.")],
    contract: Annotated[
        str | None, typer.Option("--contract", help="They came with this contract's deliveries.")
    ] = None,
    synthetic: Synthetic = False,
    as_json: Json = False,
) -> None:
    """Register certificates, one megawatt-hour each. No serial number is registered twice.

    Example: hutong energy certificates add gec-1 --scheme gec --series 2026-W --first 1 --last 500
    --source wind --region hebei --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z
    --expires 2028-10-01T00:00:00Z --bought-from "the exchange"
    """
    asked = build(
        w.NewCertificates, id=name, scheme=scheme, series=series, first=first, last=last, source=source,
        region=region, starts=starts, ends=ends, expires=expires, bought_from=bought_from,
        contract=contract, synthetic=synthetic,
    )  # fmt: skip
    with connect() as client:
        made = client.energy.add_certificates(asked)
    show_json(made) if as_json else _show_certificates([made])


def list_certificates(as_json: Json = False) -> None:
    """List certificates, and what became of them.

    Example: hutong energy certificates list
    """
    with connect() as client:
        found = list(client.energy.certificates())
    show_json(found) if as_json else _show_certificates(found)


def give(
    name: Name,
    portion: PortionArgument,
    site: Annotated[str, typer.Option("--site", help="For this site's use.")],
    month: Annotated[str, typer.Option("--month", help="Such as 2026-11.")],
    mwh: Annotated[int, typer.Option("--mwh", help="How many.")],
    as_json: Json = False,
) -> None:
    """Give some certificates to a site's use of a month.

    Example: hutong energy certificates give gec-1 haidian-2026-11 --site haidian --month 2026-11 --mwh 120
    """
    with connect() as client:
        made = client.energy.give_portion(
            name, build(w.NewPortion, id=portion, site=site, month=month, mwh=mwh)
        )
    show_json(made) if as_json else _show_certificates([made])


def take_back(name: Name, portion: PortionArgument, as_json: Json = False) -> None:
    """Take a portion back that is not retired.

    Example: hutong energy certificates take-back gec-1 haidian-2026-11
    """
    with connect() as client:
        client.energy.take_portion_back(name, portion)
    show_json({"certificates": name, "taken_back": portion}) if as_json else say(f"{portion} is taken back")


def retire(
    name: Name,
    portion: PortionArgument,
    reference: Annotated[str, typer.Option("--reference", help="Its number in the scheme's register.")],
    as_json: Json = False,
) -> None:
    """Retire a portion for its site, once.

    Example: hutong energy certificates retire gec-1 haidian-2026-11 --reference GEC-R-2026-881
    """
    with connect() as client:
        made = client.energy.retire(name, portion, build(w.NewRetirement, reference=reference))
    show_json(made) if as_json else _show_certificates([made])


def _show_certificates(found: list[w.Certificates]) -> None:
    made = table("certificates", "scheme", "serials", ">MWh", ">free", ">retired", "source", "expires")
    rows = (
        (
            each.id, each.scheme, f"{each.series} {each.first}-{each.last}", str(each.mwh),
            str(each.free_mwh), str(each.retired_mwh), each.source, each.expires[:10],
        )
        for each in found
    )  # fmt: skip
    rows_of(made, rows, "there are no certificates")
    for each in found:
        for part in each.portions:
            state = f"retired under {part.reference}" if part.retired else "not retired"
            say(f"  {each.id}/{part.id}: {part.mwh} MWh for {part.site} in {part.month}, {state}")


def set_factor(
    region: Annotated[str, typer.Argument(metavar="REGION", show_default=False)],
    year: Annotated[int, typer.Argument(metavar="YEAR", show_default=False)],
    residual: Annotated[int, typer.Option("--residual", help="Milligrams of CO2e per kWh.")],
    source: Annotated[str, typer.Option("--source", help="Who says so.")],
    as_json: Json = False,
) -> None:
    """Declare the residual mix of a region in a year: the grid without what others have bought.

    Example: hutong energy residual beijing 2026 --residual 590000 --source "the ministry, 2026"
    """
    with connect() as client:
        made = client.energy.set_factor(
            region, year, build(w.NewFactor, residual_mg_per_kwh=residual, source=source)
        )
    show_json(made) if as_json else say(f"{made.region} {made.year}: {made.residual_mg_per_kwh} mg per kWh")


def set_pue(
    site: Annotated[str, typer.Argument(metavar="SITE", show_default=False)],
    pool: Annotated[str, typer.Argument(metavar="POOL", show_default=False)],
    months: Annotated[
        list[int], typer.Option("--month", help="PUE in thousandths, 12 times from January on.")
    ],
    cooling: Annotated[str, typer.Option("--cooling", help="air, free-air, cold-plate or immersion.")],
    source: Annotated[str, typer.Option("--source", help="Who says so.")],
    fixed: Annotated[
        int, typer.Option("--fixed-ppm", help="Millionths of the overhead that do not fall with the load.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Declare a pool's PUE at full load by month, for hours that no IT meter tells.

    Example: hutong energy pue haidian a100 --cooling air --source "the operator" --month 1180 ...
    """
    asked = build(w.NewPue, cooling=cooling, month_milli=tuple(months), fixed_ppm=fixed, source=source)
    with connect() as client:
        made = client.energy.set_pue(site, pool, asked)
    show_json(made) if as_json else say(
        f"{made.site}/{made.pool}: {min(months)} to {max(months)} thousandths"
    )


def set_embodied(
    site: Annotated[str, typer.Argument(metavar="SITE", show_default=False)],
    pool: Annotated[str, typer.Argument(metavar="POOL", show_default=False)],
    grams: Annotated[int, typer.Option("--grams", help="Grams of CO2e for one card.")],
    hours: Annotated[int, typer.Option("--lifetime-hours", help="Over how many hours they are spread.")],
    covers: Annotated[str, typer.Option("--covers", help="`card`, or `card and host` with its share.")],
    source: Annotated[str, typer.Option("--source", help="Who says so.")],
    as_json: Json = False,
) -> None:
    """State the embodied carbon of a pool's cards, for SCI.

    Example: hutong energy embodied haidian a100 --grams 150000 --lifetime-hours 43800 --covers card ...
    """
    asked = build(w.NewEmbodied, grams_per_card=grams, lifetime_hours=hours, covers=covers, source=source)
    with connect() as client:
        made = client.energy.set_embodied(site, pool, asked)
    show_json(made) if as_json else say(f"{made.site}/{made.pool}: {made.grams_per_card} g a {made.covers}")


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    contracts = typer.Typer(help="Contracts for renewable electricity.", no_args_is_help=True)
    contracts.command("add")(add_contract)
    contracts.command("list")(list_contracts)
    contracts.command("end")(end_contract)
    group.add_typer(contracts, name="contracts")
    certificates = typer.Typer(help="Certificates of renewable electricity.", no_args_is_help=True)
    for name, work in (
        ("add", add_certificates), ("list", list_certificates), ("give", give), ("take-back", take_back),
        ("retire", retire),
    ):  # fmt: skip
        certificates.command(name)(work)
    group.add_typer(certificates, name="certificates")
    group.command("residual")(set_factor)
    group.command("pue")(set_pue)
    group.command("embodied")(set_embodied)
