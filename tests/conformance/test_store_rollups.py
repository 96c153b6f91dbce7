"""Sums by hour, day and month: every store keeps what the records, transactions and jobs say."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import sqlalchemy as sa
from book_samples import EAST, SPEC, P, Q, decide, finish, fund, job_id, place, queue, run, turn, wish
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.adapters.store.memory.store import MemoryStore
from hutong.adapters.store.rollup_tables import rollups
from hutong.adapters.store.sql import SqlStore
from hutong.core.accounts.registry import InstitutionKind
from hutong.core.book import rollups as r
from hutong.core.book.money import Posting, UsageRecord
from hutong.core.book.sealed import PoolHour, SealedReport
from hutong.core.book.store import Record, Store
from hutong.core.book.waits import bucket_ends_ms, bucket_of
from hutong.core.kernel.chain import GENESIS
from hutong.core.kernel.days import month_days
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.work import facts as f
from hutong.core.work.states import JobState

ALL = (0, 24 * 31)


def used(name: str, from_ms: int, upto_ms: int, quantity: int, project: ProjectId = P) -> UsageRecord:
    """Return a record of free use."""
    record = UsageRecord(name, project, name, "east", "H100", "card_ms", quantity, 0, 1, 0, from_ms, upto_ms)
    return replace(record, energy_j=quantity // 3, person="ann")


def amounts(store: Store, family: r.Family, hours: tuple[int, int], *by: str) -> dict[r.Key, int]:
    """Return the first sum of each group."""
    return {group.key: group.sums[0] for group in store.rollup(r.RollupQuery(family, hours, by))}


def test_use_counts_in_the_hours_in_which_it_was(store: Store) -> None:
    store.post(Posting(usage=(used("a", HOUR_MS // 2, 2 * HOUR_MS, 10), used("b", 0, 60_000, 5, Q))))
    assert amounts(store, r.USE, (0, 1), "project") == {(P,): 3, (Q,): 5}
    assert amounts(store, r.USE, (1, 2), "project") == {(P,): 7}
    assert amounts(store, r.USE, ALL) == {(): 15}
    assert amounts(store, r.USE, (5, 9)) == {}
    only = r.RollupQuery(r.USE, ALL, ("sku",), {"project": frozenset({Q}), "site": frozenset()})
    assert store.rollup(only) == (r.Group(("H100",), (5, 0, 1, 0, 0)),)
    assert amounts(store, r.PEOPLE, (3, 4), "person") == {("ann",): 15}  # by the day


def test_a_correction_takes_back_hour_by_hour(store: Store) -> None:
    first = used("a", HOUR_MS // 3, 3 * HOUR_MS + 17, 1_000_003)
    store.post(Posting(usage=(first,)))
    back = replace(first, id="a-", quantity=-first.quantity, energy_j=-first.energy_j, reverses="a")
    store.post(Posting(usage=(back,)))
    assert all(amounts(store, r.USE, (hour, hour + 1)) == {} for hour in range(5))
    assert [each.name for each in store.first_uses((0, 10**9), ("", ""), 9)] == ["ann", P]


def test_an_earlier_record_that_comes_late_is_the_first_use(store: Store) -> None:
    store.post(Posting(usage=(used("a", 9000, 9001, 1),)))
    store.post(Posting(usage=(used("b", 7000, 7001, 1),)))
    assert store.first_uses((0, 8000), ("person", ""), 9) == (
        r.FirstUse("person", "ann", 7000),
        r.FirstUse("project", P, 7000),
    )
    assert store.first_uses((0, 8000), ("person", "ann"), 9) == (r.FirstUse("project", P, 7000),)
    assert store.first_uses((8000, 10**9), ("", ""), 9) == ()


def test_money_is_told_by_the_kind_of_lot(store: Store) -> None:
    fund(store, "a1", 70)
    assert amounts(store, r.MONEY, ALL, "project", "txn", "lot") == {(P, "award", "award"): 70}


def test_who_waits_and_how_long_who_started_waited(store: Store) -> None:
    institution: dict[str, object] = {
        "id": "u",
        "kind": InstitutionKind.SME.value,
        "name_zh": "甲",
        "name_en": "U",
    }
    store.put(Record("institution", "u", institution))
    store.put(Record("project", P, {"id": P, "institution": "u", "title": "t"}, "u"))
    queue(store, 1, 5000)
    turn(store, 6000, decide(store, 1, 6000, f.Waiting("no_room", "all cards are taken")))
    (wait,) = store.waiting((0, 1))
    card_ms = 16 * SPEC.max_duration_s * 1000
    assert (wait.project, wait.hour, wait.asked, wait.size) == (P, 0, "H100", 9)
    assert (wait.code, wait.jobs, wait.card_ms) == ("no_room", 1, card_ms)
    assert store.waiting((1, 2)) == ()
    run(store, 2, 9000)
    finish(store, 2, 20_000)
    whole = r.RollupQuery(r.WORK, ALL, ("asked", "what"))  # of days and months by fewer names
    assert [(group.key, group.sums[0]) for group in store.rollup(whole)] == [
        (("H100", "ended"), 1),
        (("H100", "started"), 1),
    ]
    turn(store, 25_000, decide(store, 1, 25_000, f.Finished(JobState.REJECTED, "nobody can")))
    assert store.waiting((0, 1)) == ()
    found = store.rollup(r.RollupQuery(r.WORK, ALL, ("kind", "what", "why", "bucket")))
    assert {group.key: group.sums for group in found} == {
        ("sme", "ended", "rejected", 0): (1, 0, card_ms),
        ("sme", "ended", "succeeded", 0): (1, 0, card_ms),
        ("sme", "gone", "rejected:no_room", 18): (1, 20_000, card_ms),
        ("sme", "started", "", 0): (1, 0, card_ms),
    }


def test_a_job_that_its_owner_holds_does_not_wait(store: Store) -> None:
    place(store, 1, 1000)
    assert [each.code for each in store.waiting(ALL)] == ["placed"]
    queue(store, 2, 1000)
    store.ask(job_id(2), f.HoldAsked("ann"), 2000)
    assert [each.jobs for each in store.waiting(ALL)] == [1]
    store.ask(job_id(2), f.Released("ann"), 3000)
    assert sum(each.jobs for each in store.waiting(ALL)) == 2


def test_what_pools_were_is_noted_when_it_changes(store: Store) -> None:
    def site(nodes: int, admission: str = "active") -> Record:
        pool = {
            "id": "a", "accelerator": "H100", "nodes": nodes, "cards_per_node": 8, "pue_milli": 1200,
            "price_micro_per_card_hour": 1, "stack": "cuda",
        }  # fmt: skip
        supply = {"green_ppm": [0] * 24, "grams_per_kwh": [0] * 24, "source": "test"}
        doc = {
            "id": EAST, "name_zh": "东", "name_en": "East", "region": "north", "distance_km": 1,
            "engine": "local", "pools": [pool], "supply": supply, "admission": admission,
        }  # fmt: skip
        return Record("site", EAST, doc)

    assert store.note_pools(5) == 0
    store.put(site(2))
    assert (store.note_pools(10), store.note_pools(20)) == (1, 0)
    store.put(site(3))
    assert (store.note_pools(10), store.note_pools(30)) == (0, 1)
    store.put(site(3, "drain"))
    assert store.note_pools(40) == 1
    store.remove("site", EAST)
    assert (store.note_pools(50), store.note_pools(60)) == (1, 0)
    notes = store.pool_notes((0, 100))
    assert [(each.from_ms, each.installed, each.available) for each in notes] == [
        (10, 16, 16), (30, 24, 24), (40, 24, 0), (50, 0, 0),
    ]  # fmt: skip
    assert [each.from_ms for each in store.pool_notes((35, 45))] == [30, 40]
    assert r.card_ms_of(store.pool_notes((20, 45)), (20, 45)) == {(EAST, "H100"): (520, 400)}


def test_sums_made_anew_are_as_they_were_kept(store: Store) -> None:
    run(store, 1, 5000)
    store.post(Posting(usage=(used("a", 0, 3 * HOUR_MS, 100),)))
    fund(store, "a1", 70)
    store.submit([wish(2)], 7000)
    turn(store, 8000, decide(store, 2, 8000, f.Queued()))
    told = SealedReport("east", 1, GENESIS, "h", "k", "00", "{}", 5)
    store.keep_sealed([told], [PoolHour("east", "a", 7, 8, HOUR_MS, 0, 5, 0, 3, "test", 1, 0, "H100")])
    asked = [r.RollupQuery(family, ALL, family.names) for family in r.FAMILIES]
    before = (
        [store.rollup(query) for query in asked],
        store.waiting(ALL),
        store.first_uses((0, 9**9), ("", ""), 9),
    )
    assert all(before[0])
    assert store.rebuild_rollups() == 5
    assert store.rebuild_rollups() == 5
    after = (
        [store.rollup(query) for query in asked],
        store.waiting(ALL),
        store.first_uses((0, 9**9), ("", ""), 9),
    )
    assert after == before


def over_months(store: Store) -> None:
    """Post free use of two projects at two sites, some of it across days and months, some corrected."""
    spans = [(0, 5), (20, 30), (24 * 30, 24 * 33), (24 * 58, 24 * 58 + 1), (24 * 45 + 3, 24 * 45 + 4)]
    for at, (low, high) in enumerate(spans):
        record = used(f"r{at}", low * HOUR_MS + 17, high * HOUR_MS - 5, 1_000_003 + at, (P, Q)[at % 2])
        record = replace(record, site=("east", "west")[at // 2 % 2], person=f"p{at}")
        store.post(Posting(usage=(record,)))
    back = replace(record, id="back", quantity=-record.quantity, energy_j=-record.energy_j, reverses="r4")
    store.post(Posting(usage=(back,)))


@pytest.mark.parametrize("hours", [(0, 24 * 62), (16, 24 * 31 + 16), (24 * 58, 24 * 59), (21, 23)])
def test_coarser_sums_answer_as_the_records_do(store: Store, hours: tuple[int, int]) -> None:
    twin = MemoryStore()
    over_months(store)
    over_months(twin)
    cards: dict[str, frozenset[r.Name]] = {"unit": frozenset({"card_ms"})}
    for by in ((), ("project",), ("site",), ("sku", "site"), ("project", "site"), ("sku",)):
        query = r.RollupQuery(r.USE, hours, by, cards)
        assert store.rollup(query) == twin.rollup(query)
    assert store.rollup(query)


@pytest.mark.parametrize("grain", list(r.Grain))
def test_a_check_tells_of_sums_that_are_not_what_the_records_say(store: Store, grain: r.Grain) -> None:
    over_months(store)
    assert not sums_at_fault(store)
    if isinstance(store, SqlStore):  # the twin keeps no sums that could be wrong
        for family in (r.USE, *r.USE.coarser, r.PEOPLE):
            table = rollups[family.id]
            if family.finest <= grain:
                worse = (
                    table.update().where(table.c.grain == int(grain)).values(quantity=table.c.quantity + 1)
                )
                store._db.write(partial(damage, worse))
                assert any(family.id in fault for fault in sums_at_fault(store))
                store.rebuild_rollups()
        table = rollups[r.SEEN.id]
        made_up = table.insert().values(
            grain=int(grain), at=1, site="e", sku="H100", method="", seen_card_ms=1, held_card_ms=0,
            counted_card_ms=0, busy_card_ms=0,
        )  # fmt: skip
        store._db.write(partial(damage, made_up))
        assert any(r.SEEN.id in fault for fault in sums_at_fault(store))
        store.rebuild_rollups()
        assert not sums_at_fault(store)


def test_a_check_sees_use_in_another_hour_of_its_day(store: Store) -> None:
    store.post(Posting(usage=(used("a", 0, HOUR_MS, 7),)))
    if isinstance(store, SqlStore):
        table = rollups[r.USE.id]
        later = table.update().where(table.c.grain == int(r.Grain.HOUR)).values(at=5)
        store._db.write(partial(damage, later))
        assert [fault.rpartition("hour ")[2].split()[0] for fault in sums_at_fault(store)] == ["0", "5"]
    store.rebuild_rollups()
    assert not sums_at_fault(store)


def damage(statement: sa.Update | sa.Insert, connection: sa.Connection) -> None:
    """Change sums behind the store's back."""
    connection.execute(statement)


