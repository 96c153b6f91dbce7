"""Placing queued jobs: where each starts, the money held for it, its receipt; or why it waits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hutong.core.book.money import HoldChange
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.metering import hold_target_micro
from hutong.core.control.preemption import AWAITS, held_back, make_way
from hutong.core.control.queue import Queue
from hutong.core.control.terms import in_debt, placed, short_of_money
from hutong.core.kernel.changes import made
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import AttemptKey, JobId, attempt_key
from hutong.core.placement.page import Grounds, asked_for, seal_grounds, seal_page
from hutong.core.placement.receipt import VERSION, Ticket, encode_ticket
from hutong.core.work.facts import Placed, Waiting


@dataclass(frozen=True, slots=True)
class Placing:
    """What placing the queue led to beside the facts of its jobs: pages, and running jobs to be stopped."""

    pages: tuple[tuple[str, bytes], ...] = ()
    stopped: tuple[Draft, ...] = ()


def place_all(
    drafts: Sequence[Draft], desk: Desk, broken: dict[JobId, str], looked_at: Mapping[JobId, Draft]
) -> Placing:
    """Place queued jobs, in the order of their keys, as far as pools and money are there, and make room.

    A job that cannot be placed is told why not, if that is news. A project in debt gets nothing placed; one
    that pays its debt back in this turn, nothing yet. What breaks about one job must not keep the others
    back: its reason goes into `broken`. `looked_at` are all jobs about which this turn decides.
    """
    able = held_back([draft for draft in drafts if not _barred(draft)])
    if not able:
        return Placing()
    queue = Queue(able, desk.grounds, desk.page(), desk)
    answers: list[tuple[Draft, AttemptKey, Ticket]] = []
    started: set[int] = set()
    alike: dict[tuple[object, ...], Placed] = {}
    for job, pool, cards in queue.starts():
        draft = able[job]
        started.add(job)
        try:
            key = _place(draft, _terms(draft, queue, job, pool, cards, alike))
            if key is None:
                queue.take_back(job)
                continue
        except Broken as error:
            queue.take_back(job)
            broken[draft.job.id] = str(error)
            continue
        step, question = len(queue.takes) - 1, queue.question_of[job]
        score_ppm = queue.score_ppm(job, pool, cards)
        ticket = made(
            Ticket, VERSION, draft.job.id, len(draft.job.attempts), "", question, step, pool, cards,
            score_ppm, queue.barred, queue.booked, queue.capped,
        )  # fmt: skip
        answers.append((draft, key, ticket))
    left = [job for job in range(len(able)) if job not in started]
    awaited = [job for job in left if able[job].job.waiting_code == AWAITS]
    for job in left:
        if job not in awaited:
            _wait(able[job], *queue.why_not(job))
    way = make_way(left, queue, desk, looked_at)
    for job in awaited:
        if job not in way.waiting:
            _wait(able[job], *queue.why_not(job))
    return Placing(_keep(queue, desk.grounds, answers), way.stopped)


def _barred(draft: Draft) -> bool:
    """True for a job of a project that owes money; it is told so if it still does after this turn."""
    desk, project = draft.desk, draft.row.project
    if desk.owed_micro(project) <= desk.rules.debt_limit_micro:
        return False
    left_micro = desk.left_to_pay_micro(project)
    if left_micro > desk.rules.debt_limit_micro:
        _wait(draft, *in_debt(left_micro))
    return True


def _terms(
    draft: Draft, queue: Queue, job: int, pool: int, cards: int, alike: dict[tuple[object, ...], Placed]
) -> Placed:
    """Return the fact of a placement; those that are `alike` share it."""
    spec, attempts, question = draft.row.spec, draft.job.attempts, queue.question_of[job]
    name = (question, pool, len(attempts), spec.max_duration_s, spec.preemptible)
    if name not in alike:
        likely_ms = draft.desk.likely_ms(draft.row.project, spec)
        alike[name] = placed(attempts, queue.view(job, pool), cards, spec, likely_ms)
    return alike[name]


def _place(draft: Draft, event: Placed) -> AttemptKey | None:
    """Place a job, hold its money and return the attempt's key.

    None, and the job told why, if a budget or its money bars that.
    """
    desk, project, before = draft.desk, draft.row.project, draft.job
    draft.add(event)
    attempt = draft.job.attempts[-1]
    amount = hold_target_micro(draft.row.spec, attempt, 0, desk.rules.hold_ms)
    refused, parts = desk.spendings.refuses(project, before.by, attempt), desk.plan_hold(project, amount)
    if refused or parts is None:
        draft.take_back(before)
        _wait(draft, *(refused or short_of_money(amount, desk.available_micro(project))))
        return None
    key = attempt_key(before.id, attempt.number)
    draft.post(hold=HoldChange(key, project, parts))
    draft.command(key, attempt.site, "start")
    desk.spendings.take(project, before.by, attempt)
    desk.take_cards(attempt.site, attempt.pool, attempt.nodes, attempt.cards)
    draft.due_ms = desk.now_ms + desk.rules.take_within_ms
    return key


def _keep(
    queue: Queue, grounds: Grounds, answers: Sequence[tuple[Draft, AttemptKey, Ticket]]
) -> tuple[tuple[str, bytes], ...]:
    """Give every placed job its receipt; return the page and the grounds on which they rest."""
    if not answers:
        return ()
    ground = seal_grounds(grounds)
    page = asked_for(queue.page, tuple(queue.questions))
    sealed = seal_page(
        replace(page, grounds=ground[0], takes=tuple(queue.takes), kept=queue.kept, strict=queue.strict)
    )
    for draft, key, ticket in answers:
        draft.keep_receipt(key, encode_ticket(ticket, sealed[0]))
    return (ground, sealed)


def _wait(draft: Draft, code: str, text: str) -> None:
    if draft.job.waiting_code != code:
        draft.add(Waiting(code, text))
