"""Agents are woken for what is new for them, not for what is over."""

from book_samples import EAST, WEST, key_of, place

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.work import facts as f
from hutong.server.summons import SummonsSoFar


def test_a_command_that_had_its_effect_wakes_nobody_and_the_next_one_does() -> None:
    store = MemoryStore()
    so_far = SummonsSoFar(store)
    for site in (EAST, WEST):
        store.take(site, 0, 10, 100)
    place(store, 1, 100)
    (taken,) = store.take(EAST, 0, 10, 200)
    before = so_far()
    assert before[EAST].command == taken.id
    store.report(EAST, [f.Report(key_of(1), f.Started(1, 300))], None, 300)
    assert store.summons()[EAST].command == 0
    assert so_far() == before
    place(store, 2, 400)
    after = so_far()
    assert after[EAST].command > taken.id
    assert after[WEST] == before[WEST]
