"""One turn: what the loop owes each job, and what it must never do."""

from dataclasses import replace

import pytest
from tests.core.control.scene import (
    JOB,
    KEY,
    LAB,
    PLACED,
    RULES,
    RUNNING,
    SPEC,
    T0,
    YUAN,
    award,
    ended,
    history,
    kinds,
    only,
    receipt,
    snapshot,
    voucher,
)  # fmt: skip

from hutong.core.book.money import REVENUE, HoldPart
from hutong.core.book.snapshot import Command, PoolUse
from hutong.core.capacity.sites import PoolState
from hutong.core.control.forecast import plan
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import LotId, ProjectId, attempt_key
from hutong.core.placement.judge import PARTS
from hutong.core.work import facts as f
from hutong.core.work.fold import apply
from hutong.core.work.spec import JobType, Retry, Wish
from hutong.core.work.states import AttemptState, Category, JobState

HOUR_MS = 3_600_000


def test_a_new_job_is_queued_placed_held_for_and_commanded_in_one_turn() -> None:
    outcome = only(snapshot(history()))
    assert kinds(outcome) == ["queued", "placed"]
    attempt = outcome.after.live
    assert attempt is not None
    assert (attempt.site, attempt.cards) == ("bj", 8)  # the cheaper of two alike
    assert outcome.commands == (Command(KEY, "bj", "start"),)
    (hold,) = outcome.posting.holds
    # eight cards at ten yuan, for the hour that is held ahead of a two-hour job
    assert hold.parts == (HoldPart(LotId("award"), 80 * YUAN),)
    assert not hold.closes


def test_a_short_job_holds_its_walltime_and_grace_only() -> None:
    spec = replace(SPEC, max_duration_s=570, grace_s=30)
    (hold,) = only(snapshot(history(), spec=spec)).posting.holds
    assert hold.parts[0].amount_micro == 80 * YUAN // 6


def test_the_stored_receipt_replays_and_names_every_pool() -> None:
    ((key, _),) = only(snapshot(history())).receipts
    assert key == KEY
    opened = receipt(snapshot(history()))
    assert [row.site for row in opened.now.decision.rows] == ["bj", "tj"]
    assert (opened.now_digest, opened.differences) == (opened.digest, ())


def test_a_voucher_holds_its_share() -> None:
    lots = (voucher(1000 * YUAN), award(1000 * YUAN))
    (hold,) = only(snapshot(history(), lots=lots)).posting.holds
    assert {p.lot: p.amount_micro for p in hold.parts} == {"voucher": 16 * YUAN, "award": 64 * YUAN}


def test_without_money_a_job_waits_and_says_how_much_is_missing() -> None:
    outcome = only(snapshot(history(), lots=(award(79 * YUAN),)))
    assert kinds(outcome) == ["queued", "waiting"]
    assert outcome.after.waiting_code == "no_funds"
    assert "80.00 yuan" in outcome.after.waiting_text
    assert "79.00" in outcome.after.waiting_text
    assert not outcome.commands
    assert not outcome.posting.holds


def test_the_same_answer_is_not_written_twice() -> None:
    job = history(f.Queued(), f.Waiting("no_funds", "too little"))
    outcome = turn(snapshot(job, lots=(award(1),)), RULES)
    assert outcome.jobs == ()


def test_two_jobs_cannot_spend_the_same_money_or_cards() -> None:
    one, two = history(), replace(history(), id=type(JOB)(JOB[:-1] + "1"))
    poor = turn(snapshot(one, two, lots=(award(100 * YUAN),)), RULES)
    assert sorted(each.after.state for each in poor.jobs) == [JobState.PLACED, JobState.QUEUED]
    full = (PoolUse("bj", "main", 20), PoolUse("tj", "main", 20))
    crowded = turn(snapshot(one, two, use=full), RULES)
    assert sorted(each.after.attempt.site for each in crowded.jobs if each.after.attempt) == ["bj", "tj"]
    packed = turn(snapshot(one, use=(PoolUse("bj", "main", 25), PoolUse("tj", "main", 25))), RULES)
    assert packed.jobs[0].after.waiting_code == "busy"
    assert "7 of 32 cards free, needs 8" in packed.jobs[0].after.waiting_text


