"""What every store promises about jobs: wishes, what users ask later, lists and facts."""

import pytest
from book_samples import (
    EAST,
    P,
    Q,
    decide,
    ended,
    finish,
    job_id,
    key_of,
    place,
    queue,
    run,
    sighting,
    turn,
    wish,
)

from hutong.core.book.snapshot import Limits
from hutong.core.book.store import JobQuery, Store
from hutong.core.kernel.errors import Conflict, NotFound, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work import facts as f
from hutong.core.work import fold
from hutong.core.work.states import JobState


def test_a_wish_becomes_a_job_with_its_first_fact(store: Store) -> None:
    assert [each.job for each in store.submit([wish(1), wish(2, Q)], 100)] == [job_id(1), job_id(2)]
    row = store.job(job_id(1))
    assert row is not None
    assert (row.project, row.spec, row.job.state, row.job.by) == (P, wish(1).spec, JobState.ACCEPTED, "ann")
    assert (row.job.seq, row.job.submitted_ms) == (1, 100)
    (fact,) = store.facts(job_id(1), 0, 10)
    assert fact == f.Fact(job_id(1), 1, 100, "user:ann", f.Submitted("ann", "spec1"))
    assert store.job(job_id(3)) is None


def test_the_same_key_is_the_same_job_and_another_request_is_a_conflict(store: Store) -> None:
    store.submit([wish(1, key="k")], 100)
    again, other, fresh = store.submit(
        [wish(2, key="k"), wish(3, key="k", digest="other"), wish(4, Q, key="k")], 200
    )
    assert (again.job, again.repeated, again.conflict) == (job_id(1), True, False)
    assert (other.job, other.repeated, other.conflict) == (job_id(1), False, True)
    assert (fresh.job, fresh.repeated, fresh.conflict) == (job_id(4), False, False)
    assert [row.job.id for row in store.jobs(JobQuery())] == [job_id(4), job_id(1)]


def test_a_key_that_comes_twice_in_one_batch_is_one_job(store: Store) -> None:
    first, again, other = store.submit(
        [wish(1, key="k"), wish(2, key="k"), wish(3, key="k", digest="x")], 100
    )
    assert (first.job, first.repeated) == (job_id(1), False)
    assert (again.job, again.repeated) == (job_id(1), True)
    assert other.conflict
    assert len(store.jobs(JobQuery())) == 1


def test_a_batch_with_a_known_id_stores_nothing(store: Store) -> None:
    store.submit([wish(1)], 100)
    with pytest.raises(Conflict):
        store.submit([wish(2), wish(1)], 200)
    with pytest.raises(Conflict):
        store.submit([wish(3), wish(3)], 200)
    assert [row.job.id for row in store.jobs(JobQuery())] == [job_id(1)]


def test_text_that_has_no_json_form_is_refused_and_stores_nothing(store: Store) -> None:
    bad = f.CancelAsked("ann", "\ud800")
    store.submit([wish(1)], 100)
    with pytest.raises(Refused):
        store.ask(job_id(1), bad, 200)
    row = store.job(job_id(1))
    assert row is not None
    assert row.job.seq == 1


def test_a_large_batch_is_written_whole(store: Store) -> None:
    store.submit([wish(n, key=f"k{n}") for n in range(1, 1203)], 100)
    answers = store.submit([wish(2000 + n, key=f"k{n}") for n in range(1, 1203)], 200)
    assert [each.job for each in answers] == [job_id(n) for n in range(1, 1203)]
    assert all(each.repeated for each in answers)


def test_cancel_is_remembered_once_and_the_loop_looks(store: Store) -> None:
    queue(store, 1, 100)
    job = store.ask(job_id(1), f.CancelAsked("ann", "typo"), 200)
    assert (job.cancel_by, job.cancel_reason, job.seq) == ("ann", "typo", 3)
    assert store.ask(job_id(1), f.CancelAsked("bob"), 300) == job
    snapshot = store.snapshot(300, Limits())
    assert [row.job for row in snapshot.due] == [job]
    assert snapshot.queue == ()


def test_hold_and_release(store: Store) -> None:
    queue(store, 1, 100)
    assert store.ask(job_id(1), f.HoldAsked("ann"), 200).state is JobState.HELD
    assert store.ask(job_id(1), f.HoldAsked("ann"), 201).seq == 3
    assert store.snapshot(199, Limits()).queue == ()
    assert store.ask(job_id(1), f.Released("ann"), 300).state is JobState.QUEUED
    assert store.ask(job_id(1), f.Released("ann"), 301).seq == 4


