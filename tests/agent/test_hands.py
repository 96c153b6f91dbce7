"""Many starts at once: some side by side where the engine can, and reports in between."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from tests.agent.scene import World

from hutong.adapters.engines.base import Fate, Order, Receipt, Together
from hutong.adapters.engines.memory import MemoryEngine
from hutong.core.kernel.errors import Later
from hutong.core.work.spec import Wish
from hutong.core.work.states import Category, JobState


class Pairs(MemoryEngine):
    """Takes attempts two at a time only: one that comes alone waits for another, and fails."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.abilities = replace(self.abilities, submits_at_once=2)
        self.door = threading.Barrier(2, timeout=60)
        self.guard = threading.Lock()
        self.poison = ""

    def submit(self, order: Order) -> Receipt:
        self.door.wait()
        if order.key == self.poison:
            raise Later("not now", 60)
        with self.guard:
            return super().submit(order)


@pytest.fixture
def engine(world: World) -> Pairs:
    return Pairs(lambda: world.now)


def test_starts_go_side_by_side_and_a_failure_is_that_of_one(world: World, engine: Pairs) -> None:
    jobs = [world.submit("sleep 500") for _ in range(4)]
    world.turn()
    engine.poison = world.key(jobs[1])
    world.go(world.agent(engine=engine), steps=2)
    states = [world.job(job).state for job in jobs]
    assert states.pop(1) is JobState.DISPATCHED
    assert set(states) == {JobState.RUNNING}
    assert not engine.door.broken


class Groups(MemoryEngine):
    """Takes attempts of one length together, the last ones first."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.taken: list[list[str]] = []
        self.refused = ""

    def alike(self, orders: Sequence[Order]) -> list[list[Order]]:
        groups: dict[int, list[Order]] = {}
        for order in orders:
            groups.setdefault(order.spec.max_duration_s, []).append(order)
        return list(reversed(groups.values()))

    def submit_together(self, orders: Sequence[Order]) -> list[Fate]:
        self.taken.append([order.key for order in orders])
        return [Later("not now", 60) if each.key == self.refused else self.submit(each) for each in orders]


def test_like_attempts_are_handed_over_together_and_each_has_a_fate_of_its_own(world: World) -> None:
    engine = Groups(lambda: world.now)
    lengths = (100, 200, 100, 300, 200, 100)
    jobs = [world.submit("sleep 500", max_duration_s=length) for length in lengths]
    world.turn()
    keys = [world.key(job) for job in jobs]
    engine.refused = keys[2]
    world.go(world.agent(engine=engine), steps=2)
    assert isinstance(engine, Together)
    assert sorted(map(sorted, engine.taken)) == sorted(
        [sorted([keys[0], keys[2], keys[5]]), sorted([keys[1], keys[4]])]
    )
    states = [world.job(job).state for job in jobs]
    assert states.pop(2) is JobState.DISPATCHED
    assert set(states) == {JobState.RUNNING}


def test_after_some_starts_what_happened_is_told_first(world: World) -> None:
    jobs = [world.submit("sleep 500") for _ in range(45)]
    world.turn()
    agent = world.agent()
    for started in (20, 40, 45):
        agent.step()
        assert world.engine.starts == started
        assert agent.hurries == (started < 45)
        running = [job for job in jobs if world.job(job).state is JobState.RUNNING]
        assert len(running) == started


def test_a_job_that_insists_on_isolation_does_not_start_without(world: World) -> None:
    job = world.submit("sleep 500", wish=Wish(isolation=True))
    world.turn()  # the site has not said yet that it has none
    agent = world.agent(start_within_s=120)
    world.go(agent, steps=3)
    assert (world.job(job).state, world.engine.starts) == (JobState.DISPATCHED, 0)
    world.now += 121_000
    world.go(agent, steps=3)
    first = world.job(job).attempts[0]
    assert (first.category, world.engine.starts) == (Category.INFRA, 0)


def test_what_the_centre_does_not_want_is_not_told(world: World) -> None:
    world.agent(without=("services",)).step()
    assert world.store.statuses()["east"].can == ("gangs",)
    assert world.store.statuses()["east"].lacks == ("services", "isolation")