def test_priority_goes_first_then_age() -> None:
    low, high = history(), replace(history(), id=type(JOB)(JOB[:-1] + "1"))
    shot = snapshot(low, high, use=(PoolUse("bj", "main", 24), PoolUse("tj", "main", 32)))
    urgent = replace(shot.due[1], spec=replace(SPEC, priority=5))
    outcome = turn(replace(shot, due=(shot.due[0], urgent)), RULES)
    placed = [each.job for each in outcome.jobs if each.commands]
    assert placed == [high.id]


def test_a_cancel_before_the_start_takes_the_command_back_and_frees_the_hold() -> None:
    job = history(f.Queued(), PLACED, f.CancelAsked("ada"))
    outcome = only(snapshot(job, held_micro=80 * YUAN))
    assert kinds(outcome) == ["ended", "metered", "finished"]
    assert outcome.withdraw == (KEY,)
    assert outcome.after.state is JobState.CANCELLED
    (hold,) = outcome.posting.holds
    assert hold.closes
    assert hold.parts == (HoldPart(LotId("award"), -80 * YUAN),)
    assert not outcome.posting.txns


@pytest.mark.parametrize("reached", [2, 3, 4, 5])
def test_a_cancel_after_the_start_is_a_command_and_nothing_ends_before_it_is_seen(reached: int) -> None:
    job = history(*RUNNING[:reached], f.CancelAsked("ada"))
    outcome = only(snapshot(job, held_micro=80 * YUAN))
    if reached == 2:
        assert outcome.withdraw == (KEY,)
        return
    assert outcome.commands == (Command(KEY, "bj", "stop"),)
    assert outcome.after.live is not None
    again = only(snapshot(outcome.after, held_micro=80 * YUAN))
    assert not again.commands, "one stop command is enough: it stays open until its effect is seen"


def test_a_command_nobody_took_goes_elsewhere_when_its_site_is_gone() -> None:
    job = history(f.Queued(), PLACED)
    late = T0 + RULES.take_within_ms + 60_000
    outcome = only(snapshot(job, now_ms=late, seen={"bj": T0, "tj": late}, held_micro=80 * YUAN))
    assert kinds(outcome) == ["ended", "metered", "queued", "placed"]
    assert outcome.withdraw == (KEY,)
    live = outcome.after.live
    assert live is not None
    assert (live.site, live.number) == ("tj", 2)
    assert outcome.commands == (Command(attempt_key(JOB, 2), "tj", "start"),)


def test_a_taken_command_never_goes_elsewhere_however_long_its_site_is_silent() -> None:
    job = history(*RUNNING)
    late = T0 + 30 * 24 * HOUR_MS
    outcome = only(snapshot(job, now_ms=late, seen={"bj": T0, "tj": late}, held_micro=80 * YUAN))
    assert outcome.after.live == outcome.after.attempts[0]
    assert not outcome.commands
    assert not outcome.withdraw


@pytest.mark.parametrize(
    ("polls", "ago_ms", "lost"),
    [(5, 120_000, True), (4, 600_000, False), (50, 119_999, False)],
)
def test_lost_needs_both_time_and_polls(polls: int, ago_ms: int, lost: bool) -> None:
    now = T0 + HOUR_MS
    job = history(*RUNNING)
    outcome = only(snapshot(job, now_ms=now, absence=(now - ago_ms, polls), held_micro=80 * YUAN))
    assert ("ended" in kinds(outcome)) is lost
    if lost:
        first = outcome.after.attempts[0]
        assert first.state is AttemptState.LOST
        # billed until it was last seen, by the platform's clock
        assert first.metered_card_ms == 8 * (now - ago_ms - first.started_seen_ms)
        assert outcome.after.state is JobState.PLACED


def test_an_absence_at_a_silent_site_proves_nothing() -> None:
    now = T0 + HOUR_MS
    seen = {"bj": now - RULES.reach_ms - 1, "tj": now}
    outcome = only(snapshot(history(*RUNNING), now_ms=now, seen=seen, absence=(T0, 99), held_micro=80 * YUAN))
    assert outcome.after.live is not None


def test_when_every_site_is_silent_all_timers_stop() -> None:
    now = T0 + 10 * HOUR_MS
    dark = {"bj": T0, "tj": T0}
    placed = only(snapshot(history(f.Queued(), PLACED), now_ms=now, seen=dark, held_micro=80 * YUAN))
    assert not placed.facts
    spec = replace(SPEC, wish=Wish(start_before_s=60))
    shot = snapshot(history(f.Queued()), now_ms=now, seen=dark, spec=spec)
    assert not any(fact.event.kind == "finished" for job in turn(shot, RULES).jobs for fact in job.facts)


