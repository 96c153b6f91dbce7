"""Placing queued jobs: where each starts, the money held for it, its receipt; or why it waits."""

from collections.abc import Sequence
from dataclasses import replace

from hutong.core.book.money import HoldChange
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.metering import hold_target_micro
from hutong.core.control.queue import Queue
from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import JobId, attempt_key
from hutong.core.kernel.money import MICRO, format_micro
from hutong.core.ledger.rating import rate_cards
from hutong.core.placement.decide import Decision
from hutong.core.placement.page import Grounds, seal, seal_grounds
from hutong.core.placement.receipt import VERSION, Ticket, encode_ticket
from hutong.core.placement.request import PoolView
from hutong.core.work.facts import Placed, Waiting
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import JobSpec

_FEN = MICRO // 100


def place_all(drafts: Sequence[Draft], desk: Desk, broken: dict[JobId, str]) -> tuple[tuple[str, bytes], ...]:
    """Place queued jobs, in the order of their keys, as far as pools and money are there; return the pages.

    A job that cannot be placed is told why not, if that is news. A project in debt gets nothing placed; one
    that pays its debt back in this turn, nothing yet. What breaks about one job must not keep the others
    back: its reason goes into `broken`.
    """
    able = [draft for draft in drafts if not _barred(draft)]
    if not able:
        return ()
    queue = Queue(able, desk.grounds, desk.page(), desk)
    answers: list[tuple[Draft, Ticket]] = []
    placed: set[int] = set()
    for job, pool in queue.starts():
        draft, cards = able[job], queue.cards(job, pool)
        placed.add(job)
        try:
            attempt = plan_attempt(draft.job.attempts, queue.views[pool], cards, draft.row.spec, desk.now_ms)
            if not _hold(draft, attempt):
                queue.take_back(job)
                continue
        except Broken as error:
            queue.take_back(job)
            broken[draft.job.id] = str(error)
            continue
        step, question = len(queue.takes) - 1, queue.question_of[job]
        score_ppm = queue.score_ppm(job, pool)
        answers.append(
            (
                draft,
                Ticket(VERSION, draft.job.id, attempt.number, "", question, step, pool, cards, score_ppm),
            )
        )
    for job, draft in enumerate(able):
        if job not in placed:
            _wait(draft, *queue.why_not(job))
    return _keep(queue, desk.grounds, answers)


def _barred(draft: Draft) -> bool:
    """True for a job of a project that owes money; it is told so if it still does after this turn."""
    desk, project = draft.desk, draft.row.project
    if desk.owed_micro(project) <= desk.rules.debt_limit_micro:
        return False
    left_micro = desk.left_to_pay_micro(project)
    if left_micro > desk.rules.debt_limit_micro:
        _wait(draft, *in_debt(left_micro))
    return True


def _hold(draft: Draft, attempt: Attempt) -> bool:
    """Hold the money and plan the attempt; False, and the job told why, if there is not enough of it."""
    desk, spec = draft.desk, draft.row.spec
    amount = hold_target_micro(spec, attempt, 0, desk.rules.hold_ms)
    parts = desk.plan_hold(draft.row.project, amount)
    if parts is None:
        _wait(draft, *short_of_money(amount, desk.available_micro(draft.row.project)))
        return False
    key = attempt_key(draft.job.id, attempt.number)
    draft.add(_fact(attempt))
    draft.post(hold=HoldChange(key, draft.row.project, parts))
    draft.command(key, attempt.site, "start")
    desk.take_cards(attempt.site, attempt.pool, attempt.cards)
    draft.due_ms = desk.now_ms + desk.rules.take_within_ms
    return True


def _keep(
    queue: Queue, grounds: Grounds, answers: Sequence[tuple[Draft, Ticket]]
) -> tuple[tuple[str, bytes], ...]:
    """Give every placed job its receipt; return the page and the grounds on which they rest."""
    if not answers:
        return ()
    ground = seal_grounds(grounds)
    page = replace(
        queue.page,
        grounds=ground[0],
        questions=tuple(queue.questions),
        takes=tuple(queue.takes),
        kept=tuple(queue.kept),
    )
    sealed = seal(page)
    for draft, ticket in answers:
        key = attempt_key(draft.job.id, ticket.attempt)
        draft.keep_receipt(key, encode_ticket(ticket, sealed[0]))
    return (ground, sealed)


def plan_attempt(
    earlier: tuple[Attempt, ...], view: PoolView, cards: int, spec: JobSpec, now_ms: int
) -> Attempt:
    """Return the attempt that a decision amounts to."""
    return Attempt(
        number=len(earlier) + 1,
        site=view.site,
        pool=view.pool,
        accelerator=view.accelerator,
        nodes=spec.num_nodes,
        cards=cards,
        price_micro_per_card_hour=view.price_micro_per_card_hour,
        pue_milli=view.pue_milli,
        tdp_w=ACCELERATORS[view.accelerator].tdp_w if view.accelerator in ACCELERATORS else 0,
        placed_ms=now_ms,
        run_ms=spec.max_duration_s * 1000,
    )


def _fact(attempt: Attempt) -> Placed:
    return Placed(
        attempt=attempt.number,
        site=attempt.site,
        pool=attempt.pool,
        accelerator=attempt.accelerator,
        nodes=attempt.nodes,
        cards=attempt.cards,
        price_micro_per_card_hour=attempt.price_micro_per_card_hour,
        pue_milli=attempt.pue_milli,
        tdp_w=attempt.tdp_w,
        run_ms=attempt.run_ms,
    )


def explain(decision: Decision) -> tuple[str, str]:
    """Return a code and a sentence for a request that no pool takes now."""
    nearest = decision.nearest
    if nearest is None or nearest.why_not is None:
        return "no_site", "no site is registered"
    why = nearest.why_not
    code = "never" if decision.never else why.code
    return code, f"nearest is {nearest.site}/{nearest.pool}: {why.text}; {why.change}"


def short_of_money(amount_micro: int, available_micro: int) -> tuple[str, str]:
    """Return a code and a sentence for a project that cannot hold what a job may cost."""
    need, have = format_micro(amount_micro, 2), format_micro(available_micro, 2)
    text = f"{need} yuan must be held before the start, {have} available; shorten max_duration or add money"
    return "no_funds", text


def in_debt(owed_micro: int) -> tuple[str, str]:
    """Return a code and a sentence for a project that gets nothing placed because it owes money."""
    owed = format_micro(-(-owed_micro // _FEN) * _FEN, 2)
    return "debt", f"the project owes {owed} yuan for use beyond its money; an award or a top-up pays it back"


def worst_case_micro(spec: JobSpec, attempt: Attempt) -> int:
    """Return what a run until walltime would cost; of a service without an end, a day."""
    run_s = spec.max_duration_s or 86_400
    return rate_cards(attempt.cards * run_s * 1000, attempt.price_micro_per_card_hour)


def _wait(draft: Draft, code: str, text: str) -> None:
    if draft.job.waiting_code != code:
        draft.add(Waiting(code, text))
