"""What the platform adds to a bare engine: jobs a second into a real Slurm and Ray, time to the first line, the agent's own cost.

`python -m bench.engines [--quick] [--slurm] [--arrays] [--agent] [--ray]` prints JSON lines, all rows or those asked for; each figure stands beside
the bare engine on the same cluster in the same run. However it is ended, it leaves no process and no file.
`slurm_submit`, `slurm_rest_submit` (by slurmrestd) and `ray_submit`: trivial jobs taken in and finished, 1/s, `_12` as many at once as have room, and more than the
machine's cores can carry; `supervisor_cpu`: CPU of one job's supervisor beside a bare interpreter of the same Python, ms;
`slurm_arrays`, `slurm_rest_arrays`: the same with job arrays beside without, two agents and bare Slurm in turn, `_bare` and `_off_bare` beside bare Slurm, `_agent_cpu`: CPU that
the agent and the programs it starts spend on a job, ms; `slurm_first_line_added`: seconds from the submission to the
first line of the log, less what sbatch needs to the first line of its file; `agent_rss` in MB and `agent_idle_cpu` in % of a core, of an
agent whose jobs all wait, the programs that it asks included, and `agent_children_cpu`, what these take of it. `ratio` is such that more
is better.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import httpx2
from bench.centres import Centres, wait_until
from testbeds.processes import Household
from testbeds.ray import RayCluster
from testbeds.slurm import Nodes, SlurmCluster

from hutong import Client
from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.programs import install_programs
from hutong.adapters.engines.slurm.commands import user_name
from hutong.core.work.states import FINAL, JobState

SITE, REST_SITE, LIVE_SITE, RAY_SITE = "slurm", "rest", "live", "ray"
TRIVIAL: dict[str, object] = {
    "name": "trivial",
    "resources": {"accelerators": "H100:1"},
    "run": "true",
    "max_duration": "10m",
}
LIVING = sorted(set(JobState) - FINAL)
TICKS = os.sysconf("SC_CLK_TCK")


def show(name: str, value: float, unit: str, baseline: str, baseline_value: float, ratio: float) -> None:
    """Print one row."""
    row = {"name": name, "value": round(value, 3), "unit": unit, "baseline": baseline}
    print(
        json.dumps({**row, "baseline_value": round(baseline_value, 3), "ratio": round(ratio, 3)}), flush=True
    )


def show_middle(name: str, pairs: Sequence[tuple[float, float]], baseline: str) -> None:
    """Print the pair of rates, ours and the baseline's, whose ratio is in the middle."""
    rate, bare = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    show(name, rate, "1/s", baseline, bare, rate / bare)


def living(client: Client) -> bool:
    """Return whether any job has not ended: as light a question as squeue's, asked as often."""
    return next(iter(client.jobs.list(state=LIVING, limit=1)), None) is not None


def finish_rate(client: Client, document: dict[str, object], count: int) -> float:
    """Return how many jobs a second the platform takes in, runs and finishes."""
    begin = time.monotonic()
    ids = client.jobs.submit_batch("bench", [document] * count).ids
    wait_until(lambda: not living(client), 600, lambda: "jobs that do not end")
    spent_s = time.monotonic() - begin
    states = {job.id: job.state for job in islice(client.jobs.list(limit=200), count)}
    assert all(states[job] == "SUCCEEDED" for job in ids), states
    return count / spent_s


def bare_slurm_rate(cluster: SlurmCluster, count: int) -> float:
    """Return the same for sbatch, one process a job as a user would."""
    begin = time.monotonic()
    for _ in range(count):
        cluster.run("sbatch", "--gres=gpu:h100:1", "--output=/dev/null", "--wrap=true")
    wait_until(lambda: not cluster.run("squeue", "--noheader").strip(), 600, lambda: cluster.run("squeue"))
    return count / (time.monotonic() - begin)


def bare_rest_rate(cluster: SlurmCluster, url: str, count: int) -> float:
    """Return the same for slurmrestd, one request after another over one connection."""
    job = {"gres": "gpu:h100:1", "current_working_directory": "/", "standard_output": "/dev/null",
           "environment": {"PATH": os.defpath}}  # fmt: skip
    headers = {"X-SLURM-USER-NAME": user_name(), "X-SLURM-USER-TOKEN": cluster.token()}
    begin = time.monotonic()
    with httpx2.Client(base_url=f"{url}/slurm/v0.0.38", headers=headers, timeout=60) as client:
        for _ in range(count):
            told = client.post("/job/submit", json={"script": "#!/bin/sh\ntrue\n", "job": job}).json()
            assert told["job_id"], told
    wait_until(lambda: not cluster.run("squeue", "--noheader").strip(), 600, lambda: cluster.run("squeue"))
    return count / (time.monotonic() - begin)


