"""Use by day: what every store keeps of usage records, and what it answers about them."""

from dataclasses import replace

import pytest
from book_samples import P, fund
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.book.money import Posting, UsageRecord
from hutong.core.book.store import Store
from hutong.core.book.uses import Amounts, UseQuery, add_up, select
from hutong.core.kernel.days import day_of, month_days, month_of
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import DAY_MS

DAY = day_of(1_764_374_400_000)  # 2025-11-29
ALL = (0, 100_000)
Q = ProjectId("other")


def used(
    name: str, project: ProjectId = P, day: int = DAY, person: str = "ann", **change: object
) -> UsageRecord:
    """Return a record of free use, up to the middle of a day."""
    upto_ms = day * DAY_MS + DAY_MS // 2
    plain = UsageRecord(
        name,
        project,
        name,
        "east",
        "H100",
        "card_ms",
        7,
        0,
        1,
        0,
        upto_ms - 10,
        upto_ms,
        5,
        3,
        2,
        person=person,
    )
    return replace(plain, **change)  # type: ignore[arg-type]


def test_use_is_added_up_by_day_in_the_groups_that_are_asked_for(store: Store) -> None:
    first = used("a"), used("b", person="bo"), used("c", day=DAY + 1), used("d", Q, site="west")
    store.post(Posting(usage=first))
    store.post(Posting(usage=(used("e", unit="token_in", sku="poet"),)))
    found = store.uses(UseQuery(frozenset({P}), ALL, ("person", "day")))
    assert [use.key for use in found] == [
        ("ann", DAY, "card_ms"), ("ann", DAY, "token_in"), ("ann", DAY + 1, "card_ms"),
        ("bo", DAY, "card_ms"),
    ]  # fmt: skip
    assert found[0].amounts == Amounts(7, 0, 5, 3, 2)
    everything = store.uses(UseQuery(None, ALL))
    assert [(use.key, use.amounts.quantity) for use in everything] == [(("card_ms",), 28), (("token_in",), 7)]
    one_day = UseQuery(None, (DAY + 1, DAY + 2), ("project", "sku"), units=frozenset({"card_ms"}))
    assert [use.key for use in store.uses(one_day)] == [(P, "H100", "card_ms")]
    west = UseQuery(None, ALL, ("month", "site"), sites=frozenset({"west"}), people=frozenset({"ann"}))
    assert [use.key for use in store.uses(west)] == [(month_of(DAY), "west", "card_ms")]
    assert store.uses(UseQuery(frozenset(), ALL)) == ()


def test_a_correction_takes_use_back_on_the_day_it_was(store: Store) -> None:
    store.post(Posting(usage=(used("a"),)))
    back = used("a-", quantity=-7, energy_j=-5, green_j=-3, co2_mg=-2, revision=2, reverses="a")
    store.post(Posting(usage=(back, used("a2", quantity=2, revision=2))))
    (use,) = store.uses(UseQuery(frozenset({P}), ALL))
    assert use.amounts == Amounts(2, 0, 5, 3, 2)
    assert not [fault for fault in store.check_ledger().faults if fault.startswith("L11")]


def test_a_posting_that_is_refused_leaves_no_use(store: Store) -> None:
    fund(store, "lot", 10)
    store.post(Posting(usage=(used("a"),)))
    with pytest.raises(Conflict):
        store.post(Posting(usage=(used("b"), used("a"))))
    (use,) = store.uses(UseQuery(frozenset({P}), ALL))
    assert use.amounts.quantity == 7


def test_pages_of_groups_follow_one_another_across_many_projects(store: Store) -> None:
    names = [ProjectId(f"p{at:04}") for at in range(1100)]
    store.post(Posting(usage=tuple(used(f"u-{name}", name) for name in names)))
    query = UseQuery(frozenset(names), ALL, ("project",), limit=400)
    seen: list[str | int] = []
    while page := store.uses(query):
        seen += [use.key[0] for use in page]
        query = replace(query, after=page[-1].key)
    assert seen == names
    (total,) = store.uses(UseQuery(frozenset(names), ALL))
    assert total.amounts.quantity == 7700


def test_use_that_was_made_anew_is_as_it_was_kept(store: Store) -> None:
    store.post(Posting(usage=(used("a"), used("b", person="bo"), used("c", day=DAY + 40))))
    query = UseQuery(None, ALL, ("day", "person"))
    before = store.uses(query)
    assert store.rebuild_uses() == 3
    assert store.uses(query) == before
    assert not [fault for fault in store.check_ledger().faults if fault.startswith("L11")]


def test_a_check_tells_of_use_that_is_not_what_the_records_say() -> None:
    store = MemoryStore()
    store.post(Posting(usage=(used("a"),)))
    (place,) = store._uses
    store._uses[place] = Amounts(8)
    assert any(fault.startswith(f"L11: use by day of {P}/{DAY}/ann") for fault in store.check_ledger().faults)
    store.rebuild_uses()
    assert not any(fault.startswith("L11") for fault in store.check_ledger().faults)


@given(
    records=st.lists(
        st.tuples(st.sampled_from([P, Q]), st.integers(0, 40_000), st.sampled_from("ab"), st.integers(-9, 9)),
        max_size=12,
    ),
    by=st.lists(st.sampled_from(["project", "person", "day", "month"]), max_size=2, unique=True),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_groups_sum_to_the_whole(records: list[tuple[ProjectId, int, str, int]], by: list[str]) -> None:
    kept = add_up(
        used(str(at), project, day, person, quantity=quantity)
        for at, (project, day, person, quantity) in enumerate(records)
    )
    groups = select(kept.items(), UseQuery(None, ALL, tuple(by)))
    assert sum(use.amounts.quantity for use in groups) == sum(quantity for *_, quantity in records)


@given(st.integers(0, 60_000))
def test_a_day_lies_in_its_month(day: int) -> None:
    first, after = month_days(month_of(day))
    assert first <= day < after
