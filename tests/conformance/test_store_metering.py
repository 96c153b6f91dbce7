"""What every store tells of sources beside the ledger: records in force, tallies, and what was billed."""

from dataclasses import replace

from book_samples import EAST, P, charge, fund

from hutong.core.book.money import Posting
from hutong.core.book.received import Billed, Fate, Kept, Received, Tally
from hutong.core.book.store import Store

DAY_MS = 86_400_000


def record(name: str, revision: int = 1, day: int = 3, key: str = "k", quantity: int = 5) -> Received:
    return Received("bj", name, revision, key, "card_ms", quantity, day * DAY_MS, day * DAY_MS + 10)


def keep(store: Store, *records: Received) -> None:
    for each in records:
        store.receive(Kept(each, Fate.SUSPENDED, "why", "site:bj", 5))


def test_a_record_is_in_force_in_its_highest_revision_wherever_it_is_looked_for(store: Store) -> None:
    keep(store, record("a"), record("a", 2, quantity=6), record("b", key="other"), record("c", day=4))
    assert store.newest("bj", "none") is None
    newest = store.newest("bj", "a")
    assert newest is not None
    assert (newest.record.revision, newest.record.quantity) == (2, 6)
    on = store.records_on("bj", 3, "", 10)
    assert [(each.record.record, each.record.revision) for each in on] == [("a", 2), ("b", 1)]
    assert [each.record.record for each in store.records_on("bj", 3, "a", 10)] == ["b"]
    assert len(store.records_on("bj", 3, "", 1)) == 1
    assert store.records_on("sh", 3, "", 10) == ()
    assert [each.record.record for each in store.records_for("bj", ["k"])] == ["a", "c"]
    assert store.records_for("bj", []) == ()
    keep(store, record("a", 3, day=9))  # its end was corrected: it is on another day now
    assert [each.record.record for each in store.records_on("bj", 3, "", 10)] == ["b"]


def test_a_suspended_record_may_wait_for_another_reason_and_a_settled_one_may_not(store: Store) -> None:
    keep(store, record("a"))
    assert store.resolve(record("a"), Fate.SUSPENDED, "other", "x", 6).reason == "other"
    (waits,) = store.suspended(("", "", 0), 10)
    assert waits.reason == "other"
    store.resolve(record("a"), Fate.CONFIRMED, "same", "x", 7)
    found = store.received("bj", "a", 1)
    assert found is not None
    assert found.fate is Fate.CONFIRMED


def test_the_last_tally_of_a_day_counts(store: Store) -> None:
    first = Tally("bj", 3, 1, 10, 0, 2, 100)
    for each in (first, first, replace(first, count=2, card_ms=20, read_ms=200), replace(first, day=5)):
        store.tally(each)
    assert [(each.day, each.count) for each in store.tallies("bj", (0, 9))] == [(3, 2), (5, 1)]
    assert store.tallies("bj", (4, 5)) == ()
    assert store.tallies("sh", (0, 9)) == ()


def test_what_is_billed_is_net_of_corrections_and_found_by_site_and_time(store: Store) -> None:
    fund(store, "a1", 1000)
    for name, at_ms in (("k1", 10), ("k2", 20)):
        txn, used = charge(name, "a1", 100)
        made = replace(used, key=name, site=EAST, unit="card_ms", from_ms=at_ms - 5, upto_ms=at_ms)
        assert store.post(Posting((txn,), usage=(made,)))
    (one,) = store.billed(["k1", "none"])
    assert one == Billed("k1", P, one.card_ms, 5, 10)
    assert one.card_ms > 0
    assert store.billed_keys(EAST, (0, 100), "", 10) == ("k1", "k2")
    assert store.billed_keys(EAST, (0, 100), "k1", 10) == ("k2",)
    assert store.billed_keys(EAST, (0, 20), "", 10) == ("k1",)
    assert store.billed_keys("west", (0, 100), "", 10) == ()
    assert store.billed([]) == ()
