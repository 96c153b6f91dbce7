"""Move tasks for pods of Alibaba's openb trace that fit nowhere, beside the same runs without; JSON lines.

The protocol is that of `bench.fragmentation`: pods arrive until they ask for 130 % of the cards, nobody
leaves. A pod with cards that fits on no node has room made for it, with so many moves at most.

| row | what is measured | baseline |
|---|---|---|
| openb_<workload>_moved | allocation in % where tasks are moved, none is stopped for good | without moves |
| openb_<workload>_swapped | the same where tasks may be stopped and wait, if more cards are in use then | without |
| openb_<workload>_..._moves, _stopped | tasks that were moved, and that were stopped and wait, in all | pods that fit nowhere at first and ran |
| openb_<workload>_..._search_ms | CPU milliseconds of a search | none: 0 |
| openb_<workload>_bound | no way of moving tasks can allocate more, in % | FGD as published |

The bound is a linear program over the cards alone: all pods that came before the first that fitted nowhere
run (nobody had been moved by then, so they do in every one of our runs), and of the later ones those that
fill cards best; cards are filled by an arc-flow model of bin packing (Valerio de Carvalho, 1999), relaxed.
It knows no processors, memory, models or nodes, so the truth may be well below.

`python -m bench.defragmentation [--data DIR] [--workloads a,b] [--seeds N] [--moves K] [--beam W]`
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import fmean

from bench.data import find_traces
from bench.fragmentation import FIRST_SEED, PERCENT, PUBLISHED, read_published
from bench.rows import told

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.core.placement.defragmentation import Effort
from hutong.core.placement.fragmentation import CARD_MILLI
from hutong.core.placement.node_scores import NodePolicy
from hutong.core.placement.nodes import NOWHERE
from hutong.sim.openb import Workload, defragmented, experiment, inflate, read_workload
from hutong.sim.plan.program import INFINITE, Program

_UNIT = 10  # all shares of openb are whole hundredths of a card
_MOST_S = 60


def demand(workload: Workload, stream: Ints) -> Counter[int]:
    """Return how many items of each size the pods of a stream are on cards: whole cards, and shares."""
    found: Counter[int] = Counter()
    for kind in stream.tolist():
        if workload.types.cards[kind]:
            found[int(workload.types.milli[kind])] += int(workload.types.cards[kind])
    return found


def bound(workload: Workload, stream: Ints, first: int) -> float:
    """Return the most in % that can be allocated if all pods before the `first` run, and others as one likes."""
    must, may = demand(workload, stream[:first]), demand(workload, stream)
    if any(size % _UNIT for size in may):
        raise Refused("bad_trace", f"shares of cards are multiples of {_UNIT} milli here")
    full, cards = CARD_MILLI // _UNIT, int(workload.nodes.cards.sum())
    program = Program()
    flow: list[dict[int, float]] = [{} for _ in range(full)]
    for size in may:
        items = {}
        for at in range(full - size // _UNIT + 1):
            arc = program.variable(0, INFINITE, -size)
            items[arc] = 1.0
            flow[at][arc] = flow[at].get(arc, 0) + 1
            if at + size // _UNIT < full:
                flow[at + size // _UNIT][arc] = -1
        program.row(must[size], may[size], items)
    for at in range(full):
        flow[at][program.variable(0, INFINITE, 0)] = 1  # the rest of a card stays free
        program.row(0 if at else cards, 0 if at else cards, flow[at])
    solved = program.solve(whole=False, most_s=_MOST_S, gap=0)
    if solved is None:
        raise Refused("unsolved", "the linear program of the bound was not solved in time")
    return -solved.cost * 100 / CARD_MILLI / cards


def measure(name: str, workload: Workload, seeds: int, effort: Effort, published: float) -> None:
    """Run one workload and print its rows."""
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    plain = [experiment(workload, NodePolicy.HUTONG, seed, PERCENT) for seed in numbers]
    without = round(fmean(run.curve()[PERCENT] for run in plain), 3)
    most = []
    for seed, run in zip(numbers, plain, strict=True):
        refused = (run.placed[:, 0] == NOWHERE).nonzero()[0]
        stream = inflate(workload, PERCENT, seed)
        most.append(bound(workload, stream, int(refused[0]) if len(refused) else len(stream)))
    told(f"openb_{name}_bound", round(fmean(most), 3), "%", "FGD published", published)
    for label, may_wait in (("moved", False), ("swapped", True)):
        tried = Effort(effort.moves, effort.beam, may_wait)
        runs = [
            defragmented(workload, NodePolicy.HUTONG, seed, tried, PERCENT, time.process_time_ns)
            for seed in numbers
        ]
        row = f"openb_{name}_{label}"
        told(row, round(fmean(run.outcome.curve()[PERCENT] for run in runs), 3), "%", "without", without)
        found = fmean(run.found for run in runs)
        told(f"{row}_moves", fmean(run.moves for run in runs), "tasks", "pods that room was made for", found)
        told(
            f"{row}_stopped",
            fmean(run.stopped for run in runs),
            "tasks",
            "pods that room was made for",
            found,
        )
        spent_ms = sum(run.outcome.spent_ns for run in runs) / 1e6 / max(1, sum(run.searches for run in runs))
        told(f"{row}_search_ms", round(spent_ms, 2), "ms", "", 0)


def main() -> int:
    """Run what the arguments ask for; 2 without data."""
    parser = argparse.ArgumentParser(prog="python -m bench.defragmentation", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data (default: HUTONG_DATA)")
    parser.add_argument("--workloads", default="", help="comma-separated, default all published ones")
    parser.add_argument("--seeds", type=int, default=1, help="from 42 on")
    parser.add_argument("--moves", type=int, default=3, help="the most tasks that one pod may have moved")
    parser.add_argument("--beam", type=int, default=8, help="how many partial answers are followed")
    args = parser.parse_args()
    try:
        folder = find_traces(args.data, "openb")
        published = read_published(folder / "fgd_published.csv")
        for name in [name for name in args.workloads.split(",") if name] or sorted(
            {key[0] for key in published}
        ):
            pods = folder / f"openb_pod_list_{name}.csv"
            if not pods.is_file():
                print(f"skipped: {name} is not on this machine", file=sys.stderr)
                continue
            workload = read_workload(folder / "openb_node_list_gpu_node.csv", pods)
            theirs = round(fmean(published[name, PUBLISHED[NodePolicy.FGD]][0]), 3)
            measure(name, workload, args.seeds, Effort(args.moves, args.beam), theirs)
    except Refused as error:
        print(error.message, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
