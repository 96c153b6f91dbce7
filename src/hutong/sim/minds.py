"""What the scheduler of a simulated run believes of lengths, written into its arrays."""

from collections import defaultdict
from collections.abc import Sequence

from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.expected import PERCENT
from hutong.sim.neighbours import Neighbours
from hutong.sim.predict import Predictor
from hutong.sim.rules import Queueing
from hutong.sim.trace import Trace


class Minds:
    """Guesses of a predictor, in place of what the arrays have for a length; beside it where it `predicts`.

    Then all goes as on the live platform: what counts as the same work is of one user and group and asks for
    as many cards, and what waits is guessed again as its like end. Else shortest first goes by neighbours.
    """

    def __init__(
        self, trace: Trace, board: Arrays, predictor: Predictor, queueing: Queueing, *, predicts: bool
    ) -> None:
        self._jobs = board.jobs
        self._predictor = predictor
        self._run_s = trace.run_s.tolist()
        users, groups = trace.user.tolist(), trace.group.tolist()
        shapes = zip(trace.nodes.tolist(), trace.cards_per_node.tolist(), strict=True)
        self._kinds = list(zip(users, groups, trace.cards.tolist(), strict=True))
        self._works = list(zip(users, groups, shapes, strict=True))
        self._waiting: defaultdict[object, list[int]] = defaultdict(list)
        self._predicts = predicts
        self._near = None
        if queueing is Queueing.SJF and not predicts:
            self._near = Neighbours(board, trace, self._kinds, predictor.unknown_s)

    def _of(self, job: int) -> tuple[object, ...]:
        user, group, cards = self._kinds[job]
        return ((user, group, cards), (group, cards), cards, None)

    @property
    def lines_up(self) -> bool:
        """True if jobs that come are put into their lanes here, and not by the pass."""
        return self._near is not None

    def see(self, ended: Sequence[int], came: Sequence[int], now_s: int) -> None:
        """Jobs have ended, then others came."""
        for job in ended:
            self.learn(job)
        for job in came:
            self.guess(job)
        if self._near:
            self._near.see(ended, came, now_s)

    def guess(self, job: int) -> None:
        """A job comes."""
        if self._predicts:
            self._waiting[self._works[job]].append(job)
            self._expect(self._works[job])
            return
        (most_s,) = self._predictor.guess_s(self._of(job), PERCENT)
        self._jobs[job, c.EXPECTED] = most_s * 1000

    def learn(self, job: int) -> None:
        """A job has ended."""
        if self._predicts:
            self._predictor.learn((self._works[job],), self._run_s[job])
            self._expect(self._works[job])
        else:
            self._predictor.learn(self._of(job), self._run_s[job])

    def _expect(self, work: object) -> None:
        """Say what waiting jobs of one work are expected to take, as the live platform does in every turn."""
        found_s = self._predictor.of_kind_s(work, PERCENT)
        self._waiting[work] = [job for job in self._waiting[work] if self._jobs[job, c.POOL] < 0]
        self._jobs[self._waiting[work], c.LIKELY] = 0 if found_s is None else 1000 * max(1, found_s)
