"""Commands about findings: look for them, list those that are kept, explain and decide them."""

from typing import Annotated

import typer
from rich.text import Text

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import local, rows_of, say, show_json, table
from hutong.wire import utilisation as w

Name = Annotated[str, typer.Argument(metavar="FINDING", help="As `list` shows it.", show_default=False)]
Site = Annotated[str, typer.Option("--site", help="One site; else all.")]
Words = Annotated[str, typer.Option("--text", "-m", help="What you have to say; it is kept.")]
Centre = Annotated[
    bool, typer.Option("--centre", help="As the centre itself: HUTONG_TOKEN has its agent's token.")
]


def look(
    day: Annotated[str, typer.Option("--day", help="UTC day, such as 2026-11-28; else yesterday.")] = "",
    site: Site = "",
    as_json: Json = False,
) -> None:
    """Look now for ghost jobs, over-reporting, side use, wrong clocks, replays. Exit code 1 if any is found.

    Example: hutong findings look --day 2026-11-28 --site haidian
    """
    with connect() as client:
        found = client.witnesses.look(day, site)
    if as_json:
        show_json(found)
    else:
        for each in found.items:
            say(Text.assemble((each.sure, _style(each)), f" {each.site}: {_what(each)}"))
            say(Text(f"  {each.evidence}"))
            say(Text(f"  {each.to_do}", "dim"))
        judged = ", ".join(found.judged) or "no site"
        say(f"{found.found} found on {found.day}; agents reported hours at: {judged}")
    if found.found:
        raise typer.Exit(1)


def _style(found: w.Finding) -> str:
    return "bold red" if found.sure == "certain" else "yellow"


def _what(found: w.Finding) -> str:
    unit = "s" if found.kind == "clock_skew" else "card-seconds"
    size = "" if found.kind == "broken_chain" else f", {found.size // 1000} {unit}"
    return f"{found.kind} {found.about}{size}"


def list_findings(
    site: Site = "",
    every: Annotated[bool, typer.Option("--all", help="Also those that are gone or decided.")] = False,
    centre: Centre = False,
    as_json: Json = False,
) -> None:
    """List the findings that wait to be explained by a centre, or decided by the operator.

    Example: hutong findings list --site haidian
    """
    with connect() as client:
        verbs = client.witnesses
        found = list(verbs.own_findings() if centre else verbs.findings(site, waiting=not every))
    if as_json:
        show_json(found)
        return
    made = table("finding", "sure", "what", "state", "changed")
    rows = ((each.id, each.sure, _what(each), each.state, local(each.changed)) for each in found)
    rows_of(made, rows, "No findings." if every else "No findings wait.")


def show(finding: Name, as_json: Json = False) -> None:
    """Show a finding with its evidence and all that was written about it.

    Example: hutong findings show haidian.2026-11-28.3f2a9c0b1d4e5f60
    """
    with connect() as client:
        _tell(client.witnesses.finding(finding), as_json)


def explain(
    finding: Name,
    text: Words,
    evidence: Annotated[
        str, typer.Option("--evidence", help="Digest (sha256:...) of an uploaded file.")
    ] = "",
    centre: Centre = False,
    as_json: Json = False,
) -> None:
    """Say why witnesses contradicted each other, or write down what the centre said (operators).

    Example: hutong findings explain haidian.2026-11-28.3f2a9c0b1d4e5f60 --text "acceptance tests of rack 7"
    """
    said = build(w.NewExplanation, text=text, evidence=evidence)
    with connect() as client:
        verbs = client.witnesses
        _tell(verbs.explain_own(finding, said) if centre else verbs.explain(finding, said), as_json)


def settle(
    finding: Name,
    text: Words,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="It was so: the day is no measure for later days.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Decide a finding: the explanation holds, or (--confirm) it was so. Both are final (operators).

    Example: hutong findings settle haidian.2026-11-28.3f2a9c0b1d4e5f60 --text "the tests were announced"
    """
    decision = build(w.NewFindingDecision, outcome="confirmed" if confirm else "settled", text=text)
    with connect() as client:
        _tell(client.witnesses.decide(finding, decision), as_json)


def _tell(found: w.KeptFinding, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    say(Text.assemble((found.sure, _style(found)), f" {found.id}: {_what(found)}: {found.state}"))
    say(Text(f"  {found.evidence}"))
    say(Text(f"  {found.to_do}", "dim"))
    for each in found.messages:
        say(Text(f"  {local(each.at)} {each.by}: {each.text} {each.evidence}".rstrip()))


def add_to(app: typer.Typer) -> None:
    """Add the group `findings`."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Contradictions between the witnesses of a site's day.",
    )
    group.command("look")(look)
    group.command("list")(list_findings)
    group.command("show")(show)
    group.command("explain")(explain)
    group.command("settle")(settle)
    app.add_typer(group, name="findings", rich_help_panel="Operators")
