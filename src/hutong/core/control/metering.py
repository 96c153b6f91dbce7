"""From running time to money and energy: rate the running total, pay its growth, hold what comes next."""

from hutong.core.book.money import HoldChange, Txn, UsageRecord
from hutong.core.control.draft import Draft
from hutong.core.energy.account import METHOD, Energy, energy_of
from hutong.core.kernel.rating import CARD_HOUR_MS, rate_cards
from hutong.core.ledger.funding import settle
from hutong.core.work.facts import Metered
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import JobSpec

_SLACK_MS = 60_000


def hold_target_micro(spec: JobSpec, attempt: Attempt, ran_ms: int, ahead_ms: int) -> int:
    """Return what must be held for the time ahead: until walltime and grace, and at most `ahead_ms`."""
    left_ms = ahead_ms
    if spec.max_duration_s:
        left_ms = min(ahead_ms, max(0, spec.max_duration_s * 1000 - ran_ms) + spec.grace_s * 1000)
    price = attempt.price_micro_per_card_hour
    until_now = rate_cards(attempt.cards * ran_ms, price) if ran_ms else 0
    return rate_cards(attempt.cards * (ran_ms + left_ms), price) - until_now


def known_run_ms(draft: Draft, attempt: Attempt) -> int:
    """Return how long a running attempt is known to have run: until the last observation that shows it.

    Both ends are moments of the platform's clock, so the figure errs on the user's side.
    """
    status = draft.desk.snapshot.statuses.get(attempt.site)
    absence = draft.desk.snapshot.absences.get(draft.job.key(attempt))
    if status is None or not attempt.started_seen_ms:
        return 0
    until_ms = min(status.observed_ms, draft.desk.now_ms)
    if absence is not None:
        until_ms = min(until_ms, absence.since_ms)
    return max(0, until_ms - attempt.started_seen_ms)


def billable_ms(draft: Draft, attempt: Attempt) -> int:
    """Return the running time that an ended attempt is billed for: what its site measured, within reason.

    It cannot have run longer than from the moment its agent had the command until the platform heard of its
    end, nor much longer than its walltime; a site's fault or a leaked token must not empty a project. The
    fact of the end keeps what the site claimed.
    """
    bounds = [attempt.ran_ms]
    if attempt.ended_seen_ms > attempt.dispatched_ms > 0:  # else the platform's clock was set back
        bounds.append(attempt.ended_seen_ms - attempt.dispatched_ms + _SLACK_MS)
    spec = draft.row.spec
    if spec.max_duration_s:
        limit_ms = (spec.max_duration_s + spec.grace_s) * 1000
        bounds.append(limit_ms + draft.desk.rules.overdue_ms + _SLACK_MS)
    return min(bounds)


def meter(draft: Draft, attempt: Attempt, ran_ms: int, *, final: bool) -> None:
    """Rate an attempt's use so far and pay its growth; totals never shrink."""
    card_ms = max(attempt.cards * ran_ms, attempt.metered_card_ms)
    charge = rate_cards(card_ms, attempt.price_micro_per_card_hour)
    grown_ms = card_ms - attempt.metered_card_ms
    if not final and not grown_ms:
        return
    key, project, now = draft.job.key(attempt), draft.row.project, draft.desk.now_ms
    lots = draft.desk.lots(project)
    paid = settle(draft.held, lots, project, attempt.charge_micro, charge, now, final=final)
    upto_ms = attempt.started_ms + card_ms // attempt.cards
    name = f"use:{key}:{attempt.metered_card_ms}-{card_ms}"
    # Every placement opens a hold, and its last metering closes it, also where nothing ran.
    hold = HoldChange(key, project, paid.parts, closes=final) if final or paid.parts else None
    earned = paid.entries
    txn = Txn(name, "usage", project, upto_ms, key, earned, site=attempt.site) if earned else None
    usage = _usage(draft, attempt, name, card_ms, charge, upto_ms) if grown_ms else None
    draft.post(txn, hold, usage)
    draft.add(Metered(attempt.number, upto_ms, card_ms, charge, final))


def _usage(
    draft: Draft, attempt: Attempt, name: str, card_ms: int, charge_micro: int, upto_ms: int
) -> UsageRecord:
    energy = _energy(draft, attempt, card_ms).minus(_energy(draft, attempt, attempt.metered_card_ms))
    return UsageRecord(
        id=name,
        project=draft.row.project,
        key=draft.job.key(attempt),
        site=attempt.site,
        sku=attempt.accelerator,
        unit="card_ms",
        quantity=card_ms - attempt.metered_card_ms,
        price_micro=attempt.price_micro_per_card_hour,
        per=CARD_HOUR_MS,
        charge_micro=charge_micro - attempt.charge_micro,
        from_ms=attempt.started_ms + attempt.metered_card_ms // attempt.cards,
        upto_ms=upto_ms,
        energy_j=energy.energy_j,
        green_j=energy.green_j,
        co2_mg=energy.co2_mg,
        method=METHOD,
        person=draft.job.by,
    )


def _energy(draft: Draft, attempt: Attempt, card_ms: int) -> Energy:
    site = draft.desk.site(attempt.site)
    if site is None:
        return Energy(0, 0, 0)
    run_ms = card_ms // attempt.cards
    return energy_of(site.supply, attempt.cards, attempt.tdp_w, attempt.pue_milli, attempt.started_ms, run_ms)


def top_up(draft: Draft, attempt: Attempt, ran_ms: int) -> bool:
    """Hold for the time ahead what is not held yet; False if the project's money does not suffice."""
    target = hold_target_micro(draft.row.spec, attempt, ran_ms, draft.desk.rules.hold_ms)
    missing = target - sum(part.amount_micro for part in draft.held)
    if missing <= 0:
        return True
    project = draft.row.project
    parts = draft.desk.plan_hold(project, missing)
    if parts is None:
        return False
    draft.post(hold=HoldChange(draft.job.key(attempt), project, parts))
    return True
