"""Reads a trace file into columns, and says which line is wrong when one is."""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints

Floats = npt.NDArray[np.float64]

LARGEST_BYTES = 4 << 30
# Far above any second, card or token of a trace, far below where products of them overflow.
_LARGEST = 1e12
_ARCHIVES = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"(\xb5/\xfd": "zstd"}
_BLANK = frozenset(("", "none", "nan", "null", "unknown"))


def refuse(path: Path, line: int, expected: str, found: str | None = None) -> Refused:
    """Return a refusal that names the file, the line (0: the file as a whole) and what belongs there."""
    where = f"{path}, line {line}" if line else str(path)
    instead = "" if found is None else f", found {_short(found)}"
    return Refused("trace", f"{where}: expected {expected}{instead}")


def read_text(path: Path) -> str:
    """Return the text of a file, plain or gz compressed; the encoding is UTF-8."""
    data = _read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refuse(path, line, "text in UTF-8", f"byte 0x{data[error.start]:02x}") from None


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as inner:
                    data = inner.read(LARGEST_BYTES + 1)
            else:
                data = raw.read(LARGEST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise refuse(path, 0, "a whole gz file", f"a damaged one ({error})") from None
    except OSError as error:
        raise refuse(path, 0, "a file that can be read", error.strerror or str(error)) from None
    if len(data) > LARGEST_BYTES:
        raise refuse(path, 0, f"at most {LARGEST_BYTES >> 30} GiB of text")
    for magic, name in _ARCHIVES.items():
        if data.startswith(magic):
            raise refuse(path, 0, "text, plain or gz compressed; unpack it first", f"a {name} archive")
    if data[257:262] == b"ustar":
        raise refuse(path, 0, "text, plain or gz compressed; unpack it first", "a tar archive")
    if not data.strip():
        raise refuse(path, 0, "a trace", "an empty file")
    return data


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file, by name, and the line of the file on which each row ends."""

    path: Path
    columns: dict[str, Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.lines)

    def texts(self, name: str) -> Sequence[str]:
        """Return a column as it stands in the file."""
        if name not in self.columns:
            known = ", ".join(each for each in self.columns if each)
            raise refuse(self.path, 1, f"a column {name!r}", known)
        return self.columns[name]

    def numbers(self, name: str, least: float | None = None) -> Floats:
        """Return a column of numbers, none of them below `least`."""
        values = self.optional_numbers(name, least)
        if np.isnan(values).any():
            self._refuse_row(int(np.isnan(values).argmax()), name, "a number")
        return values

    def optional_numbers(self, name: str, least: float | None = None) -> Floats:
        """Return a column of numbers; NaN where the file says nothing (empty, None, nan)."""
        texts = self.texts(name)
        try:
            values = np.fromiter(map(float, texts), np.float64, len(texts))
        except ValueError:
            values = np.array([self._number(row, name, each) for row, each in enumerate(texts)], np.float64)
        beyond = np.abs(values) > _LARGEST
        if beyond.any():
            self._refuse_row(int(beyond.argmax()), name, "a number below 10^12")
        low = values < (-_LARGEST if least is None else least)
        if low.any():
            self._refuse_row(int(low.argmax()), name, f"a number of at least {least:g}")
        return values

    def whole(self, name: str, least: int | None = None) -> Ints:
        """Return a column of whole numbers; 8.0 is one."""
        values = self.numbers(name, least)
        broken = values != np.floor(values)
        if broken.any():
            self._refuse_row(int(broken.argmax()), name, "a whole number")
        return values.astype(np.int64)

    def moments(self, name: str) -> Floats:
        """Return a column of times in seconds: numbers as they are, or dates (UTC where they name no zone).

        NaN where the file says nothing.
        """
        texts = self.texts(name)
        first = next((each for each in texts if each.strip().lower() not in _BLANK), "")
        # The first that is said decides, so that a wrong one further down is named, and not the first.
        if _is_number(first):
            return self.optional_numbers(name)
        return np.array([self._moment(row, name, each) for row, each in enumerate(texts)], np.float64)

    def _number(self, row: int, name: str, text: str) -> float:
        if text.strip().lower() in _BLANK:
            return np.nan
        try:
            return float(text)
        except ValueError:
            raise self._wrong(row, name, "a number") from None

    def _moment(self, row: int, name: str, text: str) -> float:
        if text.strip().lower() in _BLANK:
            return np.nan
        try:
            return seconds_of(text)
        except ValueError:
            raise self._wrong(row, name, "a date and time, such as 2017-10-07 01:11:39,") from None

    def _refuse_row(self, row: int, name: str, expected: str) -> None:
        raise self._wrong(row, name, expected)

    def _wrong(self, row: int, name: str, expected: str) -> Refused:
        return refuse(self.path, self.lines[row], f"{expected} as {name}", self.columns[name][row])


def seconds_of(text: str) -> float:
    """Return a date and time as seconds of the Unix clock; UTC where it names no zone."""
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def rounded(values: Floats) -> Ints:
    """Return whole numbers, halves rounded up."""
    return np.floor(values + 0.5).astype(np.int64)


def read_table(path: Path, required: Sequence[str]) -> Table:
    """Return a CSV file with a header line; the required columns are there and there is at least one row."""
    table = split_table(path, read_text(path))
    missing = [each for each in required if each not in table.columns]
    if missing:
        known = ", ".join(each for each in table.columns if each)
        raise refuse(path, 1, f"the columns {', '.join(missing)}", known)
    if not len(table):
        raise refuse(path, 0, "at least one row after the header")
    return table


def split_table(path: Path, text: str, delimiter: str = ",", names: Sequence[str] = ()) -> Table:
    """Return the rows of a text as columns; `names` stands in for a header line."""
    plain = _plain(text.replace("\r\n", "\n"), delimiter, len(names))
    if plain is not None:
        fields, wide = plain
        header = list(names) or [each.strip() for each in fields[:wide]]
        first = 0 if names else 1
        found: list[Sequence[str]] = [fields[first * wide + at :: wide] for at in range(wide)]
        return _tabled(path, header, found, range(1 + first, len(fields) // wide + 1))
    lined = io.StringIO(text, newline="")
    if delimiter == "\t":
        # Between tabs stand shell commands, whose quotes are their own.
        reader = csv.reader(lined, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lined, delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    header = list(names)
    try:
        for row in reader:
            if not row or row == [""]:
                continue
            if not header:
                header = [each.strip() for each in row]
                continue
            if len(row) != len(header):
                raise refuse(path, reader.line_num, f"{len(header)} fields", f"{len(row)} fields")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise refuse(path, reader.line_num, "comma-separated fields", str(error)) from None
    return _tabled(path, header, list(zip(*rows, strict=True)), lines)


def _tabled(path: Path, header: list[str], found: Sequence[Sequence[str]], lines: Sequence[int]) -> Table:
    if len(set(header)) != len(header):
        twice = next(each for each in header if header.count(each) > 1)
        raise refuse(path, 1, "each column once", f"{twice} twice")
    columns = dict(zip(header, found if len(lines) else [()] * len(header), strict=True))
    return Table(path, columns, lines)


def _plain(text: str, delimiter: str, wide: int) -> tuple[list[str], int] | None:
    """Return all fields of a text one after the other, and how many a line has (`wide`, if it is not 0).

    None where a reader of quotes must look: at those, at blank lines, at lines of unlike length.
    """
    if '"' in text or "\r" in text:
        return None
    lines = text.removesuffix("\n").split("\n")
    wide = wide or 1 + lines[0].count(delimiter)
    if "" in lines or any(line.count(delimiter) != wide - 1 for line in lines):
        return None
    return delimiter.join(lines).split(delimiter), wide
