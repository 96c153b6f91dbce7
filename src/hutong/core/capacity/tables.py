"""Arithmetic of published tables: sums that are not, rows that may not be added, rates that cannot be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from hutong.core.capacity.catalogue import find_card
from hutong.core.capacity.csv_rows import Sheet, is_nothing, number, plain, read_sheet
from hutong.core.capacity.figures import Figure, differences
from hutong.core.capacity.units import parse_figure, parse_gops
from hutong.core.kernel.errors import Problem, Refused

_TOTALS = frozenset({"total", "sum", "合计", "总计", "共计"})
_WORDS = frozenset({"name", "card", "precision", "sparsity", "basis", "source", "note"})
_APART_PERCENT = 10
_ONE_TF_GOPS = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say of a table: an `error`, or a `note`. `line` is of the file, 0 for a whole column."""

    severity: str
    code: str
    line: int
    column: str
    message: str
    stated: str = ""
    found: str = ""
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers: its cells by line (None: nothing stands there), and the total that is stated."""

    name: str
    cells: tuple[tuple[int, str, Fraction | None], ...]
    total: Fraction | None


def check_table(text: str, dated: str) -> tuple[Finding, ...]:
    """Return what is wrong with a table in CSV, errors first; raises Refused if it cannot be read.

    The first column names the row; a row named `total` states totals. Columns `card`, `precision`,
    `sparsity` and `basis` say what the rows are, columns named by a unit hold computing power.
    """
    sheet = read_sheet(text)
    columns = tuple(_columns(sheet))
    if not columns:
        raise Refused(
            "bad_table", "no column of numbers", (Problem("/csv", "no column of numbers", "cards, P"),)
        )
    found = [finding for column in columns for finding in _sums(column)]
    powers = [each for each in columns if _unit_gops(each.name)]
    for column in powers:
        found += _units(column)
        found += _unlike(sheet, column, dated)
    found += _rates(sheet, columns, powers)
    return tuple(sorted(found, key=lambda each: (each.severity, each.line, each.column)))


def _is_total(sheet: Sheet, row: dict[str, str]) -> bool:
    return row[sheet.columns[0]].casefold() in _TOTALS


def _columns(sheet: Sheet) -> Iterator[Column]:
    for name in sheet.columns[1:]:
        if name.casefold() in _WORDS:
            continue
        cells, total = [], None
        for line, row in sheet.rows:
            value = None if is_nothing(row[name]) else number(row[name])
            if value is None and not is_nothing(row[name]):
                problem = Problem(
                    f"/csv/{line}/{name}", f"{row[name]!r} is no number", "1,024 or 118.7, or / for none"
                )
                raise Refused("bad_table", f"line {line}, column {name}: no number", (problem,))
            if _is_total(sheet, row):
                total = value
            else:
                cells.append((line, row[sheet.columns[0]], value))
        yield Column(name, tuple(cells), total)


def _sums(column: Column) -> Iterator[Finding]:
    known = sum((value for _, _, value in column.cells if value is not None), Fraction())
    missing = [(line, name) for line, name, value in column.cells if value is None]
    if column.total is None:
        return
    gap = column.total - known
    told = {"stated": plain(column.total), "found": plain(known), "difference": plain(gap)}
    if not missing and gap:
        way = "more" if gap < 0 else "less"
        text = (
            f"the rows sum to {plain(known)}, {plain(abs(gap))} {way} than the stated {plain(column.total)}"
        )
        yield Finding("error", "wrong_sum", 0, column.name, text, **told)
    elif len(missing) == 1 and gap >= 0:
        line, name = missing[0]
        text = f"{name} is blank; the stated {plain(column.total)} implies {plain(gap)}"
        yield Finding("note", "implied", line, column.name, text, **told)
    elif missing and gap < 0:
        text = (
            f"the rows that say something sum to {plain(known)}, more than the stated {plain(column.total)}"
        )
        yield Finding("error", "wrong_sum", 0, column.name, text, **told)
    elif missing:
        text = f"{len(missing)} rows are blank, so the stated {plain(column.total)} cannot be checked"
        yield Finding("note", "unchecked", 0, column.name, text, **told)


def _unit_gops(name: str) -> int:
    """Return the giga-operations of the unit that is a column's last word, 0 where it is none."""
    try:
        return parse_gops(f"1 {name.split()[-1].strip('()')}").value
    except Refused:
        return 0


def _units(column: Column) -> Iterator[Finding]:
    for flag in parse_gops(f"1 {column.name.split()[-1].strip('()')}").flags:
        yield Finding("error", "wrong_unit", 0, column.name, flag)


def _unlike(sheet: Sheet, column: Column, dated: str) -> Iterator[Finding]:
    figures: list[tuple[int, str, Figure]] = []
    silent = 0
    for line, row in sheet.rows:
        if _is_total(sheet, row) or is_nothing(row[column.name]):
            continue
        words = [row[name] for name in sheet.columns if name.casefold() in {"precision", "sparsity", "basis"}]
        figure, _ = parse_figure(
            " ".join(["1 P", *(word for word in words if not is_nothing(word))]), dated, f"/csv/{line}"
        )
        silent += figure.assumed
        figures.append((line, row[sheet.columns[0]], figure))
    if silent:
        text = f"{silent} rows do not say which precision: FP16 dense by the convention of P"
        yield Finding("note", "no_precision", 0, column.name, text)
    for line, name, figure in figures[1:]:
        first, against = figures[0][1], figures[0][2]
        if reasons := differences(against, figure):
            told = "; ".join(f"{each.field} {each.left} and {each.right}: {each.why}" for each in reasons)
            text = f"{name} may neither be compared with {first} nor added to it ({told})"
            yield Finding("error", "unlike", line, column.name, text)


def _rates(sheet: Sheet, columns: Sequence[Column], powers: Sequence[Column]) -> Iterator[Finding]:
    cards = next((each for each in columns if each.name.casefold() in {"cards", "卡数"}), None)
    if cards is None:
        return
    counts = {line: value for line, _, value in cards.cells}
    rows = dict(sheet.rows)
    for power in powers:
        for line, name, value in power.cells:
            count = counts.get(line)
            if value is None or not count or count < 0:
                continue
            tf = value * _unit_gops(power.name) / _ONE_TF_GOPS / count
            base = Finding(
                "note", "rate", line, power.name, f"{name}: {plain(tf)} TF a card", found=plain(tf)
            )
            yield _beside_catalogue(base, rows[line].get("card", ""), tf)


def _beside_catalogue(finding: Finding, named: str, tf: Fraction) -> Finding:
    card = find_card(named)
    choice = card.choice("FP16") if card else None
    if card is None or choice is None:
        return finding
    low, high = Fraction(choice.span.low, _ONE_TF_GOPS), Fraction(choice.span.high, _ONE_TF_GOPS)
    span = f"{plain(low)} to {plain(high)}" if low < high else plain(low)
    text = f"{finding.message}; the catalogue has {span} TF of FP16 for {card.model} ({choice.status})"
    far = tf * 100 < low * (100 - _APART_PERCENT) or tf * 100 > high * (100 + _APART_PERCENT)
    return replace(finding, message=text, stated=span, severity="error" if far else "note",
                   code="unlikely_rate" if far else "rate")  # fmt: skip
