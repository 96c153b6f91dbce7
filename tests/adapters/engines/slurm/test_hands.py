"""What administrators, schedulers and users do to jobs, and what the platform then says of them."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from testbeds.slurm import SlurmCluster
from tests.adapters.engines.slurm.conftest import BEAT_DEAD_S, LAG_S, Site
from tests.conformance.benches import now_ms

from hutong.adapters.engines.attempt import files, tree
from hutong.core.kernel.errors import Later
from hutong.core.work.states import AttemptState, Category

pytestmark = pytest.mark.slow

HEEDS = "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.1; done"


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("run", [HEEDS, "echo up; sleep 600"], ids=["heeds TERM", "does not"])
def test_a_job_that_an_administrator_cancels_is_the_sites_doing(site: Site, run: str, nodes: int) -> None:
    order = site.running(run, num_nodes=nodes)
    site.cluster.run("scancel", site.job_id(order.key))
    seen = site.fails(order.key, Category.INFRA, "cancelled at the site")
    assert seen.ended is not None
    assert seen.ended.started_ms > 0


def test_a_waiting_job_that_an_administrator_cancels(site: Site) -> None:
    order = site.order("true", pool="held", secrets={"TOKEN": "hunter2"})
    site.engine.submit(order)
    assert site.see(order.key)
    site.cluster.run("scancel", site.job_id(order.key))
    seen = site.fails(order.key, Category.INFRA, "cancelled at the site")
    assert seen.ended is not None
    assert (seen.ended.started_ms, seen.ended.ran_ms) == (0, 0)
    assert site.engine.submit(order).adopted


def test_a_time_limit_that_an_administrator_lowers_is_not_the_users_doing(site: Site) -> None:
    order = site.running(HEEDS, max_duration_s=3600)
    site.cluster.run("scontrol", "update", f"JobId={site.job_id(order.key)}", "TimeLimit=0:01")
    # Slurm's limits are whole minutes, and its controller looks at them twice a minute: up to 90 s.
    site.fails(order.key, Category.INFRA, "the site's own time limit")


def test_an_administrators_requeue_is_refused_by_slurm(site: Site) -> None:
    order = site.running()
    with pytest.raises(Exception, match="disabled"):
        site.cluster.run("scontrol", "requeue", site.job_id(order.key))


def test_a_job_that_is_requeued_all_the_same_does_not_run_twice(site: Site) -> None:
    order = site.running("echo ran >> count; echo up; sleep 600")
    job = site.job_id(order.key)
    site.cluster.run("scontrol", "update", f"JobId={job}", "Requeue=1")
    site.cluster.run("scontrol", "requeue", job)
    site.fails(order.key, Category.INFRA, "back into the queue")
    site.until(lambda: site.see(order.key) and site.jobs(order.key) == {job: "CANCELLED"})
    assert (site.work(order.key) / "count").read_text() == "ran\n"


def test_a_requeued_job_that_starts_at_once_meets_its_own_mark(site: Site) -> None:
    order = site.running("echo ran >> count; echo up; sleep 600")
    job = site.job_id(order.key)
    site.cluster.run("scontrol", "update", f"JobId={job}", "Requeue=1")
    site.cluster.run("scontrol", "requeue", job)
    site.until(lambda: site.jobs(order.key) == {job: "PENDING"})
    site.cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")
    site.until(lambda: site.jobs(order.key) == {job: "FAILED"})
    site.fails(order.key, Category.INFRA, "")
    assert (site.work(order.key) / "count").read_text() == "ran\n"


def test_hold_and_release(site: Site) -> None:
    order = site.order("echo ran", pool="held")
    site.engine.submit(order)
    seen = site.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.PENDING
    site.ticks.jump(LAG_S * 3)
    assert site.see(order.key) == seen, "a person holds it: it may wait for as long as it takes"
    site.cluster.run("scontrol", "release", site.job_id(order.key))
    assert site.ended(order.key).state is AttemptState.SUCCEEDED


def test_a_suspended_job_is_not_lost(site: Site) -> None:
    order = site.running("echo up; while [ ! -e go ]; do sleep 0.1; done", max_duration_s=3600)
    job = site.job_id(order.key)
    site.cluster.run("scontrol", "suspend", job)
    site.until(lambda: site.jobs(order.key) == {job: "SUSPENDED"})
    beat = files.read_pulse(site.folder(order.key))
    site.ticks.jump(BEAT_DEAD_S * 3)
    seen = site.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.RUNNING
    assert files.read_pulse(site.folder(order.key)) == beat
    site.cluster.run("scontrol", "resume", job)
    (site.work(order.key) / "go").touch()
    assert site.ended(order.key).state is AttemptState.SUCCEEDED


@pytest.mark.parametrize("pool", ["low", "requeue", "graceful"])
@pytest.mark.parametrize("run", [HEEDS, "echo up; sleep 600"], ids=["heeds TERM", "does not"])
def test_a_job_that_is_preempted_for_a_partition_of_higher_rank(site: Site, pool: str, run: str) -> None:
    order = site.running(run, pool=pool, num_nodes=2)
    site.cluster.run("sbatch", "--partition=high", "--nodes=3", "--exclusive", "--wrap=true")
    seen = site.fails(order.key, Category.PREEMPTED, "preempted it")
    assert seen.state is AttemptState.PREEMPTED
    # It does not come back either.
    site.until(
        lambda: site.see(order.key) and not {"PENDING", "RUNNING"} & set(site.jobs(order.key).values())
    )


def test_a_job_that_asks_for_more_time_than_its_partition_gives_does_not_wait_for_ever(site: Site) -> None:
    order = site.order("true", pool="short", max_duration_s=3600)
    site.engine.submit(order)
    job = site.job_id(order.key)
    site.until(lambda: site.cluster.job(job)["Reason"] == "PartitionTimeLimit")
    seen = site.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.PENDING
    site.until(lambda: site.see(order.key) and site.engine._queue.named(order.key)[0].hopeless)
    site.ticks.jump(LAG_S * 5 + 1)
    seen = site.fails(order.key, Category.INFRA, "does not start it (PartitionTimeLimit)")
    assert seen.ended is not None
    assert seen.ended.ended_ms <= now_ms()
    site.until(lambda: site.see(order.key) and site.jobs(order.key) == {job: "CANCELLED"})


# Stops


def test_a_stop_of_a_waiting_job(site: Site) -> None:
    order = site.order("echo ran", pool="held", secrets={"TOKEN": "hunter2"})
    site.engine.submit(order)
    assert (site.folder(order.key) / files.SECRETS).exists()
    site.engine.stop(order.key, 1, Category.CANCELLED, "changed my mind", 1)
    site.fails(order.key, Category.CANCELLED, "changed my mind")
    assert site.log(order.key) == ""


def test_a_stop_of_a_job_that_ignores_it(site: Site) -> None:
    order = site.running("trap '' TERM; echo up; sleep 600; sleep 600", num_nodes=2)
    site.engine.stop(order.key, 1, Category.PREEMPTED, "make room", 1)
    site.fails(order.key, Category.PREEMPTED, "make room")


def test_a_stop_whose_supervisor_hangs(site: Site) -> None:
    order = site.running()
    began = site.said(order.key, files.BEGAN)
    os.kill(began["pid"], signal.SIGSTOP)
    site.engine.stop(order.key, 1, Category.FUNDS, "no money", 1)
    seen = site.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.RUNNING
    site.ticks.jump(60)
    site.until(lambda: site.see(order.key) and site.jobs(order.key) == {site.job_id(order.key): "CANCELLED"})
    site.ticks.jump(BEAT_DEAD_S + 1)
    seen = site.fails(order.key, Category.FUNDS, "no money")
    assert seen.ended is not None
    assert seen.ended.started_ms > 0


def test_a_job_whose_attempt_was_ended_and_that_runs_on_is_ended(site: Site) -> None:
    order = site.running()
    began = site.said(order.key, files.BEGAN)
    os.kill(began["pid"], signal.SIGSTOP)
    files.create_json(
        site.folder(order.key) / files.END,
        {
            "attempt": 1, "outcome": "FAILED", "category": "infra", "reason": "given up", "started_ms": 1,
            "ended_ms": 2, "ran_ms": 1, "exits": [],
        },
    )  # fmt: skip
    assert site.ended(order.key).state is AttemptState.FAILED
    site.ticks.jump(31)
    site.until(lambda: site.see(order.key) and site.jobs(order.key) == {site.job_id(order.key): "CANCELLED"})
    site.until(lambda: tree.carrying(order.key) == [])


# Secrets


def _holds(folder: Path, secret: bytes) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and secret in path.read_bytes():
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def _told(cluster: SlurmCluster, job: str) -> str:
    commands = (
        ("squeue", "-t", "all", "-O", "ALL"),
        ("squeue", "--json", "-t", "all"),
        ("scontrol", "-dd", "show", "job", job),
        ("scontrol", "write", "batch_script", job, "-"),
        ("ps", "-ewwo", "args"),
    )
    return "\n".join(cluster.run(*command) for command in commands)


@pytest.mark.parametrize("pool", ["held", "p"])
def test_secrets_stand_in_no_listing_and_after_the_start_on_no_disk(site: Site, pool: str) -> None:
    secret = f"hunter2-{os.urandom(8).hex()}"
    order = site.order(
        'echo up; test -n "$TOKEN" && echo "token=$TOKEN"; while [ ! -e go ]; do sleep 0.1; done',
        pool=pool,
        secrets={"TOKEN": secret},
    )
    site.engine.submit(order)
    job = site.job_id(order.key)
    if pool == "held":
        kept = site.folder(order.key) / files.SECRETS
        assert (kept.stat().st_mode & 0o777, _holds(site.config.folder.root, secret.encode())) == (
            0o600,
            [kept],
        )
        assert secret not in _told(site.cluster, job)
        site.cluster.run("scontrol", "release", job)
    site.until(lambda: "token=***" in site.log(order.key))
    assert secret not in _told(site.cluster, job)
    assert _holds(site.config.folder.root, secret.encode()) == []
    assert _holds(site.cluster.folder, secret.encode()) == []
    (site.work(order.key) / "go").touch()
    assert site.ended(order.key).state is AttemptState.SUCCEEDED


def test_a_job_sees_nothing_of_the_agents_own_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_TOKEN", "of-the-agent")
    site = site.with_()
    order = site.order("env")
    site.engine.submit(order)
    assert site.ended(order.key).state is AttemptState.SUCCEEDED
    assert "HUTONG_KEY=" in site.log(order.key)
    assert "of-the-agent" not in site.log(order.key)


# A python that is not there


def test_a_supervisor_that_cannot_start_is_the_sites_doing_and_says_why(site: Site, tmp_path: Path) -> None:
    lame = site.with_(python=str(tmp_path / "no-python"))
    order = lame.order("true", secrets={"TOKEN": "hunter2"})
    lame.engine.submit(order)
    lame.fails(order.key, Category.INFRA, "no-python: not found")


def test_damaged_files_of_one_attempt_do_not_hide_the_others(site: Site) -> None:
    one, other = site.running(), site.order("true")
    (site.folder(one.key) / files.BEGAN).write_text("[]")
    site.engine.submit(other)
    assert site.ended(other.key).state is AttemptState.SUCCEEDED
    seen = site.see(one.key)
    assert seen is not None
    assert seen.ended is None


def test_an_empty_folder_in_the_place_of_the_sites_does_not_have_its_jobs_cancelled(site: Site) -> None:
    order = site.running()
    root = site.config.folder.root
    away = root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(Later, match="mounted"):
        site.engine.observe()
    lost = site.with_()
    assert lost.engine.observe() == ()
    lost.ticks.jump(LAG_S * 2)
    assert lost.engine.observe() == ()
    subprocess.run(["rm", "-r", str(root)], check=True)
    away.rename(root)
    seen = site.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.RUNNING
