"""Making room: which running jobs are stopped for one that waits, with the least work lost.

Only what its owner declared `preemptible` is ever stopped. Such a job gives way
to any job that is not preemptible;
to a preemptible one of a larger priority of its own project;
to a preemptible one within what its institution is promised, if its own institution is beyond its promise.

What is lost is taken as the cards times the time since the attempt began, or, of a job that has left a
checkpoint before, times its grace at most: it saves again when it is told to stop. A job that was stopped
often is left alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hutong.core.book.snapshot import JobRow
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.metering import hold_target_micro
from hutong.core.control.queue import Queue
from hutong.core.control.terms import plan_attempt
from hutong.core.kernel.ids import ProjectId
from hutong.core.work.facts import StopSent
from hutong.core.work.fold import Attempt
from hutong.core.work.states import Category

WAITERS_MAX = 32
"""For how many waiting jobs a turn looks for room."""

STOPS_MAX = 4
"""How often a job is stopped to make room for others."""

REASON = "makes room for a job that goes before it"


@dataclass(frozen=True, slots=True)
class Victim:
    """A running job that may be stopped, and what would be lost: card-milliseconds."""

    row: JobRow
    attempt: Attempt
    lost_card_ms: int
    beyond: bool


def make_room(waiting: Sequence[int], queue: Queue, desk: Desk) -> list[Draft]:
    """Stop what must be stopped so that waiting jobs, the first in line first, can start; return what is.

    A job for which enough is free or being freed already waits for that. Nothing is stopped for a job that
    could not be paid for, or not without stopping more than is there.
    """
    by_pool = victims_of(desk, queue.beyond)
    if not by_pool:
        return []
    room = _Room(queue, desk)
    stopped: list[Draft] = []
    for job in queue.in_line(waiting)[:WAITERS_MAX]:
        if not _payable(queue, desk, job):
            continue
        found = room.best(job, by_pool)
        for victim in found:
            stopped.append(stop(victim, desk, REASON))
            by_pool[victim.attempt.site, victim.attempt.pool].remove(victim)
    return stopped


class _Room:
    """Cards of each pool that are free or being freed, less what the jobs so far count on."""

    def __init__(self, queue: Queue, desk: Desk) -> None:
        self._queue = queue
        self._now_ms = desk.now_ms
        cards = Counter({(each.site, each.pool): each.cards for each in desk.snapshot.clearing})
        for site, pool, freed in desk.stopped.values():
            cards[site, pool] += freed
        clearing = {at: cards[view.site, view.pool] for at, view in enumerate(queue.views)}
        self._left = [free + clearing[at] for at, free in enumerate(queue.free)]
        self._power = queue.power(clearing)

    def best(self, job: int, by_pool: dict[tuple[str, str], list[Victim]]) -> list[Victim]:
        """Return whom to stop for a job, in the pool where that loses least; count its cards as taken."""
        best: tuple[int, int, list[Victim]] | None = None
        for pool in self._queue.pools_for(job):
            need = self._queue.cards(job, pool) + self._queue.withheld(job, pool) - self._left[pool]
            need = max(need, self._lack(job, pool))
            if need <= 0:
                self._take(job, pool, 0)
                return []
            view = self._queue.views[pool]
            able = [each for each in by_pool.get((view.site, view.pool), ()) if self._yields(job, each)]
            chosen = least_loss(able, need, _cards)
            lost = sum(each.lost_card_ms for each in chosen)
            if chosen and (best is None or lost < best[0]):
                best = (lost, pool, chosen)
        if best is None:
            return []
        _, pool, chosen = best
        self._take(job, pool, sum(each.attempt.cards for each in chosen))
        return chosen

    def _lack(self, job: int, pool: int) -> int:
        """Return how many cards must be freed for the power that a job would draw."""
        if self._power is None:
            return 0
        cards, until_ms = self._queue.cards(job, pool), self._queue.until_ms(job)
        return self._power.lack(pool, cards, self._now_ms, until_ms)

    def _take(self, job: int, pool: int, freed: int) -> None:
        """Count a job as one that will have its cards, so that nothing is stopped for more than may start."""
        cards = self._queue.cards(job, pool)
        self._left[pool] += freed - cards
        self._queue.count_on(job, pool)
        if self._power is not None:
            self._power.take(pool, cards, freed)

    def _yields(self, job: int, victim: Victim) -> bool:
        waiter = self._queue.drafts[job].row
        if not waiter.spec.preemptible:
            return True
        if waiter.project == victim.row.project:
            return waiter.spec.priority > victim.row.spec.priority
        return victim.beyond and not self._queue.borrows(job)


def least_loss(able: Sequence[Victim], need: int, amount: Callable[[Victim], int]) -> list[Victim]:
    """Return victims with so much between them: the cheapest by amount first, and none in vain."""
    chosen: list[Victim] = []
    found = 0
    for victim in sorted(able, key=lambda each: (each.lost_card_ms // amount(each), each.row.job.id)):
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


def _cards(victim: Victim) -> int:
    return victim.attempt.cards


def _within(_project: ProjectId, _chip: str) -> bool:
    return False


def victims_of(
    desk: Desk, beyond: Callable[[ProjectId, str], bool] = _within
) -> dict[tuple[str, str], list[Victim]]:
    """Return the jobs that this turn may stop, by pool; `beyond` says whose institution has too much."""
    found: dict[tuple[str, str], list[Victim]] = defaultdict(list)
    # A job has one part in an outcome.
    decided = {*desk.stopped, *(row.job.id for row in desk.snapshot.due)}
    for row in desk.snapshot.may_give_way:
        attempt = row.job.live
        if attempt is None or not attempt.gives_way or row.job.cancel_by or row.job.id in decided:
            continue
        if row.job.restarts_of(Category.PREEMPTED) >= STOPS_MAX:
            continue
        lost = attempt.cards * _lost_ms(row, attempt, desk.now_ms)
        over = beyond(row.project, attempt.accelerator)
        found[attempt.site, attempt.pool].append(Victim(row, attempt, lost, over))
    return found


def _lost_ms(row: JobRow, attempt: Attempt, now_ms: int) -> int:
    began_ms = attempt.started_seen_ms or attempt.dispatched_ms or now_ms
    ran_ms = max(0, now_ms - began_ms)
    saves = any(earlier.checkpoint for earlier in row.job.attempts)
    return min(ran_ms, row.spec.grace_s * 1000) if saves else ran_ms


def _payable(queue: Queue, desk: Desk, job: int) -> bool:
    """True if the money for some pool that a job could run in can be held now, and budgets allow it."""
    draft = queue.drafts[job]
    for pool in queue.pools_for(job)[:1]:
        cards = queue.cards(job, pool)
        attempt = plan_attempt(draft.job.attempts, queue.view(job, pool), cards, draft.row.spec, desk.now_ms)
        amount = hold_target_micro(draft.row.spec, attempt, 0, desk.rules.hold_ms)
        if desk.spendings.refuses(draft.row.project, draft.job.by, attempt):
            return False
        return desk.plan_hold(draft.row.project, amount) is not None
    return False


def stop(victim: Victim, desk: Desk, reason: str) -> Draft:
    """Stop a running job."""
    desk.stopped[victim.row.job.id] = (victim.attempt.site, victim.attempt.pool, victim.attempt.cards)
    draft = Draft(victim.row, desk)
    draft.add(StopSent(victim.attempt.number, Category.PREEMPTED, reason))
    draft.command(draft.job.key(victim.attempt), victim.attempt.site, "stop")
    draft.due_ms = desk.now_ms  # what it was due for before is looked at by the next turn
    return draft
