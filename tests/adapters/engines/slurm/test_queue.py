"""How often Slurm is asked for its jobs: it rests from a look that took long."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.slurm.arrays import Arrays
from hutong.adapters.engines.slurm.config import RestConfig, SlurmConfig
from hutong.adapters.engines.slurm.parse import Record
from hutong.adapters.engines.slurm.queue import Queue
from hutong.adapters.engines.slurm.rest import Rest
from hutong.adapters.engines.slurm.transport import Transport
from hutong.core.kernel.errors import Later

POLL_MS = 2_000


class Slow:
    """A controller whose answers take time, or do not come."""

    rests = 10

    def __init__(self, took_ms: int) -> None:
        self.now_ms = 0
        self.took_ms = took_ms
        self.looks: list[tuple[int, int]] = []
        self.away = False

    def queue(self) -> list[Record]:
        began_ms, self.now_ms = self.now_ms, self.now_ms + self.took_ms
        if self.away:
            raise Later("no answer", 1)
        self.looks.append((began_ms, self.now_ms))
        return []


def _queue(slow: Slow) -> Queue:
    return Queue(cast("Transport", slow), POLL_MS / 1000, lambda: slow.now_ms, "us", Arrays(Path("unused")))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30_000), st.lists(st.integers(1, 3_000), max_size=60))
def test_slurm_rests_ten_times_as_long_as_a_look_took_whatever_is_submitted(
    took_ms: int, steps: list[int]
) -> None:
    slow = Slow(took_ms)
    queue = _queue(slow)
    for step in steps:
        slow.now_ms += step
        queue.note(["one"])
        queue.poll()
    rests = [begin - end for (_, end), (begin, _) in zip(slow.looks, slow.looks[1:], strict=False)]
    assert all(rest >= min(10 * took_ms, 20_000) for rest in rests)
    assert all(rest <= max(queue.period_ms, 3_000) + 3_000 for rest in rests)


def test_what_is_submitted_after_a_long_look_is_awaited_until_the_next() -> None:
    slow = Slow(600)
    queue = _queue(slow)
    queue.poll()
    queue.note(["one"])
    queue.poll()
    assert (len(slow.looks), queue.awaits("one"), queue.awaits("two")) == (1, True, False)
    assert queue.period_ms == 6_000
    slow.now_ms += 6_000
    queue.poll()
    assert (len(slow.looks), queue.awaits("one")) == (2, False)


def test_programs_are_asked_again_as_soon_as_something_is_submitted() -> None:
    slow = Slow(600)
    slow.rests = 0
    queue = _queue(slow)
    queue.poll()
    queue.note(["one"])
    queue.poll()
    assert slow.looks == [(0, 600), (600, 1_200)]
    assert queue.period_ms == POLL_MS


def test_a_look_without_an_answer_says_nothing_of_what_was_submitted() -> None:
    slow = Slow(1)
    queue = _queue(slow)
    slow.away = True
    queue.note(["one"])
    with pytest.raises(Later):
        queue.poll()
    assert queue.awaits("one")


def test_who_demands_a_look_has_one_at_once() -> None:
    slow = Slow(1_000)
    queue = _queue(slow)
    queue.poll()
    queue.poll(fresh=True)
    assert slow.looks == [(0, 1_000), (1_000, 2_000)]


def test_waits_come_from_the_list_that_was_just_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_rest = RestConfig("http://localhost:1", token_file=tmp_path / "token")
    rest = Rest(SlurmConfig(FolderConfig(tmp_path, tmp_path), rest=by_rest), lambda: 0)
    asked: list[str] = []
    jobs: list[dict[str, Any]] = [
        {
            "name": "a",
            "job_state": "PENDING",
            "state_reason": "Resources",
            "submit_time": 40,
            "partition": "p",
        },
        {"name": "b", "job_state": "RUNNING", "state_reason": "None", "submit_time": 1, "partition": "p"},
    ]

    def answer(_: str, path: str, **__: object) -> dict[str, Any]:
        asked.append(path)
        return {"jobs": jobs}

    monkeypatch.setattr(rest, "_answer", answer)
    assert rest.queue() == []  # they are other users'
    assert rest.waits(100) == {"p": 60}
    assert len(asked) == 1
    jobs[0]["submit_time"] = 90
    assert rest.waits(100) == {"p": 10}
    assert len(asked) == 2
