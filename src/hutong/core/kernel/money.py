"""Money in integers: micro-yuan inside, decimal strings outside, rounding once."""

from collections.abc import Sequence

from hutong.core.kernel.errors import Broken, Problem, Refused

MICRO = 1_000_000
CURRENCY = "CNY"


def format_micro(amount_micro: int, decimals: int = 6) -> str:
    """Return a decimal string with `decimals` places, rounded half to even.

    >>> format_micro(1_234_565, 2)
    '1.23'
    """
    step = 10 ** (6 - decimals)
    quotient, rest = divmod(abs(amount_micro), step)
    if rest * 2 > step or (rest * 2 == step and quotient % 2):
        quotient += 1
    sign = "-" if amount_micro < 0 and quotient else ""
    if not decimals:
        return f"{sign}{quotient}"
    whole, part = divmod(quotient, 10**decimals)
    return f"{sign}{whole}.{part:0{decimals}d}"


def parse_micro(text: str, path: str = "") -> int:
    """Return the micro-units of a plain decimal string such as `12.5`; at most six decimals."""
    body = text.strip()
    sign = -1 if body.startswith("-") else 1
    whole, _, part = body.removeprefix("-").partition(".")
    digits = whole + part
    if not whole or len(part) > 6 or len(whole) > 15 or not (digits.isascii() and digits.isdigit()):
        problem = Problem(path, f"{text!r} is not an amount", "a decimal such as 1200 or 12.50")
        raise Refused("bad_amount", f"{text!r} is not an amount of money", (problem,))
    return sign * (int(whole) * MICRO + int(part.ljust(6, "0")))


def largest_remainder(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split `total` (>= 0) in proportion to `weights` (>= 0) so that the parts sum to it exactly.

    The largest remainders get the left-over units; ties go to the earlier part (Hamilton's method).
    """
    weight = sum(weights)
    if total < 0 or weight <= 0 or min(weights) < 0:
        raise Broken("a split needs a total >= 0 and weights >= 0 that are not all zero")
    parts = [total * each // weight for each in weights]
    order = sorted(range(len(parts)), key=lambda i: (-(total * weights[i] % weight), i))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return tuple(parts)
