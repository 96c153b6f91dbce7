"""How fast a trace is simulated by the live policy code, and whether it comes to what others published.

`python -m bench.simulator [--data DIR] [--quick] [--check]` prints JSON lines. `--check` compares the figures with those
that Lucid's own simulator printed for the same trace and exits 1 if one differs.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench.data import find_traces
from bench.rows import told

from hutong.core.placement.columns import Backfill
from hutong.sim import fused, world
from hutong.sim.compare import Ground
from hutong.sim.conditions import Conditions, Often
from hutong.sim.importers import read, read_vc_config
from hutong.sim.measures import Measures, measure
from hutong.sim.predict import Predictor
from hutong.sim.rules import BackfillName, Lengths, Queueing, Rules
from hutong.sim.sweep import Plan, cases_of, on_processes, sweep
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster, cluster_of, pooled, prepare


@dataclass(frozen=True, slots=True)
class Published:
    """What a peer printed for a trace: mean completion, mean wait and p99.9 of waits in s; its jobs a second."""

    peer: str
    completion_s: float
    wait_s: float
    p999_s: int
    jobs_per_s: float


# Lucid's simulator (S-Lab-System-Group/Lucid, ASPLOS 2023), run on the same files by the project's research in 2026-11;
# the two preemptive ones for comparison only.
LUCID = {
    "fifo": Published("Lucid simulator, FIFO", 75_829.8, 68_761.7, 254_018, 23),
    "sjf": Published("Lucid simulator, SJF with known lengths", 29_211.0, 22_142.9, 253_814, 23),
}
TIRESIAS = Published("Lucid simulator, Tiresias (preemptive)", 36_558.5, 29_486.6, 238_243, 47)


def timed(
    trace: Trace, cluster: Cluster, queueing: Queueing, backfill: Backfill, *, isolated: bool, repeat: int
) -> tuple[Measures, float, float]:
    """Return the figures, and jobs a second of both loops, the best of some runs; their actions must be the same."""
    rates, digests = {}, set()
    for loop in (world.run, fused.run):
        best = float("inf")
        for _ in range(repeat):
            ready = prepare(trace, cluster, queueing, backfill, isolated=isolated)
            began = time.process_time()
            found = loop(ready)
            best = min(best, time.process_time() - began)
        rates[loop] = len(trace) / best
        digests.add(found.digest)
    if len(digests) != 1:
        raise RuntimeError(f"{trace.name}: the two loops differ")
    return measure(trace, found, cluster, isolated=isolated), rates[world.run], rates[fused.run]


def philly(folder: Path, name: str) -> tuple[Trace, Cluster]:
    """Return a part of Philly and its virtual clusters of 8-card nodes."""
    trace = read(folder / "philly" / f"philly_{name}_lucid.csv")
    return trace, cluster_of(read_vc_config(folder / "philly" / f"philly_{name}_vc_config.csv"), 8)


def main() -> None:
    """Print every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data (default: HUTONG_DATA)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if a figure differs from what was published"
    )
    chosen = parser.parse_args()
    folder = find_traces(chosen.data)
    wrong = []
    trace, cluster = philly(folder, "week1")
    for name, queueing in (("fifo", Queueing.FIFO), ("sjf", Queueing.SJF)):
        peer = LUCID[name]
        figures, live, fast = timed(trace, cluster, queueing, Backfill.NONE, isolated=True, repeat=5)
        told(f"jobs_per_s_philly_week1_{name}", live, "1/s", peer.peer, peer.jobs_per_s)
        told(f"fused_jobs_per_s_philly_week1_{name}", fast, "1/s", peer.peer, peer.jobs_per_s)
        told(f"philly_week1_{name}_completion", figures.completion_mean_s, "s", peer.peer, peer.completion_s)
        found = (
            round(figures.completion_mean_s, 1),
            round(figures.wait_mean_s, 1),
            round(figures.wait_p999_s),
        )
        if found != (peer.completion_s, peer.wait_s, peer.p999_s):
            wrong.append(f"{name}: {found}, published {(peer.completion_s, peer.wait_s, peer.p999_s)}")
    guessing(trace, cluster, "week1")
    preempting(trace, cluster, "week1")
    failing(trace, cluster)
    sweeping(trace, cluster)
    pooling(trace, cluster, "week1")
    keeping(trace, pooled(cluster), "week1")
    predicting(trace, pooled(cluster))
    if not chosen.quick:
        month, clusters = philly(folder, "oct2017")
        guessing(month, clusters, "oct2017")
        preempting(month, clusters, "oct2017")
        pooling(month, clusters, "oct2017")
        keeping(month, pooled(clusters), "oct2017")
        for plan in (True, False):
            whole = clusters if plan else pooled(clusters)
            kind = "isolated" if plan else "pooled"
            figures, live, fast = timed(month, whole, Queueing.FIFO, Backfill.EASY, isolated=plan, repeat=3)
            told(f"jobs_per_s_philly_oct2017_easy_{kind}", live, "1/s")
            told(f"fused_jobs_per_s_philly_oct2017_easy_{kind}", fast, "1/s")
            told(f"philly_oct2017_easy_{kind}_completion", figures.completion_mean_s, "s")
    for name in ("pai_1k", "pai-100k", "azure-100k"):
        jobs = read(folder / "carbon" / f"{name}.csv")
        ample = cluster_of({"all": 600}, 8)
        _, live, fast = timed(jobs, ample, Queueing.FIFO, Backfill.NONE, isolated=False, repeat=3)
        told(f"jobs_per_s_{name}", live, "1/s", "GAIA", 65)
        told(f"fused_jobs_per_s_{name}", fast, "1/s", "GAIA", 65)
    a_year(folder / "carbon" / "pai-100k.csv")
    if wrong:
        sys.exit("\n".join(wrong))
    if chosen.check:
        print("FIFO and SJF are what Lucid's simulator printed, to the last digit", file=sys.stderr)


