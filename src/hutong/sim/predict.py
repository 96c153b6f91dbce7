"""How long a job will run, guessed from those like it that have ended."""

from collections import defaultdict, deque
from collections.abc import Sequence

LIKE = 50
"""So many of the latest ends of like jobs are remembered."""


class Predictor:
    """Guesses by kind, from the particular to the general: the first that has seen enough answers.

    A guess is a quantile of the latest ends of that kind; of one that nobody has seen, `unknown_s`.
    """

    def __init__(self, enough: int = 3, unknown_s: int = 3600) -> None:
        self.enough = enough
        self.unknown_s = unknown_s
        self._ends: defaultdict[object, deque[int]] = defaultdict(lambda: deque(maxlen=LIKE))

    def guess_s(self, kinds: Sequence[object], *percents: int) -> list[int]:
        """Return a guess for each percentile, of a job of these kinds, the most particular first."""
        for kind in kinds:
            ends = self._ends.get(kind)
            if ends is not None and len(ends) >= self.enough:
                ordered = sorted(ends)
                return [ordered[min(len(ordered) - 1, each * len(ordered) // 100)] for each in percents]
        return [self.unknown_s] * len(percents)

    def learn(self, kinds: Sequence[object], ran_s: int) -> None:
        """A job of these kinds has ended."""
        for kind in kinds:
            self._ends[kind].append(ran_s)
