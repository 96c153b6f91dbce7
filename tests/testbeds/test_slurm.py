"""The Slurm testbed itself: what the adapters' tests, the benchmarks and developers rely on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from testbeds.processes import Missing, require, wait_until
from testbeds.slurm import CommandFailed, Nodes, SlurmCluster, SlurmDatabase, start_together


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[SlurmCluster, SlurmCluster]]:
    alpha = SlurmCluster(
        "alpha",
        nodes=[Nodes(count=2, gres="npu:910c:8"), Nodes(gres="mlu:370:4", features=["roce"], prefix="m")],
        partitions={"main": "Nodes=ALL Default=YES", "short": "Nodes=alpha-n[1-2] MaxTime=10"},
        settings={"Licenses": "matlab:2"},
    )
    beta = SlurmCluster("beta", nodes=[Nodes(count=2, cpus=4, gres="gpu:h100:4")])
    start_together(alpha, beta)
    yield alpha, beta
    for cluster in (alpha, beta):
        cluster.stop()


def submit(cluster: SlurmCluster, *options: str, user: str | None = None) -> str:
    return cluster.run("sbatch", "--parsable", *options, user=user).strip()


def test_two_clusters_have_their_own_nodes_partitions_licences_and_jobs(
    pair: tuple[SlurmCluster, SlurmCluster],
) -> None:
    alpha, beta = pair
    assert alpha.node_names == ["alpha-n1", "alpha-n2", "alpha-m3"]
    seen = alpha.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %G %f %T").splitlines()
    assert seen[0] == "alpha-m3 mlu:370:4 roce idle"
    assert seen[1] == "alpha-n1 npu:910c:8 (null) idle"
    assert set(alpha.run("sinfo", "-h", "-o", "%R").split()) == {"main", "short"}
    assert "LicenseName=matlab" in alpha.run("scontrol", "show", "lic")
    job = submit(alpha, "--job-name=mine", "--wrap", "true")
    alpha.wait_for_job(job, "COMPLETED")
    assert "mine" not in beta.run("squeue", "-h", "-t", "all", "-o", "%j")


def test_a_gang_gets_devices_on_both_nodes(pair: tuple[SlurmCluster, SlurmCluster]) -> None:
    beta = pair[1]
    out = beta.run(
        "srun", "-N2", "--ntasks-per-node=1", "--gres=gpu:h100:2",
        "sh", "-c", "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES",
    )  # fmt: skip
    assert sorted(out.splitlines()) == ["beta-n1 0,1", "beta-n2 0,1"]


def test_any_gres_is_scheduled_and_one_too_many_is_refused(pair: tuple[SlurmCluster, SlurmCluster]) -> None:
    alpha = pair[0]
    job = submit(alpha, "--gres=mlu:370:4", "--constraint=roce", "--wrap", "sleep 60")
    alpha.wait_for_job(job, "RUNNING")
    assert alpha.job(job)["NodeList"] == "alpha-m3"
    alpha.run("scancel", job)
    with pytest.raises(CommandFailed, match="configuration is not available"):
        submit(alpha, "--gres=npu:910c:9", "--wrap", "true")


def test_a_drained_node_takes_no_job_until_it_is_resumed(pair: tuple[SlurmCluster, SlurmCluster]) -> None:
    beta = pair[1]
    beta.drain("beta-n1", "fan is broken")
    beta.wait_for_nodes("drained", "beta-n1")
    assert "fan is broken" in beta.run("sinfo", "-h", "-R", "-o", "%E")
    beta.resume("beta-n1")
    beta.wait_for_nodes("idle", "beta-n1")


def test_a_job_is_submitted_watched_and_cancelled_by_rest(pair: tuple[SlurmCluster, SlurmCluster]) -> None:
    beta = pair[1]
    url = beta.start_rest()
    user = "nobody" if os.getuid() == 0 else None
    headers = {"X-SLURM-USER-NAME": user or "", "X-SLURM-USER-TOKEN": beta.token(user)}
    job = {
        "name": "rest",
        "gres": "gpu:h100:1",
        "current_working_directory": str(beta.folder / "work"),
        "environment": {"PATH": "/usr/bin:/bin"},
    }
    with httpx2.Client(base_url=f"{url}/slurm/v0.0.38", headers=headers) as client:
        answer = client.post("/job/submit", json={"script": "#!/bin/sh\nsleep 60\n", "job": job}).json()
        assert not answer["errors"]
        beta.wait_for_job(str(answer["job_id"]), "RUNNING")
        shown = client.get(f"/job/{answer['job_id']}").json()["jobs"][0]
        assert shown["name"] == "rest"
        assert client.delete(f"/job/{answer['job_id']}").status_code == 200
        beta.wait_for_job(str(answer["job_id"]), "CANCELLED")
        refused = client.get("/jobs", headers={"X-SLURM-USER-TOKEN": "x.y.z"})
    assert refused.status_code == 500, "22.05 answers a wrong token with 500"
    beta.stop_rest()


def test_a_running_job_outlives_crashes_of_the_controller_and_of_its_slurmd() -> None:
    with SlurmCluster("gamma", nodes=[Nodes()]) as cluster:
        job = submit(cluster, "--wrap", "while [ ! -e go ]; do sleep 0.1; done")
        cluster.wait_for_job(job, "RUNNING")
        cluster.wait_saved(job)
        cluster.kill_controller()
        cluster.kill_slurmd("gamma-n1")
        with pytest.raises(CommandFailed):
            cluster.run("scontrol", "ping")
        cluster.start_node("gamma-n1")
        cluster.start_controller()
        cluster.wait_for_job(job, "RUNNING")
        (cluster.folder / "work" / "go").touch()
        cluster.wait_for_job(job, "COMPLETED")


@pytest.mark.bed
@pytest.mark.slow
def test_a_node_without_power_takes_its_jobs_along() -> None:
    with SlurmCluster("delta", slurmd_timeout_s=5, settings={"MessageTimeout": "5"}) as cluster:
        job = submit(cluster, "--no-requeue", "--nodelist=delta-n2", "--wrap", "touch started; sleep 987")
        wait_until((cluster.folder / "work" / "started").exists, seconds=60, what="the job runs")
        before = cluster.processes()
        cluster.kill_node("delta-n2")
        assert len(cluster.processes()) <= len(before) - 3  # slurmd, slurmstepd, the job
        cluster.wait_for_job(job, "NODE_FAIL")
        cluster.start_node("delta-n2")
        cluster.wait_idle()


@pytest.mark.bed
@pytest.mark.slow  # slurmctld calls slurmdbd again every ten seconds or so
def test_accounting_outlives_a_crash_of_slurmdbd() -> None:
    nodes = [Nodes(gres="gpu:h100:4")]
    with SlurmDatabase() as database, SlurmCluster("omega", nodes=nodes, database=database) as cluster:
        database.kill()
        with pytest.raises(CommandFailed):
            cluster.run("sacct")
        job = submit(cluster, "--gres=gpu:h100:2", "--wrap", "exit 3")
        cluster.wait_for_job(job, "FAILED")
        database.start()
        fields = ("sacct", "-X", "-n", "-P", "-j", job, "-o", "State,ExitCode,AllocTRES")

        def there() -> bool:
            return cluster.run(*fields).startswith("FAILED|3:0|")

        wait_until(there, seconds=60, what="the record of the job comes")
        assert "gres/gpu:h100=2" in cluster.run(*fields)


OWNER = """
import sys
from testbeds.processes import wait_until
from testbeds.slurm import SlurmCluster
with SlurmCluster("eta") as cluster:
    cluster.run("sbatch", "--wrap", "setsid sleep 988 & touch started; sleep 987")
    wait_until((cluster.folder / "work" / "started").exists, seconds=60, what="the job runs")
    print(cluster.folder, *cluster.processes(), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("last", ["a line", "SIGKILL"])
def test_nothing_is_left_after_the_block_nor_when_its_owner_is_killed(last: str) -> None:
    command = [sys.executable, "-c", OWNER]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        assert len(pids) >= 7  # munged, slurmctld, two slurmd, a slurmstepd, its shell, a job
        if last == "SIGKILL":
            owner.kill()
        else:
            owner.stdin.write("\n")
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids) and not Path(folder).exists(),
        seconds=60,
        what="all is gone",
    )


def test_a_missing_program_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(Missing, match=r"^missing: no-such-d, no_such.so; .*apt-get install .* nosuch$"):
        require({"no-such-d": "nosuch", "no_such.so": "nosuch", "sh": "nosuch"})
