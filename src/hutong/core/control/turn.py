"""One turn of the loop, a pure function: a bounded snapshot in; facts, commands and money out.

Jobs that ask for a look are advanced first, then debts are paid back with what is free, then what a limit of
power does not leave room for is stopped, then the queue is placed, one job of each project in turn.
Every job's part stands alone: one whose guard fails when it is written (a user or an agent was faster) is
thrown away without harm to the others. That is why cards that a turn frees are given away by the next one,
and why a project that pays back its debt gets work placed by the next one.
"""

from collections.abc import Callable

from hutong.core.book.snapshot import Outcome, Snapshot
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.placing import place_all
from hutong.core.control.rules import Rules
from hutong.core.control.shedding import shed
from hutong.core.control.steps import advance
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import JobId
from hutong.core.work.states import JobState


def turn(snapshot: Snapshot, rules: Rules) -> Outcome:
    """Decide everything that the snapshot calls for. The same snapshot and rules give the same outcome."""
    desk = Desk(snapshot, rules)
    due = {row.job.id for row in snapshot.due}
    rows = (*snapshot.due, *(row for row in snapshot.queue if row.job.id not in due))
    drafts = [Draft(row, desk) for row in rows]
    broken: dict[JobId, str] = {}
    for draft in drafts:
        _guarded(advance, draft, broken)
    for draft in drafts:
        length = draft.length() if draft.facts and draft.job.id not in broken else None
        if length is not None:
            desk.learn(length)
    for draft in drafts if snapshot.budgets else ():
        desk.spendings.note(draft.row.project, draft.row.job, draft.job)
    repayments = desk.repay()
    waiting = [
        draft
        for draft in drafts
        if draft.job.state is JobState.QUEUED and not draft.backs_off and draft.job.id not in broken
    ]
    looked_at = {draft.job.id: draft for draft in drafts if draft.job.id not in broken}
    shedding = shed(desk, looked_at)
    placing = place_all(sorted(waiting, key=in_line), desk, broken, looked_at)
    _check(desk, snapshot)
    sound = [draft for draft in drafts if draft.job.id not in broken]
    written = tuple(draft.outcome() for draft in sound if draft.facts or draft.job.id in due)
    others = (draft for draft in (*shedding, *placing.stopped) if draft.job.id not in looked_at)
    stopped = tuple(draft.outcome() for draft in others)
    return Outcome(written + stopped, tuple(broken.items()), repayments, placing.pages)


def _guarded(step: Callable[[Draft], None], draft: Draft, broken: dict[JobId, str]) -> None:
    """Take a step of one job; what breaks there must not keep all the others from being looked after."""
    if draft.job.id in broken:
        return
    try:
        step(draft)
    except Broken as error:
        broken[draft.job.id] = str(error)


def in_line(draft: Draft) -> tuple[int, int, int, JobId]:
    """Return what orders the jobs of one project: priority, then age; who made room goes behind who comes."""
    return -draft.row.spec.priority, draft.job.queued_ms, len(draft.job.attempts), draft.job.id


def _check(desk: Desk, snapshot: Snapshot) -> None:
    """Assert what no turn may ever do: give away cards or money that are not there."""
    before = {(use.site, use.pool): use.cards for use in snapshot.use}
    for name, cards in desk.used.items():
        if cards <= before.get(name, 0):
            continue
        site = desk.site(name[0])
        pool = site.pool(name[1]) if site else None
        if pool is not None and cards > pool.cards:
            raise Broken(f"{name} would be given away {cards} of {pool.cards} cards")
    for project in snapshot.lots:
        for lot in desk.lots(project):
            if lot.available_micro < 0:
                raise Broken(f"{lot.id} would be overdrawn by {-lot.available_micro} micro-yuan")
