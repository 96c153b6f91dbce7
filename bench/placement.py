"""How fast placement is: the compiled pass alone, and whole turns with why-not and receipts.

`python -m bench.placement [--quick]` prints JSON lines. The baselines are plain numpy doing the same choice over the
same pools, pool by pool and job by job: what one would write first.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from bench.rows import told

from hutong.core.book.money import Lot, LotKind
from hutong.core.book.snapshot import JobRow, Snapshot
from hutong.core.capacity.sites import Pool, PoolState, Site, SiteStatus, Supply
from hutong.core.capacity.spread import Spread
from hutong.core.control.rules import Rules
from hutong.core.control.turn import turn
from hutong.core.kernel.ids import JobId, LotId, PoolId, ProjectId, SiteId
from hutong.core.placement import board, kernel
from hutong.core.placement import columns as c
from hutong.core.placement.board import Account, Class, make_board, shelves_of
from hutong.core.placement.columns import Arrays, Backfill, Order
from hutong.core.work import facts as f
from hutong.core.work.fold import fold
from hutong.core.work.spec import Ask, JobSpec, JobType, Resources
from hutong.server.heap import settle

NOW_MS = 1_800_000_000_000
MICRO = 1_000_000
CHIPS = ("H100", "Ascend910B", "MLU370", "A800")


def world(sites: int, nodes: int, jobs: int, *, shapes: int = 6) -> Arrays:
    """Return sites of four kinds of nodes with 8 cards, and jobs of one card to four whole nodes."""
    per_pool = nodes // len(CHIPS)
    count = sites * len(CHIPS)
    shelves = shelves_of([np.full(per_pool, 8, np.int64)] * count)
    random = np.random.default_rng(1)
    classes = []
    for chip in range(len(CHIPS)):
        for gang, cards in ((1, 1), (1, 2), (1, 4), (1, 8), (2, 8), (4, 8))[:shapes]:
            able = np.where(np.arange(count) % len(CHIPS) == chip, cards, 0)
            base = random.integers(0, 3_000_000, count)
            classes.append(Class(gang, able, base, fit_weight=1, weights=4))
    arrays = make_board(
        board.Rules(Order.KEY, Backfill.NONE),
        shelves,
        classes,
        [(each, 0) for each in range(len(classes))],
        [Account()],
        jobs=jobs,
        running=jobs,
        gang=4,
    )
    kind = random.integers(0, len(classes), jobs)
    arrays.jobs[:, c.CLASS] = arrays.jobs[:, c.LANE] = kind
    arrays.jobs[:, c.EXPECTED] = 3_600_000
    arrays.jobs[:, c.KEY] = np.arange(jobs)
    return arrays


def kernel_rate(sites: int, nodes: int, jobs: int) -> float:
    """Return placements a second of the pass: every job comes, and one that started long ago ends."""
    arrays = world(sites, nodes, jobs)
    placed = _churn(arrays, 200)
    arrays = world(sites, nodes, jobs)
    began = time.process_time()
    placed = _churn(arrays, jobs)
    return placed / (time.process_time() - began)


def _churn(arrays: Arrays, jobs: int) -> int:
    started = np.empty((1000, 2), np.int64)
    placed = 0
    for first in range(0, jobs, 1000):
        placed += kernel.turn(arrays, NOW_MS, -1, first, min(first + 1000, jobs), started)
    return placed


def single_us(sites: int, nodes: int, jobs: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of one placement, microseconds of CPU.

    Each is timed alone: a call of `next_start` from Python, as a live turn makes it, with a thousand jobs in line;
    the call itself and the reading of the clock are in it.
    """
    arrays = world(sites, nodes, jobs)
    spent: list[int] = []
    for first in range(0, jobs, 1000):
        for job in range(first, first + 1000):
            kernel.enqueue(arrays, job)
        kernel.begin(arrays, NOW_MS)
        job = 0
        while job >= 0:
            began = time.thread_time_ns()
            job = kernel.next_start(arrays, NOW_MS)
            spent.append(time.thread_time_ns() - began)
        spent.pop()  # that one found nothing
    return tuple(np.percentile(spent[1000:], (50, 99)) / 1000)


