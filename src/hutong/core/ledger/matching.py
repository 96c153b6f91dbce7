"""What a source says was used, beside what the book says: the same, a correction, or for a person."""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.core.book.money import UsageRecord
from hutong.core.book.received import Received

_SLACK_MS = 1000
"""Clocks and rounding of accounting: a card may differ by so much without a correction."""


@dataclass(frozen=True, slots=True)
class Match:
    """`correct` is the record to correct and its new quantity, `suspend` why a person must look."""

    correct: tuple[UsageRecord, int] | None = None
    suspend: str = ""


def match(received: Received, cards: int, settled: bool, usage: Sequence[UsageRecord]) -> Match:
    """Match a record with the use that is in the book under its key; `cards` 0: there is no such attempt.

    A difference goes to the newest record of the subject; if that cannot take it, a person decides.
    """
    if not cards:
        return Match(suspend=f"no attempt {received.key} is in the book")
    if received.unit != "card_ms":
        return Match(suspend=f"unit {received.unit!r} is not what an attempt is billed by (card_ms)")
    if not settled:
        return Match(suspend=f"attempt {received.key} is not settled yet")
    total = sum(each.quantity for each in usage)
    if abs(received.quantity - total) <= _SLACK_MS * cards:
        return Match()
    newest = newest_record(usage)
    if newest is None:
        return Match(suspend=f"attempt {received.key} was never metered")
    quantity = newest.quantity + received.quantity - total
    if quantity < 0:
        return Match(suspend=f"{received.quantity} is less than all but the last record of {received.key}")
    return Match(correct=(newest, quantity))


def newest_record(usage: Sequence[UsageRecord]) -> UsageRecord | None:
    """Return the record in force that ends last."""
    gone = {each.reverses for each in usage}
    there = [each for each in usage if not each.reverses and each.id not in gone]
    return max(there, key=lambda each: (each.upto_ms, each.id), default=None)
