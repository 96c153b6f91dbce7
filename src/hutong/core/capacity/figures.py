"""Figures of computing power: what each must say, which may be compared or added, and which one is used.

A quantity alone is worth nothing: 500 P of FP16 and 1,194 P of FP64 are not two sizes of one thing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PRECISIONS = (
    "FP64", "FP64-TENSOR", "FP32", "FP32-MATRIX", "TF32", "FP16", "BF16", "FP8", "MXFP4", "FP4",
    "INT16", "INT8", "INT4",
)  # fmt: skip
BASES = ("nominal", "tool", "framework", "benchmark", "derived")
"""The vendor says so; its own tool, a framework, or a whole-machine benchmark measured it; worked out."""
CONFIDENCES = "ABCD"
"""A: several good sources; B: one good source; C: sources conflict or are weak; D: unverified."""
SUBJECTS = ("card", "die", "machine")
RULE = (
    "of the dense figures of a whole card in that precision: the best confidence (A to D), then nominal"
    " before tool-measured before framework-measured before derived, then the latest date, then the lowest"
)
CONFLICT_PERCENT = 10
"""Nominal figures further apart than this are in conflict. Our own choice."""

_OUT_OF_INTERVALS = "D"


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantity of computing power: giga-operations a second with all that makes it comparable.

    `basis` is one of BASES (`measured`, of bills: by a tool). `dated` is when the source was read. `of` says
    what has it. `assumed`: the source is silent on precision and sparsity, and the convention of P was taken.
    """

    gops: int
    precision: str
    sparse: bool
    basis: str
    source: str
    dated: str
    confidence: str = "B"
    of: str = "card"
    assumed: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A quantity that is not known exactly: from `low` to `high`, and most likely `likely`."""

    low: int
    likely: int
    high: int

    @classmethod
    def exactly(cls, value: int) -> "Span":
        """Return the span of one value."""
        return cls(value, value, value)

    def plus(self, other: "Span") -> "Span":
        """Return the sum of two spans."""
        return Span(self.low + other.low, self.likely + other.likely, self.high + other.high)


@dataclass(frozen=True, slots=True)
class Difference:
    """Why two figures are unlike: the field, what each says in it, and what that means."""

    field: str
    left: str
    right: str
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The figure that is used, the interval of what contradicts it, and what to think of it.

    The interval is of its own basis and of nominal figures, D left aside.
    `status` is `settled`, `conflicting` (nominal figures far apart), `unverified` (nothing better than C).
    """

    figure: Figure
    span: Span
    status: str


def sparsity(figure: Figure) -> str:
    """Return `dense` or `sparse`."""
    return "sparse" if figure.sparse else "dense"


def differences(left: Figure, right: Figure) -> tuple[Difference, ...]:
    """Return why two figures may not be compared or added; empty where they may."""
    pairs = (
        ("precision", left.precision, right.precision,
        "an operation in one is not the work of one in the other"),
        ("sparsity", sparsity(left), sparsity(right),
        "sparse counts multiplications by zero that are not done"),
        ("basis", left.basis, right.basis, "what a vendor states and what was measured differ"),
    )  # fmt: skip
    found = [Difference(*each) for each in pairs if each[1] != each[2]]
    if "die" in {left.of, right.of} and left.of != right.of:
        found.append(Difference("of", left.of, right.of, "a card may hold several dies"))
    return tuple(found)


def kind(figure: Figure) -> tuple[str, str, str]:
    """Return what must be equal of figures that are added: precision, sparsity, basis."""
    return (figure.precision, sparsity(figure), figure.basis)


def choose(figures: Iterable[Figure], precision: str) -> Choice | None:
    """Return the figure of a card that is used for a precision, by RULE; None where there is none."""
    known = [
        each for each in figures if each.precision == precision and not each.sparse and each.of == "card"
    ]
    if not known:
        return None
    best = min(known, key=_order)
    counted = [each.gops for each in _stated(known, best) if each.confidence != _OUT_OF_INTERVALS]
    counted.append(best.gops)
    span = Span(min(counted), best.gops, max(counted))
    return Choice(best, span, _status(best, known))


def conflicts(figures: Sequence[Figure]) -> tuple[tuple[Figure, Figure], ...]:
    """Return pairs of like figures, lowest and highest, that are further apart than CONFLICT_PERCENT."""
    like: dict[tuple[str, str, str, str], list[Figure]] = defaultdict(list)
    for each in figures:
        like[*kind(each), each.of].append(each)
    found = []
    for group in like.values():
        low, high = min(group, key=lambda each: each.gops), max(group, key=lambda each: each.gops)
        if _apart(low.gops, high.gops):
            found.append((low, high))
    return tuple(found)


def _order(figure: Figure) -> tuple[str, int, int, int, str]:
    newest = -int(figure.dated.replace("-", "") or 0)
    bases = (*BASES, "measured")
    return (figure.confidence, bases.index(figure.basis), newest, figure.gops, figure.source)


def _status(best: Figure, known: Sequence[Figure]) -> str:
    stated = [each.gops for each in _stated(known, best)]
    if _apart(min(stated), max(stated)):
        return "conflicting"
    return "settled" if best.confidence in "AB" else "unverified"


def _stated(known: Sequence[Figure], best: Figure) -> list[Figure]:
    """Return the figures that contradict one another: measuring less than nominal is no conflict."""
    return [each for each in known if each.basis in {"nominal", best.basis}]


def _apart(low: int, high: int) -> bool:
    return high * 100 > low * (100 + CONFLICT_PERCENT)
