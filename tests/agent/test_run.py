"""The agent as a process with the local engine and a real HTTP line: killed, restarted, told to end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hutong.adapters.engines.local import tree
from hutong.core.work.states import JobState

PROGRAM = """
import sys, time
from pathlib import Path
from hutong.adapters.engines.local.config import LocalConfig
from hutong.agent.run import AgentConfig, run_agent
root, url = Path(sys.argv[1]), sys.argv[2]
engine = LocalConfig(root / "engine", root / "payloads", isolation="none")
run_agent(AgentConfig("east", url, "site-token", root / "agent", engine), lambda: time.time_ns() // 1_000_000)
"""


@pytest.fixture
def agents(world, door, tmp_path: Path):
    (tmp_path / "payloads").mkdir()
    children = []

    def start() -> subprocess.Popen:
        argv = [sys.executable, "-c", PROGRAM, str(tmp_path), door.url]
        with (tmp_path / "agent.out").open("ab") as sink:
            children.append(subprocess.Popen(argv, stdout=sink, stderr=sink))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()
    for job in world.jobs:
        found = world.job(job)
        for attempt in found.attempts:
            pids = tree.carrying(found.key(attempt))
            tree.end_all(lambda key=found.key(attempt): tree.carrying(key), lambda: None)
            assert not pids, "a job was left running"


def until(world, door, good, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not good():
        assert time.monotonic() < deadline, [world.job(job) for job in world.jobs]
        world.now = time.time_ns() // 1_000_000
        with door.lock:
            world.turn()
        time.sleep(0.01)


def test_a_killed_agent_is_replaced_and_the_job_goes_on(world, door, agents, tmp_path: Path) -> None:
    first = agents()
    job = world.submit("echo begin; sleep 2; echo end > $HUTONG_OUTPUTS/file; echo end", outputs="kept")
    until(world, door, lambda: world.job(job).state is JobState.RUNNING)
    first.kill()
    first.wait()
    agents()
    until(world, door, lambda: world.job(job).final and world.job(job).attempt.collected)
    done = world.job(job)
    assert done.state is JobState.SUCCEEDED
    assert len(done.attempts) == 1
    assert world.link.logs[world.key(job), 0] == b"begin\nend\n"
    assert [each.path for each in done.attempt.outputs] == ["file"]
    assert world.link.objects[done.attempt.outputs[0].digest] == b"end\n"


def test_a_terminated_agent_ends_soon_and_leaves_jobs_running(world, door, agents) -> None:
    agent = agents()
    job = world.submit("sleep 3")
    until(world, door, lambda: world.job(job).state is JobState.RUNNING)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(timeout=10) == 0
    assert tree.carrying(world.key(job))
    agents()
    until(world, door, lambda: world.job(job).final)
    assert world.job(job).state is JobState.SUCCEEDED


def test_a_second_agent_waits_for_the_first(world, door, agents, tmp_path: Path) -> None:
    first = agents()
    until(world, door, lambda: door.requests)
    second = agents()
    until(world, door, lambda: b"another agent works in this folder" in (tmp_path / "agent.out").read_bytes())
    first.kill()
    first.wait()
    job = world.submit("true")
    until(world, door, lambda: world.job(job).final)
    assert second.poll() is None


def test_dispatch_is_quick(world, door, agents) -> None:
    agents()
    until(world, door, lambda: door.requests)
    waits = []
    for _ in range(8):
        job = world.submit("true")
        begin = time.monotonic()
        until(world, door, lambda job=job: world.job(job).attempt and world.job(job).attempt.external_id)
        waits.append(time.monotonic() - begin)
        until(world, door, lambda job=job: world.job(job).final)
    print("submit to accepted, s:", [round(each, 3) for each in sorted(waits)])
    assert sorted(waits)[len(waits) // 2] < 1.0
