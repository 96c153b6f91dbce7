"""What a pool asks of Slurm, on a real cluster: partitions, features, licences, reservations, devices."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbeds.slurm import Nodes, SlurmCluster, SlurmDatabase
from tests.adapters.engines.slurm.conftest import LAG_S, Site, open_site

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.slurm.commands import user_name
from hutong.adapters.engines.slurm.config import SlurmPool
from hutong.core.kernel.errors import Later, Refused
from hutong.core.work.spec import Ask, Resources
from hutong.core.work.states import AttemptState, Category


def _asks(cards: int, **more: int) -> Resources:
    return Resources((Ask("H800", cards),), **more)


def test_a_feature_and_a_partition_choose_the_node(site: Site) -> None:
    order = site.running(pool="feature")
    job = site.cluster.job(site.job_id(order.key))
    assert (job["NodeList"], job["Partition"], job["Features"]) == ("site-m3", "main", "roce")


def test_licences_are_taken_and_waited_for(site: Site) -> None:
    order = site.running(pool="licence")
    assert "Used=2" in site.cluster.run("scontrol", "show", "lic")
    second = site.order("true", pool="licence")
    site.engine.submit(second)
    site.until(lambda: site.cluster.job(site.job_id(second.key))["Reason"] == "Licenses")
    site.ticks.jump(LAG_S * 3)
    seen = site.see(second.key)
    assert seen is not None
    assert seen.state is AttemptState.PENDING
    site.engine.stop(order.key, 1, Category.CANCELLED, "", 0)
    assert site.ended(second.key).state is AttemptState.SUCCEEDED


def test_a_reservation_is_used_and_one_that_is_not_there_is_refused(site: Site) -> None:
    with pytest.raises(Refused, match="reservation is invalid"):
        site.engine.submit(site.order("true", pool="reserved"))
    site.cluster.run(
        "scontrol", "create", "reservation", "ReservationName=ours", f"Users={user_name()}",
        "Nodes=site-n2", "StartTime=now", "Duration=60", "Flags=IGNORE_JOBS",
    )  # fmt: skip
    try:
        order = site.running(pool="reserved")
        assert site.cluster.job(site.job_id(order.key))["NodeList"] == "site-n2"
        site.engine.stop(order.key, 1, Category.CANCELLED, "", 0)
        site.ended(order.key)
        site.until(lambda: "RUNNING" not in site.jobs(order.key).values())
    finally:
        site.cluster.run("scancel", f"--user={user_name()}")
        site.until(lambda: not site.cluster.run("squeue", "-h").strip())
        site.cluster.run("scontrol", "delete", "ReservationName=ours")


def test_cpus_memory_and_time_as_the_job_file_has_them(site: Site) -> None:
    order = site.running(resources=_asks(1, cpus=3, memory_bytes=700 << 20), max_duration_s=600, grace_s=60)
    job = site.cluster.job(site.job_id(order.key))
    assert (job["NumCPUs"], job["MinMemoryNode"], job["TimeLimit"]) == ("3", "700M", "00:12:00")
    assert job["Requeue"] == "0"


def test_a_step_of_a_gang_has_the_cpus_of_its_node(site: Site) -> None:
    order = site.running(num_nodes=2, resources=_asks(1, cpus=3))
    steps = site.cluster.run("scontrol", "--oneliner", "show", "step", site.job_id(order.key))
    assert f"StepId={site.job_id(order.key)}.1 " in steps
    assert " CPUs=3 " in steps


def test_what_no_node_has_is_refused_in_slurms_words_and_ends_at_once(site: Site) -> None:
    order = site.order("true", resources=_asks(1, memory_bytes=1 << 50), secrets={"TOKEN": "hunter2"})
    with pytest.raises(Refused, match="node configuration is not available"):
        site.engine.submit(order)
    site.engine.stop(order.key, 1, Category.USER, "the site cannot run it", 0)
    seen = site.see(order.key)
    assert seen is not None
    assert seen.ended is not None
    assert seen.ended.reason == "the site cannot run it"
    assert not (site.folder(order.key) / files.SECRETS).exists()


def test_a_partition_that_is_closed_for_a_while_is_tried_again(site: Site) -> None:
    order = site.order("true", pool="low")
    site.cluster.run("scontrol", "update", "PartitionName=low", "State=INACTIVE")
    try:
        with pytest.raises(Later):
            site.engine.submit(order)
        assert site.see(order.key) is None, "it is not there, and the agent will try again"
        assert not (site.folder(order.key) / files.SECRETS).exists()
    finally:
        site.cluster.run("scontrol", "update", "PartitionName=low", "State=UP")
    assert not site.engine.submit(order).adopted
    assert site.ended(order.key).state is AttemptState.SUCCEEDED


SHOW = 'echo "devices=$ASCEND_RT_VISIBLE_DEVICES"; echo up; while [ ! -e go ]; do sleep 0.1; done'


def test_devices_of_a_kind_that_slurm_tells_nothing_of(site: Site) -> None:
    first = site.running(SHOW, pool="npu", envs=(("ASCEND_RT_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7"),))
    second = site.running(SHOW, pool="npu")
    assert "devices=0,1\n" in site.log(first.key)
    assert "devices=2,3\n" in site.log(second.key)


def test_each_rank_of_a_gang_is_told_its_own_devices(tmp_path: Path) -> None:
    with (
        SlurmCluster("npus", nodes=[Nodes(count=2, gres="npu:910c:4")]) as cluster,
        open_site(tmp_path, cluster) as site,
    ):
        # One device of one node is taken, so that the ranks get different ones.
        cluster.run("sbatch", "--gres=npu:910c:1", "--nodelist=npus-n2", "--wrap=sleep 600")
        site.until(lambda: cluster.run("squeue", "-h", "-t", "running").strip())
        order = site.running(SHOW, pool="npu", num_nodes=2)
        assert "devices=0,1\n" in site.log(order.key, 0)
        assert "devices=1,2\n" in site.log(order.key, 1)


def test_gpus_of_a_gang_are_those_of_each_ranks_node(tmp_path: Path) -> None:
    show = SHOW.replace("ASCEND_RT", "CUDA")
    with (
        SlurmCluster("gpus", nodes=[Nodes(count=2, gres="gpu:h800:4")]) as cluster,
        open_site(tmp_path, cluster) as site,
    ):
        cluster.run("sbatch", "--gres=gpu:h800:1", "--nodelist=gpus-n2", "--wrap=sleep 600")
        site.until(lambda: cluster.run("squeue", "-h", "-t", "running").strip())
        order = site.running(show, num_nodes=2)
        assert [site.log(order.key, rank).splitlines()[0] for rank in (0, 1)] == [
            "devices=0,1",
            "devices=1,2",
        ]


# Accounts and qualities of service

HEEDS_TERM = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"


@pytest.fixture
def ranked(tmp_path: Path, database: SlurmDatabase) -> Iterator[Site]:
    """A cluster with accounts that are enforced, and a QOS that preempts another."""
    with SlurmCluster(
        "ranked",
        nodes=[Nodes(count=1, gres="gpu:h800:4")],
        database=database,
        settings={
            "AccountingStorageEnforce": "associations,limits,qos",
            "PreemptType": "preempt/qos",
            "PreemptMode": "CANCEL",
        },
    ) as cluster:
        for command in (
            ("add", "qos", "scavenge"),
            ("add", "qos", "urgent", "preempt=scavenge"),
            ("add", "account", "lab"),
            ("add", "user", user_name(), "account=lab", "qos=normal,scavenge,urgent"),
            ("modify", "account", "lab", "set", "GrpSubmitJobs=2"),
        ):
            cluster.run("sacctmgr", "-i", *command)
        with open_site(tmp_path, cluster) as site:
            yield site


def _pool(site: Site, **fields: str) -> Site:
    return site.with_(pools={"p": SlurmPool(gres="gpu:h800", **fields)})


@pytest.mark.slow
def test_accounts_and_qos(ranked: Site) -> None:
    lab = _pool(ranked, account="lab", qos="scavenge")
    order = lab.running(HEEDS_TERM, resources=_asks(2))
    job = lab.cluster.job(lab.job_id(order.key))
    assert (job["Account"], job["QOS"]) == ("lab", "scavenge")
    for wrong in ({"account": "nobodys"}, {"account": "lab", "qos": "nosuch"}):
        with pytest.raises(Refused, match=r"(?i)invalid (account|qos)"):
            _pool(ranked, **wrong).engine.submit(ranked.order("true"))
    urgent = _pool(ranked, account="lab", qos="urgent")
    held = urgent.cluster.run("sbatch", "--parsable", "--account=lab", "--hold", "--wrap=true").strip()
    second = urgent.order("sleep 1", resources=_asks(2))
    with pytest.raises(Later, match="GrpSubmitJobsLimit"):
        urgent.engine.submit(second)
    urgent.cluster.run("scancel", held)
    busy = urgent.cluster.run(
        "sbatch", "--parsable", "--account=lab", "--qos=urgent", "--gres=gpu:h800:4", "--wrap=true"
    )
    lab.fails(order.key, Category.PREEMPTED, "preempted it")
    urgent.cluster.wait_for_job(busy.strip(), "COMPLETED")
    assert not urgent.engine.submit(second).adopted
    assert urgent.ended(second.key).state is AttemptState.SUCCEEDED


@pytest.mark.slow
def test_accounting_tells_of_jobs_that_the_controller_forgot(accounted: Site) -> None:
    order = accounted.order("true", pool="held")
    accounted.engine.submit(order)
    accounted.cluster.run("scontrol", "release", accounted.job_id(order.key))
    accounted.until((accounted.folder(order.key) / files.END).exists)
    cancelled = accounted.running()
    os.kill(accounted.said(cancelled.key, files.BEGAN)["pid"], 9)
    accounted.until(lambda: not accounted.jobs(cancelled.key) and not accounted.jobs(order.key))
    agent = accounted.with_()
    assert agent.ended(order.key).state is AttemptState.SUCCEEDED
    assert agent.see(cancelled.key)
    agent.ticks.jump(21)
    agent.fails(cancelled.key, Category.INFRA, "its supervisor failed")
    assert agent.engine.abilities.accounting


@pytest.mark.slow
def test_accounting_that_is_away_harms_nothing(accounted: Site, database: SlurmDatabase) -> None:
    waits = accounted.order("true", pool="held")
    runs = accounted.running("echo up; while [ ! -e go ]; do sleep 0.1; done")
    dies = accounted.running()
    accounted.engine.submit(waits)
    database.kill()
    try:
        os.kill(accounted.said(dies.key, files.BEGAN)["pid"], 9)
        accounted.until(lambda: not accounted.jobs(dies.key))
        agent = accounted.with_()
        assert agent.see(dies.key)
        agent.ticks.jump(LAG_S * 3)
        new = agent.order("true")
        agent.engine.submit(new)
        assert agent.ended(new.key).state is AttemptState.SUCCEEDED
        (agent.work(runs.key) / "go").touch()
        assert agent.ended(runs.key).state is AttemptState.SUCCEEDED
        for key, state in ((waits.key, AttemptState.PENDING), (dies.key, AttemptState.RUNNING)):
            seen = agent.see(key)
            assert seen is not None
            assert seen.state is state, "without accounting nobody knows what became of it"
    finally:
        database.start()
    agent.ticks.jump(LAG_S)
    agent.fails(dies.key, Category.INFRA, "")
    agent.cluster.run("scontrol", "release", agent.job_id(waits.key))
    assert agent.ended(waits.key).state is AttemptState.SUCCEEDED
