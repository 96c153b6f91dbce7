"""Making room live: running jobs that their owners declared `preemptible` are stopped for those that wait.

Who gives way to whom stands in `room`. A job that was stopped often is left alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hutong.core.book.snapshot import JobRow
from hutong.core.control.bookings import booked_now, holders_of
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.metering import hold_target_micro
from hutong.core.control.queue import Queue
from hutong.core.control.room import STOPS_MAX, WAITERS_MAX, Line, Victim, Waiter, lost_ms, make_room
from hutong.core.control.terms import plan_attempt
from hutong.core.kernel.ids import JobId, ProjectId
from hutong.core.work.facts import StopSent, Waiting
from hutong.core.work.fold import Attempt
from hutong.core.work.states import Category

AWAITS = "room"
"""Why a job waits for which others were stopped."""

REASON = "makes room for a job that goes before it"


@dataclass(frozen=True, slots=True)
class Stoppable(Victim):
    """A running job that may be stopped."""

    row: JobRow
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Way:
    """Which jobs wait for cards that are being freed for them, and what is stopped so."""

    waiting: frozenset[int] = frozenset()
    stopped: tuple[Draft, ...] = ()


def make_way(waiting: Sequence[int], queue: Queue, desk: Desk, looked_at: Mapping[JobId, Draft]) -> Way:
    """Stop what must be stopped so that waiting jobs, the first in line first, can start.

    Nothing is stopped for a job that could not be paid for. `looked_at` are the jobs about which this turn
    decides already: a stop is one more thing that it says of them.
    """
    found = victims_of(desk, looked_at, queue.beyond)
    if not found and not desk.snapshot.clearing:
        return Way()
    line, places = queue.line, [(view.site, view.pool) for view in queue.views]
    by_pool = {at: found[place] for at, place in enumerate(places) if place in found}
    cards = Counter({(each.site, each.pool): each.cards for each in desk.snapshot.clearing})
    for site, pool, freed in desk.stopped.values():
        cards[site, pool] += freed
    clearing = {at: cards[place] for at, place in enumerate(places)}
    made = make_room(line, _waiters(line, waiting, queue, desk), by_pool, clearing)
    for draft in (queue.drafts[job] for job in made):
        if not draft.row.spec.preemptible and draft.job.waiting_code != AWAITS:
            draft.add(Waiting(AWAITS, "cards are being freed for it"))
    victims = (victim for yielding in made.values() for victim in yielding)
    # While cards are being freed, who waited for them goes on to: turns might say and unsay it for ever.
    still = [job for job in waiting if queue.drafts[job].job.waiting_code == AWAITS]
    awaits = frozenset(made).union(still if any(clearing.values()) else ())
    return Way(awaits, tuple(stop(victim, desk, looked_at, REASON) for victim in victims))


def held_back(drafts: Sequence[Draft]) -> list[Draft]:
    """Return the jobs without those that may be stopped, if one waits for which cards were freed.

    It would stop them at once to have those.
    """
    if not any(draft.job.waiting_code == AWAITS for draft in drafts):
        return list(drafts)
    return [draft for draft in drafts if not _is_stoppable(draft)]


def _is_stoppable(draft: Draft) -> bool:
    return draft.row.spec.preemptible and draft.job.restarts_of(Category.PREEMPTED) < STOPS_MAX


def _waiters(line: Line, waiting: Sequence[int], queue: Queue, desk: Desk) -> Iterator[Waiter]:
    for job in line.in_line(waiting)[:WAITERS_MAX]:
        row = queue.drafts[job].row
        if _payable(line, queue, desk, job):
            yield Waiter(job, row.project, row.spec.priority, row.spec.preemptible)


def _within(_project: ProjectId, _chip: str) -> bool:
    return False


def victims_of(
    desk: Desk, looked_at: Mapping[JobId, Draft], beyond: Callable[[ProjectId, str], bool] = _within
) -> dict[tuple[str, str], list[Stoppable]]:
    """Return the jobs that this turn may stop, by pool; `beyond` says whose institution has too much."""
    found: dict[tuple[str, str], list[Stoppable]] = defaultdict(list)
    due, booked = {row.job.id for row in desk.snapshot.due}, booked_now(desk.snapshot)
    for number, row in enumerate(desk.snapshot.may_give_way):  # in the order of their ids
        draft = looked_at.get(row.job.id)
        attempt = draft.job.live if draft else row.job.live
        is_broken = draft is None and row.job.id in due
        if attempt is None or not attempt.gives_way or is_broken:
            continue
        if row.job.cancel_by or row.job.id in desk.stopped:
            continue
        if row.job.restarts_of(Category.PREEMPTED) >= STOPS_MAX:
            continue
        began_ms = attempt.started_seen_ms or attempt.dispatched_ms or desk.now_ms
        saves = any(earlier.checkpoint for earlier in row.job.attempts)
        lost = lost_ms(max(0, desk.now_ms - began_ms), row.spec.grace_s * 1000, saves=saves)
        over = beyond(row.project, attempt.accelerator)
        cards, priority, place = attempt.cards, row.spec.priority, (attempt.site, attempt.pool)
        is_booked = not booked[place].isdisjoint(holders_of(row.project, desk.snapshot.institutions))
        victim = Stoppable(
            number, row.project, priority, cards, cards * lost, over, is_booked, row, attempt
        )  # fmt: skip
        found[place].append(victim)
    return found


def _payable(line: Line, queue: Queue, desk: Desk, job: int) -> bool:
    """True if the money for some pool that a job could run in can be held now, and budgets allow it."""
    draft = queue.drafts[job]
    for pool in line.pools_for(job)[:1]:
        cards = queue.cards(job, pool)
        attempt = plan_attempt(draft.job.attempts, queue.view(job, pool), cards, draft.row.spec, desk.now_ms)
        amount = hold_target_micro(draft.row.spec, attempt, 0, desk.rules.hold_ms)
        if desk.spendings.refuses(draft.row.project, draft.job.by, attempt):
            return False
        return desk.plan_hold(draft.row.project, amount) is not None
    return False


def stop(victim: Stoppable, desk: Desk, looked_at: Mapping[JobId, Draft], reason: str) -> Draft:
    """Stop a running job; return its part of the turn, which may have been there before."""
    desk.stopped[victim.row.job.id] = (victim.attempt.site, victim.attempt.pool, victim.attempt.cards)
    draft = looked_at.get(victim.row.job.id) or Draft(victim.row, desk)
    draft.add(StopSent(victim.attempt.number, Category.PREEMPTED, reason))
    draft.command(draft.job.key(victim.attempt), victim.attempt.site, "stop")
    if draft.job.id not in looked_at:
        draft.due_ms = desk.now_ms  # what it was due for is looked at by the next turn
    return draft
