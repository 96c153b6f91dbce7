"""Commands about centres."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.text import Text

from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, state, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.sites import NewSite, Site

SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="The centre's id.", show_default=False)]
MOST_BYTES = 1 << 20


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
    notes += [f"last start failed: {site.trouble}"] if site.trouble else []
    return [
        (
            site.id if not index else "", pool.id, pool.accelerator, f"{pool.cards_in_use}/{pool.cards}",
            money(pool.price_per_card_hour), f"{site.green_percent_now} %",
            ", ".join(notes) if not index else "",
        )
        for index, pool in enumerate(site.pools)
    ]  # fmt: skip


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
    try:
        return [NewSite.model_validate(row) for row in rows]
    except ValidationError as err:
        problems = tuple(
            Problem("/" + "/".join(str(part) for part in each["loc"]), each["msg"]) for each in err.errors()
        )
        raise Refused("bad_site", f"{file} does not describe a site", problems) from err


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


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Centres")(sites)
    group = typer.Typer(help="Enter and run centres (operators).", no_args_is_help=True)
    for verb in (add, token, drain):
        group.command()(verb)
    app.add_typer(group, name="site", rich_help_panel="Centres")