def test_a_job_that_could_not_start_in_time_expires() -> None:
    spec = replace(SPEC, wish=Wish(start_before_s=60))
    shot = snapshot(history(f.Queued()), now_ms=T0 + 60_000, spec=spec)
    outcome = only(shot)
    assert outcome.after.state is JobState.EXPIRED
    assert "60 s" in outcome.after.reason


def test_success_is_settled_by_measured_time_and_ends_when_logs_are_in() -> None:
    job = history(*RUNNING, ended(ran_ms=HOUR_MS // 2), every_ms=HOUR_MS // 2)
    outcome = only(snapshot(job, now_ms=T0 + 3 * HOUR_MS, held_micro=80 * YUAN))
    assert kinds(outcome) == ["metered"]
    assert outcome.after.state is JobState.FINISHING
    (txn,) = outcome.posting.txns
    assert {e.account: e.amount_micro for e in txn.entries} == {"lot:award": -40 * YUAN, REVENUE: 40 * YUAN}
    (hold,) = outcome.posting.holds
    assert hold.closes
    assert hold.parts == (HoldPart(LotId("award"), -80 * YUAN),)
    (usage,) = outcome.posting.usage
    assert usage.quantity == 8 * HOUR_MS // 2
    assert usage.energy_j == 8 * 700 * 1800 * 12 // 10
    assert usage.green_j * 2 == usage.energy_j
    collected = f.Fact(JOB, outcome.after.seq + 1, T0 + 3 * HOUR_MS, "agent:bj", f.Collected(1))

    done = only(snapshot(apply(outcome.after, collected), now_ms=T0 + 3 * HOUR_MS))
    assert kinds(done) == ["finished"]
    assert done.after.state is JobState.SUCCEEDED
    assert done.due_ms is None


def test_logs_that_never_come_do_not_keep_a_job_open_for_ever() -> None:
    settled = only(snapshot(history(*RUNNING, ended()), held_micro=80 * YUAN)).after
    assert settled.attempts[0].settled
    late = only(snapshot(settled, now_ms=T0 + RULES.collect_within_ms + 60_000))
    assert late.after.state is JobState.SUCCEEDED


def test_a_long_run_is_settled_on_the_way_and_held_ahead() -> None:
    spec = replace(SPEC, max_duration_s=100 * 3600)
    now = T0 + 5000 + HOUR_MS
    outcome = only(snapshot(history(*RUNNING), now_ms=now, spec=spec, held_micro=80 * YUAN))
    assert kinds(outcome) == ["metered"]
    attempt = outcome.after.attempts[0]
    ran_ms = now - attempt.started_seen_ms
    assert attempt.metered_card_ms == 8 * ran_ms
    held = 80 * YUAN + sum(part.amount_micro for h in outcome.posting.holds for part in h.parts)
    assert held == 80 * YUAN, "what was used is gone, and an hour ahead is held again"
    assert outcome.due_ms == now + RULES.settle_every_ms


def test_a_project_out_of_money_has_its_job_stopped_and_its_use_booked() -> None:
    spec = replace(SPEC, max_duration_s=100 * 3600)
    lots = (award(80 * YUAN, held=80 * YUAN),)
    shot = snapshot(history(*RUNNING), now_ms=T0 + 5000 + HOUR_MS, spec=spec, lots=lots, held_micro=80 * YUAN)
    outcome = only(shot)
    assert kinds(outcome) == ["metered", "stop_sent"]
    assert outcome.commands == (Command(KEY, "bj", "stop"),)
    assert outcome.after.attempts[0].stop_category is Category.FUNDS


def test_use_beyond_hold_and_money_goes_to_the_overrun_account() -> None:
    lots = (award(80 * YUAN, held=80 * YUAN),)
    job = history(*RUNNING, ended(ran_ms=2 * HOUR_MS), every_ms=HOUR_MS)
    outcome = only(snapshot(job, now_ms=T0 + 6 * HOUR_MS, lots=lots, held_micro=80 * YUAN))
    (txn,) = outcome.posting.txns
    amounts = {entry.account: entry.amount_micro for entry in txn.entries}
    assert amounts == {"lot:award": -80 * YUAN, f"overrun:{LAB}": -80 * YUAN, REVENUE: 160 * YUAN}


def test_late_news_never_shrinks_a_charge() -> None:
    metered = f.Metered(1, T0 + 5000 + HOUR_MS, 8 * HOUR_MS, 80 * YUAN, final=False)
    job = history(*RUNNING, metered, ended(ran_ms=HOUR_MS - 5))
    outcome = only(snapshot(job, now_ms=T0 + 2 * HOUR_MS, held_micro=80 * YUAN))
    assert outcome.after.attempts[0].charge_micro == 80 * YUAN
    assert not outcome.posting.txns


@pytest.mark.parametrize(
    ("category", "code", "retry", "again"),
    [
        (Category.USER, 1, Retry(), False),
        (Category.USER, 1, Retry(max_restarts_on_errors=1), True),
        (Category.USER, 75, Retry(recover_on_exit_codes=(75,)), True),
        (Category.USER, 76, Retry(recover_on_exit_codes=(75,)), False),
        (Category.INFRA, 1, Retry(), True),
        (Category.PREEMPTED, 0, Retry(), True),
        (Category.FUNDS, 0, Retry(max_restarts_on_errors=9), False),
        (Category.CANCELLED, 0, Retry(max_restarts_on_errors=9), False),
    ],
)
def test_each_kind_of_failure_has_its_budget(
    category: Category, code: int, retry: Retry, again: bool
) -> None:
    job = history(*RUNNING, ended(AttemptState.FAILED, category, code=code), f.Collected(1))
    outcome = only(snapshot(job, spec=replace(SPEC, retry=retry), held_micro=80 * YUAN))
    assert (outcome.after.state is JobState.PLACED) is again
    assert (outcome.after.state is JobState.FAILED) is not again


def test_a_cancelled_job_is_not_retried_and_a_success_stays_one() -> None:
    broken = ended(AttemptState.FAILED, Category.INFRA)
    events = (*RUNNING, f.CancelAsked("ada", "enough"), broken, f.Collected(1))
    outcome = only(snapshot(history(*events), held_micro=80 * YUAN))
    assert (outcome.after.state, outcome.after.reason) == (JobState.CANCELLED, "enough")
    events = (*RUNNING, f.CancelAsked("ada"), ended(), f.Collected(1))
    assert only(snapshot(history(*events), held_micro=80 * YUAN)).after.state is JobState.SUCCEEDED


def test_a_held_job_rests_until_it_is_released() -> None:
    held = history(f.HoldAsked("ada"))
    assert only(snapshot(held)).facts == ()
    released = history(f.HoldAsked("ada"), f.Released("ada"))
    assert only(snapshot(released)).after.state is JobState.PLACED


def test_a_service_without_an_end_holds_an_hour_at_a_time() -> None:
    spec = replace(SPEC, type=JobType.SERVICE, max_duration_s=0)
    (hold,) = only(snapshot(history(), spec=spec)).posting.holds
    assert hold.parts[0].amount_micro == 80 * YUAN


def test_the_same_snapshot_gives_the_same_outcome() -> None:
    shot = snapshot(history())
    assert turn(shot, RULES) == turn(shot, RULES)


def test_a_job_that_breaks_an_invariant_does_not_keep_the_others_waiting() -> None:
    other = replace(history(), id=type(JOB)(JOB[:-1] + "1"))
    shrunk = f.Metered(1, T0 + 6000, 8 * HOUR_MS, 80 * YUAN, final=False)
    sick = history(*RUNNING, shrunk, ended())
    # a price that fell behind the running attempt's back would make its charge shrink
    attempt = replace(sick.attempts[0], price_micro_per_card_hour=1)
    outcome = turn(snapshot(replace(sick, attempts=(attempt,)), other, held_micro=80 * YUAN), RULES)
    assert [job for job, _ in outcome.broken] == [sick.id]
    assert [each.job for each in outcome.jobs] == [other.id]
    assert outcome.jobs[0].after.state is JobState.PLACED


def test_a_site_cannot_bill_more_time_than_the_platform_saw_pass() -> None:
    job = history(*RUNNING, ended(ran_ms=2**53 - 1))
    outcome = only(snapshot(job, held_micro=80 * YUAN))
    attempt = outcome.after.attempts[0]
    seen_ms = attempt.ended_seen_ms - attempt.dispatched_ms
    assert attempt.metered_card_ms == 8 * (seen_ms + 60_000)
    assert attempt.ran_ms == 2**53 - 1, "the fact keeps what the site claimed"


def test_a_late_job_does_not_make_a_blind_loop_spin() -> None:
    now = T0 + 10 * HOUR_MS
    spec = replace(SPEC, wish=Wish(start_before_s=60))
    shot = snapshot(history(), now_ms=now, seen={}, spec=spec)
    outcome = only(shot)
    assert outcome.due_ms is not None
    assert outcome.due_ms > now


def test_a_projects_priority_does_not_put_its_jobs_before_anothers() -> None:
    rows = [history(f.Queued()) for _ in range(4)]
    jobs = [replace(job, id=type(JOB)(f"{JOB[:-1]}{n}"), queued_ms=T0 + n) for n, job in enumerate(rows)]
    shot = snapshot(*jobs, use=(PoolUse("bj", "main", 16), PoolUse("tj", "main", 32)))
    other = ProjectId("other")
    queue = [replace(row, spec=replace(SPEC, priority=1000)) for row in shot.queue[:3]]
    queue.append(replace(shot.queue[3], project=other))
    lots = {LAB: shot.lots[LAB], other: (replace(award(1000 * YUAN), id=LotId("other"), project=other),)}
    outcome = turn(replace(shot, queue=tuple(queue), lots=lots), RULES)
    assert [each.job for each in outcome.jobs if each.commands] == [jobs[0].id, jobs[3].id]


def test_a_retry_goes_to_a_site_that_did_not_break_it_if_there_is_one() -> None:
    broken = ended(AttemptState.FAILED, Category.INFRA)
    job = history(*RUNNING, broken, f.Collected(1))
    outcome = only(snapshot(job, held_micro=80 * YUAN))
    assert outcome.after.live is not None
    assert outcome.after.live.site == "tj"
    assert receipt(snapshot(job, held_micro=80 * YUAN)).differences == ()
    full = (PoolUse("tj", "main", 32),)
    again = only(snapshot(job, held_micro=80 * YUAN, use=full))
    assert again.after.live is not None
    assert again.after.live.site == "bj", "no other can take it now"


def test_cards_that_are_down_or_held_by_others_are_not_given_away() -> None:
    shot = snapshot(history())
    (first,) = only(shot).after.attempts
    pool = next(pool for site in shot.sites if site.id == first.site for pool in site.pools)
    held = PoolState(pool.id, pool.cards, pool.cards - first.cards + 1)
    down = PoolState(pool.id, first.cards - 1, 0)
    for state in (held, down):
        status = replace(shot.statuses[first.site], pools=(state,))
        outcome = only(replace(shot, statuses={**shot.statuses, first.site: status}))
        (attempt,) = outcome.after.attempts
        assert attempt.site != first.site
        rows = receipt(replace(shot, statuses={**shot.statuses, first.site: status})).now.decision.rows
        row = next(row for row in rows if row.site == first.site and row.pool == pool.id)
        assert row.why_not is not None
        assert row.why_not.code == "busy"


def test_a_queue_at_the_centre_counts_against_it() -> None:
    shot = snapshot(history())
    (first,) = only(shot).after.attempts
    status = replace(shot.statuses[first.site], pools=(PoolState(first.pool, 1 << 20, 0, 86_400),))
    waits = replace(shot, statuses={**shot.statuses, first.site: status})
    before, after = (
        next(row for row in receipt(each).now.decision.rows if row.site == first.site)
        for each in (shot, waits)
    )
    assert after.parts[PARTS.index("wait")] < before.parts[PARTS.index("wait")] == 1_000_000


def test_while_there_is_no_site_a_job_waits_and_is_told_so() -> None:
    bare = replace(snapshot(history()), sites=(), statuses={})
    outcome = only(bare)
    assert (outcome.after.state, outcome.after.waiting_code) == (JobState.QUEUED, "no_site")
    queued = replace(bare, due=(), queue=tuple(replace(row, job=outcome.after) for row in bare.due))
    assert turn(queued, RULES).jobs == ()
    (waits,) = plan(queued, RULES)
    assert (waits.place, waits.wait_ms) == (1, None)
