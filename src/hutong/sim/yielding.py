"""Who is stopped in a simulated run: to make room, for a limit of power, or because a site is maintained.

Whom to stop is said by the code of a live turn (`core.control.room`, `core.capacity.sites`).

A job that saves (`checkpoint_s`) holds its cards for its grace once it is stopped, and keeps all that it did
before that; without a grace it goes on from its last checkpoint. Another ends at once and has lost its run.
What was stopped goes to the end of the queue, and waits longer if that happens to it again soon, as live.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from hutong.core.book.snapshot import Limits, began_last
from hutong.core.control.power import MILLIWATTS
from hutong.core.control.retries import after_failures_ms
from hutong.core.control.room import (
    STOPS_MAX,
    WAITERS_MAX,
    Line,
    Victim,
    Waiter,
    least_for,
    lost_ms,
    make_room,
)
from hutong.core.control.rules import Rules
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.kernel import enqueue, turn
from hutong.core.placement.laying import FROM, HOLDER, TOLD_COLUMNS, UNTIL
from hutong.core.work.fold import STOPPING_MS
from hutong.sim.closings import running_in
from hutong.sim.cuts import FOR_MAINTENANCE, FOR_POWER, FOR_ROOM, Cuts
from hutong.sim.settled import Settled
from hutong.sim.trace import Trace

Number = TypeVar("Number", int, Ints)

RULES = Rules()
"""Those of the platform unless its operator says otherwise: how long a retry waits, how many there are."""


def key_of(queued_s: Number, stops: int, job: Number, jobs: int) -> Number:
    """Return what orders so many jobs as live: since when they wait, how often they were stopped, who."""
    return (queued_s * RULES.max_attempts + stops) * jobs + job


class Yielding:
    """Who is stopped in a running world; its clock is that of the run.

    Where jobs make room each lane has two rows, the second for those. `keeps_place`: what was stopped goes
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
        self._reasons: dict[int, int] = {}
        self._closed: list[int] = []
        self._shed: list[Victim] = []
        self._found = np.empty(len(board.ends), np.int64)
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
        self._cuts.stop(job, now_s, self._settled.grace_s, self._reasons[job])
        if self._stops[job] >= RULES.max_attempts:
            return True  # live it is given up
        wait_ms = after_failures_ms((1000 * ran_s for ran_s in self._cuts.ran_s(job)), RULES)
        heapq.heappush(self._back, (now_s + wait_ms // 1000, job))
        return True

    def _queue(self, job: int, now_s: int) -> None:
        rows = self._board.jobs
        rows[job, c.QUEUED] = now_s * 1000
        if not self._keeps_place:
            rows[job, c.KEY] = key_of(now_s, self._stops[job], job, len(rows))
        if self._may[job] and self._stops[job] >= STOPS_MAX:
            rows[job, c.LANE] &= ~1
        enqueue(self._board, job)

    def forget(self, killed: Iterable[int]) -> None:
        """Forget those that an outage took."""
        for job in killed:
            self._running.discard(job)
            self._stopping.pop(job, None)

    def turn(self, now_ms: int, came: Iterable[int], started: Ints) -> int:
        """Take a pass as `kernel.turn` does; see `preemption.held_back`.

        What a limit or maintenance stops is chosen before: as live, its cards are given away by the next.
        """
        self._shed = []
        self._closed = self._in_maintenance(now_ms)
        self._shed = self._beyond_power(now_ms)
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
        found = {each.number: self._tell(each.number, now_s, FOR_POWER) for each in self._shed}
        self._running.update(job for job in started if self._may[job])
        before, self._awaited = self._awaited, set()
        if self._stopping:  # as live: who waited for what is being freed goes on to
            self._awaited.update(job for job in before if self._board.jobs[job, c.POOL] < 0)
        if victims or self._stopping:
            found |= self._stop(now_s, victims)
        # Live, too, the turn that stops them does not yet count on their cards.
        found |= {job: self._tell(job, now_s, FOR_MAINTENANCE) for job in self._closed}
        self._again_s = now_s if started or self._awaited != before else c.NEVER
        return found

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
        chosen = (victim.number for stopped in made.values() for victim in stopped)
        return {job: self._tell(job, now_s, FOR_ROOM) for job in chosen}

    def _tell(self, job: int, now_s: int, reason: int) -> int:
        """Tell a running job to stop; return when it ends."""
        rows, grace_s = self._board.jobs, self._settled.grace_s if self._cuts.saves else 0
        self._stopping[job], self._reasons[job] = int(rows[job, c.LIKELY]), reason
        rows[job, c.UNTIL], rows[job, c.LIKELY] = now_s * 1000 + STOPPING_MS, 0
        return now_s + min(grace_s, self._cuts.left_s(job, now_s))

    def _in_maintenance(self, now_ms: int) -> list[int]:
        """Return what runs at sites whose maintenance stops jobs now."""
        told = self._settled.maintenance
        closed = {site for site, told_ms, each in told if told_ms <= now_ms and each.stops(now_ms)}
        here = (job for pool in self._pools(closed) for job in self._runs(pool))
        return [job for job in here if job not in self._stopping]

    def _beyond_power(self, now_ms: int) -> list[Victim]:
        """Return who is stopped for the limits that hold now, as `shedding.shed` does."""
        least_mw: dict[int, int] = {}
        for site, told_ms, each in self._settled.shed:
            if told_ms <= now_ms and each.stops(now_ms):
                limit_mw = each.limit_kw * MILLIWATTS
                least_mw[site] = min(limit_mw, least_mw.get(site, limit_mw))
        found: list[Victim] = []
        for site, limit_mw in least_mw.items():
            pools, draw = self._pools({site}), self._settled.draw
            drawn = sum(
                int(self._board.jobs[job, c.CARDS] * draw[pool])
                for pool in pools
                for job in self._runs(pool)
                if job not in self._stopping
            )
            if drawn <= limit_mw:
                continue
            victims = self._victims(now_ms // 1000)
            able = [
                (each, pool) for pool in pools for each in victims.get(pool, ())
                if draw[pool]
            ]  # fmt: skip
            draws = {each.number: each.cards * int(draw[pool]) for each, pool in able}
            found += least_for([each for each, _ in able], drawn - limit_mw, partial(_of, draws))
        return found

    def _pools(self, among: set[int]) -> list[int]:
        return [pool for pool, site in enumerate(self._settled.site_of.tolist()) if site in among]

    def _runs(self, pool: int) -> list[int]:
        found: list[int] = self._found[: running_in(self._board, pool, self._found)].tolist()
        return found

    def _victims(self, now_s: int) -> dict[int, list[Victim]]:
        """Return the jobs that may be stopped, by pool: those that a live turn would know of."""
        rows, able = self._board.jobs, self._running - self._stopping.keys()
        told = ((int(rows[job, c.POOL]), self._cuts.began_s(job), job) for job in able)
        found: defaultdict[int, list[Victim]] = defaultdict(list)
        gone = {*self._closed, *(each.number for each in self._shed)}
        for job in sorted(began_last(told, Limits().may_give_way)):
            if self._stops[job] >= STOPS_MAX or job in gone:
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


def _of(draws: Mapping[int, int], victim: Victim) -> int:
    return draws[victim.number]


def _heads(board: Arrays, step: int) -> list[int]:
    """Return the first jobs of each lane, or of every other: no other can be among the first of the line."""
    found = []
    for head in board.lanes[::step, c.HEAD].tolist():
        job, many = head, 0
        while job >= 0 and many < WAITERS_MAX:
            found.append(job)
            job, many = int(board.jobs[job, c.NEXT]), many + 1
    return found
