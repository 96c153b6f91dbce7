"""What every store promises about arrays: who is in one, how few run at once, and asking all of them."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from book_samples import P, epoch_of, wish

from hutong.adapters.store.open import open_store
from hutong.core.book.snapshot import JobOutcome, Limits, Outcome
from hutong.core.book.store import JobQuery, NewJob, Store
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.arrays import Array, array_of, job_at, place_of, read_array
from hutong.core.kernel.errors import Conflict, HutongError, Refused
from hutong.core.kernel.ids import JobId, ulid
from hutong.core.work import facts as f
from hutong.core.work import fold
from hutong.core.work.states import FINAL, JobState

NAME = array_of(ulid(2_000_000, b"0123456789"))
OTHER = array_of(ulid(2_000_000, b"0123456\xff\xff\xff"))


def wishes(array: Array, name: str = NAME, key: str = "") -> list[NewJob]:
    """Return the wishes of an array's jobs."""
    one = wish(1)
    return [
        replace(
            one,
            id=job_at(name, place),
            spec=replace(one.spec, array=array),
            idempotency_key=key and f"{key}/{place}",
        )
        for place in range(1, array.count + 1)
    ]


def states(store: Store, name: str = NAME) -> dict[str, list[int]]:
    """Return the places of an array's jobs by state, all of them."""
    found: dict[str, list[int]] = {}
    for row in reversed(store.jobs(JobQuery(least=name, before=job_at(name, 1001), limit=1000))):
        found.setdefault(row.job.state.value, []).append(place_of(row.job.id))
    return found


def advance(store: Store, now_ms: int) -> None:
    """Take one real turn."""
    outcome = turn(store.snapshot(now_ms, Limits()), Rules())
    assert outcome.broken == ()
    store.apply(outcome, epoch_of(store), now_ms)


def end(store: Store, jobs: Sequence[JobId], now_ms: int) -> None:
    """Let queued jobs be over, in one turn."""
    some = []
    for job in jobs:
        row = store.job(job)
        assert row is not None
        assert row.spec.array is not None
        fact = f.Fact(job, row.job.seq + 1, now_ms, "loop", f.Finished(JobState.EXPIRED, "late"))
        after, limit = fold.apply(row.job, fact), row.spec.array.at_once
        some.append(JobOutcome(job, P, row.job.seq, (fact,), after, None, row.spec, at_once=limit))
    store.apply(Outcome(tuple(some)), epoch_of(store), now_ms)


def test_an_array_is_a_span_of_ids_and_costs_no_look_at_others(store: Store) -> None:
    store.submit([*wishes(read_array("0-4")), *wishes(read_array("0-2"), OTHER), wish(7)], 100)
    assert store.array_states(NAME) == {"ACCEPTED": 5}
    assert store.array_states(OTHER) == {"ACCEPTED": 3}
    assert store.array_states(array_of(ulid(3_000_000, bytes(10)))) == {}
    advance(store, 100)
    assert store.array_states(NAME) == {"QUEUED": 5}
    query = JobQuery(least=NAME, before=job_at(NAME, 4), limit=2)
    assert [row.job.id for row in store.jobs(query)] == [job_at(NAME, 3), job_at(NAME, 2)]


def test_beyond_the_limit_jobs_begin_one_by_one_as_others_end(store: Store) -> None:
    store.submit(wishes(read_array("0-6%2")), 100)
    for _ in range(3):
        advance(store, 200)
    assert states(store) == {"QUEUED": [1, 2], "ACCEPTED": [3, 4, 5, 6, 7]}
    end(store, [job_at(NAME, 2)], 300)
    assert states(store)["ACCEPTED"] == [3, 4, 5, 6, 7]
    advance(store, 300)
    assert states(store) == {"QUEUED": [1, 3], "EXPIRED": [2], "ACCEPTED": [4, 5, 6, 7]}
    end(store, [job_at(NAME, 1), job_at(NAME, 3)], 400)
    advance(store, 400)
    assert states(store) == {"QUEUED": [4, 5], "EXPIRED": [1, 2, 3], "ACCEPTED": [6, 7]}


