"""What may go wrong between an agent and Slurm, done for real: no run twice, no end that is not true."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from testbeds.slurm import Nodes, SlurmCluster
from tests.adapters.engines.slurm.conftest import BEAT_DEAD_S, LAG_S, Site, open_site
from tests.faults import Kills, dice, kill_midway, seconds, trials

from hutong.adapters.engines.attempt import files, tree
from hutong.adapters.engines.base import Order
from hutong.core.kernel.errors import Later
from hutong.core.work.states import AttemptState, Category

pytestmark = pytest.mark.slow


def test_an_agent_killed_anywhere_in_a_submission_gives_neither_two_nor_none(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    takes_s = seconds(site.engine.submit, *(site.order("true") for _ in range(3)))
    orders, kills = [], Kills(trials(25), takes_s, dice(11))
    for after_s in kills:
        order = site.order("echo ran >> count; sleep 0.1")
        kill_midway(after_s, site.engine.submit, order)
        kills.tell(midway=not (site.folder(order.key) / "submitted.json").exists())
        site.again().submit(order)
        orders.append(order)
    for order in orders:
        assert site.ended(order.key).state is AttemptState.SUCCEEDED
    site.until(lambda: not site.cluster.run("squeue", "-h").strip())  # nor does a copy start later
    for order in orders:
        site.until(lambda order=order: not tree.carrying(order.key))  # type: ignore[misc]
        assert (site.work(order.key) / "count").read_text() == "ran\n"
    record_property("counted", f"{kills}; {len(orders)} jobs ran once")
    assert kills.midway, "no kill came before the number was written down: the test has lost its point"


def _programs(folder: Path, sbatch: str) -> Path:
    """Return a folder of Slurm's programs in which sbatch is a script."""
    folder.mkdir()
    for name in ("squeue", "scancel", "scontrol", "srun", "sacct"):
        (folder / name).symlink_to(shutil.which(name) or "")
    script = folder / "sbatch"
    script.write_text(f"#!/bin/sh\n{sbatch.replace('SBATCH', shutil.which('sbatch') or '')}\n")
    script.chmod(0o755)
    return folder


def test_a_job_whose_number_was_never_heard_is_adopted_by_name(site: Site, tmp_path: Path) -> None:
    deaf = site.with_(bin=_programs(tmp_path / "deaf", 'SBATCH "$@" >/dev/null; exit 1'))
    order = site.order("echo ran >> count; sleep 1")
    with pytest.raises(Later):
        deaf.engine.submit(order)
    assert not (site.folder(order.key) / "submitted.json").exists()
    receipt = site.again().submit(order)
    assert receipt.adopted
    assert list(site.jobs(order.key)) == [receipt.external_id.rpartition(":")[2]]
    assert site.ended(order.key).state is AttemptState.SUCCEEDED
    assert (site.work(order.key) / "count").read_text() == "ran\n"


