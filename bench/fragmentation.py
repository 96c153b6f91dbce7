"""Place Alibaba's openb pods on its 1,213 GPU nodes beside FGD's published table; a table, then JSON lines.

Each run fills the cluster until the pods that arrived ask for 130 % of its cards and nobody leaves; what counts
is how much of the cards is allocated in the end, in %. FGD publishes ten seeds of six policies for each workload
(hkust-adsl/kubernetes-scheduler-simulator, experiments/analysis/expected_results, Apache-2.0). Its random numbers
are Go's and ours are not, so the two means are of different samples: each is shown with its 95 % interval.
Beside a workload that the table does not hold stands FGD as it is here, which is at par where there is a table.

| row | what is measured | baseline |
|---|---|---|
| openb_<workload>_<policy>_allocation | mean allocation over the seeds | the same policy as published; for `hutong` FGD, published or run here |
| openb_<workload>_<policy>_at_90 | the same when pods that ask for 90 % have arrived: what is refused early shows here | the same |
| openb_workloads_ahead_of_fgd, openb_points_ahead_of_fgd | on how many `hutong` allocates more; by how much in the mean | how many were tried; the goal |
| openb_placements_per_s_<policy> | pods over the CPU seconds of the kernel, compiled before | the published simulator, as its README has it |

Parity: every known policy is within 0.3 points of its published mean, or within the 95 % interval of the
difference where that is wider (the order of the nodes alone moves `gpu_packing` and `gpu_clustering` by more).
`fgd` itself has to be within 0.3 points.

`python -m bench.fragmentation [--data DIR] [--quick] [--workloads a,b] [--policies a,b] [--seeds N] [--check]`
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from bench.data import find_traces
from rich.console import Console
from rich.table import Table

from hutong.core.kernel.errors import Refused
from hutong.core.placement.node_scores import NodePolicy
from hutong.sim.openb import Workload, experiment, read_workload

PUBLISHED = {
    NodePolicy.RANDOM: "01-Random",
    NodePolicy.DOT_PRODUCT: "02-DotProd",
    NodePolicy.GPU_CLUSTERING: "03-GpuClustering",
    NodePolicy.GPU_PACKING: "04-GpuPacking",
    NodePolicy.BEST_FIT: "05-BestFit",
    NodePolicy.FGD: "06-FGD",
    NodePolicy.HUTONG: "06-FGD",
}
PARITY_POINTS = 0.3
FIRST_SEED = 42
PERCENT = 130
EARLY = 90
# "About 10 minutes" for about 10,800 pods on two virtual CPUs, says the README of FGD's simulator.
_PEER_PODS_PER_S = 18
# Student's t at 97.5 % by degrees of freedom, 1 to 30 (a table of any textbook); 1.96 beyond.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """One policy on one workload: allocations in %, ours by seed and as published; pods and CPU seconds.

    `early` and `published_early` are those at 90 % arrival. What is not published (`source`) is run here.
    """

    workload: str
    policy: NodePolicy
    ours: tuple[float, ...]
    published: tuple[float, ...]
    early: tuple[float, ...]
    published_early: tuple[float, ...]
    pods: int
    seconds: float
    source: str

    @property
    def difference(self) -> float:
        """Points that our mean is above the published one."""
        return fmean(self.ours) - fmean(self.published)

    @property
    def at_par(self) -> bool:
        """True if the difference is none, within what PARITY_POINTS and the number of seeds allow."""
        doubt = (interval(self.ours) ** 2 + interval(self.published) ** 2) ** 0.5
        allowed = PARITY_POINTS if self.policy is NodePolicy.FGD else max(PARITY_POINTS, doubt)
        return abs(self.difference) <= allowed


def interval(values: Sequence[float]) -> float:
    """Return half the 95 % interval of the mean of independent values; 0 for a single one."""
    freedom = len(values) - 1
    if freedom < 1:
        return 0.0
    quantile = _T[freedom - 1] if freedom <= len(_T) else 1.96
    return float(quantile * stdev(values) / len(values) ** 0.5)


Published = dict[tuple[str, str], tuple[tuple[float, ...], tuple[float, ...]]]


def read_published(path: Path) -> Published:
    """Return the published allocations by workload and policy at 130 % and at 90 %, in the order of their seeds."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            workload = row["workload"].removeprefix("openb_pod_list_")
            found.setdefault((workload, row["sc_policy"]), []).append(
                (float(row[str(PERCENT)]), float(row[str(EARLY)]))
            )
    return {key: (tuple(v[0] for v in pairs), tuple(v[1] for v in pairs)) for key, pairs in found.items()}


