"""The daily pass: calls and allocations are brought up to date once a day, whoever leads or dies."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from tests.server.mortal import KilledError, Town, money

from hutong.core.accounts import allocations as al
from hutong.core.accounts.reclaim import Band, ReclaimPolicy
from hutong.core.book.audit import AuditQuery
from hutong.core.book.store import Record
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.allocations import load_allocation
from hutong.server.calls import KIND as CALL
from hutong.server.daily import DailyDesk

POLICY = ReclaimPolicy("test", (Band(50, 50), Band(0, 80)), 10, "a test")
ZONE = "Asia/Shanghai"


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town()
    try:
        yield town
    finally:
        town.stack.close()


def awarded(town: Town) -> str:
    town.call("spring", 100, accept_at_once=money(80))
    draft = town.draft("li", "physics", "spring", 50).json()
    assert town.ask("li", "POST", f"/v1/applications/{draft['id']}/submit").status_code == 200
    return str(draft["id"])


def desk(town: Town) -> DailyDesk:
    return DailyDesk(town.services.store, town.clock, ZONE, lambda: POLICY)


def finish(daily: DailyDesk) -> int:
    steps = 1
    while daily.step():
        steps += 1
        assert steps < 20
    return steps


def test_an_allocation_that_is_over_is_closed_by_the_platform_and_the_audit_says_so(town: Town) -> None:
    name = awarded(town)
    finish(desk(town))
    store = town.services.store
    assert not load_allocation(store, name).closed_ms
    town.clock.ahead_ms += 500 * DAY_MS
    finish(desk(town))
    assert load_allocation(store, name).closed_ms
    assert [lot.available_micro for lot in store.lots(ProjectId("physics"))] == [0]
    told = store.audit(AuditQuery(actor="platform"))
    assert any(each.object.startswith("allocation") for each in told)
    before = store.pulse()
    assert desk(town).step() is False  # it was done today
    assert store.pulse() == before


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(6))
def test_a_pass_that_is_killed_at_any_write_goes_on(town: Town, at: int, after: bool) -> None:
    name = awarded(town)
    town.clock.ahead_ms += 500 * DAY_MS
    town.mortal.left, town.mortal.after = at, after
    daily = desk(town)
    try:
        finish(daily)
    except KilledError:
        town.mortal.left = -1
        finish(daily)
    town.mortal.left = -1
    store = town.services.store
    closed: al.Allocation = load_allocation(store, name)
    assert closed.closed_ms
    assert [lot.available_micro for lot in store.lots(ProjectId("physics"))] == [0]
    assert store.check_ledger().faults == ()


def test_a_clock_that_is_set_back_begins_no_second_pass(town: Town) -> None:
    awarded(town)
    finish(desk(town))
    town.clock.ahead_ms -= 2 * DAY_MS
    assert desk(town).step() is False


def test_a_call_that_is_broken_does_not_hold_up_the_others(town: Town) -> None:
    name = awarded(town)
    store = town.services.store
    store.put(Record(CALL, "aaa", {"not": "a call"}))  # comes before `spring`
    town.clock.ahead_ms += 500 * DAY_MS
    with capture_logs() as logs:
        finish(desk(town))
    assert [each["name"] for each in logs if each["event"] == "daily_pass_fault"] == ["aaa"]
    assert load_allocation(store, name).closed_ms
