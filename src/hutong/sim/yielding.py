"""Preemption in a simulated run: whom to stop is said by the code of a live turn (`core.control.room`).

A job that saves (`checkpoint_s`) holds its cards for its grace once it is stopped, and keeps all that it did
before that; without a grace it goes on from its last checkpoint. Another ends at once and has lost its run.
What was stopped goes to the end of the queue, and waits longer if that happens to it again soon, as live.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from hutong.core.book.snapshot import Limits, began_last
from hutong.core.control.retries import after_failures_ms
from hutong.core.control.room import STOPS_MAX, WAITERS_MAX, Line, Victim, Waiter, lost_ms, make_room
from hutong.core.control.rules import Rules
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.kernel import enqueue, turn
from hutong.core.placement.laying import FROM, HOLDER, TOLD_COLUMNS, UNTIL
from hutong.core.work.fold import STOPPING_MS
from hutong.sim.cuts import Cuts
from hutong.sim.settled import Settled
from hutong.sim.trace import Trace

Number = TypeVar("Number", int, Ints)

RULES = Rules()
"""Those of the platform unless its operator says otherwise: how long a retry waits."""


def key_of(queued_s: Number, stops: int, job: Number, jobs: int) -> Number:
    """Return what orders so many jobs as live: since when they wait, how often they were stopped, who."""
    return (queued_s * (STOPS_MAX + 1) + stops) * jobs + job


class Yielding:
    """Who makes room in a running world; its clock is that of the run.

    Each lane has two rows, the second for jobs that may be stopped. `keeps_place`: what was stopped goes
    back to its old place in the queue.
    """

    def __init__(
        self, trace: Trace, board: Arrays, settled: Settled, cuts: Cuts, *, keeps_place: bool
    ) -> None:
        self._board = board
        self._settled = settled
        self._cuts = cuts
        self._may = settled.preemptible.tolist()
        names = [*trace.groups, ""]
        self._projects = [names[group] for group in trace.group.tolist()]
        self._keeps_place = keeps_place
        self._held = board.quotas[:, :, c.CARDS_HELD].copy()
        self._running: set[int] = set()
        self._stopping: dict[int, int] = {}
        self._stops: Counter[int] = Counter()
        self._back: list[tuple[int, int]] = []
        self._again_s = c.NEVER
        self._awaited: set[int] = set()
        self._holds_back = False

    @property
    def next_s(self) -> int:
        """When a turn is to be taken next, whatever else happens: who was stopped comes back, or now."""
        return min(self._again_s, self._back[0][0] if self._back else c.NEVER)

    def see(self, over: Sequence[int], now_s: int) -> tuple[list[int], list[int]]:
        """A turn begins. Of those whose time is over, return those that were not stopped.

        Put back into the queue the others whose time has come; return those as well.
        """
        ended = [job for job in over if not self._is_stopped(job, now_s)]
        self._held[:] = self._board.quotas[:, :, c.CARDS_HELD]
        self._running.difference_update(over)
        back = []
        while self._back and self._back[0][0] <= now_s:
            back.append(heapq.heappop(self._back)[1])
            self._queue(back[-1], now_s)
        return ended, back

    def _is_stopped(self, job: int, now_s: int) -> bool:
        """Cut an attempt short that was stopped, unless it is over by itself now."""
        likely_ms = self._stopping.pop(job, None)
        if likely_ms is None or self._cuts.left_s(job, now_s) <= 0:
            return False
        self._board.jobs[job, c.LIKELY] = likely_ms
        self._stops[job] += 1
        self._cuts.stop(job, now_s, self._settled.grace_s)
        wait_ms = after_failures_ms((1000 * ran_s for ran_s in self._cuts.ran_s(job)), RULES)
        heapq.heappush(self._back, (now_s + wait_ms // 1000, job))
        return True

    def _queue(self, job: int, now_s: int) -> None:
        rows = self._board.jobs
        rows[job, c.QUEUED] = now_s * 1000
        if not self._keeps_place:
            rows[job, c.KEY] = key_of(now_s, self._stops[job], job, len(rows))
        if self._stops[job] >= STOPS_MAX:
            rows[job, c.LANE] &= ~1
        enqueue(self._board, job)

    def forget(self, killed: Iterable[int]) -> None:
        """Forget those that an outage took."""
        for job in killed:
            self._running.discard(job)
            self._stopping.pop(job, None)

    def turn(self, now_ms: int, came: Iterable[int], started: Ints) -> int:
        """Take a pass as `kernel.turn` does; see `preemption.held_back`."""
        for job in came:
            enqueue(self._board, job)
        self._holds_back = bool(self._awaited)
        if not self._holds_back:
            return turn(self._board, now_ms, -1, 0, 0, started)
        heads = self._board.lanes[1::2, c.HEAD].copy()
        self._board.lanes[1::2, c.HEAD] = -1
        found = turn(self._board, now_ms, -1, 0, 0, started)
        self._board.lanes[1::2, c.HEAD] = heads
        return found

    def make_room(self, now_s: int, started: Sequence[int]) -> dict[int, int]:
        """A turn ends, in which these started. Stop what must be for who waits; return when each ends."""
        victims = self._victims(now_s)  # live, too, the next turn knows of those that started in this one
        self._running.update(job for job in started if self._may[job])
        before, self._awaited = self._awaited, set()
        if self._stopping:  # as live: who waited for what is being freed goes on to
            self._awaited.update(job for job in before if self._board.jobs[job, c.POOL] < 0)
        stopped = self._stop(now_s, victims) if victims or self._stopping else {}
        self._again_s = now_s if started or self._awaited != before else c.NEVER
        return stopped

    def _stop(self, now_s: int, victims: dict[int, list[Victim]]) -> dict[int, int]:
        """Stop whom a live turn would, and return when each ends; note who waits for their cards."""
        line = Line(self._board, now_s * 1000)
        waiters = [
            Waiter(job, self._projects[job], 0, self._may[job])
            for job in line.in_line(_heads(self._board, 2 if self._holds_back else 1))[:WAITERS_MAX]
        ]
        rows, clearing = self._board.jobs, Counter[int]()
        for job in self._stopping:
            clearing[int(rows[job, c.POOL])] += int(rows[job, c.CARDS])
        held = self._board.quotas[:, :, c.CARDS_HELD].copy()
        made = make_room(line, waiters, victims, clearing)
        self._awaited.update(job for job in made if not self._may[job])
        self._board.quotas[:, :, c.CARDS_HELD] = held  # of those who wait nobody has anything yet
        grace_s = self._settled.grace_s if self._cuts.saves else 0
        found = {}
        for job in (victim.number for stopped in made.values() for victim in stopped):
            self._stopping[job] = int(rows[job, c.LIKELY])
            rows[job, c.UNTIL], rows[job, c.LIKELY] = now_s * 1000 + STOPPING_MS, 0
            found[job] = now_s + min(grace_s, self._cuts.left_s(job, now_s))
        return found

    def _victims(self, now_s: int) -> dict[int, list[Victim]]:
        """Return the jobs that may be stopped, by pool: those that a live turn would know of."""
        rows, able = self._board.jobs, self._running - self._stopping.keys()
        told = ((int(rows[job, c.POOL]), self._cuts.began_s(job), job) for job in able)
        found: defaultdict[int, list[Victim]] = defaultdict(list)
        for job in sorted(began_last(told, Limits().may_give_way)):
            if self._stops[job] >= STOPS_MAX:
                continue
            cards, pool = int(rows[job, c.CARDS]), int(rows[job, c.POOL])
            ran_ms, saves = 1000 * (now_s - self._cuts.began_s(job)), self._cuts.has_saved(job)
            lost = cards * lost_ms(ran_ms, 1000 * self._settled.grace_s, saves=saves)
            beyond, booked = self._beyond(job, pool), self._is_booked(job, pool, now_s * 1000)
            found[pool].append(Victim(job, self._projects[job], 0, cards, lost, beyond, booked))
        return found

    def _account(self, job: int) -> int:
        return int(self._board.lanes[self._board.jobs[job, c.LANE], c.ACCOUNT])

    def _is_booked(self, job: int, pool: int, now_ms: int) -> bool:
        """True if a job's project or institution has booked cards of a pool now."""
        told = self._settled.told
        is_open = (told[:, TOLD_COLUMNS] == pool) & (told[:, FROM] <= now_ms) & (now_ms < told[:, UNTIL])
        return bool(np.isin(told[is_open, HOLDER], self._settled.holders[self._account(job)]).any())

    def _beyond(self, job: int, pool: int) -> bool:
        """True if a job's institution held more than its promise as the turn began; without one it did."""
        board = self._board
        if not board.state[c.QUOTAS]:
            return False
        institution = int(self._settled.holders[self._account(job), 1])
        if institution < 0:
            return True
        flavours = [0, int(board.pools[pool, c.FLAVOUR])]
        return bool(
            (self._held[institution, flavours] > board.quotas[institution, flavours, c.NOMINAL]).all()
        )


def _heads(board: Arrays, step: int) -> list[int]:
    """Return the first jobs of each lane, or of every other: no other can be among the first of the line."""
    found = []
    for head in board.lanes[::step, c.HEAD].tolist():
        job, many = head, 0
        while job >= 0 and many < WAITERS_MAX:
            found.append(job)
            job, many = int(board.jobs[job, c.NEXT]), many + 1
    return found
