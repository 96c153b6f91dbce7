"""What the terminal gets: one JSON document for programs, tables for people, errors with what to do."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from time import localtime
from typing import Any, TextIO

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hutong.clients.sdk.yaml_tree import JobFileError
from hutong.core.kernel.errors import HutongError, Later, Refused

STATE_STYLES = {
    "RUNNING": "bold green",
    "SUCCEEDED": "green",
    "FAILED": "bold red",
    "REJECTED": "red",
    "EXPIRED": "red",
    "CANCELLED": "yellow",
    "HELD": "yellow",
    "READY": "bold green",
}
ID_SHOWN = 13


def console(*, stderr: bool = False) -> Console:
    """Return a console on today's stdout or stderr; markup is off, since names come from users."""
    return Console(stderr=stderr, markup=False, highlight=False, soft_wrap=False)


def show_json(value: BaseModel | Iterable[BaseModel] | dict[str, Any]) -> None:
    """Write one JSON document on one line."""
    typer.echo(json.dumps(_plain(value), ensure_ascii=not _unicode(sys.stdout), separators=(",", ":")))


def _unicode(stream: TextIO) -> bool:
    """True where every character can be written; elsewhere JSON has its own way of writing them."""
    return (stream.encoding or "").lower().startswith("utf")


def _plain(value: BaseModel | Iterable[BaseModel] | dict[str, Any]) -> Any:  # noqa: ANN401 - JSON is any of them
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case dict():
            return value
        case _:
            return [each.model_dump(mode="json") for each in value]


def say(text: str | Text = "") -> None:
    """Write a line for people."""
    console().print(text, soft_wrap=True)


def warn(text: str) -> None:
    """Write a line for people that is not the result."""
    console(stderr=True).print(text, soft_wrap=True)


def table(*columns: str, title: str = "") -> Table:
    """Return an empty table; a column whose name begins with `>` is for numbers."""
    made = Table(box=None, pad_edge=False, title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        right = column.startswith(">")
        made.add_column(
            column.removeprefix(">"), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    return made


def rows_of(made: Table, rows: Iterable[Sequence[str | Text]], nothing: str) -> None:
    """Fill a table and print it, or say that there is nothing."""
    for row in rows:
        made.add_row(*row)
    if made.row_count:
        console().print(made)
    else:
        say(nothing)


def state(text: str) -> Text:
    """Return a state in its color."""
    return Text(text, style=STATE_STYLES.get(text, ""))


def short(job: str) -> str:
    """Return as much of an id as a table shows; it names the job as well as the whole does."""
    return job if console().width >= 120 else job[:ID_SHOWN]


def yuan(amount: str, currency: str = "CNY") -> str:
    """Return an amount with at least two decimals and no idle zeros behind them."""
    whole, _, part = amount.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    grouped = f"{int(digits):,}"
    return f"{sign}{'¥' if currency == 'CNY' else currency + ' '}{grouped}.{part.rstrip('0').ljust(2, '0')}"


def money(amount: "Any") -> str:  # noqa: ANN401 - wire.base.Money, or None
    """Return a Money shape for people."""
    return "" if amount is None else yuan(amount.amount, amount.currency)


def local(time: str | None) -> str:
    """Return an RFC 3339 time in this machine's zone, to the second; of another year than this, the day."""
    if not time:
        return ""
    there = datetime.fromisoformat(time).astimezone()
    return there.strftime("%m-%d %H:%M:%S" if there.year == localtime().tm_year else "%Y-%m-%d")


def size(count: int) -> str:
    """Return bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def show_error(error: HutongError, *, as_json: bool = False) -> None:
    """Write on stderr what is wrong and what would be right."""
    if as_json:
        typer.echo(json.dumps(_error_document(error), ensure_ascii=not _unicode(sys.stderr)), err=True)
        return
    screen = console(stderr=True)
    if isinstance(error, JobFileError):
        _show_file_error(error, screen)
        return
    screen.print(Text("error: ", style="bold red") + Text(str(error)), soft_wrap=True)
    for problem in error.problems if isinstance(error, Refused) else ():
        where = f"{problem.path}: " if problem.path else ""
        screen.print(f"  {where}{problem.message}", soft_wrap=True)
        if problem.hint:
            screen.print(Text(f"    {problem.hint}", style="dim"), soft_wrap=True)
    if isinstance(error, Refused) and error.code == "unauthenticated":
        screen.print(Text("  sign in with `hutong login`", style="dim"))


def _show_file_error(error: JobFileError, screen: Console) -> None:
    for problem in error.file_problems:
        where = f"{error.name}:{problem.line}" if problem.line else error.name
        about = f" {problem.path}" if problem.path else ""
        screen.print(Text.assemble((f"{where}:", "bold"), f"{about} {problem.message}"), soft_wrap=True)
        if problem.hint:
            screen.print(Text(f"    {problem.hint}", style="dim"), soft_wrap=True)


def _error_document(error: HutongError) -> dict[str, Any]:
    if isinstance(error, JobFileError):
        faults = [asdict(each) for each in error.file_problems]
        return {"code": error.code, "detail": str(error), "file": error.name, "problems": faults}
    if isinstance(error, Refused):
        problems = [
            {"path": each.path, "message": each.message, "hint": each.hint} for each in error.problems
        ]
        return {"code": error.code, "detail": str(error), "problems": problems}
    return {"code": "later" if isinstance(error, Later) else "broken", "detail": str(error), "problems": []}


def exit_code(error: HutongError) -> int:
    """Return 2 where the caller must change something, 1 where the platform is in trouble."""
    return 2 if isinstance(error, Refused) else 1


def interactive() -> bool:
    """True if a person looks at stdout."""
    return sys.stdout.isatty()
