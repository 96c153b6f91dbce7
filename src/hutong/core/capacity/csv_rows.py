"""CSV that people publish: rows by their column, numbers as they are written, and what stands for nothing."""

import csv
import re
from dataclasses import dataclass
from fractions import Fraction

from hutong.core.kernel.errors import Problem, Refused

ROWS_MAX = 2000
NOTHING = frozenset({"", "/", "-", "—", "–", "n/a", "na", "none", "null"})
_NUMBER = re.compile(r"^[+-]?(\d{1,18}|\d{1,3}(,\d{3}){1,5})(\.\d{1,9})?$")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: its columns, and each row with its line in the file (1 is the head)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_sheet(text: str, needed: tuple[str, ...] = ()) -> Sheet:
    """Return the rows of a CSV with a head; raises Refused if it is none, or lacks a needed column.

    Lines that begin with `#` are comments: where the table comes from.
    """
    if "\0" in text:
        raise _refused("a file of text holds no null byte", "CSV in UTF-8")
    lines = text.removeprefix("\ufeff").splitlines()
    kept = [(at, line) for at, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    try:
        cells = [next(csv.reader([line], strict=True)) for _, line in kept]
    except csv.Error as error:
        raise _refused(f"this is not CSV: {error}", "one row a line, cells parted by commas") from error
    if len(cells) < 2:
        raise _refused("a head and at least one row are needed", "name,servers,cards,P and the rows below")
    if len(cells) > ROWS_MAX + 1:
        raise _refused(f"more than {ROWS_MAX} rows", "import it in parts")
    columns = tuple(name.strip() for name in cells[0])
    if len({name.casefold() for name in columns}) < len(columns) or "" in columns:
        raise _refused("a column has no name, or the name of another", "one name for each column")
    if missing := [name for name in needed if name not in columns]:
        raise _refused(f"no column {missing[0]!r}", f"the columns {', '.join(needed)}")
    rows = []
    for (line, _), row in zip(kept[1:], cells[1:], strict=True):
        if len(row) != len(columns):
            raise _refused(
                f"line {line} has {len(row)} cells, not {len(columns)}", "quote cells that hold commas"
            )
        rows.append((line, {name: cell.strip() for name, cell in zip(columns, row, strict=True)}))
    return Sheet(columns, tuple(rows))


def is_nothing(cell: str) -> bool:
    """True where a cell says nothing: blank, `/`, a dash."""
    return cell.strip().casefold() in NOTHING


def number(cell: str) -> Fraction | None:
    """Return the number of a cell, or None where it is none."""
    return Fraction(cell.replace(",", "")) if _NUMBER.match(cell) else None


def plain(value: Fraction) -> str:
    """Return a number for people: whole, or with at most two decimals."""
    hundredths = round(value * 100)
    whole, part = divmod(abs(hundredths), 100)
    tail = f".{part:02d}".rstrip("0") if part else ""
    return f"{'-' if hundredths < 0 else ''}{whole:,}{tail}"


def _refused(message: str, hint: str) -> Refused:
    return Refused("bad_table", message, (Problem("/csv", message, hint),))
