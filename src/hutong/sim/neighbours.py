"""Jobs that come one after the other are mostly alike: guesses by those that came nearest.

Users submit batches, and no trace says of a job that it is one of a batch. So the expected length of a job
is that of its neighbours in order of submission, among jobs of one kind: what they worked so far, over how
many of them have ended. That is the estimate of an exponential length where not all have ended, so a batch
whose first jobs go on and on is soon known to be long. A neighbour weighs the less, the more jobs and the
more time lie between. A job whose neighbours have not run counts as shorter than is typical: a try tells
about them all.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled
from hutong.core.placement.kernel import enqueue
from hutong.sim.large import Room
from hutong.sim.trace import Trace

# Weights are in thousandths of a job. A neighbour's falls by a twentieth with each step from job to job, and
# by half with each ten minutes between two.
JOB, NEXT_PPM, GAP_S = 1000, 950_000, 600
# Beside the neighbours counts half a job of half the typical length.
PRIOR, SHORTER = JOB // 2, 2
REACH = 100
"""So many jobs before the first that waits still say something."""


@compiled
def expected_lengths(
    submit: Ints, worked: Ints, ended: npt.NDArray[np.bool_], typical: int, gap_s: int, own: int
) -> Ints:
    """Return how many s jobs of one kind are expected to take, at least 1, in order of submission.

    `worked` is how long each ran so far, 0 for those that wait, `typical` the length of one about which
    nothing is known. By half falls a weight with each `gap_s` between two; `own` is that of what a job itself
    worked.
    """
    count = len(submit)
    ends, works = np.full(count, PRIOR, np.int64), np.full(count, PRIOR * typical // SHORTER, np.int64)
    for step in (1, -1):
        first = 0 if step > 0 else count - 1
        end, work = 0, 0
        for each in range(1, count):
            at = first + step * each
            near = at - step
            keep = NEXT_PPM >> min(abs(submit[at] - submit[near]) // gap_s, 20)
            end = (end + JOB * ended[near]) * keep // 1_000_000
            work = (work + JOB * worked[near]) * keep // 1_000_000
            ends[at] += end
            works[at] += work
    found: Ints = np.maximum((works + own * worked) // ends, 1)
    return found


class Kinds:
    """The jobs of a run by kind: those that came, those that have `ended`, and what others say of each."""

    def __init__(self, submit_s: Ints, run_s: Ints, kinds: Sequence[Hashable], unknown_s: int) -> None:
        self._submit_s, self._run_s, self._kinds = submit_s, run_s, kinds
        places: dict[Hashable, list[int]] = {}
        for job, kind in enumerate(kinds):
            places.setdefault(kind, []).append(job)
        self._of = {kind: np.array(jobs, np.int64) for kind, jobs in places.items()}
        self._first = dict.fromkeys(places, 0)
        self._came = dict.fromkeys(places, 0)
        # As if one of each kind had ended before.
        self._ends, self._sum_s = dict.fromkeys(places, 1), dict.fromkeys(places, unknown_s)
        self.ended = np.zeros(len(kinds), np.bool_)

    def see(self, ended: Sequence[int], came: Sequence[int]) -> list[Hashable]:
        """Jobs have ended, others came; return the kinds that they are of."""
        for job in ended:
            self.ended[job] = True
            self._ends[self._kinds[job]] += 1
            self._sum_s[self._kinds[job]] += int(self._run_s[job])
        for job in came:
            self._came[self._kinds[job]] += 1
        return list(dict.fromkeys(self._kinds[job] for job in (*ended, *came)))

    def of(self, kind: Hashable) -> Ints:
        """Return the jobs of a kind that came, without those that nobody needs any more."""
        found: Ints = self._of[kind][self._first[kind] : self._came[kind]]
        return found

    def keep(self, kind: Hashable, asked: npt.NDArray[np.bool_]) -> None:
        """Say which jobs of `of` are asked about: those that came long before them are needed no more."""
        oldest = int(np.argmax(asked)) if asked.any() else len(asked)
        self._first[kind] += max(0, oldest - REACH)

    def lengths(self, kind: Hashable, some: Ints, worked_s: Ints, gap_s: int, own: int) -> Ints:
        """Return what those that `of` gave are expected to take, see `expected_lengths`."""
        typical_s = self._sum_s[kind] // self._ends[kind]
        return expected_lengths(self._submit_s[some], worked_s, self.ended[some], typical_s, gap_s, own)


class Neighbours:
    """The jobs of a run, and what those that wait are expected to take, written into their keys."""

    def __init__(self, board: Arrays, trace: Trace, kinds: Sequence[Hashable], unknown_s: int) -> None:
        self._board, self._run_s = board, trace.run_s
        self._kinds = Kinds(trace.submit_s, trace.run_s, kinds, unknown_s)
        self._room = Room(board, trace.cards, trace.run_s, unknown_s)

    def see(self, ended: Sequence[int], came: Sequence[int], now_s: int) -> None:
        """Jobs have ended, then others came: put these into their lanes, and all that wait there in order."""
        for kind in self._kinds.see(ended, came):
            self._expect(kind, now_s)
        for job in came:
            enqueue(self._board, job)
        self._room.see(ended, came, self._kinds.ended)

    def _expect(self, kind: Hashable, now_s: int) -> None:
        """Guess the jobs of a kind that wait."""
        some = self._kinds.of(kind)
        jobs, ended = self._board.jobs, self._kinds.ended[some]
        runs = (jobs[some, c.POOL] >= 0) & ~ended
        waits = ~runs & ~ended
        self._kinds.keep(kind, waits)
        if not waits.any():
            return
        began_s = (jobs[some, c.UNTIL] - jobs[some, c.EXPECTED]) // 1000
        worked_s = np.where(ended, self._run_s[some], np.where(runs, now_s - began_s, 0))
        likely = self._kinds.lengths(kind, some, worked_s, GAP_S, 0)
        jobs[some[waits], c.KEY] = likely[waits] * len(self._run_s) + some[waits]