def test_a_cancelled_one_that_waits_makes_no_room_and_holds_none(store: Store) -> None:
    store.submit(wishes(read_array("0-5%2")), 100)
    advance(store, 100)
    store.ask(job_at(NAME, 3), f.CancelAsked("ann"), 200)
    store.ask(job_at(NAME, 1), f.CancelAsked("ann"), 200)
    advance(store, 200)
    advance(store, 200)
    assert states(store) == {"QUEUED": [2, 4], "CANCELLED": [1, 3], "ACCEPTED": [5, 6]}
    end(store, [job_at(NAME, 2)], 300)
    store.ask(job_at(NAME, 5), f.CancelAsked("ann"), 300)  # it was to begin
    advance(store, 300)
    advance(store, 300)
    assert states(store) == {"QUEUED": [4, 6], "CANCELLED": [1, 3, 5], "EXPIRED": [2]}


def test_one_that_waits_for_its_array_cannot_be_held_and_its_release_is_no_news(store: Store) -> None:
    store.submit(wishes(read_array("0-2%1")), 100)
    with pytest.raises(Conflict) as told:
        store.ask(job_at(NAME, 2), f.HoldAsked("ann"), 100)
    assert told.value.code == "array_limit"
    assert store.ask(job_at(NAME, 2), f.Released("ann"), 100).seq == 1
    advance(store, 100)
    assert store.ask(job_at(NAME, 1), f.HoldAsked("ann"), 200).state is JobState.HELD
    advance(store, 200)
    assert states(store) == {"HELD": [1], "ACCEPTED": [2, 3]}


def test_all_can_be_asked_at_once_and_a_repeat_is_no_news(store: Store) -> None:
    array = read_array("0-4%2")
    store.submit(wishes(array), 100)
    advance(store, 100)
    end(store, [job_at(NAME, 1)], 200)
    jobs = [job_at(NAME, place) for place in range(1, 8)]  # some are not there
    bad = f.CancelAsked("ann", "\ud800")
    with pytest.raises(Refused):
        store.ask_all(jobs, bad, 300)
    assert store.ask_all(jobs, f.HoldAsked("ann"), 300) == 2
    assert store.ask_all(jobs, f.CancelAsked("ann", "typo"), 300) == 4
    assert store.ask_all(jobs, f.CancelAsked("bob"), 301) == 0
    assert store.ask_all([], f.CancelAsked("bob"), 301) == 0
    advance(store, 400)
    assert states(store) == {"EXPIRED": [1], "CANCELLED": [2, 3, 4, 5]}
    fact = store.facts(jobs[4], 1, 1)[0]
    assert (fact.source, fact.event) == ("user:ann", f.CancelAsked("ann", "typo"))
    assert store.array_states(NAME) == {"EXPIRED": 1, "CANCELLED": 4}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_no_more_run_than_may_none_is_forgotten_and_stores_agree(
    store: Store, seed: int
) -> None:
    chance, limit = random.Random(seed), 2 + seed
    stores = (store, open_store("memory:"))
    for each in stores:
        each.submit(wishes(read_array(f"0-19%{limit}")), 100)
    for now_ms in range(200, 400):
        found = states(store)
        assert states(stores[1]) == found
        if all(state in FINAL for state in found):
            break
        begun = sum(len(jobs) for state, jobs in found.items() if state not in {*FINAL, "ACCEPTED"})
        assert begun <= limit
        queued = [job_at(NAME, place) for place in found.get("QUEUED", ())]
        over = [job for job in queued if chance.random() < 0.5]
        asked = job_at(NAME, chance.randint(1, 20))
        event = chance.choice([f.CancelAsked("ann"), f.HoldAsked("ann"), f.Released("ann"), None, None])
        early = chance.random() < 0.5
        for each in stores:
            if early:
                end(each, over, now_ms)
            if event is not None:
                ask(each, asked, event, now_ms)
            advance(each, now_ms)
            if not early:
                end(each, [job for job in over if is_queued(each, job)], now_ms)
            for place in found.get("HELD", ()):
                ask(each, job_at(NAME, place), f.Released("ann"), now_ms)
    assert sum(map(len, states(store).values())) == 20
    assert states(store).keys() <= FINAL


def is_queued(store: Store, job: JobId) -> bool:
    """Return whether a job still stands in the queue."""
    row = store.job(job)
    return row is not None and row.job.state is JobState.QUEUED


def ask(store: Store, job: JobId, event: f.CancelAsked | f.HoldAsked | f.Released, now_ms: int) -> None:
    """Ask, in vain or not."""
    try:
        store.ask(job, event, now_ms)
    except HutongError:
        return
