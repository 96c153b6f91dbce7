"""On what terms a job is placed: the attempt, its cost, and what a project is told that cannot pay."""

from hutong.core.kernel.changes import made
from hutong.core.kernel.money import MICRO, format_micro
from hutong.core.kernel.rating import rate_cards
from hutong.core.placement.request import PoolView
from hutong.core.work.facts import Placed
from hutong.core.work.fold import Attempt, planned
from hutong.core.work.spec import JobSpec

_FEN = MICRO // 100


def plan_attempt(
    earlier: tuple[Attempt, ...], view: PoolView, cards: int, spec: JobSpec, now_ms: int
) -> Attempt:
    """Return the attempt that a decision would amount to."""
    return planned(placed(earlier, view, cards, spec, 0), now_ms)


def placed(earlier: tuple[Attempt, ...], view: PoolView, cards: int, spec: JobSpec, likely_ms: int) -> Placed:
    """Return the fact that a decision amounts to."""
    return made(
        Placed,
        attempt=len(earlier) + 1,
        site=view.site,
        pool=view.pool,
        accelerator=view.accelerator,
        nodes=spec.num_nodes,
        cards=cards,
        price_micro_per_card_hour=view.price_micro_per_card_hour,
        pue_milli=view.pue_milli,
        tdp_w=view.tdp_w,
        run_ms=spec.max_duration_s * 1000,
        preemptible=spec.preemptible,
        likely_ms=likely_ms,
    )


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
