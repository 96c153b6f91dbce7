"""What became of the jobs of a simulated run, and of each of their attempts."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from hutong.core.placement.arrays import Ints
from hutong.sim.cuts import (
    CUT_COLUMNS,
    END,
    FOR_MAINTENANCE,
    FOR_POWER,
    FOR_ROOM,
    JOB,
    LOST,
    POOL,
    START,
    STOPPED,
)


class Attempts(NamedTuple):
    """Every time that a job of a run held cards, one entry each, in no order; seconds."""

    job: Ints
    pool: Ints
    start_s: Ints
    end_s: Ints


@dataclass(frozen=True, slots=True)
class Run:
    """What became of each job of a trace: its last attempt's start, end and pool.

    Times are seconds, -1: never. `cut` has a row for each attempt that was cut short, in order of time; its
    columns are named in `sim.cuts`.
    """

    start_s: Ints
    pool: Ints
    finish_s: Ints
    cut: Ints = field(default_factory=lambda: np.zeros((0, CUT_COLUMNS), np.int64))

    @property
    def digest(self) -> str:
        """A hash of every action: equal runs placed the same jobs at the same times in the same pools."""
        return sha256(self.start_s.tobytes() + self.pool.tobytes() + self.cut.tobytes()).hexdigest()

    @property
    def restarts(self) -> Ints:
        """How often each job was cut short."""
        return np.bincount(self.cut[:, JOB], minlength=len(self.start_s)).astype(np.int64)

    @property
    def attempts(self) -> Attempts:
        """All attempts, those that were cut short first."""
        ran = np.flatnonzero(self.start_s >= 0)
        last = (ran, self.pool[ran], self.start_s[ran], self.finish_s[ran])
        cut = self.cut[:, [JOB, POOL, START, END]].T
        return Attempts(*(np.concatenate(pair) for pair in zip(cut, last, strict=True)))

    @property
    def stops(self) -> Ints:
        """How often each job was stopped, whatever for."""
        return self.stops_for(FOR_ROOM, FOR_MAINTENANCE, FOR_POWER)

    def stops_for(self, *reasons: int) -> Ints:
        """Return how often each job was stopped for any of these reasons, see `sim.cuts`."""
        stopped = self.cut[np.isin(self.cut[:, STOPPED], reasons), JOB]
        return np.bincount(stopped, minlength=len(self.start_s)).astype(np.int64)

    def lost_card_s(self, cards: Ints, *, stopped: bool = False) -> int:
        """Return the card-seconds of work that had to be done again, all or of what was stopped.

        `cards` are those of each job.
        """
        cut = self.cut[self.cut[:, STOPPED] > 0] if stopped else self.cut
        return int((cut[:, LOST] * cards[cut[:, JOB]]).sum())

    def waited_s(self, submit_s: Ints) -> Ints:
        """Return how long each job was in the queue, before its first start and between attempts."""
        held = np.zeros(len(self.start_s), np.int64)
        np.add.at(held, self.cut[:, JOB], self.cut[:, END] - self.cut[:, START])
        found: Ints = self.start_s - submit_s - held
        return found
