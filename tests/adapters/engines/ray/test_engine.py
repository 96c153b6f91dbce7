"""The Ray engine on a real cluster: what Ray forgets, gets wrong, or is told by others."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from testbeds.ray import RayCluster
from tests.conformance.benches import Bench, emptied, now_ms, ray_bench, ray_config
from tests.faults import Kills, dice, kill_midway, seconds, trials

from hutong.adapters.engines.attempt import tree
from hutong.adapters.engines.base import Order
from hutong.adapters.engines.inspection import Count, Level
from hutong.adapters.engines.ray.config import RayPool
from hutong.adapters.engines.ray.engine import RayEngine
from hutong.adapters.engines.ray.inspect import RayInspector
from hutong.adapters.engines.ray.parse import Record
from hutong.agent.core import steady_ms
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.facts import Ended
from hutong.core.work.states import AttemptState, Category

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

AT_ONCE = 4  # more than that wait in Ray, which gives them up within its own limit
# What Ray does itself when it takes a job's supervisor for dead, with the job running on.
CALL_FAILED = """
import asyncio, sys
from ray._raylet import GcsClient
from ray.dashboard.modules.job.common import JobInfoStorageClient, JobStatus
jobs = JobInfoStorageClient(GcsClient(address=sys.argv[1]))
asyncio.run(jobs.put_status(sys.argv[2], JobStatus.FAILED, message="Job supervisor actor died"))
"""


class Site:
    """A bench and what only Ray's has."""

    def __init__(self, bench: Bench, root: Path, cluster: RayCluster) -> None:
        assert isinstance(bench.engine, RayEngine)
        self.bench, self.engine, self.root, self.cluster = bench, bench.engine, root / "site", cluster

    def folder(self, key: AttemptKey) -> Path:
        return self.root / "attempts" / key

    def run(self, run: str = "echo up; sleep 600", **fields: object) -> Order:
        order = self.bench.order(run, **fields)
        self.engine.submit(order)
        return order

    def up(self, key: AttemptKey, rank: int = 0) -> None:
        self.until(lambda: self.bench.see(key) and self.bench.log(key, rank))

    def until(self, good: Callable[[], object], within_s: float = 90) -> None:
        deadline = time.monotonic() + within_s
        while not good():
            assert time.monotonic() < deadline, "it never came to pass"
            time.sleep(0.05)

    def job(self, key: AttemptKey) -> Record | None:
        return self.engine._client.job(key)

    def finish(self, key: AttemptKey) -> Ended:
        ended = self.bench.finish(key).ended
        assert ended is not None
        return ended

    def gone(self, key: AttemptKey) -> None:
        """Wait until no process of the attempt is left on any node."""
        self.until(lambda: not tree.carrying(key))


@pytest.fixture
def site(tmp_path: Path, ray_cluster: RayCluster) -> Iterator[Site]:
    with ray_bench(tmp_path, ray_cluster, "none") as bench:
        yield Site(bench, tmp_path, ray_cluster)


def blamed_on_the_centre(ended: Ended) -> bool:
    return (ended.outcome, ended.category) == (AttemptState.FAILED, Category.INFRA)


def test_a_submission_whose_answer_was_lost_is_adopted(site: Site) -> None:
    order = site.run("echo ran >> count; sleep 0.5")
    (site.folder(order.key) / "submitted.json").unlink()
    assert site.bench.again().submit(order).adopted
    assert not site.engine._client.submit({"entrypoint": "true", "submission_id": order.key})
    assert site.finish(order.key).outcome is AttemptState.SUCCEEDED
    assert (site.folder(order.key) / "work" / "count").read_text() == "ran\n"


