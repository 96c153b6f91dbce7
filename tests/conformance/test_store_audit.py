"""What every store promises about the audit: each change told in its own transaction, all in one chain."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from book_samples import P, fund

from hutong.adapters.store.open import open_store
from hutong.core.book.audit import HIDDEN, AuditEvent, AuditQuery, Author, event_document
from hutong.core.book.money import ISSUED, Entry, Lot, LotKind, Posting, Txn, lot_account
from hutong.core.book.periods import PeriodState
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.book.store import Record, Store
from hutong.core.kernel.chain import ChainCheck, verify
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import LotId

LI = Author("li", 1_000, address="192.0.2.1", reason="为了测试")
WAIT_S = 60


def events(store: Store, **query: object) -> tuple[AuditEvent, ...]:
    return store.audit(AuditQuery(**query))  # type: ignore[arg-type]


def check(store: Store) -> ChainCheck:
    return verify(event_document(event) for event in events(store, limit=1000))


def test_a_change_is_told_with_what_was_and_what_is(store: Store) -> None:
    store.put(Record("project", "p", {"title": "a"}), author=LI)
    store.put(Record("project", "p", {"title": "b"}), expect=1, author=LI)
    assert store.remove("project", "p", author=LI)
    told = [event_document(event) for event in events(store)]
    assert [(each["seq"], each["action"], each["before"], each["after"]) for each in told] == [
        (1, "project.create", None, {"title": "a"}),
        (2, "project.change", {"title": "a"}, {"title": "b"}),
        (3, "project.remove", {"title": "b"}, None),
    ]
    assert {(each["actor"], each["object"], each["reason"]) for each in told} == {
        ("li", "project/p", "为了测试")
    }
    assert check(store).faults == ()


def test_what_did_not_happen_is_not_told(store: Store) -> None:
    store.put(Record("project", "p", {}))
    for expect in (0, 7):
        with pytest.raises(Conflict):
            store.put(Record("project", "p", {"x": 1}), expect=expect, author=LI)
    assert store.put(Record("project", "p", {}), author=LI).version == 2
    assert not store.remove("project", "q", author=LI)
    assert events(store) == ()


def test_secrets_are_not_in_the_audit(store: Store) -> None:
    store.put(Record("person", "li", {"password": "$argon2id$x", "name": "Li"}), author=LI)
    store.put(Record("token", "t", {"digest": "abc", "owner": "li"}, lookup="abc"), author=LI)
    store.put(Record("secret", "p/S", {"sealed": "gAAAA"}), author=LI)
    store.put(Record("model", "m", {"digest": "sha256:1"}), author=LI)
    told = [event_document(event)["after"] for event in events(store)]
    assert told == [
        {"password": HIDDEN, "name": "Li"},
        {"digest": HIDDEN, "owner": "li"},
        {"sealed": HIDDEN},
        {"digest": "sha256:1"},
    ]
    store.put(Record("device", "d", {"digest": "abc", "state": "approved"}, lookup="ABCD"), author=LI)
    store.put(Record("second_factor", "li", {"sealed": "gAAAA", "recovery": ["abc"]}), author=LI)
    told = [event_document(event)["after"] for event in events(store)[-2:]]
    assert told == [{"digest": HIDDEN, "state": "approved"}, {"sealed": HIDDEN, "recovery": HIDDEN}]


def test_money_is_told_once_however_often_it_is_sent(store: Store) -> None:
    lot = Lot(LotId("a9"), P, LotKind.AWARD, 1_000_000, 0, 10**15)
    fill = Txn("fill:a9", "award", P, 5, "lot:a9", (Entry(ISSUED, -7), Entry(lot_account(lot.id), 7)))
    assert store.open_lot(lot, fill, author=LI)
    assert not store.open_lot(lot, fill, author=LI)
    back = Txn("back:a9", "refund", P, 6, "lot:a9", (Entry(lot_account(lot.id), -2), Entry(ISSUED, 2)))
    assert store.post(Posting((back,)), author=LI)
    assert not store.post(Posting((back,)), author=LI)
    told = events(store)
    assert [(each.action, each.object) for each in told] == [
        ("award.create", "lot/a9"),
        ("refund.post", "txn/back:a9"),
    ]
    assert event_document(told[0])["after"] == {
        "id": "a9", "project": P, "kind": "award", "rate_ppm": 1_000_000, "starts_ms": 0, "ends_ms": 10**15,
        "txn": "fill:a9", "cause": "lot:a9",
        "entries": [[ISSUED, -7], [lot_account(lot.id), 7]],
    }  # fmt: skip
    assert check(store).faults == ()


def test_terms_of_a_lot_are_told_when_they_change(store: Store) -> None:
    fund(store, "a1", 7)
    before = store.lots(P)[0]
    for _ in range(2):  # a repeat is no change
        store.span_lot(before.id, 10, 90, author=LI)
    for now_ms in (50, 60):
        store.claim_lot(before.id, now_ms, author=LI)
    store.claim_lot(before.id, 40)  # nobody's doing
    told = [event_document(each) for each in events(store)]
    assert [(each["action"], each["object"]) for each in told] == [
        ("award.change", "lot/a1"),
        ("award.claim", "lot/a1"),
    ]
    spans = [
        (each[side]["starts_ms"], each[side]["ends_ms"], each[side].get("clawed", False))  # type: ignore[index]
        for each in told
        for side in ("before", "after")
    ]
    assert spans == [
        (before.starts_ms, before.ends_ms, False),
        (10, 90, False),
        (10, 90, False),
        (10, 50, True),
    ]
    assert check(store).faults == ()


def test_who_closed_a_period_and_who_settled_what_was_in_suspense_is_told(store: Store) -> None:
    fund(store, "a1", 7)
    name = store.periods()[0].id
    late = 10**14
    for state in (PeriodState.CLOSING, PeriodState.CLOSING, PeriodState.CLOSED):
        store.move_period(name, state, late, "li", "seen", author=LI)
    use = Received("meter", "r1", 1, "nobody's", "card_ms", 5, 0, 9)
    store.receive(Kept(use, Fate.SUSPENDED, "no attempt", "meter", 10))
    for _ in range(2):
        store.resolve(use, Fate.DISMISSED, "a test of the meter", "li", 20, author=LI)
    told = [event_document(each) for each in events(store)]
    assert [(each["action"], each["object"]) for each in told] == [
        ("period.change", f"period/{name}"),
        ("period.change", f"period/{name}"),
        ("use.dismissed", "use/meter/r1/1"),
    ]
    states = [(each["before"]["state"], each["after"]["state"]) for each in told[:2]]  # type: ignore[index]
    assert states == [("open", "closing"), ("closing", "closed")]
    fates = [told[2][side]["fate"] for side in ("before", "after")]  # type: ignore[index]
    assert fates == ["suspended", "dismissed"]


def test_events_are_listed_both_ways_and_by_actor_and_object(store: Store) -> None:
    for n in range(1, 6):
        store.put(Record("k", f"d{n % 2}", {"n": n}), author=Author(f"a{n % 3}", n))
    numbers = [each.seq for each in events(store, newest_first=True, limit=2)]
    assert numbers == [5, 4]
    assert [each.seq for each in events(store, newest_first=True, before=4)] == [3, 2, 1]
    assert [each.seq for each in events(store, after=3)] == [4, 5]
    assert [each.seq for each in events(store, actor="a2")] == [2, 5]
    assert [each.seq for each in events(store, object="k/d1", newest_first=True)] == [5, 3, 1]


def test_many_writers_at_once_keep_one_chain(store: Store) -> None:
    gate = threading.Barrier(6)

    def write(writer: int) -> None:
        gate.wait(WAIT_S)
        for n in range(10):
            store.put(Record("k", f"{writer}-{n}", {}), author=Author(str(writer), n))
            store.put(Record("k", "shared", {"by": writer, "n": n}), author=Author(str(writer), n))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    found = check(store)
    assert (found.events, found.head.seq, found.faults) == (120, 120, ())


_WRITER = """
import sys
from hutong.adapters.store.open import open_store
from hutong.core.book.audit import Author
from hutong.core.book.store import Record
store = open_store(sys.argv[1])
for n in range(10**6):
    store.put(Record("k", f"{n:07}", {"n": n}), author=Author("w", n))
    print(n, flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite_url", "new_database"])
def test_a_killed_writer_leaves_a_change_with_its_event_or_neither(
    kind: str, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(kind)
    url = made if isinstance(made, str) else made()
    store = open_store(url)
    fund(store, "a1", 1)
    command = [sys.executable, "-c", _WRITER, url]
    with subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE) as writer:
        deadline = time.monotonic() + WAIT_S
        while not events(store, after=50, limit=1):
            assert time.monotonic() < deadline
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
    told = [each.object.removeprefix("k/") for each in events(store, limit=1000)]
    there = [each.id for each in store.records("k", "", "", 1000)]
    assert told == there
    assert check(store).faults == ()
    store.put(Record("k", "after", {}), author=LI)
    assert check(store).faults == ()
    store.close()
