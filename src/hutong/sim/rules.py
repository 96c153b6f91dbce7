"""The rules of a simulated run, by the names that a command line gives them."""

from dataclasses import dataclass
from enum import StrEnum

from hutong.core.kernel.errors import Refused


class Queueing(StrEnum):
    """Which waiting job is first: the oldest, the shortest (as expected), or the least served group's.

    LEAST: whose rest is expected to take the fewest card-seconds; it stops others for that, see `sim.rest`.
    """

    FIFO = "fifo"
    SJF = "sjf"
    FAIR = "fair"
    LEAST = "least"


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


def check_least(*, greedy: bool, guessed: bool, free: bool) -> None:
    """Raise Refused for what does not go with LEAST, which gives freed cards away in its own order."""
    for goes, text in (
        (greedy, "keeps no cards for who waits: give --backfill greedy"),
        (guessed, "guesses what a job still needs: give --lengths guessed"),
        (
            free,
            "knows no quotas, bookings, limits or maintenance as it stops jobs: "
            "leave all but preemptible out of --rules",
        ),
    ):
        if not goes:
            raise Refused("simulation", f"--order least {text}")