def test_a_submission_that_arrives_late_makes_a_copy_that_does_not_run(site: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f'(while [ ! -e {gate} ]; do sleep 0.05; done; SBATCH "$@") >/dev/null 2>&1 & exit 1'
    slow = site.with_(bin=_programs(tmp_path / "slow", wait))
    order = site.order("echo ran >> count; while [ ! -e go ]; do sleep 0.05; done")
    with pytest.raises(Later):
        slow.engine.submit(order)
    first = site.again().submit(order)
    assert not first.adopted
    site.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    gate.touch()
    site.until(lambda: len(site.jobs(order.key)) == 2)
    site.until(
        lambda: sorted(site.jobs(order.key).values()) in (["FAILED", "RUNNING"], ["CANCELLED", "RUNNING"])
    )
    seen = site.see(order.key)
    assert seen is not None
    assert (seen.state, seen.external_id) == (AttemptState.RUNNING, first.external_id)
    (site.work(order.key) / "go").touch()
    assert site.ended(order.key).state is AttemptState.SUCCEEDED
    assert (site.work(order.key) / "count").read_text() == "ran\n"


def test_the_same_script_submitted_by_hand_runs_once(site: Site) -> None:
    order = site.order("echo ran >> count", pool="held")
    site.engine.submit(order)
    site.see(order.key)
    ours = site.job_id(order.key)
    script = site.folder(order.key) / "job.sh"
    copies = [
        site.cluster.run(
            "sbatch", "--parsable", "--hold", f"--job-name={order.key}", "--output=/dev/null", script
        ).strip()
        for _ in range(2)
    ]
    site.until(
        lambda: site.see(order.key) and all(site.jobs(order.key)[each] == "CANCELLED" for each in copies)
    )
    assert site.jobs(order.key)[ours] == "PENDING"
    site.cluster.run("scontrol", "release", ours)
    assert site.ended(order.key).state is AttemptState.SUCCEEDED
    assert (site.work(order.key) / "count").read_text() == "ran\n"


def test_copies_that_start_together_run_once(site: Site) -> None:
    order = site.order("echo ran >> count; sleep 0.5", pool="held")
    site.engine.submit(order)
    script = site.folder(order.key) / "job.sh"
    for _ in range(3):
        site.cluster.run("sbatch", f"--job-name={order.key}", "--output=/dev/null", script)
    site.cluster.run("scontrol", "release", site.job_id(order.key))
    assert site.ended(order.key).state is AttemptState.SUCCEEDED
    assert (site.work(order.key) / "count").read_text() == "ran\n"
    # What waits of an attempt that is over does not wait on.
    site.until(lambda: site.see(order.key) and "PENDING" not in site.jobs(order.key).values())


# The controller


def _lose_state(site: Site, before: Path) -> None:
    """Crash the controller and have it come back with what it knew before."""
    site.cluster.kill_controller()
    shutil.rmtree(site.cluster.folder / "state")
    shutil.copytree(before, site.cluster.folder / "state")
    site.cluster.start_controller()


def test_a_job_that_the_controller_forgot_is_absent_after_the_lag_and_never_starts(frail: Site) -> None:
    before = shutil.copytree(frail.cluster.folder / "state", frail.cluster.folder / "state-before")
    order = frail.order("echo ran >> count", pool="held", secrets={"TOKEN": "hunter2"})
    frail.engine.submit(order)
    _lose_state(frail, before)
    assert not frail.jobs(order.key)
    seen = frail.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.PENDING
    frail.ticks.jump(LAG_S - 5)
    assert frail.see(order.key) == seen
    other = frail.with_()
    assert other.see(order.key) == seen
    frail.ticks.jump(10)
    assert frail.see(order.key) is None
    assert other.see(order.key) == seen, "an agent that began later has waited for a shorter time"
    assert frail.engine.submit(order).adopted
    frail.ticks.jump(LAG_S * 20)
    frail.fails(order.key, Category.INFRA, "knows nothing of it")
    frail.cluster.run("sbatch", f"--job-name={order.key}", frail.folder(order.key) / "job.sh")
    frail.until(lambda: set(frail.jobs(order.key).values()) <= {"COMPLETED", "CANCELLED"})
    assert not (frail.work(order.key) / "count").exists()


def test_a_job_number_that_is_used_again_is_not_taken_for_ours(frail: Site) -> None:
    before = shutil.copytree(frail.cluster.folder / "state", frail.cluster.folder / "state-before")
    order = frail.order("echo ran >> count", pool="held")
    frail.engine.submit(order)
    _lose_state(frail, before)
    stranger = frail.cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 600").strip()
    assert stranger == frail.job_id(order.key), "numbers did not start again: the test has lost its point"
    frail.cluster.wait_for_job(stranger, "RUNNING")
    for agent in (frail, frail.with_()):
        agent.ticks.jump(1)
        seen = agent.see(order.key)
        assert seen is not None
        assert seen.state is AttemptState.PENDING, "the other job's state was taken for ours"
    frail.engine.stop(order.key, 1, Category.CANCELLED, "by ada", 0)
    frail.ticks.jump(LAG_S * 20)
    assert frail.ended(order.key).state is AttemptState.CANCELLED
    assert frail.cluster.job(stranger)["JobState"] == "RUNNING", "the stop ended a job of somebody else"
    assert not (frail.work(order.key) / "count").exists()


def test_a_controller_that_crashes_right_after_it_started_a_job_never_has_it_run_twice(frail: Site) -> None:
    for _ in range(3):
        order = frail.running("echo ran >> count; echo up; while [ ! -e go ]; do sleep 0.05; done")
        frail.cluster.kill_controller()
        frail.cluster.start_controller()
        began = frail.said(order.key, files.BEGAN)
        (frail.work(order.key) / "go").touch()
        frail.ticks.jump(BEAT_DEAD_S - 5)
        seen = frail.ended(order.key)
        assert (frail.work(order.key) / "count").read_text() == "ran\n"
        assert frail.said(order.key, files.BEGAN) == began
        assert seen.ended is not None
        assert seen.ended.category in {Category.NONE, Category.INFRA}
        assert tree.carrying(order.key) == []
        frail.cluster.wait_idle()


def test_nothing_ends_while_the_controller_is_away(frail: Site) -> None:
    ends = frail.running("echo up; while [ ! -e go ]; do sleep 0.05; done; exit 4")
    goes_on = frail.running("echo up; while [ ! -e go ]; do sleep 0.05; done")
    waits = frail.order("echo ran", pool="held")
    frail.engine.submit(waits)
    for order in (ends, goes_on, waits):
        frail.cluster.wait_saved(frail.job_id(order.key))
    frail.cluster.kill_controller()
    (frail.work(ends.key) / "go").touch()
    agents = [frail, frail.with_()]
    for _ in range(2):
        for agent in agents:
            with pytest.raises(Later):
                agent.engine.observe()
            agent.ticks.jump(LAG_S)
    with pytest.raises(Later):
        frail.engine.submit(frail.order("true"))
    frail.until((frail.folder(ends.key) / files.END).exists)
    frail.cluster.start_controller()
    seen = frail.ended(ends.key)
    assert seen.ended is not None
    assert (seen.ended.category, seen.ended.exits[0].code) == (Category.USER, 4)
    for agent in agents:
        frail.until(lambda agent=agent: _sees(agent, goes_on.key) is AttemptState.RUNNING)  # type: ignore[misc]
        assert _sees(agent, waits.key) is AttemptState.PENDING
    (frail.work(goes_on.key) / "go").touch()
    assert frail.ended(goes_on.key).state is AttemptState.SUCCEEDED


def test_a_second_controller_that_takes_over_loses_nothing_and_starts_nothing_twice(tmp_path: Path) -> None:
    nodes = [Nodes(count=2, gres="gpu:h800:4")]
    with SlurmCluster("pair", nodes=nodes, standby=True) as cluster, open_site(tmp_path, cluster) as site:
        runs = site.running("echo ran >> count; echo up; while [ ! -e go ]; do sleep 0.05; done")
        waits, stopped = (site.order("echo ran >> count", pool="held") for _ in range(2))
        for order in (waits, stopped):
            site.engine.submit(order)
        for order in (runs, waits, stopped):
            cluster.wait_saved(site.job_id(order.key))
        cluster.kill_controller()
        late = site.order("echo ran >> count")
        site.until(lambda: _submits(site, late))
        site.until(lambda: _sees(site, waits.key) is AttemptState.PENDING)
        assert _sees(site.with_(), runs.key) is AttemptState.RUNNING
        site.engine.stop(stopped.key, 1, Category.CANCELLED, "not wanted any more")
        cluster.run("scontrol", "release", site.job_id(waits.key))
        (site.work(runs.key) / "go").touch()
        for order in (runs, waits, late):
            assert site.ended(order.key).state is AttemptState.SUCCEEDED
            assert (site.work(order.key) / "count").read_text() == "ran\n"
            assert len(site.jobs(order.key)) == 1
        site.fails(stopped.key, Category.CANCELLED, "not wanted")
        assert not (site.work(stopped.key) / "count").exists()


def _submits(site: Site, order: Order) -> bool:
    try:
        site.engine.submit(order)
    except Later:
        return False
    return True


def _sees(site: Site, key: str) -> AttemptState | None:
    try:
        found = {each.key: each.state for each in site.engine.observe()}
    except Later:
        return None
    return found.get(key)  # type: ignore[call-overload, no-any-return]


def test_a_stop_while_the_controller_is_away_ends_all_ranks_once_it_is_back(frail: Site) -> None:
    order = frail.running("echo up; trap '' TERM; sleep 600; sleep 600", num_nodes=2)
    frail.cluster.wait_saved(frail.job_id(order.key))
    frail.cluster.kill_controller()
    frail.engine.stop(order.key, 1, Category.FUNDS, "no money", 1)
    frail.until(lambda: "Timed out waiting" in (frail.folder(order.key) / files.NOTES).read_text())
    assert tree.carrying(order.key), "the ranks are gone: the test has lost its point"
    assert not (frail.folder(order.key) / files.END).exists()
    frail.cluster.start_controller()
    frail.fails(order.key, Category.FUNDS, "no money")


def test_an_attempt_ends_with_its_node_and_not_before_its_supervisor_is_silent(frail: Site) -> None:
    order = frail.running("echo up; trap '' TERM; while :; do sleep 0.1; done")
    job = frail.job_id(order.key)
    node = frail.cluster.job(job)["NodeList"]
    began = frail.said(order.key, files.BEGAN)
    os.kill(began["pid"], signal.SIGSTOP)  # as if the node were cut off: nothing there reacts to Slurm
    frail.cluster.kill_slurmd(node)
    frail.until(lambda: frail.jobs(order.key).get(job) == "NODE_FAIL" and frail.see(order.key))
    frail.ticks.jump(BEAT_DEAD_S - 12)
    seen = frail.see(order.key)
    assert seen is not None
    assert seen.state is AttemptState.RUNNING
    os.kill(began["pid"], signal.SIGKILL)
    frail.until(lambda: tree.end_all(lambda: tree.carrying(order.key), lambda: None))
    frail.ticks.jump(BEAT_DEAD_S)
    frail.fails(order.key, Category.INFRA, "a node of it failed")


def test_a_gang_that_loses_a_node_is_no_success_and_not_the_users_doing(frail: Site) -> None:
    script = 'echo up; [ "$HUTONG_NODE_RANK" = 1 ] && sleep 600; while [ ! -e go ]; do sleep 0.1; done'
    order = frail.running(script, num_nodes=2)
    nodes = frail.cluster.run(
        "scontrol", "show", "hostnames", frail.cluster.job(frail.job_id(order.key))["NodeList"]
    )
    frail.cluster.kill_node(nodes.split()[1])
    (frail.work(order.key) / "go").touch()
    seen = frail.fails(order.key, Category.INFRA, "")
    assert seen.ended is not None
    assert seen.ended.exits[0].code == 0


def test_a_job_that_was_purged_before_anybody_looked(frail: Site) -> None:
    order = frail.order("echo out; exit 7")
    frail.engine.submit(order)
    frail.until(lambda: (frail.folder(order.key) / files.END).exists() and not frail.jobs(order.key))
    seen = frail.with_().ended(order.key)
    assert seen.ended is not None
    assert (seen.ended.category, seen.ended.exits[0].code) == (Category.USER, 7)


def test_a_purged_job_whose_supervisor_was_killed_is_the_sites_doing(frail: Site) -> None:
    order = frail.running()
    os.kill(frail.said(order.key, files.BEGAN)["pid"], signal.SIGKILL)
    frail.until(lambda: not frail.jobs(order.key))
    agent = frail.with_()
    before = agent.see(order.key)
    assert before is not None
    assert before.state is AttemptState.RUNNING
    agent.ticks.jump(BEAT_DEAD_S + 1)
    assert agent.see(order.key) == before, "it has been missing for a moment only"
    agent.ticks.jump(LAG_S + 1)
    agent.fails(order.key, Category.INFRA, "knows nothing of it")


def _questions(site: Site) -> int:
    """Return how many requests the controller has had about jobs, of all kinds."""
    counts = re.findall(r"REQUEST_JOB\w*INFO\w*\s+\(\s*\d+\)\s+count:(\d+)", site.cluster.run("sdiag"))
    return sum(map(int, counts))


def test_questions_to_the_controller_do_not_grow_with_the_number_of_jobs(site: Site) -> None:
    orders = [site.order("true", pool="held") for _ in range(15)]
    before = _questions(site)
    for order in orders:
        site.engine.submit(order)
    assert _questions(site) == before, "a first submission needs no look for an earlier one"
    for _ in range(4):
        site.ticks.jump(1)
        assert len(site.engine.observe()) == len(orders)
    assert _questions(site) - before == 4
