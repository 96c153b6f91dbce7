"""Commands about what joins centres and what may take them down together: links and failure domains."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.links import Link, NewLink
from hutong.wire.sites import DomainsChange, Site

_MOST_BYTES = 1 << 20
_KINDS = ("site/", "region/")
_ROWS = ("links", "inside")


def link(
    one: Annotated[str, typer.Argument(metavar="A", help="A centre's id, region/NAME, or platform.")] = "",
    other: Annotated[str, typer.Argument(metavar="B", help="The other end.")] = "",
    mbit_s: Annotated[int, typer.Option("--mbit-s", min=0, help="What jobs may take together.")] = 0,
    rtt_ms: Annotated[float, typer.Option("--rtt-ms", min=0, max=60_000, help="A round trip.")] = 0,
    source: Annotated[str, typer.Option("--source", help="Where the figures are from.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take this link away.")] = False,
    as_json: Json = False,
) -> None:
    """Declare a link between two centres, or list the links: large inputs are weighed by them (operators).

    Example: hutong site link platform beijing-a --mbit-s 10000 --source "contract of 2026"
    """
    _check_options(bool(one), bool(other), mbit_s, rtt_ms, source, remove=remove)
    first, last = end_of(one), end_of(other)
    with connect() as client:
        if remove:
            client.sites.remove_link(first, last)
        elif one:
            wanted = build(
                NewLink, one=first, other=last, bits_per_s=mbit_s * 10**6, rtt_us=round(rtt_ms * 1000),
                source=source or "declared by an operator",
            )  # fmt: skip
            client.sites.set_link(wanted)
        found = list(client.sites.list_links())
        sites = [] if as_json else list(client.sites.list())
    show_json(found) if as_json else _show(found, sites)


def domains(
    place: Annotated[str, typer.Argument(metavar="SITE[/POOL]", help="A centre, or a pool of it.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="KIND/NAME ...", help="All of them.")] = None,
    none: Annotated[bool, typer.Option("--none", help="It is in none beside its region.")] = False,
    as_json: Json = False,
) -> None:
    """Say in which failure domains a centre or a pool is (operators), or show them: what may fail as a whole.

    Example: hutong site domains beijing-a/h100 power/feed-2 building/b3
    """
    site, _, pool = place.partition("/")
    if none and names:
        raise Refused("bad_option", "nothing was changed", (Problem("--none", "goes without names"),))
    with connect() as client:
        if names or none:
            now = client.sites.set_domains(
                site, build(DomainsChange, domains=tuple(names or ()), **({"pool": pool} if pool else {}))
            )
        else:
            now = client.sites.get(site)
    if as_json:
        show_json(now)
        return
    say(f"{now.id}: {', '.join(now.domains) or 'none'}, and its region, {now.region}")
    for each in now.pools:
        say(f"{now.id}/{each.id}: {', '.join(each.domains) or 'none of its own'}")


def _check_options(
    one: bool,
    other: bool,
    mbit_s: int,
    rtt_ms: float,
    source: str,
    *,
    remove: bool,
) -> None:
    problems = []
    if one != other:
        problems.append(Problem("B", "is missing", "two ends, or none to list the links"))
    if one and not remove and not mbit_s:
        problems.append(Problem("--mbit-s", "is missing", "--mbit-s 10000, or --remove"))
    figures = {"--mbit-s": mbit_s, "--rtt-ms": rtt_ms, "--source": source}
    for name, value in figures.items():
        if value and (remove or not one):
            problems.append(Problem(name, "goes with two ends and without --remove", "leave it out"))
    if remove and not one:
        problems.append(Problem("--remove", "goes with two ends", "hutong site link A B --remove"))
    if problems:
        raise Refused("bad_option", "nothing was changed", tuple(problems))


def end_of(text: str) -> str:
    """Return an end as the wire has it: `site/` may be left out."""
    return text if text == "platform" or text.startswith(_KINDS) else f"site/{text}"


def _show(found: list[Link], sites: list[Site]) -> None:
    rows = [
        (each.one, each.other, f"{each.bits_per_s / 10**6:g}", f"{each.rtt_us / 1000:g}", each.source)
        for each in found
    ]
    rows_of(table("", "", ">Mbit/s", ">ms", "source"), rows, "no links")
    if not found:
        say("a way to a centre to which no link is declared counts as 1000 Mbit/s")
    for site in sites:
        if site.learnt is not None:
            rate = f"{site.learnt.bits_per_s / 10**6:,.0f} Mbit/s by {site.learnt.transfers} transfers"
            counts = "which counts" if site.learnt.counts else "too few to count"
            say(f"learnt: platform to site/{site.id} {rate}, {counts}")


def read_links(file: Path) -> list[NewLink]:
    """Return the links of a scenario's file; raises Refused that names file and field.

    `links` have `from`, `to`, `gigabits_per_s` and `rtt_floor_us`; an end that is neither `platform` nor
    `site/ID` is a region. `inside` has a `region` instead: how its centres are joined to each other.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise Refused("bad_file", f"{file} is larger than {_MOST_BYTES} bytes")
        document: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as err:
        raise Refused("bad_file", f"{file}: {err.strerror}") from err
    except (yaml.YAMLError, ValueError) as err:
        raise Refused("bad_file", f"{file} is not YAML: {err}") from err
    if not isinstance(document, dict) or not all(isinstance(document.get(key, []), list) for key in _ROWS):
        raise Refused("bad_file", f"{file}: links are a list under `links:`, and under `inside:`")
    said = document.get("assumed")
    source = said.get("gigabits_per_s", "") if isinstance(said, dict) else document.get("source", "")
    synthetic = document.get("synthetic", False)
    return [
        _read(file, f"/{key}/{at}", row, source, synthetic)
        for key in _ROWS
        for at, row in enumerate(document.get(key, []))
    ]


def _read(file: Path, path: str, row: Any, source: object, synthetic: object) -> NewLink:  # noqa: ANN401 - YAML is anything
    try:
        ends = (row["from"], row["to"]) if "from" in row else (row["region"], row["region"])
        one, other = (
            each if each == "platform" or each.startswith(_KINDS) else f"region/{each}" for each in ends
        )
        bits_per_s = round(row["gigabits_per_s"] * 10**9)
        rtt_us = row.get("rtt_floor_us", 0)
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError) as err:
        hint = "{from: Beijing, to: site/tianjin-a, gigabits_per_s: 10}"
        raise Refused(
            "bad_link", f"{file} does not describe links", (Problem(path, "is no link", hint),)
        ) from err
    try:
        return NewLink(
            one=one, other=other, bits_per_s=bits_per_s, rtt_us=rtt_us, source=row.get("source", source),
            synthetic=synthetic,
        )  # fmt: skip
    except ValidationError as err:
        problems = tuple(
            Problem("/".join((path, *map(str, each["loc"]))), each["msg"]) for each in err.errors()
        )
        raise Refused("bad_link", f"{file} does not describe links", problems) from err
