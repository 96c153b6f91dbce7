"""The agent as a process with the local engine and a real HTTP line: killed, restarted, told to end."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.agent.scene import SITE, Door, World
from tests.s3 import serve_s3

from hutong.adapters.engines.attempt import tree
from hutong.core.capacity.sites import Move
from hutong.core.work.spec import Input
from hutong.core.work.states import Category, JobState

Starter = Callable[..., "subprocess.Popen[bytes]"]

PROGRAM = """
import sys, time
from pathlib import Path
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.agent.config import AgentConfig
from hutong.agent.offers import Offers, StoreOffer
from hutong.agent.run import run_agent
root, url, endpoint, shared = Path(sys.argv[1]), *sys.argv[2:]
offers = Offers({"lab": StoreOffer(endpoint)} if endpoint else {}, {"sets": Path(shared)} if shared else {})
engine = FolderConfig(root / "engine", root / "payloads", isolation="none")
config = AgentConfig("east", url, "site-token", root / "agent", engine, offers=offers)
run_agent(config, lambda: time.time_ns() // 1_000_000)
"""


@pytest.fixture
def agents(world: World, door: Door, tmp_path: Path) -> Iterator[Starter]:
    (tmp_path / "payloads").mkdir()
    children: list[subprocess.Popen[bytes]] = []

    def start(endpoint: str = "", shared: str = "") -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-c", PROGRAM, str(tmp_path), door.url, endpoint, shared]
        with (tmp_path / "agent.out").open("ab") as sink:
            children.append(subprocess.Popen(argv, stdout=sink, stderr=sink))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()
    left = [
        pid
        for found in map(world.job, world.jobs)
        for attempt in found.attempts
        for pid in tree.carrying(found.key(attempt))
    ]
    tree.end_all(lambda: [pid for pid in left if Path(f"/proc/{pid}").exists()], lambda: None)
    assert not left, "a job was left running"


def until(world: World, door: Door, good: Callable[[], object], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not good():
        assert time.monotonic() < deadline, [world.job(job) for job in world.jobs]
        world.now = time.time_ns() // 1_000_000
        with door.lock:
            world.turn()
        time.sleep(0.01)


def test_a_killed_agent_s_fetch_goes_on_where_it_was_and_says_how_far_it_is(
    world: World, door: Door, agents: Starter, tmp_path: Path
) -> None:
    data = os.urandom(6 << 20)
    big = f"sha256:{hashlib.sha256(data).hexdigest()}"
    listed = {"files": [{"path": "big.bin", "size_bytes": len(data), "digest": big}]}
    text = json.dumps(listed).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    world.link.objects |= {big: data, digest: text}
    half = 4 << 20
    door.cuts = [len(text), half]
    door.stall.clear()
    first = agents()
    job = world.submit("sha256sum < data/big.bin", inputs=(Input("data", digest, "manifest"),))

    def moved() -> Move | None:
        status = world.store.statuses().get(SITE)
        return status.move(world.key(job)) if status and world.job(job).attempt else None

    until(world, door, lambda: (move := moved()) and move.done_bytes == half)
    assert moved() == Move(world.key(job), "inputs", half, len(data))
    first.kill()
    first.wait()
    door.stall.set()
    agents()
    until(world, door, lambda: world.job(job).final and world.job(job).attempt.collected)
    assert world.job(job).state is JobState.SUCCEEDED
    assert len(world.job(job).attempts) == 1
    assert world.link.logs[world.key(job), 0].decode().split()[0] == big.removeprefix("sha256:")
    assert door.sent_bytes == len(text) + len(data), "no byte came twice"
    assert not list((tmp_path / "agent" / "cache" / "objects").glob(".*"))


def test_data_sets_come_from_a_store_and_a_shared_folder(
    world: World, door: Door, agents: Starter, tmp_path: Path
) -> None:
    (tmp_path / "srv" / "zh").mkdir(parents=True)
    (tmp_path / "srv" / "zh" / "a.txt").write_text("shared\n")
    by_url = Input("sets/s3", "", "url", url="s3://sets/zh", store="lab")
    shared = Input("sets/site", "", "shared", shared="sets/zh")
    with serve_s3(tmp_path / "s3", "sets") as server:
        (tmp_path / "s3" / "sets" / "zh").mkdir()
        (tmp_path / "s3" / "sets" / "zh" / "b.txt").write_text("fetched\n")
        world.link.secrets = {"AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret}
        nowhere = (replace(by_url, store="elsewhere"),)
        other = world.submit("true", inputs=nowhere)
        world.turn()  # the site has not said yet what it offers
        agents(server.endpoint, str(tmp_path / "srv"))
        until(world, door, lambda: world.store.statuses()["east"].offers)
        job, late = (
            world.submit("cat sets/*/*.txt", inputs=(by_url, shared)),
            world.submit("", inputs=nowhere),
        )
        until(world, door, lambda: all(world.job(each).final for each in (job, other)))
        until(world, door, lambda: world.link.logs.get((world.key(job), 0)))
    assert world.link.logs[world.key(job), 0] == b"fetched\nshared\n"
    failed = world.job(other)
    assert (failed.state, len(failed.attempts)) == (JobState.FAILED, 1)
    assert failed.attempt.category is Category.USER
    assert "no store 'elsewhere' is offered here to fetch inputs from (there are: lab)" in failed.reason
    assert (world.job(late).state, world.job(late).waiting_code) == (JobState.QUEUED, "no_data")
    assert "offers shared sets, store lab" in world.job(late).waiting_text
    told = (tmp_path / "agent.out").read_text() + str(list((tmp_path / "agent").rglob("*")))
    assert server.key not in told
    assert server.secret not in told


def test_a_killed_agent_is_replaced_and_the_job_goes_on(
    world: World, door: Door, agents: Starter, tmp_path: Path
) -> None:
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


def test_a_terminated_agent_ends_soon_and_leaves_jobs_running(
    world: World, door: Door, agents: Starter
) -> None:
    agent = agents()
    job = world.submit("sleep 3")
    until(world, door, lambda: world.job(job).state is JobState.RUNNING)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(timeout=60) == 0
    assert tree.carrying(world.key(job))
    agents()
    until(world, door, lambda: world.job(job).final)
    assert world.job(job).state is JobState.SUCCEEDED


def test_a_second_agent_waits_for_the_first(
    world: World, door: Door, agents: Starter, tmp_path: Path
) -> None:
    first = agents()
    until(world, door, lambda: door.requests)
    second = agents()
    until(world, door, lambda: b"another agent works in this folder" in (tmp_path / "agent.out").read_bytes())
    first.kill()
    first.wait()
    job = world.submit("true")
    until(world, door, lambda: world.job(job).final)
    assert second.poll() is None


def test_dispatch_is_quick(world: World, door: Door, agents: Starter) -> None:
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
    assert min(waits) < 1.0, "a pause would be in all: a job comes when the agent has just reported the last"
