"""Three columns of a site's day: where they agree nothing is listed, and each difference says what to do."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.book.received import Billed, Fate, Kept, Received, Tally
from hutong.core.ledger.metering import Limits
from hutong.core.ledger.reconciling import LATE_MS, Kind, Report, Seen, reconcile

DAY = 20_000
DAY_MS = 86_400_000
T0 = DAY * DAY_MS
MINUTE = 60_000
LATER = T0 + DAY_MS + LATE_MS


def record(key: str, ms: int = 10 * MINUTE, fate: Fate = Fate.CONFIRMED, name: str = "") -> Kept:
    told = Received("bj", name or f"c:{key}:1", 1, key, "card_ms", 8 * ms, T0, T0 + ms)
    return Kept(told, fate, "why")


def book(key: str, ms: int = 10 * MINUTE) -> tuple[str, Billed]:
    return key, Billed(key, "lab", 8 * ms, T0, T0 + ms)


def tally(*records: Kept, **more: int) -> Tally:
    told = {"count": len(records), "card_ms": sum(each.record.quantity for each in records)} | more
    return Tally("bj", DAY, told["count"], told["card_ms"], more.get("uncounted", 0), 0, LATER)


def look(*records: Kept, told: Tally | None, now_ms: int = LATER, **more: Any) -> Report:
    facts: dict[str, Any] = {"billed": {}, "elsewhere": frozenset(), "accounted": True} | more
    return reconcile(Seen("bj", DAY, now_ms, told, records, **facts), Limits())


def test_where_all_three_agree_nothing_is_listed() -> None:
    one, two = record("a"), record("b")
    found = look(one, two, told=tally(one, two), billed=dict([book("a"), book("b", 10 * MINUTE - 30_000)]))
    assert found.differences == ()
    assert (found.scheduler, found.usage.count, found.ledger.count) == (found.usage, 2, 2)
    assert found.unbilled_card_ms == 8 * 30_000


def test_what_accounting_holds_and_did_not_come_is_drift_once_it_cannot_be_late_any_more() -> None:
    one, two = record("a"), record("b")
    for now_ms, drifts in ((LATER - 1, 0), (LATER, 1)):
        found = look(one, told=tally(one, two), billed=dict([book("a")]), now_ms=now_ms)
        assert [each.kind for each in found.differences] == [Kind.UNREAD]
        assert found.drifts == drifts


def test_a_day_that_was_not_read_is_told_where_a_site_keeps_accounts_and_not_elsewhere() -> None:
    assert [each.kind for each in look(told=None).differences] == [Kind.UNREAD]
    found = look(told=None, accounted=False, billed=dict([book("a")]))
    assert (found.differences, found.scheduler, found.ledger.count) == ((), None, 1)


def test_cards_that_accounting_does_not_count_are_compared_by_number_only() -> None:
    one = record("a")
    assert look(one, told=tally(one, card_ms=0, uncounted=1), billed=dict([book("a")])).differences == ()


def test_use_that_accounting_does_not_know_is_told_unless_it_is_on_another_day() -> None:
    found = look(told=tally(), billed=dict([book("a"), book("b")]), elsewhere=frozenset({"b"}))
    (each,) = found.differences
    assert (each.kind, each.key, each.card_ms, found.ledger.count) == (
        Kind.UNRECORDED,
        "a",
        -8 * 10 * MINUTE,
        1,
    )
    assert "hutong ledger correct lab a" in each.to_do


def test_a_ledger_that_was_changed_afterwards_differs() -> None:
    one = record("a")
    (each,) = look(one, told=tally(one), billed=dict([book("a", 20 * MINUTE)])).differences
    assert (each.kind, each.card_ms, each.waits) == (Kind.DIFFERS, -8 * 10 * MINUTE, False)


def test_suspense_is_drift_unless_the_attempt_is_not_settled_yet() -> None:
    one = record("a", fate=Fate.SUSPENDED)
    found = look(one, told=tally(one))
    assert [(each.kind, each.waits) for each in found.differences] == [(Kind.SUSPENDED, False)]
    assert "--revision 1" in found.differences[0].to_do
    assert look(one, told=tally(one), unsettled=frozenset({"a"})).drifts == 0


def test_what_a_person_dismissed_is_settled() -> None:
    one = record("a", fate=Fate.DISMISSED)
    assert look(one, told=tally(one)).differences == ()


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 600_000)), st.sampled_from("abcdef"))
def test_each_thing_that_is_missing_from_one_column_is_listed(runs: dict[str, int], lost: str) -> None:
    records = [record(key, ms) for key, ms in runs.items()]
    billed = dict(book(key, ms) for key, ms in runs.items())
    assert look(*records, told=tally(*records), billed=billed).drifts == 0
    if lost in runs:
        left = [each for each in records if each.record.key != lost]
        found = look(*left, told=tally(*records), billed=billed)
        assert {each.kind for each in found.differences} == {Kind.UNREAD, Kind.UNRECORDED}
        assert found.drifts == 2
