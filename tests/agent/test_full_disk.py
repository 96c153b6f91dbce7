"""A site that cannot start jobs says so, ends them in time, and lets the platform out where it cannot."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.agent.scene import StoreLink, World
from tests.full_disk import no_room

from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.base import Order, Receipt
from hutong.adapters.engines.local.engine import LocalEngine
from hutong.adapters.engines.memory import MemoryEngine
from hutong.agent.link import Reply, SmallLog
from hutong.core.book.store import Sighting
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Report
from hutong.core.work.spec import Input
from hutong.core.work.states import Category, JobState

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/hutong/attempts")


class Troubled(MemoryEngine):
    """An engine that cannot start attempts, and perhaps not even mark them, for a while."""

    starting: Later | OSError | None = FULL
    marking: OSError | None = None

    def submit(self, order: Order) -> Receipt:
        if self.starting is not None and order.key not in {seen.key for seen in self.observe()}:
            raise self.starting
        return super().submit(order)

    def stop(
        self, key: AttemptKey, attempt: int, category: Category, reason: str, grace_s: int | None = None
    ) -> None:
        if self.marking is not None:
            raise self.marking
        super().stop(key, attempt, category, reason, grace_s)


@pytest.fixture
def engine(world: World) -> Troubled:
    world.engine = Troubled(lambda: world.now)
    return world.engine


def test_a_start_is_tried_again_while_there_is_hope(world: World, engine: Troubled) -> None:
    agent = world.agent()
    job = world.submit("sleep 1")
    world.go(agent, steps=100, each_ms=5_000)
    assert world.job(job).state is JobState.DISPATCHED
    assert world.store.statuses()["east"].trouble == "No space left on device"
    engine.starting = None
    world.go(agent, steps=6, each_ms=5_000)
    assert world.job(job).state is JobState.SUCCEEDED
    assert world.store.statuses()["east"].trouble == ""


def test_a_start_that_keeps_failing_ends_as_the_sites_fault_and_is_retried(
    world: World, engine: Troubled
) -> None:
    agent = world.agent(start_within_s=600.0)
    job = world.submit("sleep 1")
    world.go(agent, steps=130, each_ms=5_000)
    first = world.job(job).attempts[0]
    assert (first.category, first.reason) == (
        Category.INFRA,
        "the site could not start it: No space left on device",
    )
    assert 600_000 <= first.ended_seen_ms - first.dispatched_ms <= 620_000
    engine.starting = None
    world.go(agent, steps=10, each_ms=5_000)
    assert world.job(job).state is JobState.SUCCEEDED
    assert engine.starts == 1
    assert world.store.check_ledger().faults == ()


def test_an_input_that_is_out_of_reach_for_long_is_given_up_too(world: World, engine: Troubled) -> None:
    engine.starting = None

    class NoObjects(StoreLink):
        def get_object(self, digest: str, into: Path, go_on: Callable[[], None] = lambda: None) -> None:
            raise Later(f"{digest} is on a disk that does not answer", 5)

    agent = world.agent(NoObjects(world.store, lambda: world.now), start_within_s=60.0)
    job = world.submit("sleep 1", inputs=(Input("data", "sha256:" + "0" * 64, "bundle"),))
    world.go(agent, steps=30, each_ms=5_000)
    first = world.job(job).attempts[0]
    assert first.category is Category.INFRA
    assert "does not answer" in first.reason


def test_an_input_that_comes_slowly_over_a_bad_line_is_not_given_up(world: World, engine: Troubled) -> None:
    engine.starting = None
    data = bytes(500)
    big = f"sha256:{hashlib.sha256(data).hexdigest()}"
    listed = {"files": [{"path": "big", "size_bytes": len(data), "digest": big}]}
    text = json.dumps(listed).encode()

    class Slow(StoreLink):
        def get_object(self, digest: str, into: Path, go_on: Callable[[], None] = lambda: None) -> None:
            if digest != big:
                return super().get_object(digest, into)
            with into.open("ab") as file:
                file.write(bytes(10))
            if into.stat().st_size < len(data):
                raise Later("the line broke", 5)
            return None

    link = Slow(world.store, lambda: world.now)
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    link.objects[digest] = text
    agent = world.agent(link, start_within_s=60.0)
    job = world.submit("sleep 1", inputs=(Input("data", digest, "manifest"),))
    world.go(agent, steps=20, each_ms=5_000)
    move = world.store.statuses()["east"].move(world.key(job))
    assert move is not None
    assert (move.what, move.total_bytes, 100 <= move.done_bytes <= 200) == ("inputs", 500, True)
    world.go(agent, steps=60, each_ms=5_000)
    assert world.job(job).state is JobState.SUCCEEDED
    assert len(world.job(job).attempts) == 1
    assert world.store.statuses()["east"].moves == ()


def test_other_jobs_go_on_while_one_cannot_be_started_or_stopped(world: World, engine: Troubled) -> None:
    agent = world.agent()
    engine.starting = None
    running = [world.submit("sleep 100"), world.submit("sleep 30")]
    world.go(agent)
    engine.starting = engine.marking = FULL
    stuck = world.submit("sleep 1")
    world.go(agent, steps=2)
    world.cancel(running[0])
    world.go(agent, steps=10, each_ms=5_000)
    assert world.job(stuck).state is JobState.DISPATCHED
    assert world.job(running[1]).state is JobState.SUCCEEDED
    assert world.job(running[0]).state is JobState.RUNNING, "what cannot be stopped is not said to have ended"
    engine.marking = None
    world.go(agent, steps=4, each_ms=5_000)
    assert world.job(running[0]).state is JobState.CANCELLED


def test_where_not_even_the_mark_fits_the_agent_disowns_it_and_the_platform_gets_out(
    world: World, engine: Troubled
) -> None:
    engine.marking = FULL
    agent = world.agent(start_within_s=60.0, ask_all_every_s=5.0)  # it is told of the start again and again
    job = world.submit("sleep 1")
    world.go(agent, steps=40, each_ms=5_000)
    assert not world.job(job).attempts[0].over, "nothing ended that might yet be started"
    world.go(agent, steps=80, each_ms=5_000)
    assert world.job(job).attempts[0].category is Category.LOST
    engine.starting = engine.marking = None
    world.go(agent, steps=200, each_ms=5_000)
    assert world.job(job).state is JobState.SUCCEEDED
    assert engine.starts == 1, "what was lost was never started"


def test_what_is_disowned_is_not_started_by_this_agent_though_it_is_told_again(
    world: World, engine: Troubled
) -> None:
    engine.marking = FULL
    agent = world.agent(start_within_s=60.0)
    job = world.submit("sleep 100")
    world.go(agent, steps=14, each_ms=5_000)
    engine.starting = None  # room for a start, and none for the mark: no agent can know what comes first
    world.go(agent, steps=3, each_ms=5_000)
    assert engine.starts == 0
    engine.marking = None
    world.go(agent, steps=4, each_ms=5_000)
    assert world.job(job).attempts[0].category is Category.INFRA


def test_a_command_that_waited_to_be_read_is_as_old_as_it_is(world: World, engine: Troubled) -> None:
    engine.starting = None
    agent = world.agent(lease_s=60.0)
    world.submit("sleep 1")
    world.turn()
    delivery = agent.take(0)
    world.now += 61_000  # it came, and the thread that acts was stuck on a disk
    agent.receive(delivery)
    agent.tick()
    assert engine.starts == 0


def test_a_refused_start_whose_mark_does_not_fit_is_not_tried_again(world: World, engine: Troubled) -> None:
    engine.starting, engine.marking = None, FULL
    agent = world.agent()
    job = world.submit("sleep 1", inputs=(Input("data", "sha256:" + "0" * 64, "bundle"),))
    world.go(agent, steps=4, each_ms=5_000)
    assert world.job(job).state is JobState.DISPATCHED
    engine.marking = None
    world.go(agent, steps=4, each_ms=5_000)
    assert world.job(job).state is JobState.FAILED
    assert "there is no object" in world.job(job).reason


def test_the_trouble_of_a_site_does_not_name_whose_job_it_was(world: World, engine: Troubled) -> None:
    told: list[str] = []

    class Heard(StoreLink):
        def report(
            self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
        ) -> Reply:
            if sighting is not None:
                told.append(sighting.trouble)
            return super().report(reports, sighting, logs)

    agent = world.agent(Heard(world.store, lambda: world.now))
    job = world.submit("sleep 1")
    world.turn()
    engine.starting = Later(f"{world.key(job)}: the supervisor did not begin\n  a trace", 5)
    world.go(agent, steps=2)
    assert told[-1] == "the attempt: the supervisor did not begin"


def test_the_local_engine_on_a_full_disk(world: World, tmp_path: Path) -> None:
    """The same with the real engine, whose writes the kernel refuses."""
    payloads = tmp_path / "payloads"
    payloads.mkdir()
    config = FolderConfig(tmp_path / "site", payloads, isolation="none")
    engine = LocalEngine(config, lambda: world.now)
    agent = world.agent(engine=engine, start_within_s=60.0)
    job = world.submit("true")
    world.turn()
    key = world.key(job)
    with no_room():
        world.go(agent, steps=16, each_ms=5_000)
        assert world.job(job).state is JobState.DISPATCHED
        assert world.store.statuses()["east"].trouble == "File too large"
        assert engine.observe() == ()
    written = [path for path in (tmp_path / "site").rglob("*") if path.is_file()]
    assert [path for path in written if not path.is_relative_to(tmp_path / "site" / "programs")] == []
    world.go(agent, steps=4, each_ms=5_000)
    first = world.job(job).attempts[0]
    assert (first.category, first.reason) == (Category.INFRA, "the site could not start it: File too large")
    assert key in {seen.key for seen in engine.observe() if seen.ended}, "the next attempt may have ended too"