def supervisor_cpu_ms(python: str, root: Path, count: int) -> tuple[float, float]:
    """Return the CPU milliseconds of a plain job's supervisor, rank and all, and of an interpreter that does nothing."""
    program = install_programs(root) / "batch.py"
    folders = [root / f"attempt-{number}" for number in range(count + 1)]
    for folder in folders:
        folder.mkdir()
        files.write_json(folder / files.ORDER, plain_order(folder))
    start = [python, "-I", "-S"]
    subprocess.run([*start, str(program), str(folders[0])], check=True, stdout=subprocess.DEVNULL)  # compiles
    ours = _children_ms([*start, str(program), str(folder)] for folder in folders[1:])
    bare = _children_ms([*start, "-c", "pass"] for _ in folders[1:])
    return ours / count, bare / count


def plain_order(folder: Path) -> dict[str, object]:
    """Return the order of a trivial attempt as the Slurm engine writes it, but for Slurm."""
    spec = {"num_nodes": 1, "run": "true", "setup": "", "envs": {}, "outputs": "", "ports": [], "listens": False,
            "network": True, "max_duration_s": 600, "grace_s": 5, "retries": False}  # fmt: skip
    config = {"boxed": False, "note": "", "readable": [], "devices": [], "path": [], "payloads": "", "limits": {},
              "log_most_bytes": 1 << 20, "service_host": "", "envs": {}}  # fmt: skip
    launcher = {"judge": ["true"], "inherited": ["PATH"], "identity": []}
    return {"key": folder.name, "job": "trivial", "checkpoints": str(folder), "project": "bench", "attempt": 1,
            "accelerator": "H100", "cards_per_node": 1, "spec": spec, "secret_names": [], "staged": [],
            "launcher": launcher, "config": config}  # fmt: skip


