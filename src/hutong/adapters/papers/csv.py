"""The tables of a paper as CSV: UTF-8 with a mark of its order, so that Excel reads it; no formulas."""

import csv
import io

from hutong.adapters.papers.paper import Paper

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(paper: Paper) -> bytes:
    """Return the bytes of a file with all tables one after the other, each below its title."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_text(paper.title)])
    writer.writerows([_text(label), _text(text)] for label, text in paper.about)
    for table in paper.tables:
        writer.writerow([])
        writer.writerow([_text(table.title)])
        writer.writerow([_text(column.title) for column in table.columns])
        for row in (*table.rows, table.total) if table.total else table.rows:
            cells = zip(row, table.columns, strict=True)
            writer.writerow([text if column.number else _text(text) for text, column in cells])
    writer.writerow([])
    writer.writerows([_text(note)] for note in paper.notes)
    return out.getvalue().encode("utf-8-sig")


def _text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
