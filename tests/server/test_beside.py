"""Work beside the loop: it is done while this process leads, and what fails does not end it."""

import threading
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from hutong.core.kernel.errors import Later
from hutong.server.beside import Desk, start

WAIT_S = 30


class Pauses(threading.Event):
    """A word to stop that notes how long it is waited for, and comes after so many pauses."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seen: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seen.append(timeout or 0)
        return len(self.seen) > self.most or self.is_set()


def run(did: Sequence[int | Exception], pauses: int, again: int | None = 1) -> tuple[list[float], int]:
    """Run a desk whose steps do so much; return its pauses, and how many steps were not made."""
    left, stop = list(did), Pauses(pauses)

    def step() -> int:
        now = left.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    Desk("books", step, 1, 60, again).run(lambda: True, stop)
    return stop.seen, len(left)


def test_trouble_and_a_fault_are_told_and_the_work_goes_on() -> None:
    with capture_logs() as logs:
        assert run([3, Later("every connection is busy"), ZeroDivisionError(), 0], 3) == ([1, 60, 60, 60], 0)
    assert [(each["log_level"], each["desk"]) for each in logs] == [("warning", "books"), ("error", "books")]


@pytest.mark.parametrize(("again", "left"), [(1, 0), (5, 1), (None, 2)])
def test_more_is_done_at_once_where_so_much_was_done(again: int | None, left: int) -> None:
    assert run([5, 4, 0], 1, again) == ([1, 60], left)


def test_nothing_is_done_while_another_process_leads_or_after_the_word_to_stop() -> None:
    stop, steps = Pauses(5), list[float]()

    def note() -> int:
        steps.append(stop.seen[-1])
        return 0

    Desk("books", note, 1, 60).run(lambda: len(stop.seen) == 3, stop)
    assert steps == [60]

    def step() -> int:
        stop.set()
        return 1

    stop = Pauses(5)
    Desk("books", step, 1, 60).run(lambda: True, stop)
    assert stop.seen == [1, 60]


def test_each_desk_has_a_thread_of_its_name() -> None:
    stop, met = threading.Event(), threading.Barrier(3)

    def step() -> int:
        met.wait(WAIT_S)
        stop.set()
        return 0

    threads = start((Desk("one", step, 0, 60), Desk("two", step, 0, 60)), lambda: True, stop)
    met.wait(WAIT_S)
    for thread in threads:
        thread.join(WAIT_S)
    assert [(each.name, each.is_alive()) for each in threads] == [("one", False), ("two", False)]
