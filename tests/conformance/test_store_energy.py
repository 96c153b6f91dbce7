"""What every store keeps of meters: facts in revisions, their hours, and what hours came to."""

from dataclasses import replace

import pytest
from book_samples import EAST, charge, fund
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.book.audit import AuditQuery, Author
from hutong.core.book.energy import JobHour, JobUse, Match, Settled, SiteEnergy, SiteHour
from hutong.core.book.meters import (
    GAP_MAX_MS,
    METER,
    SETTLE_AFTER_MS,
    Batch,
    Counts,
    Measures,
    Meter,
    Reading,
)
from hutong.core.book.money import Posting
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Refused
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS

NOW = 100 * DAY_MS
MOST = 3_600_000_000  # a megawatt
FEED = Meter("feed-1", Measures.FACILITY, Counts.INTERVAL, "bj", MOST, "test", site="east")
REGISTER = Meter("reg-1", Measures.FACILITY, Counts.REGISTER, "bj", MOST, "test", site="east", wraps_at=10**9)
LI = Author("li", 7)


def interval(hour: int, value: int | None, hours: int = 1, meter: str = "feed-1") -> Reading:
    return Reading(meter, hour * HOUR_MS, (hour + hours) * HOUR_MS, value)


def shown(minute: int, value: int | None) -> Reading:
    at_ms = minute * 60_000
    return Reading("reg-1", at_ms, at_ms, value)


def add(store: Store, *readings: Reading, meter: Meter = FEED, why: str = "") -> tuple[int, int, int]:
    batch = Batch(meter, readings, "site:east", NOW, correct=bool(why), reason=why)
    found = store.read_meter(batch, author=LI)
    return found.news, found.repeats, found.hours


def hours(store: Store) -> list[tuple[str, int, int, int, int]]:
    found = store.meter_hours("east", (0, 10**6), (-1, ""), 1000)
    return [(each.meter, each.hour, each.value, each.covered_ms, each.spread_ms) for each in found]


def test_a_reading_is_kept_once_and_a_repeat_changes_nothing(store: Store) -> None:
    store.put(Record(METER, "feed-1", {}))
    assert add(store, interval(5, 100), interval(6, 200)) == (2, 0, 2)
    before = store.pulse()
    assert add(store, interval(5, 100), interval(6, 200)) == (0, 2, 0)
    assert hours(store) == [("feed-1", 5, 100, HOUR_MS, 0), ("feed-1", 6, 200, HOUR_MS, 0)]
    assert [each.revision for each in store.readings("feed-1", (0, NOW), 10)] == [1, 1]
    assert before <= store.pulse()
    (event,) = store.audit(AuditQuery(object=f"{METER}/feed-1"))
    assert (event.actor, event.action) == ("li", f"{METER}.read")


def test_another_reading_in_its_place_is_a_conflict_unless_it_corrects(store: Store) -> None:
    add(store, interval(5, 100))
    with pytest.raises(Conflict) as told:
        add(store, interval(6, 1), interval(5, 101))
    assert told.value.code == "reading_differs"
    assert hours(store) == [("feed-1", 5, 100, HOUR_MS, 0)]  # nothing by halves
    assert add(store, interval(5, 101), why="read wrongly") == (1, 0, 1)
    assert add(store, interval(5, 100)) == (0, 1, 0)  # a late repeat of what was corrected
    assert hours(store) == [("feed-1", 5, 101, HOUR_MS, 0)]
    kept = store.readings("feed-1", (0, NOW), 10)
    assert [(e.revision, e.reading.value, e.reason, e.by) for e in kept] == [
        (1, 100, "", "site:east"), (2, 101, "read wrongly", "site:east"),
    ]  # fmt: skip
    assert add(store, interval(5, None), why="there was none") == (1, 0, 1)
    assert hours(store) == []
    assert add(store, interval(5, 100), why="there was one") == (1, 0, 1)
    assert hours(store) == [("feed-1", 5, 100, HOUR_MS, 0)]


