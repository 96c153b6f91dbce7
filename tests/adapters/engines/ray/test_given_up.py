"""Jobs that Ray gave up before their start, or lost: a head of our own says so, and we move the time."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.benches import Bench, folder_config

from hutong.adapters.engines.base import Order, Seen
from hutong.adapters.engines.ray.config import RayConfig, RayPool
from hutong.adapters.engines.ray.engine import RayEngine
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Later
from hutong.core.work.states import AttemptState, Category

GIVEN_UP = {"status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "message": "too late"}


class Head(ThreadingHTTPServer):
    """Keeps jobs as Ray's head does: a name is taken once, and only what is over can be deleted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Questions)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.starters: set[str] = set()
        self.refuses: set[str] = set()
        self.stopped: list[str] = []
        self.taken: list[str] = []
        self.in_use = 0

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        name = path.rpartition("/")[2]
        match method:
            case _ if method in self.refuses:
                return 503, "busy"
            case "POST" if name == "stop":
                self.stopped.append(path.split("/")[-2])
                return 200, {}
            case "POST" if body["submission_id"] in self.jobs:
                return 500, "it already exists"
            case "POST":
                self.taken.append(body["submission_id"])
                self.jobs[body["submission_id"]] = {**body, "status": "PENDING"}
                return 200, {}
            case "DELETE" if self.jobs[name]["status"] == "PENDING":
                return 500, "not over"
            case "DELETE":
                del self.jobs[name]
                return 200, {}
            case _ if path.startswith("/api/v0/actors"):
                rows = [
                    {"name": f"_ray_internal_job_actor_{each}", "state": "ALIVE"} for each in self.starters
                ]
                told = {"result": rows, "num_filtered": len(rows), "partial_failure_warning": ""}
                return 200, {"data": {"result": told}}
            case _ if path.startswith("/api/v0/nodes"):
                row = {"state": "ALIVE", "resources_total": {"h800": 8.0}}
                return 200, {"data": {"result": {"result": [row]}}}
            case _ if path.startswith("/api/cluster_status"):
                usage = {"h800": [float(self.in_use), 8.0]}
                return 200, {"data": {"clusterStatus": {"loadMetricsReport": {"usage": usage}}}}
        return 200, list(self.jobs.values())


