"""Commands about the audit: read it, take a copy, check that nobody has changed it."""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer

from hutong.clients.cli.session import Json, JsonLines, Limit, connect
from hutong.clients.cli.terminal import rows_of, say, show_json, table, warn
from hutong.core.kernel.chain import START, canonical, parse_head, parse_line, verify
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire import audit as a

_LINE_MAX = 64 * 1024 * 1024


def list_events(
    actor: Annotated[str, typer.Option("--actor", help="Only what this person did.")] = "",
    object_: Annotated[str, typer.Option("--object", help="Such as project/vision or person/li.")] = "",
    limit: Limit = 50,
    as_json: JsonLines = False,
) -> None:
    """List who changed what, the newest first (auditors, operators).

    Example: hutong audit list --object institution/cau
    """
    with connect() as client:
        found = list(client.audit.list(actor=actor or None, object=object_ or None, limit=limit))
    if as_json:
        for each in found:
            show_json(each)
        return
    rows = [
        (
            str(each.seq),
            datetime.fromtimestamp(each.at_ms // 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            f"{each.actor} for {each.on_behalf_of}" if each.on_behalf_of else each.actor,
            each.action,
            each.object,
            each.mark,
            each.reason,
        )
        for each in found
    ]
    rows_of(table(">seq", "at", "who", "action", "object", "mark", "reason"), rows, "nothing was changed")


def export(
    file: Annotated[Path, typer.Argument(help="Where to; `-` is standard output.", show_default=False)],
    after: Annotated[int, typer.Option("--after", min=0, help="Only events with a higher number.")] = 0,
    as_json: Json = False,
) -> None:
    """Write the events as JSON lines, the oldest first; `hutong audit verify FILE` checks them alone.

    Example: hutong audit export audit.jsonl
    """
    count, head = 0, START.text
    target: BinaryIO = sys.stdout.buffer if str(file) == "-" else _open(file, "wb")
    try:
        with connect() as client:
            for event in client.audit.list(oldest_first=True, after=after):
                target.write(canonical(event.model_dump(mode="json")) + b"\n")
                count, head = count + 1, f"{event.seq}:{event.hash}"
        target.flush()
    finally:
        if target is not sys.stdout.buffer:
            target.close()
    if as_json and target is not sys.stdout.buffer:
        show_json({"events": count, "head": head})
    else:
        warn(f"{count} events; the head is {head}")


def check(
    file: Annotated[str, typer.Argument(help="An export; without it, the platform's own audit.")] = "",
    head: Annotated[str, typer.Option("--head", help="SEQ:HASH noted earlier: finds a tail cut off.")] = "",
    since: Annotated[
        str, typer.Option("--since", help="SEQ:HASH before the first line of an export that is a part.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check that no event was changed, removed, moved or put in; exit code 1 if one was.

    Note the head that it prints somewhere else, and give it next time.
    Example: hutong audit verify audit.jsonl
    """
    if since and not file:
        problem = Problem("--since", "only a part of an export has something before it", "name the file")
        raise Refused("bad_input", problem.message, (problem,))
    if file:
        with _open(Path(file), "rb") as lines:
            start, noted = parse_head(since) if since else START, parse_head(head) if head else None
            found = verify(_events(lines), since=start, noted=noted)
        faults = tuple(a.AuditFault(seq=each.seq, text=each.text) for each in found.faults)
        told = a.AuditReport(ok=not faults, events=found.events, head=found.head.text, faults=faults)
    else:
        with connect() as client:
            told = client.audit.check(head)
    if as_json:
        show_json(told)
    else:
        for fault in told.faults:
            warn(f"seq {fault.seq}: {fault.text}")
        say(f"{told.events} events, {'nothing amiss' if told.ok else 'NOT AS THEY WERE WRITTEN'}")
        say(f"head {told.head}")
    if not told.ok:
        raise typer.Exit(1)


def _events(lines: BinaryIO) -> Iterator[Mapping[str, object] | None]:
    while line := lines.readline(_LINE_MAX):
        yield parse_line(line)


def _open(path: Path, mode: Literal["rb", "wb"]) -> BinaryIO:
    try:
        return path.open(mode)
    except OSError as error:
        raise Refused("bad_file", f"{path} cannot be opened: {error.strerror}") from error


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Who changed what; sealed against changes.", no_args_is_help=True)
    group.command("list")(list_events)
    group.command("export")(export)
    group.command("verify")(check)
    app.add_typer(group, name="audit", rich_help_panel="Operators")
