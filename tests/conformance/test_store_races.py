"""What every store promises when many use it at once, and when a process dies in the middle."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from book_samples import EAST, P, charge, fund, hold, job_id, key_of, overspend, place, repayment, wish

from hutong.adapters.store.open import open_store
from hutong.core.book.money import Posting, Turn, overrun_account
from hutong.core.book.store import JobQuery, Record, Store
from hutong.core.kernel.errors import Conflict

WAIT_S = 60


def at_once(count: int, work: Callable[[int], str]) -> Counter[str]:
    """Run `work` in threads that start together; return how often each answer came."""
    gate = threading.Barrier(count)
    answers: list[str] = []

    def one(n: int) -> None:
        gate.wait(WAIT_S)
        try:
            answers.append(work(n))
        except Exception as error:
            answers.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(answers) == count
    return Counter(answers)


def test_threads_that_race_for_a_lot_never_overspend_it(store: Store) -> None:
    fund(store, "a1", 1000)

    def take_hold(n: int) -> str:
        taken = 0
        for step in range(5):
            try:
                store.post(Posting(holds=(hold(f"h{n}-{step}", ("a1", 70)),)))
                taken += 1
            except Conflict as error:
                if error.code != "insufficient_funds":
                    raise
        return str(taken)

    answers = at_once(8, take_hold)
    assert sum(int(taken) * count for taken, count in answers.items()) == 14
    assert store.lots(P)[0].held_micro == 980
    assert store.check_ledger().faults == ()


def test_threads_that_pay_back_a_debt_at_once_never_pay_back_more_than_is_owed(store: Store) -> None:
    fund(store, "a1", 10_000)
    overspend(store, "1", 1000)

    def pay(n: int) -> str:
        paid = 0
        for step in range(5):
            try:
                paid += store.post(Posting((repayment(f"r{n}-{step}", "a1", 70),)))
            except Conflict as error:
                if error.code != "debt_repaid":
                    raise
        return str(paid)

    answers = at_once(8, pay)
    assert sum(int(paid) * count for paid, count in answers.items()) == 14
    assert store.balances([overrun_account(P)])[0].amount_micro == -20
    assert store.lots(P)[0].posted_micro == 10_000 - 980
    assert store.check_ledger().faults == ()


def test_of_threads_that_work_out_of_the_same_turn_one_books(store: Store) -> None:
    fund(store, "a1", 1000)
    for first in (True, False):  # a project's first turn has no row yet
        turn = store.turn(P)
        assert turn.number == (0 if first else 1)

        def book(n: int, turn: Turn = turn) -> str:
            txn, used = charge("k", "a1", 10, step=turn.number * 100 + n)
            try:
                return str(store.post(Posting((txn,), usage=(used,)), turn=turn))
            except Conflict as error:
                return error.code

        assert at_once(8, book) == {"True": 1, "turn": 7}
    assert store.turn(P).number == 2
    assert len(store.usage(P, "", "", 100)) == 2, "what was out of turn left nothing"


def test_the_same_posting_from_many_threads_counts_once(store: Store) -> None:
    fund(store, "a1", 1000)
    txn, used = charge("k", "a1", 10)
    answers = at_once(8, lambda n: str(store.post(Posting((txn,), usage=(used,)))))
    assert answers == {"True": 1, "False": 7}
    assert store.lots(P)[0].posted_micro == 990


def test_the_same_wish_from_many_threads_is_one_job(store: Store) -> None:
    answers = at_once(8, lambda n: str(store.submit([wish(n, key="k")], 100)[0].job))
    assert len(answers) == 1
    assert len(store.jobs(JobQuery())) == 1


def test_a_start_that_many_ask_for_is_dispatched_once(store: Store) -> None:
    place(store, 1, 100)
    answers = at_once(8, lambda n: str([taken.key for taken in store.take(EAST, 0, 10, 200)]))
    assert answers == {str([key_of(1)]): 8}
    kinds = [fact.event.kind for fact in store.facts(job_id(1), 0, 100)]
    assert kinds == ["submitted", "queued", "placed", "dispatched"]


def test_one_of_many_leads(store: Store) -> None:
    answers = at_once(8, lambda n: str(store.lead(f"loop {n}", 0, 1000)))
    assert answers == {"1": 1, "None": 7}


WRITER = """
import sys
from book_samples import P, fund, hold, wish
from hutong.adapters.store.open import open_store
from hutong.core.book.money import Posting
from hutong.core.kernel.errors import Conflict
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(url)
taken = 0
for n in range(count):
    base = 1000 * (1 + int(name)) + n * 10
    store.submit([wish(base + i, key=f"{name}-{n}-{i}") for i in range(10)], 100)
    try:
        store.post(Posting(holds=(hold(f"h{name}-{n}", ("a1", 7)),)))
        taken += 1
    except Conflict:
        pass
    print(taken, flush=True)
store.close()
"""


def start_writer(url: str, name: int, count: int) -> subprocess.Popen[str]:
    here = os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(name), str(count)],
        env={**os.environ, "PYTHONPATH": here},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(params=["sqlite", "postgres"])
def shared_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    return str(request.getfixturevalue("new_database")())


def test_two_processes_share_a_store(shared_url: str) -> None:
    store = open_store(shared_url)
    fund(store, "a1", 200)
    before = store.pulse()
    writers = [start_writer(shared_url, name, 20) for name in (1, 2)]
    ends = [writer.communicate(timeout=WAIT_S)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sum(int(lines[-1]) for lines in ends) == 28
    assert store.lots(P)[0].held_micro == 196
    assert len(store.jobs(JobQuery(limit=1000))) == 400
    assert store.pulse() != before
    assert store.check_ledger().faults == ()
    store.close()


def test_a_killed_writer_leaves_whole_transactions_and_no_lock(shared_url: str) -> None:
    store = open_store(shared_url)
    fund(store, "a1", 10**9)
    with start_writer(shared_url, 1, 10**6) as writer:
        deadline = time.monotonic() + WAIT_S
        while len(store.jobs(JobQuery(limit=1000))) < 100:
            assert time.monotonic() < deadline
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
    rows = store.jobs(JobQuery(limit=1000))
    assert len(rows) % 10 == 0
    assert all(len(store.facts(row.job.id, 0, 10)) == 1 for row in rows)
    assert store.check_ledger().faults == ()
    store.submit([wish(1)], 100)
    assert store.post(Posting(holds=(hold("after", ("a1", 1)),)))
    store.close()


def test_threads_that_race_for_a_counter_and_a_claim_write_both_or_neither(store: Store) -> None:
    """Each adds one to a counter and writes a document of its own, or learns that it was too late."""

    def add(n: int) -> str:
        for step in range(5):
            kept = store.get("counter", "c") or Record("counter", "c", {"n": 0})
            count = kept.doc["n"]
            assert isinstance(count, int)
            counted = (Record("counter", "c", {"n": count + 1}), kept.version)
            mine = (Record("mine", f"{n}-{step}", {}), 0)
            try:
                store.put_all([counted, mine] if n % 2 else [mine, counted])
            except Conflict as conflict:
                if conflict.code not in {"version", "exists"}:
                    raise
        return "done"

    assert at_once(6, add) == {"done": 6}
    counter = store.get("counter", "c")
    assert counter is not None
    assert counter.doc["n"] == len(store.records("mine", "", "", 100)) >= 5