def sums_at_fault(store: Store) -> list[str]:
    """Return what a check of the ledger says of the sums of reports."""
    return [fault for fault in store.check_ledger().faults if fault.startswith("L12")]


@given(
    st.integers(0, 10**13),
    st.integers(0, 9 * HOUR_MS),
    st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=3),
)
def test_parts_add_up_and_corrections_cancel(from_ms: int, lasted: int, whole: list[int]) -> None:
    parts = list(r.slices(from_ms, from_ms + lasted, tuple(whole)))
    assert [sum(sums[at] for _, sums in parts) for at in range(len(whole))] == whole
    back = r.slices(from_ms, from_ms + lasted, tuple(-each for each in whole))
    assert [(hour, tuple(-each for each in sums)) for hour, sums in back] == parts
    assert all(from_ms // HOUR_MS <= hour <= (from_ms + lasted) // HOUR_MS for hour, _ in parts)


def test_a_record_of_ages_counts_in_a_year_of_hours_at_most() -> None:
    parts = list(r.slices(0, 10**15, (10**9,)))
    assert len(parts) == r.HOURS_MOST
    assert sum(sums[0] for _, sums in parts) == 10**9


@given(st.integers(0, 10**6), st.integers(0, 20_000))
@settings(max_examples=60)
def test_ranges_cover_a_span_once_with_few_rows(low: int, length: int) -> None:
    starts = {r.Grain.HOUR: lambda at: at, r.Grain.DAY: lambda at: at * 24}
    spans = []
    for grain, first, after in r.ranges((low, low + length)):
        if grain is r.Grain.MONTH:
            spans.append((month_days(first)[0] * 24, month_days(after)[0] * 24))
        else:
            spans.append((starts[grain](first), starts[grain](after)))
    spans.sort()
    assert sum(b - a for a, b in spans) == length
    assert all(before[1] == then[0] for before, then in pairwise(spans))
    assert len(spans) <= 5


@given(st.integers(0, 10**12))
def test_buckets_are_an_eighth_wide_at_most(wait_ms: int) -> None:
    bucket = bucket_of(wait_ms)
    assert wait_ms < bucket_ends_ms(bucket) <= max(1000 + wait_ms, wait_ms * 9 // 8 + 1000)
    assert bucket_of(bucket_ends_ms(bucket)) == bucket + 1


@pytest.mark.parametrize("by", [(), ("person",)])
def test_the_twin_selects_as_it_is_asked(by: tuple[str, ...]) -> None:
    store = MemoryStore()
    store.post(Posting(usage=(used("a", 0, 10, 4),)))
    (group,) = store.rollup(r.RollupQuery(r.PEOPLE, ALL, by))
    assert group.sums == (4,)
