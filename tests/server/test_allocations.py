"""What a closed allocation leaves behind, however late anybody looks."""

from collections.abc import Iterator

import pytest
from tests.server.mortal import YUAN, Town, money

from hutong.core.book.money import HoldChange, HoldPart, Posting
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.allocations import load_allocation
from hutong.server.awards import find_lot

YEARS_MS = 800 * DAY_MS


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town()
    town.call("spring", 100, accept_at_once=money(80))
    yield town
    town.stack.close()


def awarded(town: Town) -> str:
    draft = str(town.draft("li", "physics", "spring", 50).json()["id"])
    town.ask("li", "POST", f"/v1/applications/{draft}/submit")
    return draft


def free_micro(town: Town, allocation: str) -> int:
    store = town.services.store
    lot = find_lot(store, "physics", load_allocation(store, allocation).lot)
    assert lot is not None
    return lot.available_micro


def review(town: Town) -> int:
    answer = town.ask("chen", "POST", "/v1/allocations/review").json()
    assert answer["faults"] == []
    return int(answer["changed"])


def test_a_death_right_after_a_close_leaves_no_money_though_nobody_looks_for_years(town: Town) -> None:
    allocation = awarded(town)
    town.clock.ahead_ms += YEARS_MS
    for writes in range(20):
        town.mortal.left, town.mortal.after = writes, True
        town.ask("chen", "POST", "/v1/allocations/review")
        if load_allocation(town.services.store, allocation).closed_ms:
            break
    assert free_micro(town, allocation) == 50 * YUAN, "the process died between the close and its money"
    town.clock.ahead_ms += YEARS_MS
    town.mortal.left = -1
    assert review(town) == 1
    assert free_micro(town, allocation) == 0
    assert load_allocation(town.services.store, allocation).settled
    assert review(town) == 0


def test_what_a_job_held_all_that_time_is_taken_back_once_it_lets_go(town: Town) -> None:
    allocation = awarded(town)
    store, owner = town.services.store, ProjectId("physics")
    lot = load_allocation(store, allocation).lot
    store.post(Posting((), (HoldChange("job", owner, (HoldPart(lot, 7 * YUAN),)),)))
    town.clock.ahead_ms += YEARS_MS
    review(town)
    town.clock.ahead_ms += YEARS_MS
    review(town)
    assert not load_allocation(store, allocation).settled
    store.post(Posting((), (HoldChange("job", owner, (HoldPart(lot, -7 * YUAN),), True),)))
    review(town)
    assert free_micro(town, allocation) == 0
    assert load_allocation(store, allocation).settled
