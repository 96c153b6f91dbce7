"""Figures from other people's files: each row is taken, flagged or refused, with the reason."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from fractions import Fraction

from hutong.core.capacity.catalogue import CATALOGUE, find_card
from hutong.core.capacity.catalogue.model import Card
from hutong.core.capacity.csv_rows import is_nothing, number, plain, read_sheet
from hutong.core.capacity.figures import BASES, CONFIDENCES, PRECISIONS, Figure

COLUMNS = ("card", "precision", "teraflops", "basis", "source", "dated")
"""Needed; `sparsity` (dense), `of` (card) and `confidence` (C) may be there too."""
SENTINELS = frozenset({Fraction(999999), Fraction(99999), Fraction(9999), Fraction(-1), Fraction(0)})
"""FlagPerf writes 999999, 9999 and -1.0 where nothing is known."""
_NEAR = Fraction(3, 100)
_NAIVE = Fraction(1, 5)
_MOST_TIMES = 4
_GOPS = 1000
_TEXT_MAX = 300
_RATIO = re.compile(r"^\d+(\.\d+)?\s*%$")
_BY_RULE = "AB"
_DOUBTED = frozenset({"sparse_as_dense", "die_as_card", "naive", "copied"})
"""Flagged for these a figure is kept with confidence D, which no interval counts."""
_MEASURED = frozenset({"tool", "framework"})
_TOOL = {"measured": "tool", "toolkit": "tool"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a row: `taken`, `flagged` (kept, and to be looked at) or `refused`; and why."""

    line: int
    outcome: str
    card: str
    code: str = ""
    reason: str = ""
    hint: str = ""
    figure: Figure | None = None


@dataclass(eq=False)
class _No(Exception):
    """Why a row is refused (raised), or flagged (returned)."""

    code: str
    reason: str
    hint: str


def read_figures(
    text: str, today: str, known: Mapping[str, tuple[Figure, ...]] | None = None
) -> tuple[Verdict, ...]:
    """Return a verdict on each row of a CSV of figures; `known` are figures by model beside the catalogue's.

    Raises Refused where the file as a whole cannot be read.
    """
    sheet = read_sheet(text, COLUMNS)
    seen: dict[tuple[str, str], int] = {}
    verdicts = []
    for line, row in sheet.rows:
        verdict = _verdict(line, row, today, known or {})
        if verdict.figure is not None:
            first = seen.setdefault((verdict.card, identity(verdict.figure)), line)
            if first != line:
                verdict = Verdict(
                    line, "refused", verdict.card, "repeated", f"line {first} says the same", "leave it out"
                )
        verdicts.append(verdict)
    return tuple(verdicts)


def identity(figure: Figure) -> str:
    """Return what a figure says, without what was thought of it: the same row again is the same figure."""
    told = (
        figure.gops,
        figure.precision,
        figure.sparse,
        figure.basis,
        figure.of,
        figure.source,
        figure.dated,
    )
    return "\n".join(map(str, told))


def _verdict(
    line: int, row: Mapping[str, str], today: str, known: Mapping[str, tuple[Figure, ...]]
) -> Verdict:
    named = row["card"][:_TEXT_MAX]
    try:
        card = _card(named)
        figure = _figure(row, today)
        everything, own = (*card.figures, *known.get(card.model, ())), identity(figure)
        others = tuple(each for each in everything if identity(each) != own)
        _refuse_impossible(figure, others)
        _refuse_mistaken(card, figure, others)
    except _No as no:
        return Verdict(line, "refused", named, no.code, no.reason, no.hint)
    flag = _flag(card, figure, others)
    if flag is None:
        return Verdict(line, "taken", card.model, figure=figure)
    doubted = replace(
        figure, note=flag.reason, confidence="D" if flag.code in _DOUBTED else figure.confidence
    )
    return Verdict(line, "flagged", card.model, flag.code, flag.reason, flag.hint, doubted)


def _card(name: str) -> Card:
    card = find_card(name)
    if card is None:
        near = get_close_matches(name, CATALOGUE, 3, 0.4)
        raise _No(
            "unknown_card",
            f"no card {name!r} is known",
            ", ".join(near) or "a card of `hutong capacity cards`",
        )
    return card


def _figure(row: Mapping[str, str], today: str) -> Figure:
    precision = row["precision"].upper()
    if precision not in PRECISIONS:
        raise _No("no_precision", f"{row['precision']!r} is no precision", ", ".join(PRECISIONS))
    value = _value(row["teraflops"])
    basis = _TOOL.get(row["basis"].lower(), row["basis"].lower())
    if basis not in BASES:
        raise _No("no_basis", f"{row['basis']!r} is no basis", ", ".join(BASES))
    source = row["source"]
    if is_nothing(source) or len(source) > _TEXT_MAX:
        raise _No(
            "no_source",
            "a figure without a source says nothing",
            f"who says so, up to {_TEXT_MAX} characters",
        )
    sparse = _one_of(row, "sparsity", ("dense", "sparse")) == "sparse"
    of = _one_of(row, "of", ("card", "die"))
    confidence = _one_of(row, "confidence", ("C", *CONFIDENCES))
    dated = row["dated"]
    try:
        when = date.fromisoformat(dated)
    except ValueError:
        raise _No(
            "bad_date", f"{dated!r} is no date", "when the source was read, such as 2026-11-22"
        ) from None
    if when.isoformat() > today:
        raise _No("bad_date", f"{dated} has not come yet", f"{today} or before")
    return Figure(int(value * _GOPS), precision, sparse, basis, source, when.isoformat(), confidence, of)


