"""A row of a table of centres: what it says, what is missing in it, and what cannot be."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256

from hutong.core.capacity.catalogue import find_card
from hutong.core.capacity.catalogue.model import Card
from hutong.core.capacity.centres import Evidence, Party, PhaseState, Place, first_day, last_day
from hutong.core.capacity.csv_rows import is_nothing, number, plain
from hutong.core.capacity.duplicates import bare_name
from hutong.core.capacity.figures import CONFIDENCES, Figure, Span
from hutong.core.capacity.imports import SENTINELS
from hutong.core.capacity.units import parse_figure
from hutong.core.kernel.errors import Refused

COLUMNS = (
    "id", "name", "name_zh", "name_en", "region", "lat", "lon", "owner", "owner_uscc", "operator",
    "operator_uscc", "contract", "phase", "state", "on", "due", "card", "cards", "p", "precision",
    "sparsity", "basis", "source", "dated", "confidence", "document", "confirmed_by", "note",
)  # fmt: skip
NEEDED = ("region", "state")
TEXT_MAX = 300
CARDS_MAX = 10**8
_SLUG = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
_NEAR = Fraction(3, 100)
_FAR = Fraction(1, 10)
_GAPS = ("owner", "operator", "lat")
FaultOf = Callable[[str], str]
"""What is wrong with a credit code, or an empty string."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say of a row: an `error`, or a `gap` (missing or doubtful, and taken all the same)."""

    severity: str
    code: str
    column: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class CentreRow:
    """What a row says of a centre and a phase of it. `figure` is a stated total, `cards` of one model."""

    line: int
    id: str
    name_zh: str
    name_en: str
    region: str
    owner: Party
    operator: Party
    contract: str
    place: Place | None
    phase: str
    state: PhaseState
    on: str
    due: str
    model: str
    cards: int
    figure: Figure | None
    evidence: Evidence
    dated: str
    note: str


@dataclass(eq=False)
class Bad(Exception):
    """Why a row is refused."""

    remark: Remark


def read_row(
    line: int, cells: Mapping[str, str], today: str, source: str, fault_of: FaultOf
) -> tuple[CentreRow, tuple[Remark, ...]]:
    """Return what a row says, with its gaps; raises Bad. `source` stands where the row names none."""
    row = {name: "" if is_nothing(cells.get(name, "")) else cells[name].strip() for name in COLUMNS}
    for column, text in row.items():
        if len(text) > TEXT_MAX:
            raise _bad("too_long", column, f"more than {TEXT_MAX} characters", "shorter")
    name_zh, name_en = _names(row)
    if not row["region"]:
        raise _bad("no_region", "region", "a centre without a region is in no sum", "such as Beijing")
    row["source"] = row["source"] or source
    if not row["source"]:
        raise _bad("no_source", "source", "a figure without a source says nothing", "who says so")
    gaps = [
        Remark("gap", f"no_{'place' if each == 'lat' else each}", each, "is not said")
        for each in _GAPS
        if not row[each]
    ]  # fmt: skip
    state, on = _state(row, today, gaps)
    card, cards = _cards(row)
    figure = _figure(row, on, gaps)
    if card is None and figure is None:
        gaps.append(Remark("gap", "no_capacity", "p", "neither cards nor P are said"))
    if card is not None and figure is not None:
        gaps += _beside_catalogue(card, cards, figure)
    if bool(row["document"]) != bool(row["confirmed_by"]):
        gaps.append(Remark("gap", "half_evidence", "document", "evidence is a document and who confirmed it"))
    found = CentreRow(
        line, _id(row, name_zh, name_en), name_zh, name_en, row["region"], _party(row, "owner", fault_of),
        _party(row, "operator", fault_of), row["contract"], _place(row), row["phase"] or "1", state, on,
        row["due"], card.model if card else "", cards, figure,
        Evidence(row["source"], row["document"], row["confirmed_by"]), row["dated"], row["note"],
    )  # fmt: skip
    return found, tuple(gaps)


def id_of(cells: Mapping[str, str]) -> str:
    """Return the id of a row that may be bad: the one it would have, as far as it can be told."""
    row = {name: "" if is_nothing(cells.get(name, "")) else cells[name].strip() for name in COLUMNS}
    try:
        return _id(row, *_names(row))
    except Bad:
        return row["id"][:100]


def _names(row: Mapping[str, str]) -> tuple[str, str]:
    name = row["name"]
    chinese = any("\u4e00" <= each <= "\u9fff" for each in name)
    name_zh, name_en = (
        row["name_zh"] or (name if chinese else ""),
        row["name_en"] or ("" if chinese else name),
    )
    if not name_zh and not name_en:
        raise _bad("no_name", "name", "a centre has a name", "name, name_zh or name_en")
    return name_zh, name_en


def _id(row: Mapping[str, str], name_zh: str, name_en: str) -> str:
    """Return the id of a row, or one that the same name and region always give."""
    if row["id"]:
        if not _SLUG.match(row["id"]):
            raise _bad(
                "bad_id", "id", f"{row['id']!r} is no id", "small letters, digits and -, or leave it out"
            )
        return row["id"]
    text = f"{row['region'].casefold()}\n{bare_name(name_zh or name_en)}"
    return f"c-{sha256(text.encode()).hexdigest()[:12]}"


