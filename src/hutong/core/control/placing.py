"""Placing one queued job: decide, hold the money, plan the attempt; or say why it waits."""

from dataclasses import replace

from hutong.core.book.money import HoldChange
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.control.draft import Draft
from hutong.core.control.metering import hold_target_micro
from hutong.core.kernel.ids import attempt_key
from hutong.core.kernel.money import MICRO, format_micro
from hutong.core.ledger.rating import rate_cards
from hutong.core.placement.decide import Decision, Row, decide
from hutong.core.placement.receipt import VERSION, Receipt, encode_receipt
from hutong.core.placement.request import Policy, PoolView, Request, request_of
from hutong.core.work.facts import Placed, Waiting
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import JobSpec
from hutong.core.work.states import Category

_FEN = MICRO // 100


def place(draft: Draft) -> None:
    """Place a queued job if a pool and the money for it are there; else note why not, if that is news.

    A project in debt gets nothing placed; one that pays its debt back in this turn, nothing yet.
    """
    spec, desk = draft.row.spec, draft.desk
    if desk.owed_micro(draft.row.project) > desk.rules.debt_limit_micro:
        left_micro = desk.left_to_pay_micro(draft.row.project)
        if left_micro > desk.rules.debt_limit_micro:
            _wait(draft, *in_debt(left_micro))
        return
    request = request_of(spec)
    pools = desk.views(request)
    policy = desk.rules.policy(spec.wish.objective)
    request, decision = _choose(draft.job, request, pools, policy)
    if decision.choice is None:
        code, text = explain(decision)
        _wait(draft, code, text)
        return
    view = pools[decision.chosen]
    attempt = plan_attempt(draft.job.attempts, view, decision.choice, spec, desk.now_ms)
    amount = hold_target_micro(spec, attempt, 0, desk.rules.hold_ms)
    parts = desk.plan_hold(draft.row.project, amount)
    if parts is None:
        _wait(draft, *short_of_money(amount, desk.available_micro(draft.row.project)))
        return
    key = attempt_key(draft.job.id, attempt.number)
    receipt = Receipt(VERSION, draft.job.id, attempt.number, desk.now_ms, policy, request, pools, decision)
    draft.add(_fact(attempt))
    draft.post(hold=HoldChange(key, draft.row.project, parts))
    draft.command(key, attempt.site, "start")
    draft.keep_receipt(key, encode_receipt(receipt))
    desk.take_cards(attempt.site, attempt.pool, attempt.cards)
    draft.due_ms = desk.now_ms + desk.rules.take_within_ms


def _choose(
    job: Job, request: Request, pools: tuple[PoolView, ...], policy: Policy
) -> tuple[Request, Decision]:
    """Decide; a site that broke an earlier attempt is asked again only if no other can take the job now."""
    theirs = {Category.INFRA, Category.LOST}
    broke_it = sorted({each.site for each in job.attempts if each.category in theirs})
    if broke_it:
        elsewhere = replace(request, deny=(*request.deny, *broke_it))
        decision = decide(elsewhere, pools, policy)
        if decision.choice is not None:
            return elsewhere, decision
    return request, decide(request, pools, policy)


def plan_attempt(
    earlier: tuple[Attempt, ...], view: PoolView, row: Row, spec: JobSpec, now_ms: int
) -> Attempt:
    """Return the attempt that a decision amounts to."""
    return Attempt(
        number=len(earlier) + 1,
        site=view.site,
        pool=view.pool,
        accelerator=view.accelerator,
        nodes=spec.num_nodes,
        cards=row.cards,
        price_micro_per_card_hour=view.price_micro_per_card_hour,
        pue_milli=view.pue_milli,
        tdp_w=ACCELERATORS[view.accelerator].tdp_w if view.accelerator in ACCELERATORS else 0,
        placed_ms=now_ms,
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