def _value(cell: str) -> Fraction:
    if is_nothing(cell):
        raise _No("no_value", f"{cell!r} stands for no value", "leave the row out until there is one")
    if _RATIO.match(cell):
        raise _No(
            "ratio", f"{cell} is a share of a nominal figure that is not told", "the figure itself, in TFLOPS"
        )
    value = number(cell)
    if value is None:
        raise _No("no_number", f"{cell[:40]!r} is no number", "TFLOPS such as 313.2")
    if value in SENTINELS:
        raise _No(
            "sentinel", f"{plain(value)} stands for `unknown` in such files, it is no figure", "leave it out"
        )
    if value < 0:
        raise _No("negative", f"{plain(value)} is less than nothing", "TFLOPS such as 313.2")
    if value * _GOPS != int(value * _GOPS):
        raise _No("too_fine", f"{cell} is finer than a giga-operation a second", "at most three decimals")
    return value


def _one_of(row: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    said = row.get(name, "")
    if is_nothing(said):
        return known[0]
    found = next((each for each in known if each.lower() == said.lower()), None)
    if found is None:
        raise _No(f"bad_{name}", f"{said!r} is no {name}", " or ".join(dict.fromkeys(known)))
    return found


def _refuse_impossible(figure: Figure, others: tuple[Figure, ...]) -> None:
    alike = [
        each.gops for card in CATALOGUE.values() for each in card.figures
        if each.precision == figure.precision and each.sparse == figure.sparse
    ]  # fmt: skip
    most = max((*alike, *(each.gops for each in others)), default=0) * _MOST_TIMES
    if most and figure.gops > most:
        told = plain(Fraction(figure.gops, _GOPS))
        text = f"{told} TF is over {_MOST_TIMES} times the most of any card in {figure.precision}"
        raise _No("impossible", text, "check the unit: TFLOPS of one card")


def _refuse_mistaken(card: Card, figure: Figure, others: tuple[Figure, ...]) -> None:
    """Refuse what is well known to be something else: a sparse figure as a dense one, a die as its card."""
    if not figure.sparse and any(
        each.sparse and each.confidence in _BY_RULE and _near(figure.gops, each.gops)
        for each in others if _same(each, figure, {"FP16", "BF16"})
    ):  # fmt: skip
        raise _No(
            "sparse_as_dense", "that is the card's sparse figure, and the row says dense", "sparsity: sparse"
        )
    if figure.of == "die" and card.dies == 1:
        raise _No("no_dies", f"{card.model} has one die", "of: card")
    whole = [each.gops for each in others if each.of == "card" and each.precision == figure.precision]
    if figure.of == "die" and any(_near(figure.gops, each) for each in whole):
        raise _No("card_as_die", "that is the figure of the whole card", "of: card")


def _flag(card: Card, figure: Figure, others: tuple[Figure, ...]) -> _No | None:
    dense = [
        each
        for each in others
        if _same(each, figure, {"FP16", "BF16"}) and not each.sparse and each.of == "card"
    ]
    if figure.of == "card" and not figure.sparse:
        if card.dies > 1 and any(_near(figure.gops * card.dies, each.gops) for each in dense):
            return _No(
                "die_as_card", f"that is what one of its {card.dies} dies has", "of: die, or twice the figure"
            )
        if any(each.confidence in _BY_RULE and _near(figure.gops, 2 * each.gops) for each in dense):
            return _No(
                "sparse_as_dense", "twice the dense figure: probably the sparse one", "sparsity: sparse"
            )
    if figure.basis in _MEASURED and (other := _measured_elsewhere(card, figure)):
        return _No("copied", f"to the last digit what was measured of {other}", "the card that was measured")
    nominal = [each.gops for each in dense if each.basis == "nominal" and each.confidence in _BY_RULE]
    if figure.basis in _MEASURED and nominal and figure.of == "card":
        share = Fraction(figure.gops, max(nominal))
        if share < _NAIVE:
            return _No(
                "naive",
                f"{plain(share * 100)} % of nominal: a naive kernel measures itself",
                "another kernel",
            )
        if share > 1:
            return _No(
                "above_nominal",
                f"measured at {plain(share * 100)} % of nominal",
                "ask which of them is right",
            )
    same = [each.gops for each in dense if each.precision == figure.precision and each.basis == figure.basis]
    if (
        figure.of == "card"
        and not figure.sparse
        and same
        and not any(_near(figure.gops, each) for each in same)
    ):
        told = ", ".join(plain(Fraction(each, _GOPS)) for each in sorted(set(same)))
        return _No("conflict", f"other sources say {told} TF", "all are kept, and the rule picks one")
    return None


def _measured_elsewhere(card: Card, figure: Figure) -> str:
    """Return another card of which exactly that was measured: FlagPerf's file of a BW is that of an A100."""
    said = (figure.gops, figure.precision, figure.basis)
    for other in CATALOGUE.values():
        if other is not card and any(
            (each.gops, each.precision, each.basis) == said for each in other.figures
        ):
            return other.model
    return ""


def _same(one: Figure, other: Figure, alike: set[str]) -> bool:
    return one.precision == other.precision or {one.precision, other.precision} <= alike


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= other * _NEAR