def measure(name: str, workload: Workload, policy: NodePolicy, seeds: int, published: Published) -> Result:
    """Run one policy on one workload for that many seeds from 42 on."""
    ours, early, pods, seconds = _run(workload, policy, seeds)
    peer = PUBLISHED[policy]
    if (name, peer) in published:
        source, (theirs, theirs_early) = f"FGD published, {peer[3:]}", published[name, peer]
    else:
        source, (theirs, theirs_early, *_) = "FGD run here", _run(workload, NodePolicy.FGD, seeds)
    return Result(name, policy, ours, theirs, early, theirs_early, pods, seconds, source)


def _run(
    workload: Workload, policy: NodePolicy, seeds: int
) -> tuple[tuple[float, ...], tuple[float, ...], int, float]:
    """Return allocations by seed at 130 % and at 90 %, how many pods were placed and in which CPU seconds."""
    late, early, pods, seconds = [], [], 0, 0.0
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        outcome = experiment(workload, policy, seed, PERCENT, time.process_time_ns)
        curve = outcome.curve()
        late.append(curve[PERCENT])
        early.append(curve[EARLY])
        pods += len(outcome.placed)
        seconds += outcome.spent_ns / 1e9
    return tuple(late), tuple(early), pods, seconds


def parity(results: Sequence[Result]) -> list[str]:
    """Return what is not at par, in words; empty if everything known is."""
    return [
        f"{r.workload} {r.policy.name.lower()}: {fmean(r.ours):.2f}, published {fmean(r.published):.2f} ({r.difference:+.2f})"
        for r in results
        if r.policy is not NodePolicy.HUTONG and not r.at_par
    ]


def show(results: Sequence[Result], console: Console) -> None:
    """Print a table a workload."""
    for name in dict.fromkeys(r.workload for r in results):
        table = Table(title=f"openb {name}: allocation at {PERCENT} % arrival, %")
        for column in (
            "policy",
            "ours",
            "beside",
            "difference",
            f"at {EARLY} %",
            "beside",
            "placements/s",
        ):
            table.add_column(column, justify="left" if column == "policy" else "right")
        for r in results:
            if r.workload == name:
                table.add_row(
                    r.policy.name.lower(),
                    f"{fmean(r.ours):.2f} ± {interval(r.ours):.2f}",
                    f"{fmean(r.published):.2f} ± {interval(r.published):.2f} ({r.source[4:]})",
                    f"{r.difference:+.2f}",
                    f"{fmean(r.early):.2f}",
                    f"{fmean(r.published_early):.2f}",
                    f"{r.pods / r.seconds:,.0f}",
                )
        console.print(table)


