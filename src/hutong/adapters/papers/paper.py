"""A paper before it is drawn: a title, what it is about, and tables. It knows nothing of what it says."""

from dataclasses import dataclass

PDF = "application/pdf"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `number` aligns it right and makes it a number in a spreadsheet, with so many places."""

    title: str
    number: bool = False
    places: int = 2


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under columns. Numbers are decimal strings; `total` is a last row that stands out.

    `chart` is a column that is drawn as bars where a form can.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] = ()
    chart: int | None = None


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole paper; `about` are pairs of a label and a text, `notes` stand at its end."""

    title: str
    about: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
