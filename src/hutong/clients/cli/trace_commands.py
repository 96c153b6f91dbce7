"""What the platform itself ran, as a trace: tomorrow's rules tried on last month's jobs."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import console, say, show_json
from hutong.config import now_ms
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.quantities import DAY_MS
from hutong.wire.jobs import Job

COLUMNS = (
    "job", "submitted", "ran_s", "limit_s", "nodes", "cards_per_node", "accelerator", "project", "person",
    "state", "first_start", "site", "pool", "attempts",
)  # fmt: skip
"""The columns of the file; `sim.importers.own` reads those up to `state`."""

# Identifiers are in the order of submission, but for what a clock that was set back may have mixed up.
_MIXED = timedelta(hours=1)


def trace(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, CSV.")],
    start: Annotated[str, typer.Option("--from", help="The first UTC day; 30 days ago.")] = "",
    end: Annotated[str, typer.Option("--to", help="The UTC day after the last; tomorrow.")] = "",
    project: Annotated[
        str, typer.Option("--project", "-p", help="Of this project; else all you may see.")
    ] = "",
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="Name projects and people, or number them.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write the jobs of a span of days as a trace that hutong simulate reads.

    Example: hutong trace --from 2026-11-01 --to 2026-12-01 --out november.csv
    """
    today = datetime.fromtimestamp(now_ms() // DAY_MS * DAY_MS / 1000, UTC)
    since = _day(start, "--from") if start else today - timedelta(days=30)
    until = _day(end, "--to") if end else today + timedelta(days=1)
    with connect() as client:
        found = within(client.jobs.list(project=project or None), since, until)
        told = track(found, "jobs", console=console(stderr=True), transient=True, disable=as_json)
        count = _write(out, told, names=names)
    if as_json:
        show_json({"path": str(out), "jobs": count})
    else:
        say(f"{out}: {count:,} jobs")


def within(jobs: Iterable[Job], since: datetime, until: datetime) -> Iterator[Job]:
    """Yield the jobs that were submitted in `[since, until)`, of a list with the newest first."""
    for job in jobs:
        submitted = datetime.fromisoformat(job.submitted)
        if submitted < since - _MIXED:
            return
        if since <= submitted < until:
            yield job


def rows(jobs: Iterable[Job], *, names: bool) -> Iterator[tuple[str | int, ...]]:
    """Yield a row of COLUMNS for each job. Without `names` projects and people are numbered as they come."""
    numbers: dict[str, int] = {}

    def called(kind: str, name: str) -> str:
        return name if names else f"{kind}{numbers.setdefault(kind + name, len(numbers) + 1)}"

    for job in jobs:
        began = [each for each in job.attempts if each.started]
        # What it asked for first counts where it never had a place; where it had, the cards that it got.
        model, _, cards = job.accelerators[0].partition(":") if job.accelerators else ("", "", "0")
        if began:
            model, cards = began[-1].accelerator, str(began[-1].cards // max(1, began[-1].nodes))
        yield (
            job.id, job.submitted, f"{sum(float(each.ran_s) for each in began):.3f}" if began else "",
            job.max_duration_s, job.num_nodes, int(cards or 0), model,
            called("p", job.project), called("u", job.by), job.state,
            began[0].started or "" if began else "", began[-1].site if began else "",
            began[-1].pool if began else "", len(job.attempts),
        )  # fmt: skip


def _write(out: Path, jobs: Iterable[Job], *, names: bool) -> int:
    """Write the file and return how many jobs it has; one that was there stays until the new one is whole."""
    count = 0
    unfinished = out.with_name(out.name + ".part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in rows(jobs, names=names):
                writer.writerow(row)
                count += 1
        unfinished.replace(out)
    except OSError as error:
        raise Refused("bad_file", f"{out} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _day(text: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        problem = Problem(option, f"{text!r} is no day", "2026-11-01")
        raise Refused("bad_option", "nothing was written", (problem,)) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Jobs")(trace)
