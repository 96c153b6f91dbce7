"""A maintenance from the loop to the engine and back: stopped in order, waited out, run again."""

from dataclasses import asdict, replace

from tests.agent.scene import SITE, World

from hutong.core.capacity.sites import Maintenance, Site
from hutong.core.work.states import AttemptState, Category, JobState
from hutong.server.registry import read


def announce(world: World, window: Maintenance) -> None:
    record = world.store.get("site", SITE)
    assert record is not None
    changed = replace(read(Site, record), maintenance=(window,))
    world.store.put(replace(record, doc=asdict(changed)), expect=record.version)


def test_a_job_is_stopped_at_its_begin_waits_and_runs_again_after_it(world: World) -> None:
    agent = world.agent()
    job = world.submit("sleep 90000", max_duration_s=90_000)
    world.go(agent, steps=10)
    assert world.job(job).state is JobState.RUNNING

    window = Maintenance(world.now + 400_000, world.now + 500_000, "cooling", stop_jobs=True)
    announce(world, window)
    while world.now < window.from_ms:
        assert world.job(job).state is JobState.RUNNING, "it has not begun yet"
        world.go(agent, each_ms=5_000)
    world.go(agent, steps=10, each_ms=2_000)
    stopped = world.job(job)
    ended = stopped.attempts[0]
    assert (ended.state, ended.category) == (AttemptState.PREEMPTED, Category.PREEMPTED)
    assert "cooling" in ended.reason
    assert (stopped.state, stopped.waiting_code) == (JobState.QUEUED, "maintenance")

    world.now = window.until_ms
    world.go(agent, steps=10)
    assert (world.job(job).state, len(world.job(job).attempts)) == (JobState.RUNNING, 2)


def test_without_stop_jobs_it_is_left_alone(world: World) -> None:
    agent = world.agent()
    job = world.submit("sleep 90000", max_duration_s=90_000)
    world.go(agent, steps=10)
    announce(world, Maintenance(world.now + 1_000, world.now + 900_000, "cooling"))
    world.go(agent, steps=60, each_ms=10_000)
    assert (world.job(job).state, len(world.job(job).attempts)) == (JobState.RUNNING, 1)
