"""The agent between a platform and an engine: no duplicate, no orphan, no lost report, however it dies."""

import contextlib
import random
from collections.abc import Sequence

import pytest
from tests.agent.scene import StoreLink, World

from hutong.adapters.engines.memory import MemoryEngine
from hutong.agent.link import Reply, SmallLog
from hutong.core.book.store import Sighting
from hutong.core.kernel.errors import Later, Refused
from hutong.core.work.facts import Accepted, Collected, Ended, Report, Started
from hutong.core.work.spec import Input
from hutong.core.work.states import Category, JobState


def test_a_job_from_the_queue_to_the_end(world: World) -> None:
    agent = world.agent()
    job = world.submit("echo hello; sleep 2")
    world.go(agent)
    running = world.job(job)
    assert running.state is JobState.RUNNING
    assert not running.attempt.adopted
    assert running.attempt.external_id == world.key(job)
    assert running.attempt.started_ms > 0
    world.go(agent, steps=8)
    done = world.job(job)
    assert done.state is JobState.SUCCEEDED
    assert (done.attempt.ran_ms, done.attempt.collected, done.attempt.log_bytes) == (2_000, True, 6)
    assert world.link.logs[world.key(job), 0] == b"hello\n"
    assert (world.key(job), 0) in world.link.whole


def test_nothing_is_said_twice_while_the_line_is_good(world: World) -> None:
    agent = world.agent()
    world.submit("sleep 3")
    world.go(agent, steps=30)
    kinds = [type(report.event) for report in world.link.reports]
    assert kinds == [Accepted, Started, Ended, Collected]


def test_an_idle_agent_is_quiet(world: World) -> None:
    agent = world.agent(sighting_every_s=5.0)
    world.go(agent)
    before = world.link.calls
    world.go(agent, steps=20)
    takes = 20
    assert world.link.calls - before <= takes + 3


def test_what_stands_as_it_did_is_told_anew_when_it_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world.agent()
    world.submit("sleep 600")
    world.turn()
    delivery = agent.take(0.0)
    agent.receive(delivery)
    agent.tick()
    same = world.engine.observe()
    monkeypatch.setattr(MemoryEngine, "observe", lambda _: same)  # as engines do that look at little anew
    world.go(agent, steps=2)
    told = [type(report.event) for report in world.link.reports]
    assert told == [Accepted, Started]
    agent.receive(delivery)
    world.go(agent, steps=2)
    assert [type(report.event) for report in world.link.reports] == 2 * told


def test_an_exit_code_comes_through(world: World) -> None:
    agent = world.agent()
    job = world.submit("exit 9")
    world.go(agent, steps=4)
    done = world.job(job)
    assert done.state is JobState.FAILED
    assert done.attempt.exits[0].code == 9


def test_a_cancelled_job_is_stopped(world: World) -> None:
    agent = world.agent()
    job = world.submit("sleep 500")
    world.go(agent, steps=2)
    world.cancel(job)
    world.go(agent, steps=4)
    assert world.job(job).state is JobState.CANCELLED
    assert all(seen.ended for seen in world.engine.observe())


def test_a_stop_and_a_start_in_one_delivery_run_nothing(world: World) -> None:
    job = world.submit("sleep 500")
    world.turn()
    world.link.take(0, 0)  # an agent took it and died
    world.cancel(job)
    world.turn()
    world.go(world.agent(), steps=4)
    assert world.job(job).state is JobState.CANCELLED
    assert world.engine.starts == 0


def test_a_new_agent_adopts_what_runs(world: World) -> None:
    job = world.submit("sleep 5")
    world.go(world.agent(), steps=2)
    second = world.agent()
    world.go(second, steps=12)
    assert world.job(job).state is JobState.SUCCEEDED
    assert world.engine.starts == 1


def test_a_start_whose_report_was_lost_is_adopted(world: World) -> None:
    job = world.submit("sleep 5")
    world.turn()

    class Deaf(StoreLink):
        def report(
            self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
        ) -> Reply:
            raise Later("nobody is there")

    deaf = Deaf(world.store, lambda: world.now)
    with pytest.raises(Later):
        world.agent(deaf).step()
    assert world.engine.starts == 1
    assert world.job(job).state is JobState.DISPATCHED
    world.go(world.agent(), steps=1)
    assert world.job(job).attempt.adopted
    world.go(world.agent(), steps=12)
    assert world.job(job).state is JobState.SUCCEEDED
    assert world.engine.starts == 1


def test_the_platform_may_be_away_for_days(world: World) -> None:
    line = world.bad_line(random.Random(1))
    line.loss = 0
    agent = world.agent(line)
    jobs = [world.submit(f"echo {n}; sleep {n}") for n in range(5)]
    world.go(agent)
    line.loss = 2  # nothing comes through
    for _ in range(50):
        with contextlib.suppress(Later):
            agent.tick()
        world.now += 3_600_000
    assert [world.job(job).state for job in jobs[1:]] == [JobState.RUNNING] * 4
    line.loss = 0
    world.go(agent, steps=6)
    assert [world.job(job).state for job in jobs] == [JobState.SUCCEEDED] * 5
    assert [world.job(job).attempt.ran_ms for job in jobs] == [n * 1000 for n in range(5)]


