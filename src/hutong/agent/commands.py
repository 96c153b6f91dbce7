"""The operator's commands at a centre: `hutong agent init`, `doctor`, `key` and `release`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.text import Text

from hutong.clients.cli.terminal import console, say, show_json
from hutong.core.kernel.errors import Later, Problem, Refused

if TYPE_CHECKING:
    from hutong.adapters.engines.inspection import Check, Found

_STYLES = {"ok": "green", "warn": "yellow", "bad": "bold red"}
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
SiteOption = Annotated[str, typer.Option("--site", help="The centre's id, such as beijing-a.")]


def init(
    site: SiteOption,
    url: Annotated[str, typer.Option("--url", help="The platform's address.")],
    engine: Annotated[
        str, typer.Option("--engine", help="local, slurm, ray or kubernetes; else what is found here.")
    ] = "",
    out: Annotated[Path, typer.Option("--out", help="Where to write the agent's file.")] = Path("agent.toml"),
    site_file: Annotated[
        Path, typer.Option("--site-file", help="Where to write what `hutong site add` takes.")
    ] = Path("site.yaml"),
    root: Annotated[
        Path | None, typer.Option("--root", help="The agent's folder; else ~/.local/state/hutong-agent/SITE.")
    ] = None,
    shared: Annotated[
        Path | None, typer.Option("--shared", help="The folder of attempts, which every node must see.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="Where the token will be; else beside the agent's file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Look at this machine or its cluster, and propose an agent's file and a registration to review.

    Example: hutong agent init --site beijing-a --url https://hutong.example
    """
    from hutong.agent.inspectors import guess_engine, new_inspector
    from hutong.agent.proposal import agent_text, reviews, site_text
    from hutong.clients.sdk.profile import write_private

    _check_names(site, url)
    home = (root or Path.home() / ".local" / "state" / "hutong-agent" / site).absolute()
    token = (token_file or out.absolute().with_name("token")).absolute()
    there = [path for path in (out, site_file) if path.exists()]
    if there and not force:
        problems = tuple(Problem("", f"{path} is there", "--force, or another name") for path in there)
        raise Refused("file_exists", "nothing was written", problems)
    kind = engine or guess_engine()
    try:
        found = new_inspector(kind, (shared or home / "engine").absolute()).inspect()
    except Later as error:
        hint = (
            "`--engine local` is for this machine alone; for a cluster, first make its own commands work here"
        )
        raise Refused(
            "no_answer", f"{kind} does not answer: {error}", (Problem("--engine", hint),)
        ) from error
    write_private(out, agent_text(found, site, url, home, token, out.absolute()))
    write_private(site_file, site_text(found, site))
    listed = reviews(found)
    if as_json:
        show_json(_document(found, out, site_file, token, listed))
        return
    for name, value in found.facts.items():
        say(f"{name:<12} {value}")
    for pool in found.pools:
        flag = "" if pool.known else "  (not in the catalogue)"
        say(f"pool         {pool.id}: {pool.nodes} nodes with {pool.cards_per_node} {pool.accelerator}{flag}")
    say(f"written      {out}, {site_file}")
    if listed:
        say(Text("to review", "bold"))
        for each in listed:
            say(f"  {each}")
    say(Text("next", "bold"))
    say(f"  1. fill in {site_file}, then `hutong site add {site_file}`")
    say(f"  2. `(umask 077; hutong site token {site} > {token})`")
    say(f"  3. `hutong agent doctor --config {out}`, then `hutong agent run --config {out}`")


def _check_names(site: str, url: str) -> None:
    import re

    problems = []
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", site):
        problems.append(Problem("--site", f"{site!r} is no id", "small letters, digits and hyphens"))
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        problems.append(Problem("--url", f"{url!r} is no address", "such as https://hutong.example"))
    if problems:
        raise Refused("bad_option", "nothing was written", tuple(problems))


def _document(found: "Found", out: Path, site_file: Path, token: Path, listed: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    names = ("id", "accelerator", "nodes", "cards_per_node", "cpus_per_node", "memory_bytes_per_node")
    pools = [
        {**{name: value for name, value in asdict(pool).items() if name in names}, "known": pool.known}
        for pool in found.pools
    ]
    return {
        "engine": found.engine,
        "facts": dict(found.facts),
        "pools": pools,
        "agent_file": str(out),
        "site_file": str(site_file),
        "token_file": str(token),
        "review": listed,
    }


def doctor(
    config: Annotated[Path, typer.Option("--config", help="The agent's file.")],
    quick: Annotated[bool, typer.Option("--quick", help="Submit no job to ask the nodes.")] = False,
    wait: Annotated[
        float, typer.Option("--wait", min=1, max=3_600, help="Seconds for a node to answer.")
    ] = 60,
    as_json: Json = False,
) -> None:
    """Check everything an agent needs, and say how to mend what is wrong. Exit code 1 if anything is bad.

    Example: hutong agent doctor --config agent.toml
    """
    from dataclasses import asdict

    from hutong.agent.doctor import examine

    checks = []
    for check in examine(config, quick=quick, wait_s=wait):
        checks.append(check)
        if not as_json:
            _show(check)
    count = {level: sum(check.level == level for check in checks) for level in _STYLES}
    if as_json:
        show_json({**count, "checks": [asdict(check) for check in checks]})
    else:
        say(f"{count['ok']} ok, {count['warn']} to look at, {count['bad']} bad")
    if count["bad"]:
        raise typer.Exit(1)


def key(
    config: Annotated[Path, typer.Option("--config", help="The agent's file.")],
    as_json: Json = False,
) -> None:
    """Print the public key with which this agent seals its reports, to be registered with the platform.

    Example: hutong agent key --config agent.toml
    """
    from hutong.adapters.identity.signing import SigningKey
    from hutong.agent.config import read_agent
    from hutong.agent.hours import SEAL_KEY

    told = read_agent(config)
    mine = SigningKey.open(told.root / SEAL_KEY)
    if as_json:
        show_json({"site": told.site, "id": mine.id, "public": mine.public})
    else:
        say(mine.public)
        say(f"register it: hutong sealed key {told.site} {mine.public}")


def release(
    config: Annotated[Path, typer.Option("--config", help="The agent's file.")],
    only_list: Annotated[bool, typer.Option("--list", help="Change nothing: say what is held.")] = False,
    as_json: Json = False,
) -> None:
    """Let go of all that a retired agent holds in its cluster, so that it can be deleted.

    Example: hutong agent release --config agent.toml
    """
    from dataclasses import asdict

    from hutong.agent.config import read_agent
    from hutong.agent.release import release as let_go

    done = []
    for each in let_go(read_agent(config), only_list=only_list):
        done.append(each)
        if not as_json:
            how = ", deleted" if each.deleted else ""
            how += "" if each.noted else ", its end is not noted"
            say(f"{'held' if only_list else 'let go'}  {each.namespace}/{each.name}{how}")
    if as_json:
        show_json({"released": not only_list, "jobs": [asdict(each) for each in done]})
    else:
        say(f"{len(done)} {'held' if only_list else 'let go'}")


def _show(check: "Check") -> None:
    screen, style = console(), _STYLES[check.level.value]
    screen.print(
        Text.assemble((f"{check.level.value:<5}", style), f"{check.name}: {check.seen}"), soft_wrap=True
    )
    if check.mend:
        screen.print(Text(f"     {check.mend}", style="dim"), soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group `agent`."""
    app.command("init")(init)
    app.command("doctor")(doctor)
    app.command("key")(key)
    app.command("release")(release)