def test_overlaps_are_refused_and_a_taken_back_reading_makes_room(store: Store) -> None:
    add(store, interval(5, 100, hours=3))
    for wrong in (interval(6, 1), interval(4, 1, hours=2), interval(0, 1, hours=10)):
        with pytest.raises(Conflict) as told:
            add(store, wrong)
        assert told.value.code == "readings_overlap"
    add(store, interval(8, 1), interval(4, 1))  # what only touches does not overlap
    add(store, interval(5, None, hours=3), why="it was two readings")
    add(store, interval(5, 40), interval(6, 60, hours=2))
    assert [each[2] for each in hours(store)] == [1, 40, 30, 30, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        Reading("feed-1", 5, 5, 1),
        Reading("feed-1", 0, GAP_MAX_MS + 1, 1),
        Reading("feed-1", -5, HOUR_MS, 1),
        Reading("feed-1", NOW, NOW + 1, 1),
        Reading("feed-1", 0, HOUR_MS, MOST + 1),
        Reading("feed-1", 0, HOUR_MS, -1),
    ],
)
def test_what_a_meter_cannot_have_said_is_refused(store: Store, wrong: Reading) -> None:
    with pytest.raises(Refused) as told:
        add(store, interval(1, 5), wrong)
    assert told.value.problems[0].path == "/readings/1"
    assert hours(store) == []


def test_a_register_in_any_order_comes_to_the_same(store: Store) -> None:
    told = [shown(0, 0), shown(30, 500), shown(90, 1100), shown(120, 1500)]
    for each in (told[2], told[0], told[3], told[1]):
        add(store, each, meter=REGISTER)
    assert hours(store) == [("reg-1", 0, 800, HOUR_MS, 0), ("reg-1", 1, 700, HOUR_MS, 0)]
    add(store, shown(90, None), meter=REGISTER, why="the display was misread")
    assert hours(store) == [("reg-1", 0, 833, HOUR_MS, 1800_000), ("reg-1", 1, 667, HOUR_MS, HOUR_MS)]


