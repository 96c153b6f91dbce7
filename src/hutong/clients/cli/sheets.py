"""Tables that people have, as CSV: a CSV file, the first sheet of a workbook, standard input."""

import csv
import io
import sys
import zipfile
from datetime import date, datetime
from pathlib import Path

from hutong.core.kernel.errors import Problem, Refused

MOST_BYTES = 5_000_000
_UNPACKED_MOST = 100_000_000
_ROWS_MOST = 20_000
_COLUMNS_MOST = 100


def read_table(file: Path) -> str:
    """Return a table as CSV; raises Refused. A number of a workbook stands as it would be typed."""
    try:
        if str(file) == "-":
            return sys.stdin.read()
        data = file.read_bytes() if file.stat().st_size <= MOST_BYTES else b""
        if not data:
            raise _bad(file, f"it is empty, or larger than {MOST_BYTES} bytes")
        if file.suffix.lower() in {".xlsx", ".xlsm"}:
            return _from_workbook(file, data)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise _bad(file, error.strerror or str(error)) from error
    except UnicodeError as error:
        raise _bad(
            file, "it is not UTF-8; old spreadsheets save GBK: save it as CSV UTF-8, or .xlsx"
        ) from error


def _from_workbook(file: Path, data: bytes) -> str:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(each.file_size for each in packed.infolist()) > _UNPACKED_MOST:
                raise _bad(file, "it unpacks to too much")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows = [
            [_cell(value) for value in row]
            for row in book.worksheets[0].iter_rows(
                max_row=_ROWS_MOST, max_col=_COLUMNS_MOST, values_only=True
            )
        ]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, IndexError, ValueError, SyntaxError) as error:
        raise _bad(file, f"it is no workbook: {error}") from error
    kept = [row for row in rows if any(row)]
    width = max((at + 1 for at, name in enumerate(kept[0]) if name), default=0) if kept else 0
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        # Lines keep their numbers, so that a remark on one leads to the row of the workbook.
        writer.writerow(row[:width]) if any(row) else out.write("\n")
    return out.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() | date():
            return value.strftime("%Y-%m-%d")
        case float() if value.is_integer():
            return f"{int(value)}"
        case _:
            return " ".join(str(value).split())


def _bad(file: Path, why: str) -> Refused:
    return Refused(
        "bad_file", f"{file} cannot be read: {why}", (Problem("", why, "a CSV in UTF-8, or .xlsx"),)
    )
