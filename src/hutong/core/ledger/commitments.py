"""Commitments and tiers: which use of a period moves from the price of its start to another one (ADR 46).

Use is booked at the price that was bound when it was placed. When its period is being closed, what a
commitment covers moves to the committed price, and what is beyond a tier to the price of that tier. Both are
functions of the period's sums alone: neither the order of records nor how often they are asked matters.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hutong.core.book.commitments import COMMITMENTS_MAX, Commitment
from hutong.core.book.money import COMMITTED, TIERED
from hutong.core.book.prices import Price
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.kernel.money import largest_remainder
from hutong.core.kernel.rating import CARD_HOUR_MS, rate
from hutong.core.ledger.prices import in_tiers, parse_sku

UNUSED = "unused_ms"
MONTHS_MAX = 120


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Use of one thing by one project at one site and price, micro-yuan for `per` base units."""

    project: str
    site: str
    sku: str
    unit: str
    micro: int
    per: int


@dataclass(frozen=True, slots=True, order=True)
class Moved:
    """What changes the use of a period: `subject` is the key of its records; `group` has the price."""

    subject: str
    group: Group


Uses = Mapping[Group, int]
Moves = dict[Moved, int]
"""Quantities that are to be booked under each subject in all, below zero where use leaves a price."""


def draw(commitment: Commitment, uses: Uses) -> dict[Group, int]:
    """Return how much of each group a commitment covers: the dearest use first, alike prices in proportion.

    Never more than is committed. Use that is no dearer than the commitment is covered only where what is
    unused has to be paid, for then it costs its project less.
    """
    found: dict[Group, int] = {}
    left = commitment.card_ms
    fits = [
        group
        for group, quantity in uses.items()
        if quantity > 0
        and (group.unit, group.sku, group.per) == ("card_ms", commitment.accelerator, CARD_HOUR_MS)
        and (commitment.take_or_pay or group.micro > commitment.micro)
    ]
    for micro in sorted({group.micro for group in fits}, reverse=True):
        alike = sorted(group for group in fits if group.micro == micro)
        quantities = [uses[group] for group in alike]
        part = min(left, sum(quantities))
        shares = largest_remainder(part, quantities)
        found |= {group: share for group, share in zip(alike, shares, strict=True) if share}
        left -= part
    return found


def commit(commitment: Commitment, period: str, uses: Uses) -> tuple[Moves, dict[Group, int]]:
    """Return what a commitment moves in a period that is over, and the use that it leaves to others.

    What is used at the committed price and what is unused add up to what was committed, where the unused is
    to be paid.
    """
    drawn = draw(commitment, uses)
    moves: Moves = {}
    for group, quantity in drawn.items():
        subject = _subject(f"{COMMITTED}{commitment.id}", period, group)
        _move(moves, subject, group, commitment.micro, quantity)
    unused = commitment.card_ms - sum(drawn.values())
    if commitment.take_or_pay and unused:
        fee = Group(commitment.pays, "", commitment.accelerator, UNUSED, commitment.micro, CARD_HOUR_MS)
        moves[Moved(unused_subject(commitment, period), fee)] = unused
    left = {group: quantity - drawn.get(group, 0) for group, quantity in uses.items()}
    return moves, left


def unused_subject(commitment: Commitment, period: str) -> str:
    """Return the subject under which the unused part of a month is charged."""
    return f"{COMMITTED}{commitment.id}:{period}:unused"


def tier(project: str, prices: Sequence[tuple[str, Price]], period: str, uses: Uses) -> Moves:
    """Return what the tiers of prices move in a period: `prices` are (sku, price), the nearest first.

    The project's use at a price decides the tier; each tier takes its part of every group, in proportion.
    """
    moves: Moves = {}
    left = {group: quantity for group, quantity in uses.items() if group.project == project and quantity > 0}
    for sku, price in prices:
        alike = sorted(group for group in left if _priced_by(sku, price, group))
        quantities = [left.pop(group) for group in alike]
        if not alike:
            continue
        steps = in_tiers(price, sum(quantities))
        for micro, part in reversed(steps[1:]):
            shares = largest_remainder(part, quantities)
            quantities = [had - share for had, share in zip(quantities, shares, strict=True)]
            for group, share in zip(alike, shares, strict=True):
                if share:
                    _move(moves, _subject(f"{TIERED}{price.id}", period, group), group, micro, share)
    return moves


