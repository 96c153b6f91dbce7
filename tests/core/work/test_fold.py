"""The fold: whatever an agent says, in whatever order and however often, a job tells one true story."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.kernel.errors import Broken
from hutong.core.kernel.ids import JobId
from hutong.core.work import facts as f
from hutong.core.work.fold import Job, advances, apply, begin, fold
from hutong.core.work.states import (
    AT_SITE,
    ENDED,
    FINAL,
    JOB_STATE_OF,
    WAITING,
    AttemptState,
    Category,
    JobState,
)

ID = JobId("01HZZZZZZZZZZZZZZZZZZZZZZZ")
KEPT = (f.OutputFile("model", 7, "sha256:00"),)
FORWARD = (*JOB_STATE_OF,)

EVENTS: st.SearchStrategy[f.Event] = st.one_of(
    st.builds(
        f.Queued, st.sampled_from(["", "preempted"]), st.sampled_from(Category), st.sampled_from([0, 7])
    ),
    st.builds(f.Waiting, st.just("busy"), st.just("no card is free")),
    st.builds(f.HoldAsked, st.just("li")),
    st.builds(f.Released, st.just("li")),
    st.builds(f.CancelAsked, st.just("li")),
    st.builds(
        f.Placed,
        st.integers(1, 3),
        *map(st.just, ("bj", "h100", "H100", 2, 16, 1_000_000, 1200, 700)),
    ),
    st.builds(f.StopSent, st.integers(1, 3), st.just(Category.CANCELLED), st.just("asked")),
    st.builds(f.Dispatched, st.integers(1, 3)),
    st.builds(f.Metered, st.integers(1, 3), st.just(9), st.integers(0, 3), st.integers(0, 3), st.booleans()),
    st.builds(f.Finished, st.sampled_from(sorted(FINAL)), st.just("")),
)


def placed(attempt: int) -> f.Placed:
    return f.Placed(attempt, "bj", "h100", "H100", 2, 16, 1_000_000, 1200, 700)


def ended(attempt: int, outcome: AttemptState = AttemptState.SUCCEEDED) -> f.Ended:
    category = Category.NONE if outcome is AttemptState.SUCCEEDED else Category.USER
    return f.Ended(attempt, outcome, category, "", 5, 9, 4, (f.RankExit(0, 0), f.RankExit(1, 0)))


def agent_events(attempt: int) -> tuple[f.AgentEvent, ...]:
    return (
        f.Accepted(attempt, f"pid-{attempt}", adopted=False),
        f.Starting(attempt),
        f.Started(attempt, 5),
        ended(attempt),
        f.Collected(attempt, KEPT, 12),
    )


AGENT_EVENTS = st.integers(0, 4).flatmap(lambda number: st.sampled_from(agent_events(number)))


def told(*events: f.Event) -> Job:
    """Return the job of a history that begins with its submission."""
    history = (f.Submitted("li", "sha256:00"), *events)
    return fold(f.Fact(ID, seq, seq * 10, "test", event) for seq, event in enumerate(history, 1))


def after(job: Job, event: f.Event) -> Job:
    return apply(job, f.Fact(ID, job.seq + 1, job.seq * 10 + 10, "test", event))


def sieve(job: Job, reports: list[f.AgentEvent]) -> Job:
    """Take reports as the book does: what is news becomes a fact."""
    for event in reports:
        if advances(job, event):
            job = after(job, event)
    return job


def assert_sound(job: Job) -> None:
    """Hold a job against what everybody relies on."""
    alive = [each for each in job.attempts if not each.over]
    assert len(alive) <= 1, "at most one attempt may run (invariant A)"
    assert [each.number for each in job.attempts] == list(range(1, len(job.attempts) + 1))
    if job.state in AT_SITE:
        assert job.live is not None
        assert job.state is JOB_STATE_OF[job.live.state]
    else:
        assert job.live is None
    if job.final:
        assert job.finished_ms
    for each in job.attempts:
        assert not each.collected or each.over
        assert not each.settled or each.over


TO_DISPATCHED = (f.Queued(), placed(1), f.Dispatched(1))


def test_a_good_day_passes_every_state_in_order() -> None:
    good = (*TO_DISPATCHED, *agent_events(1)[:4], f.Finished(JobState.SUCCEEDED, ""))
    states = [told(*good[:count]).state for count in range(len(good) + 1)]
    assert states == [*list(JobState)[:8], JobState.SUCCEEDED]


@given(
    st.permutations(agent_events(1)), st.lists(st.sampled_from(agent_events(1)), max_size=10), st.randoms()
)
def test_reordered_and_repeated_reports_end_in_the_same_job(
    order: list[f.AgentEvent], repeats: list[f.AgentEvent], rng: random.Random
) -> None:
    dispatched = told(*TO_DISPATCHED)
    reports = [*order, *repeats]
    rng.shuffle(reports)
    # An agent repeats what it was not told was taken, so everything arrives again in the end.
    noisy = sieve(dispatched, [*reports, *agent_events(1)])
    clean = sieve(dispatched, list(agent_events(1)))
    assert noisy.state is clean.state is JobState.FINISHING
    kept = noisy.attempts[0]
    assert (kept.state, kept.exits, kept.ran_ms) == (AttemptState.SUCCEEDED, ended(1).exits, 4)
    assert (kept.collected, kept.outputs, kept.log_bytes) == (True, KEPT, 12)


@given(st.lists(AGENT_EVENTS, max_size=30))
def test_an_attempt_never_goes_back(reports: list[f.AgentEvent]) -> None:
    job = told(*TO_DISPATCHED)
    rank = {state: place for place, state in enumerate(FORWARD)}
    for event in reports:
        if not advances(job, event):
            continue
        fresh = after(job, event)
        old, new = job.attempts[0].state, fresh.attempts[0].state
        assert old is new or new in ENDED or rank[old] < rank[new]
        assert not job.attempts[0].over or isinstance(event, f.Collected)
        assert not advances(fresh, event), "a repeat is no news"
        assert_sound(fresh)
        job = fresh


def test_reports_of_an_older_attempt_do_not_touch_the_present_one() -> None:
    preempted = replace(ended(1, AttemptState.PREEMPTED), category=Category.PREEMPTED)
    again = f.Queued("preempted", Category.PREEMPTED)
    job = told(*TO_DISPATCHED, preempted, again, placed(2), f.Dispatched(2))
    assert job.restarts_of(Category.PREEMPTED) == 1
    late = sieve(job, list(agent_events(1)))
    assert late.live == job.live
    assert late.state is JobState.DISPATCHED
    assert late.attempts[0].collected, "what it left is still welcome"
    assert not any(advances(job, event) for event in (*agent_events(0), *agent_events(3)))


def test_a_job_that_is_over_takes_in_its_outputs_and_nothing_else() -> None:
    over = told(*TO_DISPATCHED, ended(1), f.Finished(JobState.SUCCEEDED, ""))
    for event in agent_events(1)[:4]:
        assert not advances(over, event)
    assert sieve(over, list(agent_events(1))).attempts[0].collected
    for refused in (f.Queued("x", Category.INFRA), f.CancelAsked("li"), placed(2), ended(1)):
        with pytest.raises(Broken):
            after(over, refused)


@given(st.lists(EVENTS | AGENT_EVENTS, max_size=60))
@settings(max_examples=400, deadline=None)
def test_every_accepted_move_leaves_a_sound_job(events: list[f.Event]) -> None:
    job = told()
    history = [f.Fact(ID, 1, 10, "test", f.Submitted("li", "sha256:00"))]
    for event in (*TO_DISPATCHED, *events):
        reported = isinstance(event, f.Accepted | f.Starting | f.Started | f.Ended | f.Collected)
        if reported and not advances(job, event):
            continue
        fact = f.Fact(ID, job.seq + 1, 10 * job.seq + 10, "test", event)
        try:
            job = apply(job, fact)
        except Broken:
            assert not reported, "what the sieve lets through can follow"
            continue
        history.append(fact)
        assert_sound(job)
    assert fold(history) == job, "state is the fold of facts and of nothing else"


def test_waiting_states_and_site_states_and_final_states_share_nothing() -> None:
    assert len(WAITING) + len(AT_SITE) + len(FINAL) == len(WAITING | AT_SITE | FINAL)
    assert set(JobState) == WAITING | AT_SITE | FINAL | {JobState.FINISHING}
    assert set(AttemptState) == ENDED | set(JOB_STATE_OF)


def test_a_back_off_counts_from_its_fact_and_ends_with_the_next_placement() -> None:
    lost = f.Ended(1, AttemptState.LOST, Category.LOST, "gone", 0, 0, 0)
    over = told(*TO_DISPATCHED, lost)
    waits = apply(over, f.Fact(ID, over.seq + 1, 1000, "test", f.Queued("gone", Category.LOST, 20_000)))
    assert (waits.queued_ms, waits.retry_ms) == (21_000, 21_000)
    again = apply(waits, f.Fact(ID, waits.seq + 1, 21_000, "test", placed(2)))
    assert again.retry_ms == 0
    at_once = apply(over, f.Fact(ID, over.seq + 1, 1000, "test", f.Queued("gone", Category.LOST)))
    assert (at_once.queued_ms, at_once.retry_ms) == (1000, 0)


def test_a_held_job_goes_back_to_hold_not_to_the_queue() -> None:
    held = told(f.Queued(), f.HoldAsked("li"))
    assert held.state is JobState.HELD
    with pytest.raises(Broken):
        after(held, placed(1))
    assert after(held, f.Released("li")).state is JobState.QUEUED


def test_a_total_that_shrinks_or_follows_the_settlement_is_refused() -> None:
    job = told(*TO_DISPATCHED, f.Started(1, 5), f.Metered(1, 60, 100, 50, final=False))
    with pytest.raises(Broken):
        after(job, f.Metered(1, 70, 99, 60, final=False))
    with pytest.raises(Broken):
        after(job, f.Metered(1, 70, 200, 60, final=True))
    settled = after(after(job, ended(1)), f.Metered(1, 90, 120, 60, final=True))
    assert (settled.attempts[0].charge_micro, settled.attempts[0].settled) == (60, True)
    with pytest.raises(Broken):
        after(settled, f.Metered(1, 95, 130, 70, final=True))


def test_a_gap_a_repeat_and_another_jobs_fact_are_refused() -> None:
    job = told(f.Queued())
    for seq in (1, 2, 4):
        with pytest.raises(Broken):
            apply(job, f.Fact(ID, seq, 0, "test", f.HoldAsked("li")))
    with pytest.raises(Broken):
        apply(job, f.Fact(JobId("other"), 3, 0, "test", f.HoldAsked("li")))
    with pytest.raises(Broken):
        begin(f.Fact(ID, 1, 0, "test", f.Queued()))
    with pytest.raises(Broken):
        fold([])


def test_asking_twice_to_cancel_is_one_wish() -> None:
    job = told(f.Queued(), f.CancelAsked("li", "wrong data"))
    assert (job.cancel_by, job.cancel_reason) == ("li", "wrong data")
    with pytest.raises(Broken):
        after(job, f.CancelAsked("wang"))
