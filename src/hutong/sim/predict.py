"""How long a job will run, guessed from those like it that have ended."""

from collections import defaultdict, deque
from collections.abc import Sequence

from hutong.core.book.lengths import MOST_LENGTHS
from hutong.core.placement.expected import ENOUGH, quantile_s

UNKNOWN_S = 3600
"""The length of a job of which nobody has seen the like."""


class Predictor:
    """Guesses by kind, from the particular to the general: the first that has seen enough answers.

    A guess is a quantile of the latest ends of that kind; of one that nobody has seen, `unknown_s`.
    """

    def __init__(self, enough: int = ENOUGH, unknown_s: int = UNKNOWN_S) -> None:
        self.enough = enough
        self.unknown_s = unknown_s
        self._ends: defaultdict[object, deque[int]] = defaultdict(lambda: deque(maxlen=MOST_LENGTHS))

    def guess_s(self, kinds: Sequence[object], *percents: int) -> list[int]:
        """Return a guess for each percentile, of a job of these kinds, the most particular first."""
        for kind in kinds:
            ends = self._ends.get(kind, ())
            if len(ends) >= self.enough:
                return [quantile_s(ends, each, self.enough) or 0 for each in percents]
        return [self.unknown_s] * len(percents)

    def of_kind_s(self, kind: object, percent: int) -> int | None:
        """Return a guess for a job of one kind, as live; None where too little is known."""
        return quantile_s(self._ends.get(kind, ()), percent, self.enough)

    def learn(self, kinds: Sequence[object], ran_s: int) -> None:
        """A job of these kinds has ended."""
        for kind in kinds:
            self._ends[kind].append(ran_s)
