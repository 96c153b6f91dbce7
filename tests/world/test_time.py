"""Faults that take time: a site whose clock is wrong or jumps, and one that is away for a simulated day."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.world.test_world import LAB, RULES, World

from hutong.core.book.snapshot import Limits
from hutong.core.book.store import NewJob
from hutong.core.kernel.ids import JobId, attempt_key, ulid
from hutong.core.kernel.rating import rate_cards
from hutong.core.placement.request import Policy
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources, Wish
from hutong.core.work.states import AttemptState, Category, JobState
from hutong.server.loop import Loop

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@pytest.fixture
def world() -> World:
    """A world whose other centre is out of reach at first, so that jobs go to `bj`."""
    world = World()
    world.begin()
    world.centres[1].line.cut = True
    passes(world, 20, lambda: None)
    return world


def passes(world: World, rounds: int, then: Callable[[], object], step_ms: int = 5_000) -> None:
    """Let all work for so many rounds; never do two attempts of a job run."""
    for _ in range(rounds):
        world.clock.now_ms += step_ms
        for actor in (world.loops[0], *world.centres):
            actor.step()
        then()
        world.never_two_attempts_of_one_job()


def submit(world: World, script: str, walltime_s: int) -> JobId:
    world.submit(script=script, cards=2, nodes=1, restarts=0, walltime=walltime_s, preemptible=False)
    return world.jobs[-1]


def job(world: World, name: JobId) -> Job:
    row = world.store.job(name)
    assert row is not None
    return row.job


def charged_once(world: World, name: JobId, attempt: Attempt, ran_ms: int) -> None:
    """Assert that the ledger has what the site measured: every card-millisecond of it, and none twice."""
    price = attempt.price_micro_per_card_hour
    assert (attempt.ran_ms, attempt.metered_card_ms) == (ran_ms, 2 * ran_ms)
    assert attempt.charge_micro == rate_cards(2 * ran_ms, price) > 0
    key = attempt_key(name, attempt.number)
    used = [row for row in world.store.usage(LAB, "", "", 1000) if row.key == key]
    assert sum(row.quantity for row in used) == 2 * ran_ms
    assert sum(row.charge_micro for row in used) == attempt.charge_micro
    assert len({row.id for row in used}) == len(used)


@pytest.mark.parametrize("before_h", [-1, 0, 1])
@pytest.mark.parametrize("after_h", [-1, 0, 1])
def test_clock_skew_of_an_hour_and_a_jump_while_a_job_runs(world: World, before_h: int, after_h: int) -> None:
    bj = world.centres[0]
    bj.engine.skew_ms = before_h * HOUR_MS
    name = submit(world, "sleep 600", 900)
    began_ms = world.clock()
    passes(world, 60, lambda: None)
    half = job(world, name)
    assert half.state is JobState.RUNNING
    assert 0 < half.attempts[0].metered_card_ms <= 2 * (world.clock() - began_ms)
    bj.engine.skew_ms = after_h * HOUR_MS
    passes(world, 80, lambda: None)
    done = job(world, name)
    assert done.state is JobState.SUCCEEDED
    (attempt,) = done.attempts
    assert attempt.site == bj.site
    charged_once(world, name, attempt, 600_000)
    world.teardown()


def test_a_site_away_for_a_simulated_day(world: World) -> None:
    """What it had is waited for; only what it never took is taken back, by the rule `take_within_ms`."""
    bj, tj = world.centres
    ends_there = submit(world, "sleep 7200", 30_000)
    goes_on = submit(world, "sleep 87000", 100_000)
    passes(world, 4, lambda: None)
    assert {job(world, name).state for name in world.jobs} == {JobState.RUNNING}
    untaken = submit(world, "sleep 40", 600)
    world.loops[0].step()
    assert job(world, untaken).attempts[0].site == bj.site
    bj.line.cut, tj.line.cut = True, False
    left_ms = world.clock()

    def nothing_is_given_up() -> None:
        for name in (ends_there, goes_on):
            assert job(world, name).state is JobState.RUNNING
            assert job(world, name).attempts[0].metered_card_ms <= 2 * 20_000, "charged for what nobody saw"
        if world.clock() % (3 * HOUR_MS) < 60_000:
            bj.kill()

    passes(world, DAY_MS // 60_000, nothing_is_given_up, 60_000)
    assert world.clock() - left_ms == DAY_MS
    first, second = job(world, untaken).attempts
    assert (first.site, first.metered_card_ms, first.category) == (bj.site, 0, Category.NO_CAPACITY)
    assert second.site == tj.site
    assert job(world, untaken).state is JobState.SUCCEEDED
    bj.line.cut = False
    for fault in ("reply_lost", "twice", "dies_after"):
        world.clock.now_ms += 5_000
        bj.step(fault)
    passes(world, 200, lambda: None)
    for name, ran_ms in ((ends_there, 7_200_000), (goes_on, 87_000_000)):
        assert job(world, name).state is JobState.SUCCEEDED
        (attempt,) = job(world, name).attempts
        charged_once(world, name, attempt, ran_ms)
    assert set(bj.engine.started.values()) == {1}
    assert attempt_key(untaken, 1) not in bj.engine.started
    world.teardown()


def test_a_job_pauses_in_brown_hours_and_runs_to_its_end_in_green_ones() -> None:
    """All is real but the engine: it is stopped, out of the queue for hours, and placed once more."""
    world = World()
    world.begin()
    policies = {"balanced": Policy("balanced", fit=1, price=3, wait=2, distance=1, green=3)}
    world.loops[0] = Loop(world.store, replace(RULES, policies=policies), world.clock, "loop-1", Limits())
    spec = JobSpec(
        "train", JobType.TASK, 1, Resources((Ask("H100", 2),)), "sleep 7000", max_duration_s=10_800,
        grace_s=1, preemptible=True, wish=Wish(defer_s=8 * 3600, pauses=2),
    )  # fmt: skip
    name = JobId(ulid(world.clock.now_ms, bytes(10)))
    world.store.submit([NewJob(name, LAB, spec, "ada", "sha256:0")], world.clock.now_ms)
    world.jobs.append(name)
    passes(world, 30, lambda: None, step_ms=60_000)
    assert job(world, name).state is JobState.RUNNING, "every hour was as brown when it was submitted"
    now_h = world.clock.now_ms // HOUR_MS
    green = [900_000 if (hour - now_h) % 24 in {5, 6, 7} else 50_000 for hour in range(24)]
    supply = {"green_ppm": green, "grams_per_kwh": [500] * 24, "source": "a test", "synthetic": False}
    for site in ("bj", "tj"):
        record = world.store.get("site", site)
        assert record is not None
        world.store.put(replace(record, doc={**record.doc, "supply": supply}))
    passes(world, 9 * 60, lambda: None, step_ms=60_000)
    found = job(world, name)
    assert found.state is JobState.SUCCEEDED
    first, second = found.attempts
    assert (first.state, first.category) == (AttemptState.PREEMPTED, Category.PREEMPTED)
    assert first.ran_ms >= HOUR_MS
    assert second.started_ms // HOUR_MS == now_h + 5
    assert second.placed_ms >= first.resume_ms
    assert first.settled
    assert second.settled
    world.teardown()
