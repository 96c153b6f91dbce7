"""The rules of a simulated run, by the names that a command line gives them."""

from dataclasses import dataclass
from enum import StrEnum


class Queueing(StrEnum):
    """Which waiting job is first: the oldest, the shortest (as expected), or the least served group's."""

    FIFO = "fifo"
    SJF = "sjf"
    FAIR = "fair"


class BackfillName(StrEnum):
    """What a job that waits means for those after it; see `core.placement.columns.Backfill`."""

    NONE = "none"
    EASY = "easy"
    CONSERVATIVE = "conservative"
    GREEDY = "greedy"


class Lengths(StrEnum):
    """What the scheduler knows of a job's length: the truth, what was asked for, or a guess from the past.

    PREDICTED is both of the last, as the platform has it: a guess for what is kept for others, and the limit.
    """

    KNOWN = "known"
    LIMIT = "limit"
    GUESSED = "guessed"
    PREDICTED = "predicted"


@dataclass(frozen=True, slots=True)
class Rules:
    """Orders to compare, and what goes for all of them."""

    orders: tuple[Queueing, ...]
    backfill: BackfillName
    lengths: Lengths