def test_a_submitter_that_is_killed_at_any_moment_has_it_run_once(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    orders = [site.bench.order("echo ran >> count") for _ in range(3)]
    kills = Kills(trials(6), seconds(lambda each: site.bench.again().submit(each), *orders[:2]), dice(5))
    for after_s in kills:
        order = orders[-1]
        kill_midway(after_s, lambda each: site.bench.again().submit(each), order)
        through = (site.folder(order.key) / "submitted.json").exists()
        kills.tell(midway=not through)
        if through:
            site.finish(orders[-min(len(orders), AT_ONCE)].key)
            orders.append(site.bench.order("echo ran >> count"))
    site.engine.submit(orders[-1])
    for order in orders:
        assert site.finish(order.key).outcome is AttemptState.SUCCEEDED
        site.gone(order.key)
        assert (site.folder(order.key) / "work" / "count").read_text() == "ran\n"
    assert kills.midway, "no kill came before the end of a submission: the test has lost its point"
    record_property("counted", f"{kills}; {len(orders)} jobs ran once")


def test_a_gang_that_fits_nowhere_waits_and_is_stopped_at_once(site: Site) -> None:
    order = site.run("true", num_nodes=4)
    site.until(lambda: (job := site.job(order.key)) and job.status == "RUNNING")
    seen = site.bench.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.PENDING
    site.engine.stop(order.key, 1, Category.CANCELLED, "changed my mind", 60)
    seen = site.bench.see(order.key)
    assert seen is not None
    assert seen.ended is not None
    assert (seen.ended.outcome, seen.ended.started_ms) == (AttemptState.CANCELLED, 0)
    site.until(lambda: (job := site.job(order.key)) and job.over)


def test_what_the_folder_says_wins_over_rays_word(site: Site) -> None:
    order = site.run(
        "echo up; until [ -e go ]; do sleep 0.05; done", setup="until [ -e prepared ]; do sleep 0.05; done"
    )
    prepared, go = (site.folder(order.key) / "work" / name for name in ("prepared", "go"))
    site.until(lambda: site.bench.see(order.key) and prepared.parent.exists())
    call = [str(site.cluster.python), "-c", CALL_FAILED, site.cluster.gcs, order.key]
    subprocess.run(call, check=True, timeout=60, capture_output=True)
    site.until(lambda: (job := site.job(order.key)) and job.status == "FAILED")
    looks = time.monotonic() + 8  # longer than a job that is over, or a beat that does not move, is given
    while time.monotonic() < looks:
        seen = site.bench.see(order.key)
        assert seen is not None
        assert seen.ended is None
    prepared.touch()
    site.up(order.key)
    go.touch()
    assert site.finish(order.key).outcome is AttemptState.SUCCEEDED


def test_a_job_that_the_site_stops_is_no_doing_of_the_user(site: Site) -> None:
    order = site.run("trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done", grace_s=20)
    site.up(order.key)
    site.engine._client.stop(order.key)
    ended = site.finish(order.key)
    assert blamed_on_the_centre(ended)
    assert "not by the platform" in ended.reason
    assert "saved\n" in site.bench.log(order.key)
    site.gone(order.key)


def test_nothing_outlives_a_driver_that_is_killed(site: Site) -> None:
    order = site.run("trap '' TERM; echo up; sleep 600; sleep 600", num_nodes=2)
    site.up(order.key, 0)
    site.up(order.key, 1)
    (driver,) = having(f"driver.py\0{site.folder(order.key)}")
    os.kill(driver, signal.SIGKILL)
    assert blamed_on_the_centre(site.finish(order.key))
    site.gone(order.key)


def test_nothing_outlives_rays_own_process_over_a_job(site: Site) -> None:
    order = site.run("trap '' TERM; echo up; sleep 600; sleep 600")
    site.up(order.key)
    guard, supervisor = sorted(having(f"batch.py\0{site.folder(order.key)}"), key=is_child)
    assert os.getpgid(guard) != os.getpgid(supervisor)  # Ray kills the first of these
    os.kill(parent(guard), signal.SIGKILL)
    assert blamed_on_the_centre(site.finish(order.key))
    site.gone(order.key)


def having(words: str) -> list[int]:
    """Return the processes with these words, parted by NUL, in their command line."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and words.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_nothing_outlives_a_worker_of_rays(site: Site) -> None:
    order = site.run("trap '' TERM; echo up; sleep 600; sleep 600", num_nodes=2)
    site.up(order.key, 1)
    (guard,) = (
        pid for pid in having("follow.py\0" + f"{site.folder(order.key)}\0" + "1") if not is_child(pid)
    )
    os.kill(parent(guard), signal.SIGKILL)
    ended = site.finish(order.key)
    assert blamed_on_the_centre(ended)
    assert ended.reason.startswith("rank 1")
    site.gone(order.key)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_child(pid: int) -> bool:
    """Return whether a process is the one that works, not the one that waits for it."""
    own, over = (Path(f"/proc/{each}/cmdline").read_bytes() for each in (pid, parent(pid)))
    return own == over


def test_jobs_of_others_are_left_alone(site: Site) -> None:
    theirs = site.bench.order("true")
    body = {"entrypoint": "sleep 600", "submission_id": theirs.key, "metadata": {"hutong": "another site"}}
    assert site.engine._client.submit(body)
    assert site.bench.see(theirs.key) is None
    with pytest.raises(Refused, match="not this site's"):
        site.engine.submit(theirs)
    assert theirs.key not in site.engine._jobs
    site.engine._client.stop(theirs.key)


def test_what_is_forgotten_here_is_forgotten_by_ray(site: Site) -> None:
    order = site.run("true")
    site.finish(order.key)
    site.until(lambda: (job := site.job(order.key)) and job.over)
    site.engine.forget(order.key)
    site.until(lambda: site.bench.see(order.key) is None and site.job(order.key) is None)
    assert site.engine.submit(order).adopted
    assert site.job(order.key) is None


def test_a_job_that_was_purged_before_anybody_looked(site: Site) -> None:
    order = site.run("echo out; exit 7")
    site.until(lambda: (job := site.job(order.key)) and job.over)
    site.engine._client.delete(order.key)
    assert site.job(order.key) is None
    seen = {each.key: each for each in site.bench.again().observe()}[order.key]
    assert seen.ended is not None
    assert (seen.ended.category, seen.ended.exits[0].code) == (Category.USER, 7)


def test_a_job_of_ours_that_is_unknown_here_is_stopped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hutong.adapters.engines.ray.engine._OVERDUE_S", 0.5)
    stray = site.bench.order("true")
    body = {
        "entrypoint": "sleep 600",
        "submission_id": stray.key,
        "metadata": {"hutong": site.engine._origin},
    }
    site.engine._client.submit(body)
    site.until(lambda: site.engine.observe() == () and site.job(stray.key) is None)


def test_secrets_are_not_told_to_ray(site: Site) -> None:
    order = site.run("echo up; sleep 600", secrets={"TOKEN": "canary-77ab"})
    site.up(order.key)
    for path in ("", "/logs"):
        assert "canary-77ab" not in site.engine._client._http.get(f"/api/jobs/{order.key}{path}").text
    for pid in having(""):
        command = Path(f"/proc/{pid}/cmdline")
        assert not command.exists() or b"canary-77ab" not in command.read_bytes()
    for path in site.folder(order.key).rglob("*"):
        assert path.is_dir() or b"canary-77ab" not in path.read_bytes()


def test_ray_gives_a_job_its_devices(tmp_path: Path, ray_cluster: RayCluster) -> None:
    config = ray_config(tmp_path, ray_cluster, "none")
    config = replace(config, pools={"p": RayPool({"NPU": 1}, cpus_per_card=0.1)})
    engine = RayEngine(config, now_ms, steady_ms)
    site = Site(Bench(engine, lambda: time.sleep(0.05), lambda: engine, within_s=90), tmp_path, ray_cluster)
    order = site.run("echo devices=$ASCEND_RT_VISIBLE_DEVICES")
    assert site.finish(order.key).outcome is AttemptState.SUCCEEDED
    assert site.bench.log(order.key) == "devices=0,1\n"


def test_pools_are_what_is_alive_less_what_others_hold(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hutong.adapters.engines.ray.engine._CAPACITY_S", 0)
    order = site.run()
    site.up(order.key)
    site.engine._client.submit(
        {"entrypoint": "sleep 600", "submission_id": "theirs", "entrypoint_resources": {"h800": 3}}
    )

    def told() -> bool:
        site.bench.see(order.key)
        (state,) = site.engine.capacity()
        return (state.pool, state.cards_up, state.cards_elsewhere) == ("p", 12, 3)

    site.until(told)
    site.engine._client.stop("theirs")


def test_free_cards_are_told_by_node(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hutong.adapters.engines.ray.engine._CAPACITY_S", 0)
    alone, gang = site.run(), site.run(num_nodes=2)
    site.up(alone.key)
    site.up(gang.key, 1)

    def told() -> bool:
        for each in (alone, gang):
            site.bench.see(each.key)
        (state,) = site.engine.capacity()
        if state.spread is None or state.spread.ours != ((1, 2, 1), (2, 2, 1)):
            return False
        return sum(free * nodes for free, nodes in enumerate(state.spread.levels)) == 12 - 6

    site.until(told)


def test_the_inspector_sees_what_there_is(site: Site, tmp_path: Path) -> None:
    config = replace(site.engine._ray, pools={"p": RayPool({"h800": 1}), "none": RayPool({"h900": 1})})
    inspector = RayInspector(config)
    levels = {check.name: check.level for check in inspector.check(quick=False)}
    assert (levels["ray"], levels["pool p"], levels["pool none"]) == (Level.OK, Level.OK, Level.BAD)
    assert inspector.count("p", "H800") == Count(12)
    found = inspector.inspect()
    assert found.facts["version"].startswith("2.")
    assert {(each.id, each.nodes, each.cards_per_node) for each in found.pools} == {
        ("h800", 3, 4),
        ("npu", 3, 4),
    }
    assert "anybody" in found.review[0]


def test_a_head_that_is_out_of_reach_says_nothing_of_jobs(site: Site, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    config = replace(ray_config(tmp_path / "b", site.cluster, "none"), url="http://127.0.0.1:9")
    engine = RayEngine(config, now_ms, steady_ms)
    for ask in (engine.observe, engine.capacity, lambda: engine.submit(site.bench.order("true"))):
        with pytest.raises(Later, match="head"):
            ask()


def test_a_node_that_is_lost_ends_the_gang(site: Site) -> None:
    order = site.run("echo up; sleep 600", num_nodes=3)
    for rank in range(3):
        site.up(order.key, rank)
    site.cluster.kill_node(2)
    assert blamed_on_the_centre(site.finish(order.key))
    site.gone(order.key)
    site.cluster.wait(lambda: site.cluster.alive() == 2, "the lost node is counted out")
    site.cluster.start_node(2)


def test_a_head_that_restarts_forgets_jobs_and_they_end(site: Site) -> None:
    running = site.run("echo up; sleep 600")
    waiting = site.run("true", num_nodes=4)
    site.up(running.key)
    site.cluster.kill_head()
    with pytest.raises(Later):
        site.until(lambda: site.engine.observe() is None)
    site.cluster.start_head()
    for order in (running, waiting):
        ended = site.finish(order.key)
        assert blamed_on_the_centre(ended)
        assert "head" in ended.reason
        site.gone(order.key)
    assert site.finish(site.run("true").key).outcome is AttemptState.SUCCEEDED


@pytest.fixture(scope="module")
def strict() -> Iterator[RayCluster]:
    """A cluster that asks for a token, and gives jobs up that it cannot start within 10 s."""
    with RayCluster(resources={"h800": 4}, token="0123456789abcdef-of-a-test", start_timeout_s=10) as cluster:
        yield cluster


@pytest.fixture
def known(tmp_path: Path, strict: RayCluster) -> Iterator[Site]:
    (tmp_path / "token").write_text("0123456789abcdef-of-a-test\n")
    config = replace(ray_config(tmp_path, strict, "none"), token_file=tmp_path / "token")
    with emptied(lambda: RayEngine(config, now_ms, steady_ms), 0.05, 90) as bench:
        yield Site(bench, tmp_path, strict)


def test_a_cluster_that_asks_for_a_token(known: Site, tmp_path: Path) -> None:
    assert known.finish(known.run("true").key).outcome is AttemptState.SUCCEEDED
    assert not known.engine._client.open()
    (tmp_path / "token").write_text("another")
    with pytest.raises(Later, match="token_file"):
        known.bench.again().observe()


def test_a_job_waits_longer_than_ray_lets_it_wait(known: Site) -> None:
    holds = known.bench.order("until [ -e go ]; do sleep 0.1; done")
    holds = replace(holds, attempt=replace(holds.attempt, cards=4))
    known.engine.submit(holds)
    known.until(lambda: (seen := known.bench.see(holds.key)) and seen.state is AttemptState.RUNNING)
    waits = known.run("echo ran >> count")
    assert known.engine._client.starters() == frozenset[str]({holds.key, waits.key})

    def began_to_wait() -> int:
        answer = known.engine._client._http.get(f"/api/jobs/{waits.key}")
        return int(answer.json()["start_time"]) if answer.status_code == 200 else 0

    first = began_to_wait()
    assert first
    known.until(lambda: known.bench.see(waits.key) and began_to_wait() > first)
    seen = known.bench.see(waits.key)
    assert seen is not None
    assert seen.state is AttemptState.PENDING
    (known.folder(holds.key) / "work" / "go").touch()
    assert known.finish(waits.key).outcome is AttemptState.SUCCEEDED
    assert (known.folder(waits.key) / "work" / "count").read_text() == "ran\n"
