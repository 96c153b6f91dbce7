"""One step for each situation a job can be in: what the loop owes it now, and when to look again."""

from collections.abc import Callable
from types import MappingProxyType

from hutong.core.book.snapshot import Absence
from hutong.core.control.draft import Draft
from hutong.core.control.metering import billable_ms, known_run_ms, meter, top_up
from hutong.core.control.pausing import may_pause, pause_of, paused
from hutong.core.control.retries import back_off_ms, judge
from hutong.core.control.room import STOPS_MAX
from hutong.core.work.facts import Ended, Finished, Queued, StopSent, Waiting
from hutong.core.work.fold import Attempt
from hutong.core.work.states import AT_SITE, FINAL, AttemptState, Category, JobState

_BLIND_MS = 1000
_AT_ONCE = Queued()


def advance(draft: Draft) -> None:
    """Take every step a due job needs until it rests; a job left QUEUED is then up for placement."""
    for _ in range(8):  # the longest chain is: ended, settled, finished
        state, facts = draft.job.state, len(draft.facts)
        _STEPS[state](draft)
        if draft.job.state is state and len(draft.facts) == facts:
            return


def _accepted(draft: Draft) -> None:
    if _cancel_waiting(draft):
        return
    row = draft.row
    later = draft.desk.later(row.spec, row.project, draft.job.by, draft.job.submitted_ms)
    draft.add(Queued(wait_ms=later.start_ms - draft.desk.now_ms) if later else _AT_ONCE)
    if later:
        draft.add(Waiting("greener", later.text))


def _held(draft: Draft) -> None:
    _cancel_waiting(draft)


def _queued(draft: Draft) -> None:
    if _cancel_waiting(draft) or _expire(draft):
        return
    if draft.backs_off:  # nobody sees the job in the queue until it is due
        retry_ms = draft.job.retry_ms
        draft.due_ms = retry_ms if draft.due_ms is None else min(draft.due_ms, retry_ms)


def _expire(draft: Draft) -> bool:
    """End a job that is too late for its start; else see to it that it is looked at when it would be."""
    start_before_s = draft.row.spec.wish.start_before_s
    if start_before_s is None or paused(draft.job):  # that one is to start later than it did
        return False
    deadline_ms = draft.job.submitted_ms + start_before_s * 1000
    if draft.desk.now_ms < deadline_ms or draft.desk.blind:
        draft.due_ms = max(deadline_ms, draft.desk.now_ms + _BLIND_MS)
        return False
    reason = f"not started within {start_before_s} s: {draft.job.waiting_text or 'no pool was free'}"
    draft.add(Finished(JobState.EXPIRED, reason))
    return True


def _cancel_waiting(draft: Draft) -> bool:
    job = draft.job
    if job.cancel_by:
        reason = job.cancel_reason or f"cancelled by {job.cancel_by}"
        draft.add(Finished(JobState.CANCELLED, reason))
    return bool(job.cancel_by)


def _placed(draft: Draft) -> None:
    """No agent has the command yet, so the platform alone may take the attempt back."""
    attempt, desk = _live(draft), draft.desk
    if draft.job.cancel_by:
        _withdraw(draft, attempt, Category.CANCELLED, "cancelled before its start")
        return
    deadline_ms = attempt.placed_ms + desk.rules.take_within_ms
    if desk.now_ms < deadline_ms:
        draft.due_ms = deadline_ms
    elif desk.reachable(attempt.site) or desk.blind:
        draft.due_ms = desk.now_ms + desk.rules.take_within_ms
    else:
        reason = f"{attempt.site} went out of reach before it took the job"
        _withdraw(draft, attempt, Category.NO_CAPACITY, reason)


def _withdraw(draft: Draft, attempt: Attempt, category: Category, reason: str) -> None:
    draft.withdraw(draft.job.key(attempt))
    now = draft.desk.now_ms
    draft.add(Ended(attempt.number, AttemptState.WITHDRAWN, category, reason, 0, now, 0))


def _at_site(draft: Draft) -> None:
    attempt, desk = _live(draft), draft.desk
    if draft.job.cancel_by and not attempt.stop_sent_ms:
        _stop(draft, Category.CANCELLED, draft.job.cancel_reason or f"by {draft.job.cancel_by}")
    elif attempt.state is AttemptState.SUBMITTING and not attempt.stop_sent_ms:
        _stop_unbegun(draft, attempt)
    if _lost(draft, _live(draft)):
        return
    opens_ms = _close(draft, attempt)
    if attempt.state is AttemptState.RUNNING:
        _keep_running(draft, _live(draft))
        _stop_for_budget(draft)
    if draft.due_ms is None:
        draft.due_ms = desk.now_ms + desk.rules.settle_every_ms
    if opens_ms is not None:
        draft.due_ms = min(draft.due_ms, opens_ms)


