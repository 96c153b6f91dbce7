"""Quantities of computing power, power and energy as people write them: `3,000 P`, `4.5万P`, `33.7 GWh`."""

import re
from dataclasses import dataclass
from fractions import Fraction

from hutong.core.capacity.figures import BASES, PRECISIONS, Figure
from hutong.core.kernel.errors import Problem, Refused

P_GOPS = 10**6
"""Giga-operations a second in one P: 10^15 operations a second."""
MOST = {"gops": 10**13, "watts": 10**12, "watt_hours": 10**16, "cards": 10**8, "racks": 10**7}
"""More than this is taken for a slip: ten million P, a thousand GW, a hundred million cards."""

_NUMBER = r"(\d[\d,]*(?:\.\d+)?)\s*([十百千万亿]*)\s*"
_QUANTITY = re.compile(rf"^\s*{_NUMBER}([A-Za-z/+]+)?(.*)$", re.DOTALL)
_OPERATIONS = re.compile(
    r"^(kilo|mega|giga|tera|peta|exa|zetta|[kmgtpez])?"
    r"(?:(flops?|flop/s|f|ops?|op/s|hash(?:es)?|h/s)(?:/s|ps)?)?$"
)
_SCALES = {
    "": Fraction(1, 10**9), "k": Fraction(1, 10**6), "m": Fraction(1, 1000), "g": Fraction(1),
    "t": Fraction(10**3), "p": Fraction(10**6), "e": Fraction(10**9), "z": Fraction(10**12),
}  # fmt: skip
_MYRIADS = {"": 1, "十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_OTHERS = {
    "w": ("watts", Fraction(1)), "kw": ("watts", Fraction(10**3)), "mw": ("watts", Fraction(10**6)),
    "gw": ("watts", Fraction(10**9)), "kwh": ("watt_hours", Fraction(10**3)),
    "mwh": ("watt_hours", Fraction(10**6)), "gwh": ("watt_hours", Fraction(10**9)),
    "twh": ("watt_hours", Fraction(10**12)), "card": ("cards", Fraction(1)), "cards": ("cards", Fraction(1)),
    "rack": ("racks", Fraction(1)), "racks": ("racks", Fraction(1)),
}  # fmt: skip
_RIGHT = "a number with its unit: 3000 P, 500 PFLOPS, 1.194 EFLOPS, 4.5万P, 989 TFLOPS, 1979 TOPS"
_BASIS_WORDS = {"measured": "tool", "hpl": "benchmark", "peak": "nominal", "theoretical": "nominal"}
_MISTRANSLATED = (
    "hashes count tries of a digest, not arithmetic: `petahash` is a mistranslation of P, taken as 10^15 op/s"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity: `what` is `gops`, `watts`, `watt_hours`, `cards` or `racks`; `flags` say what is odd."""

    what: str
    value: int
    flags: tuple[str, ...] = ()


def parse_amount(text: str, path: str = "") -> Amount:
    """Return the quantity that a text means; raises Refused if it has no unit, or none of these."""
    amount, rest = _split(text, path)
    if rest.strip(" 级級"):
        raise _refused(path, f"{rest.strip()!r} stands behind the quantity", "leave it out")
    return amount


def parse_gops(text: str, path: str = "") -> Amount:
    """Return a quantity of computing power; raises Refused if it is anything else."""
    amount = parse_amount(text, path)
    if amount.what != "gops":
        raise _refused(path, f"{text!r} is not computing power", _RIGHT)
    return amount


def parse_figure(text: str, dated: str, path: str = "") -> tuple[Figure, tuple[str, ...]]:
    """Return the figure of a text such as `500 P FP16 dense nominal`, and what is odd about it.

    What it does not say is the convention of P, FP16 dense nominal, and the figure is `assumed`.
    """
    amount, rest = _split(text, path)
    if amount.what != "gops":
        raise _refused(path, f"{text!r} is not computing power", _RIGHT)
    words = rest.replace("(", " ").replace(")", " ").replace(",", " ").split()
    precision, sparse, basis = "", None, ""
    for word in words:
        if word.upper() in PRECISIONS:
            precision = word.upper()
        elif word.lower() in {"dense", "sparse"}:
            sparse = word.lower() == "sparse"
        elif _BASIS_WORDS.get(word.lower(), word.lower()) in BASES:
            basis = _BASIS_WORDS.get(word.lower(), word.lower())
        else:
            right = f"a precision ({', '.join(PRECISIONS)}), dense or sparse, a basis ({', '.join(BASES)})"
            raise _refused(path, f"{word!r} says nothing of a figure", right)
    flags = list(amount.flags)
    if not precision:
        flags.append("no precision is stated: taken as FP16 dense, the convention of P")
    figure = Figure(
        amount.value, precision or "FP16", bool(sparse), basis or "nominal", "as typed", dated,
        confidence="D", of="machine", assumed=not precision,
    )  # fmt: skip
    return figure, tuple(flags)


def format_gops(gops: int) -> str:
    """Return computing power for people, in P or TF, to at most three decimals."""
    unit, size = ("P", P_GOPS) if gops >= P_GOPS else ("TF", 1000)
    thousandths = (gops * 1000 + size // 2) // size
    whole, part = divmod(thousandths, 1000)
    tail = f".{part:03d}".rstrip("0").rstrip(".")
    return f"{whole:,}{tail} {unit}"


def _split(text: str, path: str) -> tuple[Amount, str]:
    match = _QUANTITY.match(text.replace("，", ",").replace("−", "-"))
    if match is None:
        raise _refused(path, f"{text!r} does not begin with a number", _RIGHT)
    digits, myriads, unit, rest = match.groups()
    if "," in digits and not re.fullmatch(r"\d{1,3}(,\d{3})*(\.\d+)?", digits):
        raise _refused(path, f"the commas of {digits!r} do not part thousands", "3,000 or 3000")
    number = Fraction(digits.replace(",", ""))
    for each in myriads:
        number *= _MYRIADS[each]
    if unit is None:
        raise _refused(path, f"{text!r} has no unit", _RIGHT)
    what, scale, flags = _unit(unit, path)
    value = number * scale
    if value > MOST[what]:
        raise _refused(path, f"{text!r} is more than there can be", "check the unit")
    if value != int(value):
        raise _refused(
            path, f"{text!r} is finer than is kept", "whole giga-operations a second, watts, cards"
        )
    return Amount(what, int(value), flags), rest


def _unit(unit: str, path: str) -> tuple[str, Fraction, tuple[str, ...]]:
    low = unit.lower()
    if unit in {"mW", "mWh"}:
        raise _refused(path, f"{unit} is a thousandth of a watt", "MW is a million")
    if low in _OTHERS:
        what, scale = _OTHERS[low]
        return what, scale, ()
    match = _OPERATIONS.match(low)
    if match is None or not (match[1] or match[2]):
        raise _refused(path, f"{unit!r} is not a unit of computing power, power or energy", _RIGHT)
    prefix, kind = match[1] or "", match[2] or ""
    if not kind and (prefix not in {"p", "e", "t"} or unit[0].islower()):
        raise _refused(path, f"{unit!r} is not a unit of computing power", _RIGHT)
    flags = []
    if kind.startswith("h"):
        flags.append(_MISTRANSLATED)
    if kind.startswith("op"):
        flags.append("operations, not floating-point ones: TOPS are mostly of INT8; say which precision")
    return "gops", _SCALES[prefix[:1]], tuple(flags)


def _refused(path: str, message: str, hint: str) -> Refused:
    return Refused("bad_quantity", message, (Problem(path, message, hint),))
