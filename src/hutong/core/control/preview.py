"""What would happen to a job now, and why not: the live decision, with nothing written."""

from dataclasses import dataclass, replace

from hutong.core.book.runs import workload_of
from hutong.core.book.snapshot import Snapshot
from hutong.core.control.bars import bars_for
from hutong.core.control.bookings import beside, booked_of, holders_of
from hutong.core.control.desk import Desk
from hutong.core.control.metering import hold_target_micro
from hutong.core.control.power import caps_left, limited_of
from hutong.core.control.rules import Rules
from hutong.core.control.terms import in_debt, plan_attempt, short_of_money, worst_case_micro
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.times import utc_seconds
from hutong.core.placement.decide import Decision, decide
from hutong.core.placement.page import booked, capped, views_of
from hutong.core.placement.request import Policy, PoolView, Request, paid_for, request_of
from hutong.core.placement.staging import cargo_of
from hutong.core.work.spec import JobSpec

_IN_TIME = frozenset(
    {"busy", "scattered", "booked", "power", "quota", "maintenance", "unreachable", "draining"}
)


@dataclass(frozen=True, slots=True)
class Preview:
    """A decision that was not carried out. `code` and `text` are empty if the job would be placed now.

    `worst_case_micro` is the cost of a run until walltime in the chosen pool, or in the cheapest that could
    ever take it; None if none could. `never` means that no registered pool could take the job even when idle.
    `likely` is the pool that the cost is of, by index.
    """

    request: Request
    decision: Decision
    pools: tuple[PoolView, ...]
    policy: Policy
    code: str
    text: str
    worst_case_micro: int | None
    fundable: bool
    never: bool
    likely: int | None = None


def preview(
    snapshot: Snapshot, spec: JobSpec, project: ProjectId, rules: Rules, person: str = "", *,
    fresh: bool = False,
) -> Preview:  # fmt: skip
    """Return what `turn` would decide about this spec of a person's if it were the first in the queue.

    `fresh`: as if it came just now, when one that may be deferred is given its hour.
    """
    desk = Desk(snapshot, rules)
    desk.repay()
    owed_micro = desk.left_to_pay_micro(project)
    in_arrears = owed_micro > rules.debt_limit_micro
    runs = snapshot.runs.get(workload_of(project, spec), ())
    request = request_of(spec, runs=runs, cargo=cargo_of(spec), paid=desk.paid_by(project))
    pools = _beside_bookings(snapshot, project, views_of(desk.grounds, desk.page(), 0, request.run_ms))
    pools = paid_for(request, _under_limits(desk, pools))
    policy = desk.policy(spec.wish.objective)
    bars = bars_for(snapshot, project, person, request, pools)
    request = replace(request, barred=bars.chips)
    decision = decide(request, pools, policy)
    never = decision.never
    chosen = decision.choice
    likely = decision.chosen if chosen else _cheapest(decision, pools)
    code, text = ("", "") if chosen else bars.told or _explain(decision)
    if in_arrears and not never:
        code, text = in_debt(owed_micro)
    if likely is None:
        return Preview(request, decision, pools, policy, code, text, None, fundable=False, never=never)
    attempt = plan_attempt((), pools[likely], decision.rows[likely].cards, spec, desk.now_ms)
    amount = hold_target_micro(spec, attempt, 0, rules.hold_ms)
    fundable = not in_arrears and desk.plan_hold(project, amount) is not None
    if not code and not fundable:
        code, text = short_of_money(amount, desk.available_micro(project))
    if not code:
        code, text = desk.spendings.refuses(project, person, attempt) or ("", "")
    later = desk.later(spec, project, person, desk.now_ms) if fresh else None
    if later is not None:
        code, text = "greener", f"{later.text}; until {utc_seconds(later.start_ms)}"
    worst = worst_case_micro(spec, attempt)
    return Preview(
        request, decision, pools, policy, code, text, worst, fundable=fundable, never=never, likely=likely
    )


def _beside_bookings(
    snapshot: Snapshot, project: ProjectId, views: tuple[PoolView, ...]
) -> tuple[PoolView, ...]:
    """Return the pools with what bookings leave a project of them."""
    mine = holders_of(project, snapshot.institutions)
    found = booked_of(snapshot, views, lambda holder: 0 if holder in mine else -1)
    if found is None:
        return views
    left = {pool: beside(found, pool, {0}, snapshot.now_ms) for pool in range(len(views))}
    return booked(views, left)


def _under_limits(desk: Desk, views: tuple[PoolView, ...]) -> tuple[PoolView, ...]:
    """Return the pools with what limits of their sites' power leave of them."""
    found = limited_of(desk.snapshot, views, desk.cards_used)
    if found is None:
        return views
    left = {pool: caps_left(found, found.caps.rows, pool, desk.now_ms) for pool in range(len(views))}
    return capped(views, left)


def _explain(decision: Decision) -> tuple[str, str]:
    """Return a code and a sentence for a request that no pool takes now."""
    nearest = decision.nearest
    if nearest is None or nearest.why_not is None:
        return "no_site", "no site is registered"
    why = nearest.why_not
    code = "never" if decision.never else why.code
    return code, f"nearest is {nearest.site}/{nearest.pool}: {why.text}; {why.change}"


def _cheapest(decision: Decision, pools: tuple[PoolView, ...]) -> int | None:
    """Return the pool that could take the job some day at the lowest price, by index."""
    able = [
        index
        for index, row in enumerate(decision.rows)
        if row.why_not is not None and row.why_not.code in _IN_TIME
    ]
    return min(
        able,
        key=lambda i: decision.rows[i].cards * pools[i].price_micro_per_card_hour,
        default=None,
    )