def _close(draft: Draft, attempt: Attempt) -> int | None:
    """Stop a job whose site is under maintenance that stops jobs; return when one begins that will."""
    site, now_ms = draft.desk.site(attempt.site), draft.desk.now_ms
    for each in site.maintenance if site else ():
        if each.stop_jobs and each.from_ms > now_ms:
            return each.from_ms
        if each.stops(now_ms):
            if not _live(draft).stop_sent_ms:
                _stop(draft, Category.PREEMPTED, f"maintenance of {attempt.site}: {each.reason}")
            return None
    return None


def _stop_for_budget(draft: Draft) -> None:
    """Stop a job whose budget is used up to where it stops; it waits for more of it, as others do."""
    attempt = draft.job.live
    if attempt is not None and not attempt.stop_sent_ms:
        why = draft.desk.spendings.stops(draft.row.project, draft.job.by, attempt)
        if why:
            _stop(draft, Category.PREEMPTED, why)


def _stop(draft: Draft, category: Category, reason: str, resume_ms: int = 0) -> None:
    attempt = _live(draft)
    draft.add(StopSent(attempt.number, category, reason, resume_ms))
    draft.command(draft.job.key(attempt), attempt.site, "stop")


def _stop_unbegun(draft: Draft, attempt: Attempt) -> None:
    """Stop an attempt that a site took and does not know any more, or has had for too long without a start.

    From here on no agent is given its start command, so its absence will prove something: see `_lost`.
    """
    absence, rules = _absent(draft, attempt), draft.desk.rules
    if absence is not None:
        _stop(draft, Category.INFRA, _unknown(attempt, absence))
    elif _observed_ms(draft, attempt) - attempt.dispatched_ms > rules.accept_within_ms:
        minutes = rules.accept_within_ms // 60_000
        _stop(draft, Category.INFRA, f"{attempt.site} had the job for {minutes} min and did not start it")


def _absent(draft: Draft, attempt: Attempt) -> Absence | None:
    """Return the absence of an attempt whose site calls, and has not known it for long and often."""
    desk, rules = draft.desk, draft.desk.rules
    absence = desk.snapshot.absences.get(draft.job.key(attempt))
    if absence is None or not desk.reachable(attempt.site):
        return None
    known_lately = desk.now_ms - absence.since_ms < rules.lost_after_ms
    return None if known_lately or absence.polls < rules.lost_polls else absence


def _unknown(attempt: Attempt, absence: Absence) -> str:
    return f"{attempt.site} answers and has not known the job in {absence.polls} full observations"


def _observed_ms(draft: Draft, attempt: Attempt) -> int:
    """Return up to when the site's last observation speaks; what it knew by then was reported with it."""
    status = draft.desk.snapshot.statuses.get(attempt.site)
    return status.observed_ms if status else 0


def _lost(draft: Draft, attempt: Attempt) -> bool:
    """Declare an attempt lost only with proof: it has been absent, and no agent may start it any more.

    Once accepted, its start command is closed. Before that, an agent could be given it at any moment: first
    a stop takes the command back, and an observation from after the last lease on it must show nothing.
    """
    absence = _absent(draft, attempt)
    if absence is None:
        return False
    if attempt.state is AttemptState.SUBMITTING:
        since_stop_ms = _observed_ms(draft, attempt) - attempt.stop_sent_ms
        if not attempt.stop_sent_ms or since_stop_ms < draft.desk.rules.lost_after_ms:
            return False
    draft.withdraw(draft.job.key(attempt))
    ran_ms = known_run_ms(draft, attempt)
    reason = _unknown(attempt, absence)
    draft.add(
        Ended(
            attempt.number, AttemptState.LOST, Category.LOST, reason,
            attempt.started_ms, attempt.started_ms + ran_ms, ran_ms,
        )
    )  # fmt: skip
    return True


