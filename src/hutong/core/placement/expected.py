"""How long a run is expected to last by what like runs took before: plain functions, for whoever asks.

The scheduling pass has them compiled, see `guesses`. Nothing here loads the compiler.
"""

from collections.abc import Sequence

from hutong.core.kernel.quantities import HOUR_MS

ENOUGH = 3
"""So many runs must have ended before anything is expected of the next."""

PERCENT = 80
"""The part of like runs that took no longer than the guess.

More than half, for a reservation breaks where a run goes on.
"""


PATIENCE_MS = 12 * HOUR_MS
"""A job that waited longer than this is delayed by no guess any more. Our choice, not a measured figure."""


def quantile_s(ran_s: Sequence[int], percent: int, enough: int = ENOUGH) -> int | None:
    """Return a percentile of how long runs took, None where too few are known."""
    if len(ran_s) < enough:
        return None
    ordered = sorted(ran_s)
    return ordered[min(len(ordered) - 1, percent * len(ordered) // 100)]


def expected_end(began: int, likely: int, until: int, now: int) -> int:
    """Return when a run that has not ended is expected to, between now and its walltime (now if overdue).

    `likely` is its guess, 0 or less for none; `until` is the walltime. All in one unit.
    """
    if likely <= 0:
        return max(until, now)
    end = began + likely
    while end <= now and end < until:
        likely *= 2
        end = began + likely
    return max(min(end, until), now)