def _state(row: Mapping[str, str], today: str, gaps: list[Remark]) -> tuple[PhaseState, str]:
    word = row["state"].lower().replace(" ", "-").replace("_", "-")
    try:
        state = PhaseState(word or ("planned" if row["due"] else ""))
    except ValueError:
        raise _bad("no_state", "state", f"{row['state']!r} is no state", ", ".join(PhaseState)) from None
    on = row["on"] or row["dated"]
    if not on:
        raise _bad("no_date", "on", "since when is not said", "a day, month or year; or `dated`")
    if not row["on"]:
        gaps.append(Remark("gap", "no_date", "on", f"since when is not said: known since {on}"))
    for column in ("on", "due", "dated"):
        if not row[column]:
            continue
        _day(row[column], column)
        if column != "due" and first_day(row[column]) > today:
            raise _bad("bad_date", column, f"{row[column]} has not come yet", "what is to come is `due`")
    return state, on


def _day(text: str, column: str) -> None:
    try:
        last_day(text)
    except Refused as refusal:
        raise _bad("bad_date", column, refusal.message, "2025-03-31, 2025-03 or 2025") from None


def _quantity(row: Mapping[str, str], column: str) -> Fraction | None:
    text = row[column]
    if not text:
        return None
    value = number(text)
    if value is None:
        raise _bad("no_number", column, f"{text[:40]!r} is no number", "1,024 or 118.7, or / for none")
    if value in SENTINELS:
        raise _bad("sentinel", column, f"{plain(value)} stands for `unknown` in such files", "leave it blank")
    if value < 0:
        raise _bad("negative", column, f"{plain(value)} is less than nothing", "1 or more")
    return value


def _cards(row: Mapping[str, str]) -> tuple[Card | None, int]:
    cards = _quantity(row, "cards")
    if not row["card"]:
        if cards is not None:
            raise _bad(
                "no_card", "card", "cards of which model is not said", "a card of `hutong capacity cards`"
            )
        return None, 0
    card = find_card(row["card"])
    if card is None:
        raise _bad("unknown_card", "card", f"no card {row['card']!r} is known", "`hutong capacity cards`")
    if cards is None:
        raise _bad("no_cards", "cards", f"how many {card.model} is not said", "a whole number, or no card")
    if cards != int(cards) or cards > CARDS_MAX:
        raise _bad("bad_cards", "cards", f"{plain(cards)} are no cards", f"a whole number up to {CARDS_MAX}")
    return card, int(cards)


def _figure(row: Mapping[str, str], on: str, gaps: list[Remark]) -> Figure | None:
    value = _quantity(row, "p")
    if value is None:
        return None
    words = [row[name] for name in ("precision", "sparsity", "basis") if row[name]]
    try:
        figure, flags = parse_figure(" ".join([f"{row['p']} P", *words]), row["dated"] or on)
    except Refused as refusal:
        hint = refusal.problems[0].hint if refusal.problems else ""
        raise _bad("bad_figure", "p", refusal.message, hint) from None
    gaps += [Remark("gap", "no_precision", "precision", each) for each in flags]
    confidence = row["confidence"].upper() or "C"
    if confidence not in CONFIDENCES:
        raise _bad("bad_confidence", "confidence", f"{row['confidence']!r} is none", "A, B, C or D")
    return replace(figure, source=row["source"], confidence=confidence, note=row["note"])


def _beside_catalogue(card: Card, cards: int, figure: Figure) -> list[Remark]:
    """Return what is odd of the power of one card; raises Bad for sparse as dense, and dies as cards."""
    choice = card.choice(figure.precision)
    if choice is None or figure.sparse:
        return []
    rate = Fraction(figure.gops, cards)
    sparse = [each.gops for each in card.figures if each.sparse and each.precision == figure.precision]
    told = f"{plain(rate / 1000)} TF a card"
    if _within(rate, choice.span, _NEAR):
        return []
    if any(abs(rate - each) <= each * _NEAR for each in sparse):
        raise _bad(
            "sparse_as_dense", "p", f"{told}: that is its sparse figure, and the row says dense", "sparse"
        )
    if card.dies > 1 and _within(rate * card.dies, choice.span, _NEAR):
        text = f"{told}: that is what one of its {card.dies} dies has"
        raise _bad("die_as_card", "cards", text, f"{cards // card.dies} cards, if dies were counted")
    if card.dies > 1 and _within(rate / card.dies, choice.span, _NEAR):
        raise _bad(
            "card_as_die", "cards", f"{told}: that is what {card.dies} of them have", f"{cards * card.dies}"
        )
    if _within(rate, choice.span, _FAR):
        return []
    span = f"{plain(Fraction(choice.span.low, 1000))} to {plain(Fraction(choice.span.high, 1000))}"
    return [Remark("gap", "unlikely_rate", "p", f"{told}; the catalogue has {span} TF for {card.model}")]


def _within(rate: Fraction, span: Span, slack: Fraction) -> bool:
    return span.low * (1 - slack) <= rate <= span.high * (1 + slack)


def _party(row: Mapping[str, str], who: str, fault_of: FaultOf) -> Party:
    code = row[f"{who}_uscc"].upper()
    if code and (fault := fault_of(code)):
        raise _bad("bad_uscc", f"{who}_uscc", f"{code!r}: {fault}", "18 characters as on the licence")
    return Party(row[who], code)


def _place(row: Mapping[str, str]) -> Place | None:
    if not row["lat"] and not row["lon"]:
        return None
    found = []
    for column, most in (("lat", 90), ("lon", 180)):
        value = number(row[column])
        if value is None or not -most <= value <= most:
            raise _bad(
                "bad_place", column, f"{row[column]!r} is no degree", f"-{most} to {most}, such as 40.07"
            )
        found.append(int(value * 10**6))
    return Place(*found)


def _bad(code: str, column: str, message: str, hint: str) -> Bad:
    return Bad(Remark("error", code, column, message, hint))