def _priced_by(text: str, price: Price, group: Group) -> bool:
    sku = parse_sku(text)
    unit = "card_ms" if sku.family == "card" else sku.family
    return (
        (group.unit, group.micro, group.per) == (unit, price.micro, price.per)
        and sku.name in {"", group.sku}
        and sku.site in {"", group.site}
    )


def _subject(name: str, period: str, group: Group) -> str:
    return f"{name}:{period}:{group.project}:{group.site}:{group.sku}:{group.unit}"


def _move(moves: Moves, subject: str, group: Group, micro: int, quantity: int) -> None:
    for place, amount in ((group, -quantity), (replace(group, micro=micro), quantity)):
        name = Moved(subject, place)
        moves[name] = moves.get(name, 0) + amount


def worth_micro(commitment: Commitment, since_month: str = "") -> int:
    """Return what all months of a commitment cost together, those from `since_month` on."""
    first = max(commitment.from_month, since_month)
    months = max(0, month_number(commitment.upto_month) - month_number(first))
    return months * rate(commitment.card_ms, commitment.micro, CARD_HOUR_MS)


def month_number(month: str) -> int:
    """Return a month such as 2027-03 as a whole number; raises Refused for what is none."""
    year, _, number = month.partition("-")
    if not (len(month) == 7 and year.isascii() and number.isascii() and year.isdigit() and number.isdigit()):
        raise _refused("/starts", f"{month!r} is no month", "such as 2027-03")
    if not 1 <= int(number) <= 12:
        raise _refused("/starts", f"{month!r} is no month", "such as 2027-03")
    return int(year) * 12 + int(number) - 1


def check(commitment: Commitment, this_month: str) -> None:
    """Raise Refused that names the field for a commitment that cannot be one."""
    months = month_number(commitment.upto_month) - month_number(commitment.from_month)
    if commitment.from_month < this_month:
        raise _refused("/starts", "a commitment does not begin in the past", f"{this_month} or later")
    if not 0 < months <= MONTHS_MAX:
        raise _refused("/ends", f"it is for 1 to {MONTHS_MAX} months", "the month after its last one")
    if commitment.card_ms <= 0:
        raise _refused("/card_hours", "nothing would be committed", "more than 0")


def end(commitment: Commitment, upto_month: str, this_month: str) -> Commitment:
    """Return a commitment that ends sooner; the same end again changes nothing.

    The month that runs, and those before it, stay as they were promised. Raises Refused otherwise.
    """
    number, now = month_number(upto_month), month_number(this_month)
    if upto_month == commitment.upto_month:
        return commitment
    if upto_month > commitment.upto_month:
        raise _refused("/ends", "its end is set, and is never put off", "make another commitment")
    # One that has not begun may be given up whole; of one that runs, this month stays.
    least = max(now + 1, month_number(commitment.from_month) + 1)
    begun = commitment.from_month <= this_month
    if number < (least if begun else month_number(commitment.from_month)):
        raise _refused("/ends", "what has begun stays for its month", "the month after this one, or later")
    return replace(commitment, upto_month=upto_month)


def require_room(known: Iterable[Commitment]) -> None:
    """Raise Conflict where there are as many commitments as there may be."""
    if len(list(known)) >= COMMITMENTS_MAX:
        raise Conflict("too_many", f"there are {COMMITMENTS_MAX} commitments already")


def _refused(path: str, message: str, hint: str) -> Refused:
    return Refused("bad_commitment", message, (Problem(path, message, hint),))