class Questions(BaseHTTPRequestHandler):
    server: Head

    def reply(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        status, told = self.server.answer(self.command, self.path, body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    do_GET = do_POST = do_DELETE = reply  # noqa: N815  (their names are http.server's)

    def log_message(self, *_: object) -> None: ...


class World:
    """An engine, its head, and a clock."""

    def __init__(self, root: Path, head: Head) -> None:
        self.head, self.now_ms, self.skew_ms = head, 1_795_000_000_000, 0
        folder = folder_config(root, "none")
        folder.root.mkdir()
        url = f"http://127.0.0.1:{head.server_port}"
        self.config = RayConfig(folder, url, {"p": RayPool({"h800": 1})}, poll_s=1.0, lag_s=20.0)
        self.engine = self.again()

    def again(self) -> RayEngine:
        return RayEngine(self.config, lambda: self.now_ms + self.skew_ms, lambda: self.now_ms)

    def submit(self) -> Order:
        order = Bench(self.engine, lambda: None, lambda: self.engine).order("true")
        assert not self.engine.submit(order).adopted
        return order

    def look(self, order: Order, after_s: float = 2) -> Seen:
        self.now_ms += int(after_s * 1000)
        (seen,) = (each for each in self.engine.observe() if each.key == order.key)
        return seen

    def begin(self, order: Order) -> None:
        (self.config.folder.root / "attempts" / order.key / "began.json").write_text("{}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Head() as head:
        thread = threading.Thread(target=head.serve_forever, args=(0.01,))
        thread.start()
        yield World(tmp_path, head)
        head.shutdown()
        thread.join()


def test_what_ray_gives_up_unstarted_waits_on(world: World) -> None:
    order = world.submit()
    for times in range(1, 4):
        assert len(world.head.taken) == times
        world.head.jobs[order.key] |= GIVEN_UP
        assert [world.look(order).state for _ in range(5)] == [AttemptState.PENDING] * 5
    assert world.head.taken == [order.key] * 4
    assert world.head.jobs[order.key]["status"] == "PENDING"
    assert world.head.jobs[order.key]["entrypoint_resources"] == {"h800": 2}


@pytest.mark.parametrize("busy", ["DELETE", "POST"])
def test_a_head_that_is_busy_then_is_asked_again(world: World, busy: str) -> None:
    order = world.submit()
    world.head.jobs[order.key] |= GIVEN_UP
    world.head.refuses = {busy}
    for _ in range(30):
        assert world.look(order).state is AttemptState.PENDING
    assert world.head.taken == [order.key]
    world.head.refuses = set()
    world.look(order)
    assert world.head.taken == [order.key] * 2
    assert [world.look(order, 20).state for _ in range(5)] == [AttemptState.PENDING] * 5
    assert world.head.taken == [order.key] * 2


def test_an_agent_that_dies_on_the_way_has_another_attempt_tried(world: World) -> None:
    order = world.submit()
    world.head.jobs[order.key] |= GIVEN_UP
    world.head.refuses = {"POST"}
    for _ in range(5):
        world.look(order)
    assert not world.head.jobs
    world.engine, world.head.refuses = world.again(), set()
    assert world.look(order).ended is None
    ended = world.look(order, 30).ended
    assert ended is not None
    assert (ended.category, ended.ran_ms) == (Category.INFRA, 0)


def test_what_is_stopped_does_not_come_again(world: World) -> None:
    order = world.submit()
    world.head.jobs[order.key] |= GIVEN_UP
    world.engine.stop(order.key, 1, Category.CANCELLED, "changed my mind", 0)
    ended = world.look(order).ended
    assert ended is not None
    assert ended.outcome is AttemptState.CANCELLED
    world.look(order, 60)
    assert world.head.taken == [order.key]


def test_what_began_all_the_same_does_not_come_again(world: World) -> None:
    order = world.submit()
    world.head.jobs[order.key] |= GIVEN_UP
    world.begin(order)
    assert world.look(order).state is AttemptState.STARTING
    ended = world.look(order, 10).ended
    assert ended is not None
    assert ended.category is Category.INFRA
    assert world.head.taken == [order.key]


def test_a_job_that_nothing_will_start_is_tried_again(world: World) -> None:
    order, waits = world.submit(), world.submit()
    world.head.starters = {waits.key}
    ends = [world.look(order, 30).ended for _ in range(12)]
    assert ends[:8] == [None] * 8
    ended = ends[-1]
    assert ended is not None
    assert (ended.category, ended.ran_ms) == (Category.INFRA, 0)
    assert "nothing that would start it" in ended.reason
    assert world.look(waits, 600).state is AttemptState.PENDING


def test_a_job_that_is_started_late_is_no_lost_one(world: World) -> None:
    order = world.submit()
    for _ in range(6):
        world.look(order, 30)
    world.head.starters = {order.key}
    assert [world.look(order, 30).ended for _ in range(3)] == [None] * 3
    world.head.starters = set()
    assert [world.look(order, 30).ended for _ in range(3)] == [None] * 3


def test_a_head_that_does_not_tell_what_it_starts_has_lost_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = world.submit()

    def away(_: object) -> None:
        raise Later("busy", 5)

    monkeypatch.setattr("hutong.adapters.engines.ray.client.JobsClient.starters", away)
    assert [world.look(order, 60).ended for _ in range(20)] == [None] * 20


def test_cards_of_a_job_that_ray_starts_or_has_just_ended_are_not_anothers(world: World) -> None:
    order, stopped = world.submit(), world.submit()
    world.head.in_use = 5
    world.look(order)
    assert world.engine.capacity() == (PoolState("p", 8, 1),)
    world.engine.stop(stopped.key, 1, Category.CANCELLED, "changed my mind", 0)
    world.look(order, 31)
    assert world.engine.capacity() == (PoolState("p", 8, 3),)  # Ray will start it, but it will not stay
    world.look(order, 31)
    world.head.jobs[order.key] |= {"status": "SUCCEEDED"}
    assert world.engine.capacity() == (PoolState("p", 8, 3),)
    world.look(order, 31)
    assert world.engine.capacity() == (PoolState("p", 8, 5),)


@pytest.mark.parametrize("jump_h", [-24, 24])
def test_what_outstays_its_stop_is_ended_whatever_the_clock_does(world: World, jump_h: int) -> None:
    order = world.submit()
    world.begin(order)
    world.head.jobs[order.key]["status"] = "RUNNING"
    world.engine.stop(order.key, 1, Category.CANCELLED, "changed my mind", 60)
    world.look(order)
    world.skew_ms = jump_h * 3_600_000
    world.look(order, 80)
    assert world.head.stopped == []
    world.look(order, 20)
    assert world.head.stopped == [order.key]