def test_asking_too_late_is_a_conflict_and_for_nothing_not_found(store: Store) -> None:
    run(store, 1, 100)
    with pytest.raises(Conflict) as late:
        store.ask(job_id(1), f.HoldAsked("ann"), 200)
    assert late.value.code == "too_late"
    finish(store, 1, 300)
    for event in (f.CancelAsked("ann"), f.HoldAsked("ann"), f.Released("ann")):
        with pytest.raises(Conflict):
            store.ask(job_id(1), event, 400)
    with pytest.raises(NotFound):
        store.ask(job_id(9), f.CancelAsked("ann"), 400)


def test_pages_of_jobs_are_newest_first_bounded_and_filtered(store: Store) -> None:
    store.submit([wish(n, P if n % 2 else Q) for n in range(1, 31)], 100)
    for n in (3, 4, 5):
        turn(store, 200, decide(store, n, 200, f.Queued()))

    def listed(**query: object) -> list[int]:
        rows = store.jobs(JobQuery(**query))  # type: ignore[arg-type]
        return [next(n for n in range(1, 31) if job_id(n) == row.job.id) for row in rows]

    assert listed(limit=3) == [30, 29, 28]
    assert listed(limit=3, before=job_id(28)) == [27, 26, 25]
    assert listed(projects=frozenset({P}), limit=2) == [29, 27]
    assert listed(projects=frozenset({P, Q}), limit=2) == [30, 29]
    assert listed(states=frozenset({"QUEUED"})) == [5, 4, 3]
    assert listed(states=frozenset({"QUEUED", "ACCEPTED"}), limit=4, before=job_id(7)) == [6, 5, 4, 3]
    assert listed(projects=frozenset({P}), states=frozenset({"QUEUED"}), before=job_id(5)) == [3]
    many = frozenset({P, *(f"p{n}" for n in range(300))})
    assert listed(projects=many, states=frozenset({"QUEUED"})) == [5, 3]
    assert listed(projects=frozenset()) == []
    assert listed(limit=0) == []


def test_no_page_is_longer_than_a_thousand(store: Store) -> None:
    store.submit([wish(n) for n in range(1, 1011)], 100)
    assert len(store.jobs(JobQuery(limit=10**9))) == 1000
    assert len(store.jobs(JobQuery(limit=-1))) == 0


def test_facts_come_in_order_and_fold_to_the_job(store: Store) -> None:
    run(store, 1, 100)
    finish(store, 1, 200)
    facts = store.facts(job_id(1), 0, 100)
    row = store.job(job_id(1))
    assert row is not None
    assert [fact.seq for fact in facts] == list(range(1, 8))
    assert [fact.event.kind for fact in facts] == [
        "submitted",
        "queued",
        "placed",
        "dispatched",
        "started",
        "ended",
        "finished",
    ]
    assert fold.fold(facts) == row.job
    assert store.facts(job_id(1), 5, 1) == facts[5:6]
    assert store.facts(job_id(9), 0, 10) == ()


def test_every_kind_of_fact_comes_back_as_it_went(store: Store) -> None:
    run(store, 1, 100)
    turn(
        store,
        200,
        decide(
            store, 1, 200, f.StopSent(1, ended().category, "walltime"), f.Metered(1, 150, 50, 7, final=False)
        ),
    )
    files = (f.OutputFile("a/模型.bin", 3, "sha256:00"),)
    reports = [f.Report(key_of(1), ended()), f.Report(key_of(1), f.Collected(1, files, 12, "rank 1: none"))]
    assert store.report(EAST, reports, sighting(250), 300).news == 2
    facts = store.facts(job_id(1), 0, 100)
    row = store.job(job_id(1))
    assert row is not None
    assert facts[-1].event == reports[1].event
    assert facts[-2].event == ended()
    assert row.job.attempts[0].outputs == files
    assert fold.fold(facts) == row.job


def test_a_receipt_is_kept_byte_by_byte(store: Store) -> None:
    place(store, 1, 100)
    assert store.receipt(key_of(1)) == b'{"why":"fits"}'
    assert store.receipt(AttemptKey("ht-none")) is None


def test_the_bell_rings_for_every_write_and_only_then(store: Store) -> None:
    before = store.pulse()
    store.submit([wish(1)], 100)
    after = store.pulse()
    assert after != before

    def stays_silent() -> bool:
        quiet = store.pulse()
        store.jobs(JobQuery())
        store.snapshot(200, Limits())
        return store.pulse() == quiet

    # Of PostgreSQL the whole server is heard, other tests' databases too: once in silence is proof enough.
    assert any(stays_silent() for _ in range(50))
    after = store.pulse()
    store.ask(job_id(1), f.CancelAsked("ann"), 200)
    assert store.pulse() != after
