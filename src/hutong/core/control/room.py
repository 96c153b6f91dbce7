"""Making room on the arrays of a pass: whom to stop for jobs that wait, with the least work lost.

Live and simulated alike (`preemption`, `sim.yielding`). Only what may be stopped is told of here. Such a job
gives way
to any job that may not be stopped;
to one that may, of a larger priority of its own project;
to one that may, within what its institution is promised, if its own institution is beyond its promise.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hutong.core.control.power import Spoken
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.bookings import withheld
from hutong.core.placement.columns import Arrays, Order
from hutong.core.placement.quotas import bars_of, borrows, count_held

WAITERS_MAX = 32
"""For how many waiting jobs a turn looks for room, the first in line."""

STOPS_MAX = 4
"""How often a job is stopped to make room for others."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A running job that may be stopped, and what would be lost: card-milliseconds.

    `number` decides between those of which as much is lost; `beyond` says that its institution has more than
    its promise, `booked` that who it is of has booked cards of its pool now: if it ends, those are kept.
    """

    number: int
    project: str
    priority: int
    cards: int
    lost_card_ms: int
    beyond: bool
    booked: bool


@dataclass(frozen=True, slots=True)
class Waiter:
    """A waiting job, by its number in the pass."""

    job: int
    project: str
    priority: int
    preemptible: bool


Stopped = TypeVar("Stopped", bound=Victim)


def lost_ms(ran_ms: int, grace_ms: int, *, saves: bool) -> int:
    """Return how much of a run is lost if it is stopped now.

    All of it, or, where the job has left a checkpoint before, its grace at most: it saves again when it is
    told to stop.
    """
    return min(ran_ms, grace_ms) if saves else ran_ms


def make_room(
    line: "Line",
    waiters: Iterable[Waiter],
    by_pool: Mapping[int, MutableSequence[Stopped]],
    clearing: Mapping[int, int],
) -> dict[int, list[Stopped]]:
    """Return whom to stop for which job, the first in line first; take them out of `by_pool`.

    A job that waits for what is being freed already is there with nobody.

    Pools are indexes; `clearing` are cards that are being freed. A job for which enough is free or being
    freed already waits for that. Nothing is stopped for a job without stopping enough.
    """
    room = _Room(line, clearing)
    stopped: dict[int, list[Stopped]] = {}
    for waiter in waiters:
        pool, found = room.best(waiter, by_pool)
        for victim in found:
            by_pool[pool].remove(victim)
        if pool >= 0:
            stopped[waiter.job] = found
    return stopped


def least_loss(able: Sequence[Stopped], need: int, amount: Callable[[Stopped], int]) -> list[Stopped]:
    """Return victims with so much between them: the cheapest by amount first, and none in vain."""
    chosen: list[Stopped] = []
    found = 0
    for victim in sorted(able, key=lambda each: (each.lost_card_ms // amount(each), each.number)):
        if found >= need:
            break
        chosen.append(victim)
        found += amount(victim)
    if found < need:
        return []
    for victim in sorted(chosen, key=lambda each: -each.lost_card_ms):
        if found - amount(victim) >= need:
            chosen.remove(victim)
            found -= amount(victim)
    return chosen


def least_for(able: Sequence[Stopped], over: int, amount: Callable[[Stopped], int]) -> list[Stopped]:
    """Return whom to stop so that so much less is used; all of them where that is not enough."""
    return least_loss(able, min(over, sum(amount(each) for each in able)), amount)


class Line:
    """The jobs that a pass left waiting, and what each might have of the pools."""

    def __init__(self, arrays: Arrays, now_ms: int) -> None:
        self.arrays = arrays
        self.now_ms = now_ms
        self._bars: Ints | None = None

    def in_line(self, jobs: Iterable[int]) -> list[int]:
        """Return waiting jobs in the order in which the pass, as it stands, would look at them."""
        rows = self.arrays.jobs
        lane_of = {job: int(rows[job, c.LANE]) for job in jobs}
        ranks = {lane: self._rank(lane) for lane in set(lane_of.values())}
        return sorted(lane_of, key=lambda job: (*ranks[lane_of[job]], int(rows[job, c.KEY])))

    def _rank(self, lane: int) -> tuple[bool, int, int]:
        arrays = self.arrays
        late = bool(arrays.state[c.QUOTAS]) and borrows(arrays, lane)
        if arrays.state[c.ORDER] != Order.SHARE:
            return late, 0, 0
        account = int(arrays.lanes[lane, c.RANK])
        own, above = int(arrays.accounts[account, c.NORMALISED]), int(arrays.accounts[account, c.PARENT])
        return late, int(arrays.accounts[above, c.NORMALISED]) if above >= 0 else own, own

    def borrows(self, job: int) -> bool:
        """True if a job would be beyond what its institution is promised, wherever it went."""
        arrays = self.arrays
        return bool(arrays.state[c.QUOTAS]) and borrows(arrays, int(arrays.jobs[job, c.LANE]))

    def pools_for(self, job: int) -> list[int]:
        """Return the pools that could take a job if cards were free, the better ones first."""
        arrays = self.arrays
        lane_class, until_ms = int(arrays.jobs[job, c.CLASS]), self.until_ms(job)
        able = (arrays.per_node[lane_class] > 0) & (arrays.pools[:, c.OPEN] != 0)
        able &= until_ms <= arrays.pools[:, c.CLOSES]
        if arrays.state[c.QUOTAS]:
            able &= (self._barred(int(arrays.jobs[job, c.LANE])) >> arrays.pools[:, c.FLAVOUR]) & 1 == 0
        base = arrays.base[lane_class]
        return sorted(np.flatnonzero(able).tolist(), key=lambda pool: (-int(base[pool]), pool))

    def _barred(self, lane: int) -> int:
        """Return the flavours of which quotas now leave a lane none, as bits."""
        if self._bars is None:
            self._bars = np.zeros(len(self.arrays.lanes), np.int64)
            bars_of(self.arrays, np.arange(len(self._bars)), self._bars)
        return int(self._bars[lane])

    def cards(self, job: int, pool: int) -> int:
        """Return the cards that a job takes in a pool."""
        lane_class = int(self.arrays.jobs[job, c.CLASS])
        return int(self.arrays.per_node[lane_class, pool] * self.arrays.classes[lane_class, c.GANG])

    def until_ms(self, job: int) -> int:
        """Return until when a job would run if it started now."""
        return self.now_ms + int(self.arrays.jobs[job, c.EXPECTED])

    def withheld(self, job: int, pool: int) -> int:
        """Return how many cards of a pool others have booked; NEVER where stopping jobs would not help."""
        arrays = self.arrays
        if not arrays.pools[pool, c.AFTER_BOOKING]:
            return 0
        need, until_ms = self.cards(job, pool), self.until_ms(job)
        return int(withheld(arrays, pool, self._account(job), self.now_ms, until_ms, need))

    def count_on(self, job: int, pool: int) -> None:
        """Count a job that waits for cards of a pool to its accounts, as if it had them already."""
        if self.arrays.state[c.QUOTAS]:
            count_held(self.arrays, self._account(job), pool, self.cards(job, pool))
            self._bars = None

    def _account(self, job: int) -> int:
        return int(self.arrays.lanes[self.arrays.jobs[job, c.LANE], c.ACCOUNT])


class _Room:
    """Cards of each pool that are free or being freed, less what the jobs so far count on."""

    def __init__(self, line: Line, clearing: Mapping[int, int]) -> None:
        pools = line.arrays.pools
        self._line = line
        self._left = Counter(dict(enumerate(pools[:, c.FREE].tolist())))
        self._left.update(clearing)
        self._clearing = clearing
        self._power = Spoken(line.arrays, clearing) if pools[:, c.AFTER_LIMIT].any() else None

    def best(self, waiter: Waiter, by_pool: Mapping[int, Sequence[Stopped]]) -> tuple[int, list[Stopped]]:
        """Return whom to stop for a job, in the pool where that loses least; count its cards as taken.

        The pool is -1 if it could start without, or not at all.
        """
        job, best_lost, best_pool = waiter.job, c.NEVER, -1
        best: list[Stopped] = []
        for pool in self._line.pools_for(job):
            need = self._line.cards(job, pool) + self._line.withheld(job, pool) - self._left[pool]
            need = max(need, self._lack(job, pool))
            if need <= 0:
                self._take(job, pool, 0)
                return pool if need + self._clearing.get(pool, 0) > 0 else -1, []
            able = [each for each in by_pool.get(pool, ()) if self._yields(waiter, each)]
            chosen = least_loss(able, need, _cards)
            lost = sum(each.lost_card_ms for each in chosen)
            if chosen and lost < best_lost:
                best_lost, best_pool, best = lost, pool, chosen
        if best:
            self._take(job, best_pool, sum(each.cards for each in best))
        return best_pool, best

    def _lack(self, job: int, pool: int) -> int:
        """Return how many cards must be freed for the power that a job would draw."""
        if self._power is None:
            return 0
        line = self._line
        return self._power.lack(pool, line.cards(job, pool), line.now_ms, line.until_ms(job))

    def _take(self, job: int, pool: int, freed: int) -> None:
        """Count a job as one that will have its cards, so that nothing is stopped for more than may start."""
        cards = self._line.cards(job, pool)
        self._left[pool] += freed - cards
        self._line.count_on(job, pool)
        if self._power is not None:
            self._power.take(pool, cards, freed)

    def _yields(self, waiter: Waiter, victim: Victim) -> bool:
        if victim.booked and waiter.project != victim.project:
            return False
        if not waiter.preemptible:
            return True
        if waiter.project == victim.project:
            return waiter.priority > victim.priority
        return victim.beyond and not self._line.borrows(waiter.job)


def _cards(victim: Victim) -> int:
    return victim.cards
