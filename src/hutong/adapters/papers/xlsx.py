"""A paper as a spreadsheet: one sheet for its heading, one for each table."""

import io
import re
from decimal import Decimal

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hutong.adapters.papers.paper import Paper, Table

_NAME_MOST = 31
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\]")


def as_xlsx(paper: Paper) -> bytes:
    """Return the bytes of the workbook. Texts are written as texts: what begins with `=` is no formula."""
    out = io.BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    bold = book.add_format({"bold": True})
    head = book.add_worksheet("1")
    head.write_string(0, 0, paper.title, bold)
    for at, (label, text) in enumerate(paper.about, 2):
        head.write_string(at, 0, label)
        head.write_string(at, 1, text)
    for at, note in enumerate(paper.notes, len(paper.about) + 3):
        head.write_string(at, 0, note)
    head.set_column(0, 1, 28)
    for number, table in enumerate(paper.tables, 2):
        _sheet(book, table, number, bold)
    book.close()
    return out.getvalue()


def _sheet(book: Workbook, table: Table, number: int, bold: Format) -> None:
    name = _NOT_IN_NAMES.sub(" ", f"{number} {table.title}")[:_NAME_MOST]
    sheet = book.add_worksheet(name)
    for at, column in enumerate(table.columns):
        sheet.write_string(0, at, column.title, bold)
    formats = [book.add_format({"num_format": f"#,##0.{'0' * column.places}"}) for column in table.columns]
    rows = [*table.rows, table.total] if table.total else table.rows
    for at, row in enumerate(rows, 1):
        _row(sheet, table, at, row, formats)
    sheet.set_column(0, len(table.columns) - 1, 22)
    sheet.freeze_panes(1, 0)


def _row(sheet: Worksheet, table: Table, at: int, row: tuple[str, ...], formats: list[Format]) -> None:
    for place, (column, text) in enumerate(zip(table.columns, row, strict=True)):
        if column.number and text:
            sheet.write_number(at, place, float(Decimal(text)), formats[place])
        else:
            sheet.write_string(at, place, text)