def _children_ms(commands: Iterable[list[str]]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def first_line_s(client: Client) -> float:
    """Return the seconds from a submission to the first line of its log at the user's end."""
    begin = time.monotonic()
    job = client.jobs.submit("bench", {**TRIVIAL, "run": "echo here; sleep 1"})
    wait_until(lambda: client.jobs.get(job.id).attempts, 60, lambda: client.jobs.get(job.id))
    next(iter(client.jobs.logs(job.id, follow=True)))
    return time.monotonic() - begin


def bare_first_line_s(cluster: SlurmCluster) -> float:
    """Return the same for sbatch and its output file."""
    file = cluster.folder / "work" / f"first-{time.monotonic_ns()}"
    begin = time.monotonic()
    cluster.run("sbatch", "--gres=gpu:h100:1", f"--output={file}", "--wrap=echo here; sleep 1")
    while not file.exists() or not file.stat().st_size:
        time.sleep(0.005)
    return time.monotonic() - begin


def agent_cost(client: Client, pid: int, live: int, watch_s: float) -> tuple[float, float, float]:
    """Return an agent's resident megabytes, its percent of a core and its children's while `live` jobs wait."""
    ids = client.jobs.submit_batch("bench", [{**TRIVIAL, "run": "sleep 600"}] * live).ids
    placed = {"PENDING", "STARTING", "RUNNING"}
    wait_until(
        lambda: sum(j.state in placed for j in client.jobs.list(limit=2 * live)) >= live, 600, lambda: live
    )
    time.sleep(5)
    before, begin = _cpu_s(pid), time.monotonic()
    time.sleep(watch_s)
    passed = time.monotonic() - begin
    own, children = (100 * (now - then) / passed for now, then in zip(_cpu_s(pid), before, strict=True))
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    for job in ids:
        client.jobs.cancel(job)
    wait_until(lambda: not living(client), 600, lambda: "jobs that are not cancelled")
    return resident / 1024, own, children


def _cpu_s(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return own / TICKS, ended / TICKS


def slurm_rows(centres: Centres, *, quick: bool) -> None:
    """Measure what Slurm takes in and finishes, with room for 12 jobs at once."""
    count, rounds = (30, 3) if quick else (200, 7)
    nodes = [Nodes(count=3, cpus=4, gres="gpu:h100:400")]
    with SlurmCluster("bench", nodes=nodes) as cluster, centres.client() as client:
        centres.add_slurm(SITE, "H100", "9", cluster.conf, "gpu:h100", cards_per_node=400, poll_s=2.0)
        finish_rate(client, TRIVIAL, 4)  # everything is loaded and warm
        rounds_of = range(1 if quick else 5)  # Slurm has turns of its own: single pairs are far apart
        for name, jobs in (("slurm_submit", count), ("slurm_submit_12", 12)):
            pairs = [(finish_rate(client, TRIVIAL, jobs), bare_slurm_rate(cluster, jobs)) for _ in rounds_of]
            show_middle(name, pairs, "sbatch")
        with tempfile.TemporaryDirectory(dir=centres.folder) as folder:
            ours, bare = supervisor_cpu_ms(sys.executable, Path(folder), 10 * rounds)
        show("supervisor_cpu", ours, "ms", "python -I -S -c pass", bare, bare / ours)
        first = statistics.median(first_line_s(client) for _ in range(rounds))
        bare_first = statistics.median(bare_first_line_s(cluster) for _ in range(rounds))
        show("slurm_first_line_added", first - bare_first, "s", "sbatch", bare_first, bare_first / first)
        leave(centres, client, SITE)
        url = cluster.start_rest()
        where = (REST_SITE, "H100", "9", cluster.conf, "gpu:h100")
        centres.add_slurm(*where, cards_per_node=400, poll_s=2.0, rest_url=url)
        finish_rate(client, TRIVIAL, 4)
        show_middle(
            "slurm_rest_submit",
            [(finish_rate(client, TRIVIAL, count), bare_rest_rate(cluster, url, count)) for _ in rounds_of],
            "slurmrestd",
        )
        leave(centres, client, REST_SITE)


def array_rows(centres: Centres, *, quick: bool) -> None:
    """Measure job arrays, by Slurm's programs and by slurmrestd."""
    nodes = [Nodes(count=3, cpus=4, gres="gpu:h100:400")]
    with SlurmCluster("arrays", nodes=nodes) as cluster, centres.client() as client:
        url = cluster.start_rest()
        _array_rows(centres, client, cluster, "slurm", "", quick=quick)
        _array_rows(centres, client, cluster, "slurm_rest", url, quick=quick)


def _array_rows(
    centres: Centres, client: Client, cluster: SlurmCluster, way: str, url: str, *, quick: bool
) -> None:
    """Have two agents at one cluster, of which one submits like attempts as arrays, and bare Slurm, in turn."""
    count, rounds = (30, 1) if quick else (100, 5)
    plain_site, array_site = (f"{way.replace('_', '-')}-{which}" for which in ("plain", "arrays"))
    for site, arrays in ((plain_site, False), (array_site, True)):
        where = (site, "H100", "9", cluster.conf, "gpu:h100")
        centres.add_slurm(*where, cards_per_node=400, poll_s=2.0, arrays=arrays, rest_url=url)
        client.sites.set_admission(site, "inactive")
        _turn(centres, client, site, 4)
    for name, jobs in ((f"{way}_arrays", count), (f"{way}_arrays_12", 12)):
        turns: list[tuple[tuple[float, float], tuple[float, float], float]] = []
        for _ in range(rounds):
            plain = _turn(centres, client, plain_site, jobs)
            array = _turn(centres, client, array_site, jobs)
            bare = bare_rest_rate(cluster, url, jobs) if url else bare_slurm_rate(cluster, jobs)
            turns.append((array, plain, bare))
        show_middle(name, [(array[0], plain[0]) for array, plain, _ in turns], "one by one")
        show_middle(f"{name}_bare", [(array[0], bare) for array, _, bare in turns], "bare Slurm")
        show_middle(f"{name}_off_bare", [(plain[0], bare) for _, plain, bare in turns], "bare Slurm")
        ours = statistics.median(array[1] for array, _, _ in turns)
        theirs = statistics.median(plain[1] for _, plain, _ in turns)
        show(f"{name}_agent_cpu", ours, "ms", "one by one", theirs, theirs / ours)
    leave(centres, client, plain_site)
    leave(centres, client, array_site)


def _turn(centres: Centres, client: Client, site: str, jobs: int) -> tuple[float, float]:
    """Return a site's rate, and the CPU milliseconds of its agent and of what that started, for each job."""
    client.sites.set_admission(site, "active")
    before = sum(_cpu_s(centres.agent_pid(site)))
    rate = finish_rate(client, TRIVIAL, jobs)
    spent_s = sum(_cpu_s(centres.agent_pid(site))) - before
    client.sites.set_admission(site, "inactive")
    return rate, 1000 * spent_s / jobs


def leave(centres: Centres, client: Client, site: str) -> None:
    """End a site's agent, and have the platform send nothing more there, before its engine ends."""
    client.sites.set_admission(site, "inactive")
    centres.stop_agent(site)


def agent_rows(centres: Centres, *, quick: bool) -> None:
    """Measure an agent with many live jobs: the platform sends all of them, and most wait for a licence in Slurm."""
    live = 60 if quick else 1_000
    nodes = [Nodes(count=3, cpus=400, gres="gpu:h100:400")]
    with (
        SlurmCluster("live", nodes=nodes, settings={"Licenses": "seat:12"}) as cluster,
        centres.client() as client,
    ):
        where = (LIVE_SITE, "H100", "9", cluster.conf, "gpu:h100")
        centres.add_slurm(*where, cards_per_node=400, poll_s=2.0, licenses="seat:1")
        resident, own, asked = agent_cost(client, centres.agent_pid(LIVE_SITE), live, 5 if quick else 30)
        show(f"agent_rss_{live}", resident, "MB", "goal", 80, 80 / resident)
        whole = max(own + asked, 0.01)
        show(f"agent_idle_cpu_{live}", whole, "%", "goal", 1, 1 / whole)
        show(f"agent_children_cpu_{live}", asked, "%", "agent_idle_cpu", whole, whole / max(asked, 0.01))
        leave(centres, client, LIVE_SITE)


def bare_ray_rate(cluster: RayCluster, count: int) -> float:
    """Return the same for Ray's own Jobs API, asked for the same resources."""
    body = {"entrypoint": "true", "entrypoint_num_cpus": 1, "entrypoint_resources": {"h100": 1}}
    over = {"SUCCEEDED", "FAILED", "STOPPED"}
    begin = time.monotonic()
    left = {cluster.request("POST", "/api/jobs/", body).json()["submission_id"] for _ in range(count)}
    while left:
        left -= {each["submission_id"] for each in cluster.get("/api/jobs/") if each["status"] in over}
        time.sleep(0.5)
    return count / (time.monotonic() - begin)


def ray_rows(centres: Centres) -> None:
    """Measure on Ray, in turns with Ray itself."""
    with RayCluster(nodes=1, resources={"h100": 8}) as cluster, centres.client() as client:
        engine = {"kind": "ray", "url": cluster.url, "ray_python": str(cluster.python)}
        centres.add(RAY_SITE, "H100", "9", engine, {"p": {"per_card": {"h100": 1}}})
        finish_rate(client, TRIVIAL, 4)  # everything is loaded and warm
        pairs = [(finish_rate(client, TRIVIAL, 20), bare_ray_rate(cluster, 20)) for _ in range(3)]
        show_middle("ray_submit", pairs, "Ray Jobs API")
        leave(centres, client, RAY_SITE)


def main() -> int:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few jobs, and no Ray unless it is asked for")
    parser.add_argument("--slurm", action="store_true", help="what Slurm takes in, first line, supervisor")
    parser.add_argument("--arrays", action="store_true", help="Slurm with job arrays beside without")
    parser.add_argument("--agent", action="store_true", help="what an agent with many live jobs costs")
    parser.add_argument("--ray", action="store_true", help="what Ray takes in")
    chosen = parser.parse_args()
    every = not (chosen.slurm or chosen.arrays or chosen.agent or chosen.ray)
    with closing(Household("hutong-bench")) as house:
        os.environ[Household.MARK] = str(house.folder)  # by which its reaper knows the platform's processes
        with Centres(house.folder) as centres:
            if chosen.slurm or every:
                slurm_rows(centres, quick=chosen.quick)
            if chosen.arrays or every:
                array_rows(centres, quick=chosen.quick)
            if chosen.agent or every:
                agent_rows(centres, quick=chosen.quick)
            if chosen.ray or (every and not chosen.quick):
                ray_rows(centres)
    return 0


if __name__ == "__main__":
    sys.exit(main())