def _keep_running(draft: Draft, attempt: Attempt) -> None:
    """Settle a long run now and then, hold what comes next, and stop what is overdue or unpaid."""
    desk, rules = draft.desk, draft.desk.rules
    metered_ms = attempt.metered_upto_ms - attempt.started_ms if attempt.metered_upto_ms else 0
    ran_ms = known_run_ms(draft, attempt)
    due_ms = attempt.started_seen_ms + metered_ms + rules.settle_every_ms
    if desk.now_ms < due_ms and not draft.job.cancel_by:
        draft.due_ms = due_ms
        return
    meter(draft, attempt, ran_ms, final=False)
    draft.due_ms = desk.now_ms + rules.settle_every_ms
    if attempt.stop_sent_ms or draft.job.cancel_by:
        return
    if not top_up(draft, _live(draft), ran_ms):
        _stop(draft, Category.FUNDS, "the project's money does not cover the next hour")
    limit_s = draft.row.spec.max_duration_s
    if limit_s and ran_ms > limit_s * 1000 + rules.overdue_ms and not _live(draft).stop_sent_ms:
        _stop(draft, Category.USER, f"ran beyond max_duration of {limit_s} s")
    if not _live(draft).stop_sent_ms:
        _pause(draft, attempt)


def _pause(draft: Draft, attempt: Attempt) -> None:
    """Stop a job at its checkpoint until greener hours, if it may be paused and gains by it."""
    desk, job, spec = draft.desk, draft.job, draft.row.spec
    site = desk.site(attempt.site)
    if site is None or not may_pause(job, spec, attempt, desk.now_ms) or not desk.reachable(attempt.site):
        return
    if job.restarts_of(Category.PREEMPTED) >= STOPS_MAX:
        return
    pause = pause_of(job, spec, attempt, site, desk.policy(spec.wish.objective), desk.now_ms)
    if pause is not None:
        desk.stopped[job.id] = (attempt.site, attempt.pool, attempt.cards)
        _stop(draft, Category.PREEMPTED, pause.text, pause.resume_ms)


def _finishing(draft: Draft) -> None:
    attempt, desk = draft.job.attempts[-1], draft.desk
    if not attempt.settled:
        meter(draft, attempt, billable_ms(draft, attempt), final=True)
    attempt = draft.job.attempts[-1]
    verdict = judge(draft.job, attempt, draft.row.spec, desk.rules.max_attempts)
    if verdict.final is None and _checkpoint_to_wait_for(draft, attempt):
        return
    if verdict.final is None:
        back_ms, pause_ms = back_off_ms(draft.job, desk.rules), attempt.resume_ms - desk.now_ms
        wait_ms = max(back_ms, pause_ms)
        draft.add(Queued(verdict.reason, attempt.category, wait_ms))
        if pause_ms > back_ms:
            draft.add(Waiting("greener", attempt.stop_reason))
        elif wait_ms:
            draft.add(Waiting("retry", f"retry in {(wait_ms + 999) // 1000} s: {verdict.reason}"))
        return
    nothing_there = attempt.state in {AttemptState.WITHDRAWN, AttemptState.LOST}
    deadline_ms = attempt.ended_seen_ms + desk.rules.collect_within_ms
    waited = desk.now_ms >= deadline_ms and not desk.blind
    if attempt.collected or nothing_there or waited:
        draft.add(Finished(verdict.final, verdict.reason))
        draft.due_ms = None
    else:
        draft.due_ms = max(deadline_ms, desk.now_ms + 1000)


def _checkpoint_to_wait_for(draft: Draft, attempt: Attempt) -> bool:
    """True while the next attempt would be placed sooner than what it should go on from can be had."""
    desk = draft.desk
    deadline_ms = attempt.ended_seen_ms + desk.rules.collect_within_ms
    if not attempt.checkpoint_coming or attempt.collected or desk.now_ms >= deadline_ms:
        return False
    if draft.job.cancel_by or not desk.reachable(attempt.site):
        return False
    draft.due_ms = min(deadline_ms, desk.now_ms + desk.rules.reach_ms)
    return True


def _final(draft: Draft) -> None:
    draft.due_ms = None


def _live(draft: Draft) -> Attempt:
    live = draft.job.live
    assert live is not None, draft.job  # noqa: S101 - the state table only leads here with a live attempt
    return live


_STEPS: MappingProxyType[JobState, Callable[[Draft], None]] = MappingProxyType(
    {
        JobState.ACCEPTED: _accepted,
        JobState.HELD: _held,
        JobState.QUEUED: _queued,
        JobState.PLACED: _placed,
        JobState.FINISHING: _finishing,
        **dict.fromkeys(AT_SITE - {JobState.PLACED}, _at_site),
        **dict.fromkeys(FINAL, _final),
    }
)