def a_year(path: Path) -> None:
    """Print what a year of 100,000 jobs takes from the file to its figures, CPU seconds, the best of three."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        jobs = read(path)
        cluster = cluster_of({"all": 600}, 8)
        ready = prepare(jobs, cluster, Queueing.FIFO, Backfill.EASY, isolated=False)
        measure(jobs, fused.run(ready), cluster)
        spent.append(time.process_time() - began)
    told("pai-100k_year", min(spent), "s", "the goal", 0.5, less=True)


def pooling(trace: Trace, cluster: Cluster, part: str) -> None:
    """Print what one pool gives under the live rules, no length known, beside virtual clusters of their own.

    `worst_member` is the mean completion of the virtual cluster that gains least, pooled by isolated.
    """
    alone = fused.run(prepare(trace, cluster, Queueing.FIFO, Backfill.NONE, isolated=True))
    ready = prepare(trace, pooled(cluster), Queueing.FAIR, Backfill.EASY, isolated=False)
    before = alone.start_s + trace.run_s - trace.submit_s
    found = world.run(ready, Predictor())
    after = found.start_s + trace.run_s - trace.submit_s
    members = (trace.group == each for each in range(len(trace.groups)))
    worst = max(float(after[mine].mean() / before[mine].mean()) for mine in members)
    own = "the same jobs in virtual clusters of their own, first come first served"
    told(
        f"philly_{part}_pooled_fair_completion", float(after.mean()), "s", own, round(float(before.mean()), 1)
    )
    told(f"philly_{part}_pooled_fair_worst_member", worst, "ratio", own, 1.0)


def keeping(trace: Trace, cluster: Cluster, part: str) -> None:
    """Print what a reservation for every job that waits gives beside one for the first, FIFO, and its pace.

    By true lengths, and by walltimes that are one to five times as long, from job to job.
    """
    loose = trace.run_s * (1 + np.arange(len(trace)) % 5)
    for lengths, expected in (("known", trace.run_s), ("loose", loose)):
        rows, rates = [], []
        for backfill in (Backfill.EASY, Backfill.CONSERVATIVE):
            spent = []
            for _ in range(2):
                ready = prepare(trace, cluster, Queueing.FIFO, backfill, isolated=False, expected_s=expected)
                began = time.process_time()
                found = fused.run(ready)
                spent.append(time.process_time() - began)
            rates.append(len(trace) / min(spent))
            rows.append(measure(trace, found, cluster))
        easy, each = rows
        name = f"philly_{part}_conservative_{lengths}"
        told(f"{name}_wait", each.wait_mean_s, "s", "EASY", easy.wait_mean_s)
        told(f"{name}_wait_p99", each.wait_p99_s, "s", "EASY", easy.wait_p99_s)
        told(f"{name}_slowdown", each.slowdown_mean, "ratio", "EASY", easy.slowdown_mean)
        told(f"{name}_makespan", each.makespan_s, "s", "EASY", easy.makespan_s)
        told(f"{name}_jobs_per_s", rates[1], "1/s", "EASY", round(rates[0]))


def predicting(trace: Trace, cluster: Cluster) -> None:
    """Print what guessed lengths give beside loose walltimes alone, FIFO, and how wide jobs fare."""
    loose, wide = trace.run_s * (1 + np.arange(len(trace)) % 5), trace.cards >= 16
    for backfill in (Backfill.EASY, Backfill.CONSERVATIVE):
        rows = []
        for patience_s in (0, 3600, 12 * 3600):
            ready = prepare(
                trace, cluster, Queueing.FIFO, backfill,
                isolated=False, expected_s=loose, patience_s=patience_s,
            )  # fmt: skip
            found = world.run(ready, Predictor() if patience_s else None)
            waited = float((found.start_s - trace.submit_s)[wide].mean())
            rows.append((patience_s, measure(trace, found, cluster), waited))
        (_, plain, plain_wide), *others = rows
        for patience_s, each, each_wide in others:
            name = f"philly_week1_predicted_{backfill.name.lower()}_{patience_s // 3600}h"
            told(f"{name}_wait", each.wait_mean_s, "s", "walltimes", plain.wait_mean_s)
            told(f"{name}_wait_p99", each.wait_p99_s, "s", "walltimes", plain.wait_p99_s)
            told(f"{name}_slowdown", each.slowdown_mean, "ratio", "walltimes", plain.slowdown_mean)
            told(f"{name}_wait_wide", each_wide, "s", "walltimes", plain_wide)


def failing(trace: Trace, cluster: Cluster) -> None:
    """Print the jobs a second where nodes fail, beside a world in which none does, the best of three runs."""
    whole = pooled(cluster)
    conditions = Conditions(node=Often(10 * 86_400, 14_400), checkpoint_s=3600)
    rates = []
    for outages in ([], conditions.drawn(trace, whole, 1)):
        spent = []
        for _ in range(3):
            ready = prepare(trace, whole, Queueing.FIFO, Backfill.EASY, isolated=False)
            began = time.process_time()
            found = world.run(ready, None, outages, conditions.checkpoint_s)
            spent.append(time.process_time() - began)
        rates.append(len(trace) / min(spent))
    told("jobs_per_s_philly_week1_failures", rates[1], "1/s", "the same without failures", round(rates[0]))
    told("philly_week1_failures_restarts", int(found.restarts.sum()), "restarts")
    told("philly_week1_failures_lost", found.lost_card_s(trace.cards) / 3600, "card-hours")


def sweeping(trace: Trace, cluster: Cluster) -> None:
    """Print the runs a minute of a sweep over 40 seeds, on all cores and on one; both must come to the same."""
    rules = Rules((Queueing.FIFO,), BackfillName.EASY, Lengths.GUESSED)
    conditions = Conditions(node=Often(10 * 86_400, 14_400), checkpoint_s=3600)
    plan = Plan(trace, Ground(pooled(cluster)), rules, cases_of(rules, (), 40), conditions=conditions)
    rates, digests = [], set()
    for processes in (1, 0):
        began = time.monotonic()
        found = sweep(plan, on_processes(processes), quiet=True)
        rates.append(60 * len(found) / (time.monotonic() - began))
        digests.add(tuple(each.digest for each in found))
    if len(digests) != 1:
        raise RuntimeError("a sweep on one core and on all of them differ")
    told("sweep_runs_per_min_philly_week1", rates[1], "1/min", "one core", round(rates[0]))
    told("sweep_1000_scenarios_philly_week1", 1000 / rates[1], "min", "the goal", 10, less=True)


def guessing(trace: Trace, cluster: Cluster, part: str) -> None:
    """Print how well shortest first does if no length is known before its end, beside Tiresias on week 1.

    A reservation for the first goes by guesses that are often wrong, so without any it does better.
    """
    for name, backfill in (("guessed", Backfill.GREEDY), ("guessed_easy", Backfill.EASY)):
        ready = prepare(trace, cluster, Queueing.SJF, backfill, isolated=True)
        figures = measure(trace, world.run(ready, Predictor()), cluster, isolated=True)
        peer = (TIRESIAS.peer, TIRESIAS.completion_s) if part == "week1" else ()
        told(f"philly_{part}_{name}_completion", figures.completion_mean_s, "s", *peer)


def preempting(trace: Trace, cluster: Cluster, part: str) -> None:
    """Print how well least expected rest first does, which stops jobs, no length known, and its pace."""
    ready = prepare(trace, cluster, Queueing.LEAST, Backfill.GREEDY, isolated=True)
    began = time.process_time()
    found = world.run(ready, Predictor())
    spent_s = time.process_time() - began
    figures = measure(trace, found, cluster, isolated=True)
    peer = (TIRESIAS.peer, TIRESIAS.completion_s) if part == "week1" else ()
    told(f"philly_{part}_preemptive_completion", figures.completion_mean_s, "s", *peer)
    told(f"philly_{part}_preemptive_stops", figures.stops, "stops")
    told(f"philly_{part}_preemptive_lost", figures.stop_lost_card_s / 3600, "card-hours")
    told(f"philly_{part}_preemptive_jobs_per_s", len(trace) / spent_s, "1/s")


if __name__ == "__main__":
    main()