def test_a_register_wraps_and_a_new_one_leaves_a_gap(store: Store) -> None:
    near = 10**9 - 100
    add(store, shown(0, near), shown(60, 400), meter=REGISTER)
    assert hours(store) == [("reg-1", 0, 500, HOUR_MS, 0)]
    # From 2e8 to 0 would be 8e8 in an hour: possible. From 9e8 to 5e7 in a minute is not: it was exchanged.
    add(store, shown(120, 900_000_000), shown(121, 50_000_000), shown(180, 50_000_590), meter=REGISTER)
    assert hours(store)[-1] == ("reg-1", 2, 590, 59 * 60_000, 0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_parts_sum_to_the_register_whatever_comes_when(spans: list[int], chance: object) -> None:
    store, minute, told = MemoryStore(), 0, [shown(0, 7)]
    for span in spans:
        minute += span
        told.append(shown(minute, 7 + minute * 1001))
    mixed = list(told)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    for each in mixed:
        add(store, each, meter=REGISTER)
    assert sum(each[2] for each in hours(store)) == minute * 1001
    assert sum(each[3] for each in hours(store)) == minute * 60_000


def settled(
    store: Store, site_hour: SiteHour, *jobs: JobHour, matches: tuple[Match, ...] = (), again: int = 0
) -> bool:
    (due,) = (each for each in store.due_hours(NOW, 10) if each.hour == site_hour.hour)
    return store.settle_hour(Settled(due, (site_hour,), jobs, matches, again))


HOUR = SiteHour("east", 5, "bj", 100, 80, 60, 20, 20, 60, 30, 5, 7, 6, 0, 0, HOUR_MS, 0, "test", NOW)


def test_an_hour_is_due_when_its_readings_change_and_not_while_nothing_came(store: Store) -> None:
    add(store, interval(5, 100))
    assert store.due_hours(6 * HOUR_MS + SETTLE_AFTER_MS - 1, 10) == ()
    job = JobHour("k", 5, "east", "p", 60, 15, 20, 3, 2, "modelled")
    match = Match("ppa", 5, "east", 30)
    assert settled(store, HOUR, job, matches=(match,), again=NOW + 1)
    assert store.due_hours(NOW, 10) == ()
    assert [each.hour for each in store.due_hours(NOW + 1, 10)] == [5]
    assert store.site_hours("east", (5, 6), 10) == (HOUR,)
    assert store.site_hours("east", (6, 7), 10) == ()
    sums = SiteEnergy("east", "test", 1, 100, 30, 5, 7, 6)
    assert store.site_energy(["west", "east"], (5, 6)) == (sums,)
    assert store.site_energy(["west"], (5, 6)) == store.site_energy(["east"], (6, 7)) == ()
    assert store.job_hours(["k", "other"], (0, 10), 10) == (job,)
    assert store.matches("east", (0, 10), 10) == (match,)
    add(store, interval(5, 90), why="again")  # due at once
    assert settled(store, replace(HOUR, metered_j=90, overhead_j=10))
    assert not store.job_hours(["k"], (0, 10), 10)
    assert not store.matches("east", (0, 10), 10)
    assert store.due_hours(NOW * 2, 10) == ()


def test_news_that_come_while_an_hour_is_settled_are_not_lost(store: Store) -> None:
    add(store, interval(5, 100))
    (due,) = store.due_hours(NOW, 10)
    add(store, interval(5, 90), why="meanwhile")
    assert not store.settle_hour(Settled(due, (HOUR,), (), (), 0))
    assert store.site_hours("east", (0, 10), 10) == ()
    assert len(store.due_hours(NOW, 10)) == 1


def told(store: Store, revision: int, energy_j: int | None) -> Received:
    record = Received("east", "r", revision, "k", "card_ms", 5, 5 * HOUR_MS, 7 * HOUR_MS, energy_j, "test")
    assert store.receive(Kept(record, Fate.SUSPENDED, "", "site:east", NOW)).record == record
    return record


def due(store: Store) -> list[int]:
    return [each.hour for each in store.due_hours(NOW, 10)]


def at_rest(store: Store, hour: int) -> None:
    assert settled(store, replace(HOUR, hour=hour))


def test_what_was_counted_is_kept_and_the_hours_that_it_changes_are_due(store: Store) -> None:
    add(store, *(interval(each, 100) for each in (4, 5, 6, 7)))
    for each in due(store):
        at_rest(store, each)
    first = told(store, 1, 9)
    assert due(store) == []  # nothing counts before it is matched with the book
    store.resolve(first, Fate.SUSPENDED, "waits", "x", NOW)
    assert due(store) == []
    for _ in range(2):  # a repeat changes nothing
        store.resolve(first, Fate.CONFIRMED, "same", "x", NOW)
        (kept,) = store.records_for("east", ["k"])
        assert kept.record == first
    assert due(store) == [5, 6]
    for each in due(store):
        at_rest(store, each)
    store.resolve(told(store, 2, None), Fate.CONFIRMED, "same", "x", NOW)  # it is counted no more
    assert due(store) == [5, 6]


def test_a_record_without_a_count_or_of_a_site_without_meters_makes_nothing_due(store: Store) -> None:
    add(store, interval(5, 100))
    at_rest(store, 5)
    store.resolve(told(store, 1, None), Fate.CONFIRMED, "same", "x", NOW)
    other = replace(told(store, 1, None), source="west", energy_j=5)
    store.receive(Kept(other, Fate.SUSPENDED, "", "site:west", NOW))
    store.resolve(other, Fate.CONFIRMED, "same", "x", NOW)
    assert due(store) == []


def test_hours_are_settled_again_when_asked_and_no_others(store: Store) -> None:
    add(store, *(interval(each, 100) for each in (4, 5, 6)))
    for each in due(store):
        at_rest(store, each)
    assert store.settle_again("bj", (5, 90), NOW) == 2
    assert due(store) == [5, 6]
    assert store.settle_again("sh", (0, 90), NOW) == 0
    (before,) = (each for each in store.due_hours(NOW, 10) if each.hour == 5)
    assert store.settle_again("bj", (5, 6), NOW + 1) == 1
    assert not store.settle_hour(Settled(before, (HOUR,), (), (), 0))  # it was read before that
    assert due(store) == [5, 6]


def test_the_use_of_an_hour_is_cut_exactly_also_of_very_long_records(store: Store) -> None:
    fund(store, "a1", 10**6)
    spans = {"k1": (HOUR_MS // 2, 3 * HOUR_MS), "k2": (0, 9 * DAY_MS), "k3": (2 * HOUR_MS, 3 * HOUR_MS)}
    for name, (from_ms, upto_ms) in spans.items():
        txn, used = charge(name, "a1", 100)
        made = replace(
            used, key=name, site=EAST, unit="card_ms", sku="h800", quantity=10**7 + 1,
            from_ms=from_ms, upto_ms=upto_ms,
        )  # fmt: skip
        assert store.post(Posting((txn,), usage=(made,)))
    assert [each.key for each in store.card_ms_in(EAST, 1)] == ["k1", "k2"]
    assert store.card_ms_in("west", 1) == ()
    assert store.card_ms_in(EAST, 9 * 24) == ()
    total: dict[str, int] = {}
    for hour in range(9 * 24):
        for each in store.card_ms_in(EAST, hour):
            assert isinstance(each, JobUse)
            total[each.key] = total.get(each.key, 0) + each.card_ms
    assert total == dict.fromkeys(spans, 10**7 + 1)
