"""One turn of the loop, a pure function: a bounded snapshot in; facts, commands and money out.

Jobs that ask for a look are advanced first, then the queue is placed by priority and age. Every job's
part stands alone: one whose guard fails when it is written (a user or an agent was faster) is thrown away
without harm to the others. That is why cards that a turn frees are given away only by the next one.
"""

from hutong.core.book.snapshot import JobRow, Outcome, Snapshot
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.placing import place
from hutong.core.control.rules import Rules
from hutong.core.control.steps import advance
from hutong.core.kernel.errors import Broken
from hutong.core.work.states import JobState


def turn(snapshot: Snapshot, rules: Rules) -> Outcome:
    """Decide everything that the snapshot calls for. The same snapshot and rules give the same outcome."""
    desk = Desk(snapshot, rules)
    drafts = []
    for row in snapshot.due:
        draft = Draft(row, desk)
        advance(draft)
        drafts.append(draft)
    seen = {draft.row.job.id for draft in drafts}
    waiting = [draft for draft in drafts if draft.job.state is JobState.QUEUED]
    for row in snapshot.queue:
        if row.job.id not in seen:
            draft = Draft(row, desk)
            advance(draft)
            drafts.append(draft)
            if draft.job.state is JobState.QUEUED:
                waiting.append(draft)
    for draft in sorted(waiting, key=lambda each: _rank(each.row, each.job.queued_ms)):
        place(draft)
    _check(desk, snapshot)
    known = {row.job.id for row in snapshot.due}
    written = [draft.outcome() for draft in drafts if draft.facts or draft.row.job.id in known]
    return Outcome(tuple(written))


def _rank(row: JobRow, queued_ms: int) -> tuple[int, int, str]:
    return (-row.spec.priority, queued_ms, row.job.id)


def _check(desk: Desk, snapshot: Snapshot) -> None:
    """Assert what no turn may ever do: give away cards or money that are not there."""
    before = {(use.site, use.pool): use.cards for use in snapshot.use}
    for site in snapshot.sites:
        for pool in site.pools:
            name = (site.id, pool.id)
            if desk.cards_used(*name) > max(pool.cards, before.get(name, 0)):
                raise Broken(f"{name} would be given away {desk.cards_used(*name)} of {pool.cards} cards")
    for project in snapshot.lots:
        for lot in desk.lots(project):
            if lot.available_micro < 0:
                raise Broken(f"{lot.id} would be overdrawn by {-lot.available_micro} micro-yuan")