def numpy_rate(sites: int, nodes: int, jobs: int) -> float:
    """Return placements a second of the same choice in plain numpy, without nodes."""
    arrays = world(sites, nodes, jobs)
    free = arrays.pools[:, c.FREE].copy()
    kinds = arrays.jobs[:, c.CLASS].tolist()
    began = time.process_time()
    for kind in kinds:
        need = arrays.classes[kind, c.GANG] * arrays.per_node[kind]
        fits = (need > 0) & (need <= free)
        score = np.where(fits, arrays.base[kind] + 1_000_000 * need // np.maximum(free, 1), -1)
        best = int(score.argmax())
        free[best] -= need[best]
    return jobs / (time.process_time() - began)


def scene(
    sites: int, pools: int, jobs: int, *, projects: int = 20, questions: int = 50, by_node: bool = False
) -> Snapshot:
    """Return a snapshot of sites with pools and a queue of jobs that ask some fifty different things.

    With `by_node` centres say how many cards are free on each of their 200 nodes a pool.
    """
    green = tuple(300_000 + 20_000 * (hour % 12) for hour in range(24))
    supply = Supply(green, (500,) * 24, "bench")
    per_site = pools // sites
    found = tuple(
        Site(
            SiteId(f"s{site:03d}"), "", f"Site {site}", "bj", site * 7 % 500, "slurm",
            tuple(
                Pool(PoolId(f"p{pool}"), CHIPS[pool % 4], 200, 8, (8 + pool % 5) * MICRO, 1200, "cuda")
                for pool in range(per_site)
            ),
            supply,
        )
        for site in range(sites)
    )  # fmt: skip
    specs = [
        JobSpec(
            f"q{number}", JobType.TASK, 1 + number % 4, Resources((Ask(CHIPS[number % 4], 1 + number % 8),)),
            "true", max_duration_s=3600 * (1 + number % 5),
        )
        for number in range(questions)
    ]  # fmt: skip
    queue = []
    for number in range(jobs):
        name, project = JobId(f"01J{number:023d}"), ProjectId(f"p{number % projects}")
        events: tuple[f.Event, ...] = (f.Submitted("ada", "sha256:0"), f.Queued())
        facts = [f.Fact(name, seq, NOW_MS - 60_000, "bench", event) for seq, event in enumerate(events, 1)]
        queue.append(JobRow(fold(facts), specs[number % questions], project))
    lots = {
        project: (Lot(LotId(f"l-{project}"), project, LotKind.AWARD, MICRO, 0, 2 * NOW_MS, 10**15),)
        for project in {row.project for row in queue}
    }
    statuses = {str(site.id): SiteStatus(site.id, NOW_MS, NOW_MS) for site in found}
    if by_node:
        free = Spread((0,) * 8 + (200,))
        states = tuple(PoolState(f"p{pool}", 1600, 0, 0, free) for pool in range(per_site))
        statuses = {name: replace(each, pools=states) for name, each in statuses.items()}
    return Snapshot(NOW_MS, (), tuple(queue), found, statuses, lots=lots)


def decision_rate(shot: Snapshot, turns: int) -> float:
    """Return decisions a second of whole turns: facts, holds, commands, receipts and reasons included."""
    rules = Rules()
    turn(shot, rules)
    settle()  # as the loop's process does
    began = time.process_time()
    decided = sum(len(turn(replace(shot, now_ms=NOW_MS + at), rules).jobs) for at in range(turns))
    return decided / (time.process_time() - began)


def main() -> None:
    """Print every row; the quick ones only with `--quick`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    for sites, goal in ((27, "27x4000"), (100, "100x4000"), (300, "300x4000")):
        if quick and sites > 27:
            continue
        rate = kernel_rate(sites, 4000, 100_000)
        plain = numpy_rate(sites, 4000, 2_000)
        told(f"kernel_placements_{goal}", rate, "1/s", "numpy, job by job", round(plain, 1))
        for name, each in zip(("p50", "p99"), single_us(sites, 4000, 20_000), strict=True):
            told(f"kernel_placement_{goal}_{name}", each, "us", "the goal for p99", 10, less=True)
    for sites, pools in ((20, 100), (100, 1000)) if quick else ((20, 100), (100, 1000), (100, 100_000)):
        shot = scene(sites, pools, 1000)
        plain = decision_rate(shot, 3 if pools > 1000 else 10)
        told(f"decisions_{sites}x{pools}", plain, "1/s")
        if pools <= 1000:
            rate = decision_rate(scene(sites, pools, 1000, by_node=True), 10)
            told(f"decisions_{sites}x{pools}_by_node", rate, "1/s", "cards added up", round(plain))


if __name__ == "__main__":
    main()
