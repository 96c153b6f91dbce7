"""Attempts of a simulated run that were cut short, by an outage or by a stop, and what that cost."""

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.kernel import charge, release

# Columns of an attempt that was cut short: seconds; LOST is how much of its work has to be done again,
# STOPPED says what it was stopped for, 0 if it was not.
JOB, POOL, START, END, LOST, STOPPED, CUT_COLUMNS = range(7)
FOR_ROOM, FOR_MAINTENANCE, FOR_POWER = range(1, 4)


class Cuts:
    """What was cut short so far in a running world; `start_s` and `pool` tell where its jobs run, -1 nowhere.

    `run_s` is the work that each job still has to do, and grows shorter as checkpoints save some of it: one
    every `checkpoint_s` seconds of an attempt, none if that is 0.
    """

    def __init__(self, board: Arrays, run_s: list[int], start_s: Ints, pool: Ints, checkpoint_s: int) -> None:
        self._board = board
        self._run_s = run_s
        self._done_s = np.zeros(len(run_s), np.int64)
        self._start_s = start_s
        self._pool = pool
        self._checkpoint_s = checkpoint_s
        self._rows: list[tuple[int, ...]] = []
        self._ran_s: dict[int, list[int]] = {}
        self._saved: set[int] = set()

    @property
    def rows(self) -> Ints:
        """Every attempt that was cut short so far, in order of time."""
        return np.array(self._rows, np.int64).reshape(len(self._rows), CUT_COLUMNS)

    @property
    def saves(self) -> bool:
        """True if jobs leave checkpoints."""
        return self._checkpoint_s > 0

    def has_saved(self, job: int) -> bool:
        """True if an earlier attempt of a job has left a checkpoint."""
        return job in self._saved

    def began_s(self, job: int) -> int:
        """Return since when a job runs."""
        return int(self._start_s[job])

    def left_s(self, job: int, now_s: int) -> int:
        """Return how long a running job would still run if nobody stopped it."""
        return int(self._start_s[job]) + self._run_s[job] - now_s

    def ran_s(self, job: int) -> list[int]:
        """Return how long each attempt of a job ran that was cut short, the last first."""
        return self._ran_s.get(job, [])[::-1]

    def kill(self, job: int, now_s: int) -> None:
        """An outage takes a running job; it goes on from its last checkpoint."""
        self._cut(job, now_s, self._by_checkpoint_s(job, now_s), stopped=0)

    def stop(self, job: int, now_s: int, grace_s: int, reason: int) -> None:
        """A job that was told to stop is over; one that saves has saved what it did before its grace."""
        saved_s = self._by_checkpoint_s(job, now_s)
        if self.saves and grace_s:
            saved_s = now_s - int(self._start_s[job]) - grace_s
            self._saved.add(job)
        self._cut(job, now_s, saved_s, stopped=reason)

    def worked_s(self, jobs: Ints, now_s: int) -> Ints:
        """Return how much of each job's work is done and saved, what its attempt does now included."""
        began_s = self._start_s[jobs]
        found: Ints = self._done_s[jobs] + np.where(began_s < 0, 0, now_s - began_s)
        return np.maximum(found, 0)

    def pause(self, job: int, now_s: int, cost_s: int) -> None:
        """Stop a job that saves what it did at once; saving and starting again cost it that much work."""
        self._cut(job, now_s, now_s - int(self._start_s[job]) - cost_s, stopped=FOR_ROOM)

    def _by_checkpoint_s(self, job: int, now_s: int) -> int:
        ran_s = now_s - int(self._start_s[job])
        return ran_s // self._checkpoint_s * self._checkpoint_s if self._checkpoint_s else 0

    def _cut(self, job: int, now_s: int, saved_s: int, *, stopped: int) -> None:
        began = int(self._start_s[job])
        ran_s = now_s - began
        self._rows.append((job, int(self._pool[job]), began, now_s, ran_s - saved_s, stopped))
        self._ran_s.setdefault(job, []).append(ran_s)
        if saved_s:
            self._saved.add(job)
        self._run_s[job] -= saved_s
        self._done_s[job] += saved_s
        self._start_s[job] = self._pool[job] = -1
        _take_off(self._board, job, ran_s, saved_s)


@bare
def _take_off(a: Arrays, job: int, ran_s: int, saved_s: int) -> None:
    """Take a running job's cards; what it is expected to run grows shorter by what it saved.

    Its account pays for the time that it ran, not for what it was expected to run.
    """
    expected_s = a.jobs[job, c.EXPECTED] // 1000
    charge(a, a.lanes[a.jobs[job, c.LANE], c.ACCOUNT], a.jobs[job, c.CARDS] * (ran_s - expected_s))
    release(a, job)
    a.jobs[job, c.EXPECTED] = max(min(1, expected_s), expected_s - saved_s) * 1000
    if a.jobs[job, c.LIKELY] > 0:
        a.jobs[job, c.LIKELY] = max(1000, a.jobs[job, c.LIKELY] - saved_s * 1000)
