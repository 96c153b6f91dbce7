"""Whoever waits is woken by a change, misses none, and costs nothing while nobody waits."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from hutong.server.bell import Bell


class Pulse:
    def __init__(self) -> None:
        self.value = 0
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        if self.value < 0:
            raise OSError("the database is away")
        return self.value


@pytest.fixture
def pulse() -> Pulse:
    return Pulse()


@pytest.fixture
def bell(pulse: Pulse) -> Iterator[Bell]:
    found = Bell(pulse, every_s=0.005)
    yield found
    found.close()


def test_a_thread_is_woken_by_a_change_and_times_out_without_one(bell: Bell, pulse: Pulse) -> None:
    seen = bell.now()
    assert bell.wait(seen, 0.05) is False
    threading.Timer(0.05, lambda: setattr(pulse, "value", 1)).start()
    assert bell.wait(seen, 60) is True


def test_a_change_between_the_look_and_the_wait_is_not_missed(bell: Bell, pulse: Pulse) -> None:
    seen = bell.now()
    pulse.value = 1
    assert bell.wait(seen, 60) is True


def test_hundreds_wait_and_the_store_is_asked_by_one(bell: Bell, pulse: Pulse) -> None:
    async def work() -> list[bool]:
        seen, begun = bell.now(), time.monotonic()
        waiting = [asyncio.create_task(bell.changed(seen, 60)) for _ in range(300)]
        await asyncio.sleep(0.1)
        asked, waited_s = pulse.asked, time.monotonic() - begun
        assert asked <= 40 + waited_s / 0.005, "as often as for one, however long this took"
        pulse.value = 1
        return await asyncio.gather(*waiting)

    assert asyncio.run(work()) == [True] * 300


def test_it_asks_nothing_while_nobody_waits(bell: Bell, pulse: Pulse) -> None:
    bell.wait(bell.now(), 0.02)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = pulse.asked
        time.sleep(0.05)
        if pulse.asked == before:
            return
    pytest.fail("it goes on asking")


def test_a_calm_store_is_asked_seldom_and_its_change_is_noticed(pulse: Pulse) -> None:
    bell = Bell(pulse, every_s=0.001)
    try:
        begun = time.monotonic()
        assert bell.wait(bell.now(), 0.6) is False
        asked, waited_s = pulse.asked, time.monotonic() - begun
        assert asked <= 100 + waited_s / 0.005 + 50
        pulse.value = 1
        assert bell.wait(0, 60) is True
    finally:
        bell.close()


def test_it_outlives_a_store_that_is_away(bell: Bell, pulse: Pulse) -> None:
    pulse.value = -1
    assert bell.wait(0, 0.05) is False
    pulse.value = 5
    assert bell.wait(0, 60) is True


@pytest.fixture
def marked(pulse: Pulse) -> Iterator[tuple[Bell, dict[str, object]]]:
    marks: dict[str, object] = {"east": 1, "west": 1}
    found = Bell(pulse, every_s=0.001, marks=lambda: dict(marks))
    found.wait(found.mark("east"), 10, "east")  # the first look
    yield found, marks
    found.close()


def test_who_waits_for_a_topic_sleeps_through_all_other_changes(
    marked: tuple[Bell, dict[str, object]], pulse: Pulse
) -> None:
    bell, marks = marked
    east, west = bell.mark("east"), bell.mark("west")
    pulse.value, marks["west"] = 1, 2
    assert bell.wait(west, 60, "west") is True
    assert bell.wait(east, 0.05, "east") is False
    assert bell.wait(None, 0.05, "nowhere") is False
    pulse.value, marks["east"] = 2, 2
    assert bell.wait(east, 60, "east") is True
    assert asyncio.run(bell.changed(east, 60, "east")) is True


def test_a_mark_from_before_the_wait_is_not_missed_though_nobody_waited(
    marked: tuple[Bell, dict[str, object]], pulse: Pulse
) -> None:
    bell, marks = marked
    old = bell.mark("east")
    pulse.value, marks["east"] = 1, 2
    assert bell.wait(0, 60) is True, "who waits for anything does not have the marks asked"
    assert bell.mark("east") == old
    assert bell.wait(old, 60, "east") is True
    assert bell.mark("east") == 2


def test_closing_wakes_everybody(bell: Bell) -> None:
    threading.Timer(0.05, bell.close).start()
    assert bell.wait(bell.now(), 60) is True