def test_an_orphan_is_stopped(world: World) -> None:
    agent = world.agent()
    job = world.submit("sleep 500")
    world.go(agent, steps=2)
    elsewhere = World(world.folder / "other")  # a platform that has never heard of the job
    stranger = elsewhere.agent(engine=world.engine)
    elsewhere.go(stranger, steps=2)
    ends = [seen.ended for seen in world.engine.observe()]
    assert [end.category for end in ends if end] == [Category.CANCELLED]
    assert world.job(job).state is JobState.RUNNING


def test_what_the_engine_lost_is_not_seen(world: World) -> None:
    agent = world.agent()
    job = world.submit("sleep 500")
    world.go(agent, steps=2)
    world.engine.lose(world.key(job))
    world.go(agent, steps=400, each_ms=1_000)
    attempts = world.job(job).attempts
    assert attempts[0].category is Category.LOST
    assert len(attempts) >= 2
    assert world.engine.starts == len(attempts)


def test_a_start_that_was_held_too_long_is_confirmed_first(world: World) -> None:
    agent = world.agent(lease_s=60.0)
    job = world.submit("sleep 1")
    world.turn()
    agent.receive(agent.take(0))
    world.now += 61_000  # the agent was frozen; another one may have been told meanwhile
    agent.tick()
    assert world.engine.starts == 0
    world.go(agent, steps=6)
    assert world.job(job).state is JobState.SUCCEEDED
    assert world.engine.starts == 1


def test_an_input_that_is_not_there_fails_the_attempt_and_says_so(world: World) -> None:
    agent = world.agent()
    job = world.submit("sleep 1", inputs=(Input("data", "sha256:" + "0" * 64, "bundle"),))
    world.go(agent, steps=4)
    done = world.job(job)
    assert done.state is JobState.FAILED
    assert "there is no object" in done.attempt.reason
    assert world.engine.starts == 0


def test_settled_attempts_are_forgotten_and_others_never(world: World) -> None:
    agent = world.agent(retention_ms=60_000, keep_most=3)
    for _ in range(6):
        world.submit("sleep 1")
    world.go(agent, steps=8)
    assert len(world.engine.observe()) == 3
    world.now += 61_000
    world.go(agent, steps=2)
    assert world.engine.observe() == ()
    assert len(world.agent()._spool.settled()) == 0


def test_a_live_log_reaches_its_reader(world: World) -> None:
    agent = world.agent()
    job = world.submit("echo first; sleep 5; echo second; sleep 60")
    world.go(agent, steps=2)
    assert world.link.logs == {}
    world.store.watch(world.key(job), world.now + 60_000)
    world.go(agent, steps=2)
    assert world.link.logs[world.key(job), 0] == b"first\n"
    world.go(agent, steps=10)
    assert world.link.logs[world.key(job), 0] == b"first\nsecond\n"


def test_a_refused_report_does_not_hold_up_the_others(world: World) -> None:
    jobs = [world.submit("sleep 2") for _ in range(4)]
    world.turn()
    poison = world.key(jobs[1])

    class Picky(StoreLink):
        def report(
            self, reports: Sequence[Report], sighting: Sighting | None, logs: Sequence[SmallLog] = ()
        ) -> Reply:
            if any(each.key == poison for each in reports):
                raise Refused("bad_report", "this one is not right")
            return super().report(reports, sighting, logs)

    agent = world.agent(Picky(world.store, lambda: world.now))
    world.go(agent, steps=10)
    states = [world.job(job).state for job in jobs]
    assert states[1] is JobState.DISPATCHED
    assert {states[0], states[2], states[3]} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_line_and_dying_agents_change_nothing(world: World, seed: int) -> None:
    dice = random.Random(seed)
    engine = MemoryEngine(lambda: world.now)
    world.engine = engine
    line = world.bad_line(dice)
    agents = [world.agent(line), world.agent(line)]
    jobs = []
    for _ in range(250):
        if len(jobs) < 25 and dice.random() < 0.4:
            jobs.append(
                world.submit(f"echo hi; sleep {dice.randint(0, 9)}; exit {dice.choice([0, 0, 0, 4])}")
            )
        if jobs and dice.random() < 0.05:
            job = world.job(dice.choice(jobs))
            if not job.final and not job.cancel_by:
                world.cancel(job.id)
        if dice.random() < 0.2:
            agents[dice.randrange(2)] = world.agent(line)
        world.go(dice.choice(agents))
    line.loss = 0.0
    world.go(*agents, steps=30)
    final = [world.job(job) for job in jobs]
    assert all(job.final for job in final)
    assert all(job.attempts[-1].collected for job in final if job.attempts)
    tried = sum(attempt.dispatched_ms > 0 for job in final for attempt in job.attempts)
    assert engine.starts <= tried
    assert all(len(job.attempts) <= 1 for job in final)
    assert all(seen.ended for seen in engine.observe())
    assert world.store.check_ledger().faults == ()
