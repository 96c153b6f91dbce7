"""A gang whose ranks run under followers: the whole of an attempt, on processes that stand in for nodes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hutong.adapters.engines.attempt import batch, files, follow, launch, tree
from hutong.adapters.engines.attempt.config import FolderConfig
from hutong.adapters.engines.attempt.engine import FolderEngine
from hutong.adapters.engines.base import Order, Seen
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId, attempt_key, ulid
from hutong.core.work.facts import Ended
from hutong.core.work.fold import Attempt
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.core.work.states import AttemptState, Category

LOOPBACK = "127.0.0.1"


class Nodes(FolderEngine):
    """An engine whose batch system is the test: it starts the supervisor and each follower itself."""

    def _look(self, key: AttemptKey) -> Seen | None:
        return self._seen_end(key) or self._seen(key, AttemptState.PENDING)

    def write(self, order: Order, meet_s: float) -> Path:
        folder = self._claim(order.key)
        assert folder is not None
        programs = Path(follow.__file__).parent
        self._write_order(
            folder, order, launch.followers(sys.executable, programs, folder, ["NODE_"], meet_s, 60)
        )
        self._write_token(folder)
        files.write_json(folder / files.SECRETS, dict(order.secrets))
        return folder


@dataclass
class Attempted:
    """One attempt and its processes."""

    engine: Nodes
    order: Order
    folder: Path
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def spawn(self, program: str, *arguments: str, **env: str) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-I", "-S", program, str(self.folder), *arguments]
        env = {"PATH": os.environ["PATH"]} | env
        child = subprocess.Popen(argv, cwd="/", env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.started.append(child)
        return child

    def follow(self, rank: int) -> "subprocess.Popen[bytes]":
        return self.spawn(follow.__file__, str(rank), LOOPBACK, NODE_NAME=f"node-{rank}")

    def start(self) -> list["subprocess.Popen[bytes]"]:
        followers = [self.follow(rank) for rank in range(self.order.spec.num_nodes)]
        self.spawn(batch.__file__)
        return followers

    def up(self) -> None:
        """Wait until every rank has said something."""
        self.until(lambda: all(self.log(rank) for rank in range(self.order.spec.num_nodes)))

    def until(self, good: Callable[[], object], within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while not good():
            assert time.monotonic() < deadline, f"it never came to pass; {self.see()}"
            time.sleep(0.02)

    def see(self) -> Seen:
        return next(each for each in self.engine.observe() if each.key == self.order.key)

    def log(self, rank: int) -> str:
        return self.engine.read_log(self.order.key, rank, 0, 1 << 20).decode()

    def finish(self) -> Ended:
        self.until(lambda: self.see().ended)
        ended = self.see().ended
        assert ended is not None
        return ended


@dataclass
class Desk:
    """Where a test orders from."""

    engine: Nodes
    made: list[Attempted] = field(default_factory=list)

    def order(self, run: str, nodes: int = 2, meet_s: float = 30, **more: object) -> Attempted:
        job = JobId(ulid(1_795_000_000_000, os.urandom(10)))
        secrets = more.pop("secrets", {})
        spec = JobSpec(
            "try",
            JobType.TASK,
            nodes,
            Resources((Ask("H800", 1),)),
            run,
            max_duration_s=60,
            grace_s=5,
            **more,
        )  # type: ignore[arg-type]
        attempt = Attempt(1, "s", "p", "H800", nodes, nodes, 1, 1, 1, 1)
        order = Order(attempt_key(job, 1), job, ProjectId("p"), attempt, spec, secrets=secrets)  # type: ignore[arg-type]
        self.made.append(Attempted(self.engine, order, self.engine.write(order, meet_s)))
        return self.made[-1]


@pytest.fixture(params=["none", "bwrap"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    if request.param == "bwrap" and not shutil.which("bwrap"):
        pytest.fail("bubblewrap is missing: apt-get install bubblewrap")
    payloads = tmp_path / "payloads"
    payloads.mkdir()
    config = FolderConfig(tmp_path / "site", payloads, isolation=request.param)
    opened = Desk(Nodes(config, lambda: time.time_ns() // 1_000_000))
    yield opened
    for made in opened.made:
        made.engine.stop(made.order.key, 1, Category.CANCELLED, "the test is over", 0)
        for child in made.started:
            child.wait(60)
        assert tree.carrying(made.order.key) == []


def test_ranks_know_each_other_and_where_they_are(desk: Desk) -> None:
    made = desk.order(
        "echo $NODE_NAME of $HUTONG_NODE_IPS at $MASTER_ADDR, $TOKEN", secrets={"TOKEN": "hunter2"}
    )
    made.start()
    end = made.finish()
    assert (end.outcome, [each.code for each in end.exits]) == (AttemptState.SUCCEEDED, [0, 0])
    for rank in range(2):
        assert made.log(rank) == f"node-{rank} of {LOOPBACK} {LOOPBACK} at {LOOPBACK}, ***\n"


def test_a_rank_that_fails_ends_the_others_with_grace(desk: Desk) -> None:
    run = """
    if [ $HUTONG_NODE_RANK = 1 ]; then until [ -e ready ]; do sleep 0.05; done; exit 5; fi
    trap 'echo saved; exit 0' TERM; touch ready; while :; do sleep 0.05; done"""
    made = desk.order(run)
    made.start()
    end = made.finish()
    assert (end.category, end.reason) == (Category.USER, "rank 1 exited with code 5")
    assert "saved\n" in made.log(0)


def test_a_stop_ends_all_and_kills_what_does_not_heed(desk: Desk) -> None:
    made = desk.order("trap '' TERM; echo up; sleep 600; sleep 600")
    made.start()
    made.up()
    made.engine.stop(made.order.key, 1, Category.PREEMPTED, "make room", 1)
    end = made.finish()
    assert (end.outcome, end.reason) == (AttemptState.PREEMPTED, "make room")
    assert [each.signal for each in end.exits] == [signal.SIGKILL, signal.SIGKILL]


def test_a_lost_node_is_the_centres_doing(desk: Desk) -> None:
    made = desk.order("echo up; sleep 600")
    followers = made.start()
    made.up()
    victims = [followers[1].pid, *tree.below([followers[1].pid])]
    tree.send(victims, signal.SIGKILL)
    end = made.finish()
    assert (end.outcome, end.category) == (AttemptState.FAILED, Category.INFRA)
    assert end.reason.startswith("rank 1 lost its node")


def test_a_node_that_never_comes_is_not_waited_for_without_end(desk: Desk) -> None:
    made = desk.order("true", meet_s=0.5)
    made.follow(0)
    made.spawn(batch.__file__)
    end = made.finish()
    assert (end.category, end.reason) == (Category.INFRA, "1 of 2 nodes came up in time")
    assert end.started_ms == 0


def test_a_stop_while_nodes_are_waited_for(desk: Desk) -> None:
    made = desk.order("true")
    made.spawn(batch.__file__)
    made.until((made.folder / files.BEGAN).exists)
    made.engine.stop(made.order.key, 1, Category.CANCELLED, "changed my mind", 1)
    end = made.finish()
    assert (end.outcome, end.reason, end.started_ms) == (AttemptState.CANCELLED, "changed my mind", 0)


def test_nothing_outlives_a_killed_supervisor(desk: Desk) -> None:
    made = desk.order("trap '' TERM; echo up; sleep 600; sleep 600")
    followers = made.start()
    made.up()
    made.started[-1].kill()
    for child in followers:
        child.wait(60)
    assert tree.carrying(made.order.key) == []


def test_no_variable_of_a_job_works_on_the_programs_that_start_it(desk: Desk) -> None:
    made = desk.order("echo $LD_PRELOAD $PYTHONPATH; true", nodes=1, envs=(("LD_PRELOAD", "/no/such.so"),))
    made.start()
    made.finish()
    assert "/no/such.so" in made.log(0)
    assert "/no/such.so" not in (made.folder / files.NOTES).read_text()
