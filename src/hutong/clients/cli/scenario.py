"""A scenario: sites as data, entered through the API like any other, and the files their agents need."""

import json
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hutong.clients.cli.link_commands import read_links
from hutong.clients.cli.site_commands import read_sites
from hutong.clients.sdk.client import Client
from hutong.clients.sdk.profile import write_private
from hutong.core.kernel.errors import Conflict, Denied, HutongError, Problem, Refused
from hutong.wire.centres import Centre, NewCentre
from hutong.wire.links import NewLink
from hutong.wire.sites import NewSite

SITES = "sites.yaml"
LINKS = "links.yaml"
CENTRES = "centres.yaml"
_MOST_BYTES = 5_000_000
PAYLOAD_BIN = "HUTONG_PAYLOAD_BIN"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario enters into a platform."""

    sites: list[NewSite]
    links: list[NewLink]
    centres: list[NewCentre]


def read_scenario(folder: Path) -> list[NewSite]:
    """Return the sites of a scenario; raises Refused that names the scenarios there are."""
    if not (folder / SITES).is_file():
        there = sorted(each.parent.name for each in folder.parent.glob(f"*/{SITES}"))
        hint = f"there are: {', '.join(there)}" if there else "no scenario is installed"
        raise Refused("no_scenario", f"there is no scenario {folder.name!r}", (Problem("", hint),))
    return read_sites(folder / SITES)


def read_scenario_links(folder: Path) -> list[NewLink]:
    """Return the links of a scenario, none where it has no file of them; raises Refused."""
    return read_links(folder / LINKS) if (folder / LINKS).is_file() else []


def read_centres(file: Path) -> list[NewCentre]:
    """Return the centres of a file; raises Refused that names file and field."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise Refused("bad_file", f"{file} is larger than {_MOST_BYTES} bytes")
        # Every scalar stays a text: else `on` is true, and a day an object.
        text = file.read_text(encoding="utf-8")
        document: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes texts only
    except OSError as err:
        raise Refused("bad_file", f"{file}: {err.strerror}") from err
    except (yaml.YAMLError, ValueError) as err:
        raise Refused("bad_file", f"{file} is not YAML: {err}") from err
    rows = document.get("centres") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise Refused("bad_file", f"{file}: centres are a list under `centres:`")
    try:
        return [NewCentre.model_validate(row) for row in rows]
    except ValidationError as err:
        problems = tuple(
            Problem("/" + "/".join(str(part) for part in each["loc"]), each["msg"]) for each in err.errors()
        )
        raise Refused("bad_centre", f"{file} does not describe centres", problems) from err


def read_whole(folder: Path) -> Scenario:
    """Return all of a scenario, no links and no centres where it has no file of them; raises Refused."""
    centres = read_centres(folder / CENTRES) if (folder / CENTRES).is_file() else []
    return Scenario(read_scenario(folder), read_scenario_links(folder), centres)


def enter(client: Client, scenario: Scenario) -> list[str]:
    """Enter a scenario through the API; return what is there in another form, and stays so."""
    kept = [f"site {each}" for each in enter_sites(client, scenario.sites)]
    enter_links(client, scenario.links)
    return kept + [f"centre {each}" for each in enter_centres(client, scenario.centres)[1]]


def enter_centres(client: Client, centres: Sequence[NewCentre]) -> tuple[list[Centre], list[str]]:
    """Enter centres through the API; return them, and the ids of those that are there in another form.

    Of the sites that they name only those that are registered are kept.
    """
    there = {site.id for site in client.sites.list()}
    made, kept = [], []
    for centre in centres:
        sites = tuple(each for each in centre.sites if each in there)
        try:
            made.append(client.centres.create(centre.model_copy(update={"sites": sites})))
        except Conflict:
            kept.append(centre.id)
    return made, kept


def enter_links(client: Client, links: Sequence[NewLink]) -> None:
    """Declare links through the API; those that an operator has changed since stay as they are."""
    there = {frozenset((each.one, each.other)) for each in client.sites.list_links()}
    for link in links:
        if frozenset((link.one, link.other)) not in there:
            client.sites.set_link(link)


def enter_sites(client: Client, sites: Sequence[NewSite]) -> list[str]:
    """Enter sites through the API; return the ids of those that are there in another form and stay so."""
    kept = []
    for site in sites:
        try:
            client.sites.create(site)
        except Conflict:
            kept.append(site.id)
    return kept


def write_agent_file(client: Client, site: str, folder: Path, url: str, payload_bin: Path) -> Path:
    """Write what a site's agent starts from, mode 0600, with its token; a token that works is kept."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "agent.toml"
    token = _token_in(path)
    if not token or not _known(url, token):
        token = client.sites.create_token(site).secret or ""
    write_private(path, _agent_file(site, url, token, folder, payload_bin))
    return path


def _agent_file(site: str, url: str, token: str, folder: Path, payload_bin: Path) -> str:
    python = payload_bin / "python"
    prefixes = [payload_bin.parent, python.resolve().parents[1]] if python.exists() else []
    readable = [str(each) for each in dict.fromkeys(prefixes) if each != Path("/usr")]
    rows = {"site": site, "url": url, "token": token, "root": str(folder)}
    engine = {
        "path": [str(payload_bin)] if prefixes else [str(Path(sys.executable).parent)],
        "readable": readable,
    }
    text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in rows.items())
    text += "\n[engine]\n"
    return text + "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in engine.items()
    )


def _token_in(path: Path) -> str:
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("token", ""))
    except (OSError, ValueError):
        return ""


def _known(url: str, token: str) -> bool:
    try:
        with Client(url, token) as client:
            client.me()
    except Denied as error:
        return error.code != "unauthenticated"
    except HutongError:
        return True  # an agent is nobody, but its token is known
    return True