def rows(results: Sequence[Result]) -> list[dict[str, str | float]]:
    """Return the JSON lines."""
    lines: list[dict[str, str | float]] = []
    for r in results:
        label = f"openb_{r.workload}_{r.policy.name.lower()}_allocation"
        lines.append(_row(label, round(fmean(r.ours), 3), "%", r.source, round(fmean(r.published), 3)))
        label = label.replace("_allocation", f"_at_{EARLY}")
        lines.append(_row(label, round(fmean(r.early), 3), "%", r.source, round(fmean(r.published_early), 3)))
    for policy in dict.fromkeys(r.policy for r in results):
        pods = sum(r.pods for r in results if r.policy is policy)
        seconds = sum(r.seconds for r in results if r.policy is policy)
        label = f"openb_placements_per_s_{policy.name.lower()}"
        lines.append(_row(label, round(pods / seconds), "1/s", "FGD simulator, its README", _PEER_PODS_PER_S))
    ours = [r for r in results if r.policy is NodePolicy.HUTONG]
    if ours:
        ahead = sum(r.difference > 0 for r in ours)
        lines.append(_row("openb_workloads_ahead_of_fgd", ahead, "workloads", "all tried", len(ours)))
        mean = round(fmean(r.difference for r in ours), 3)
        lines.append(_row("openb_points_ahead_of_fgd", mean, "points in the mean", "goal", 0.3))
    return lines


def _row(name: str, value: float, unit: str, baseline: str, other: float) -> dict[str, str | float]:
    return {
        "name": name, "value": value, "unit": unit, "baseline": baseline, "baseline_value": other,
        "ratio": round(value / other, 4),
    }  # fmt: skip


def main() -> int:
    """Run what the arguments ask for; 1 if parity was to be checked and is not there, 2 without data."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.fragmentation", description="openb beside FGD's table"
    )
    parser.add_argument("--data", type=Path, help="folder of the data (default: HUTONG_DATA)")
    parser.add_argument("--quick", action="store_true", help="two workloads, three seeds: ends within 50 s")
    parser.add_argument("--workloads", default="", help="comma-separated, default all that are there")
    parser.add_argument("--policies", default="", help="comma-separated, default all")
    parser.add_argument("--seeds", type=int, default=0, help="default 10, as published; 3 with --quick")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 unless the known policies are at par"
    )
    args = parser.parse_args()
    console = Console(stderr=True)
    console.width = max(console.width, 110)  # seven columns need them, in a pipe too
    try:
        folder = find_traces(args.data, "openb")
        policies = [NodePolicy[name.upper()] for name in args.policies.split(",") if name] or list(NodePolicy)
        published = read_published(folder / "fgd_published.csv")
        names = [name for name in args.workloads.split(",") if name]
        names = names or (["default", "gpushare100"] if args.quick else _workloads(folder))
        results = _measure_all(folder, names, policies, args.seeds or (3 if args.quick else 10), published)
    except Refused as error:
        console.print(f"[red]{error.message}[/red]")
        return 2
    except KeyError as error:
        console.print(f"[red]no policy {error}: {', '.join(p.name.lower() for p in NodePolicy)}[/red]")
        return 2
    show(results, console)
    for line in rows(results):
        print(json.dumps(line))
    return _verdict(results, console) if args.check else 0


def _workloads(folder: Path) -> list[str]:
    return sorted(each.stem.removeprefix("openb_pod_list_") for each in folder.glob("openb_pod_list_*.csv"))


def _measure_all(
    folder: Path,
    names: Sequence[str],
    policies: Sequence[NodePolicy],
    seeds: int,
    published: Published,
) -> list[Result]:
    results: list[Result] = []
    for name in names:
        workload = read_workload(
            folder / "openb_node_list_gpu_node.csv", folder / f"openb_pod_list_{name}.csv"
        )
        experiment(workload, NodePolicy.HUTONG, FIRST_SEED, 1)  # compiles, or loads what was compiled
        known = (name, PUBLISHED[NodePolicy.FGD]) in published
        results += [
            measure(name, workload, policy, seeds, published)
            for policy in policies
            if known or policy is NodePolicy.HUTONG
        ]
    return results


def _verdict(results: Sequence[Result], console: Console) -> int:
    problems = parity(results)
    for problem in problems:
        console.print(f"[red]not at par: {problem}[/red]")
    known = [r for r in results if r.policy is not NodePolicy.HUTONG]
    console.print(f"{len(known) - len(problems)} of {len(known)} published means reproduced")
    return 1 if problems or not known else 0


if __name__ == "__main__":
    sys.exit(main())
