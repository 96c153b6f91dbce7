"""AccaSim's own simulator and ours on the same trace: FIFO and SJF job by job, and which rule its EASY differs by.

`python -m bench.beside_accasim --python .venv-accasim/bin/python [--jobs N] [--load PERCENT] [--check]` draws a trace like
those of Lublin and Feitelson's model, from a seed, writes it in the Standard Workload Format, has AccaSim 1.1.3 run it
in that Python, and prints JSON lines. `--check` exits 1 unless every job of FIFO and SJF waits as long in both, and
every job of AccaSim's EASY as long as `relaxed` below says.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench.rows import told

from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Backfill
from hutong.sim import fused
from hutong.sim.importers.swf import read_swf
from hutong.sim.rules import Queueing
from hutong.sim.trace import Trace
from hutong.sim.world import cluster_of, prepare

PROCESSORS = 256
RUNNER = Path(__file__).with_name("run_accasim.py")
RULES = {
    "fifo": (Queueing.FIFO, Backfill.NONE),
    "sjf": (Queueing.SJF, Backfill.NONE),
    "easy": (Queueing.FIFO, Backfill.EASY),
}


def draw(jobs: int, load: int, seed: int) -> Ints:
    """Return rows (N, 3) of submission, run time and processors, with so many per cent of all in use.

    After the batch part of Lublin and Feitelson's model (JPDC 63(11), 2003), with its published constants but
    without its daily cycle: sizes from two uniforms of the logarithm, run times from a hyper-gamma, longer for wide jobs.
    """
    rng = np.random.default_rng(seed)
    low, high = rng.uniform(0.8, 4.5, jobs), rng.uniform(4.5, np.log2(PROCESSORS), jobs)
    exponent = np.where(rng.random(jobs) < 0.86, low, high)
    exponent = np.where(rng.random(jobs) < 0.576 / (1 - 0.244), np.rint(exponent), exponent)
    size = np.where(rng.random(jobs) < 0.244, 1, np.rint(2**exponent)).astype(np.int64)
    short = rng.random(jobs) < np.clip(0.78 - 0.0054 * size, 0, 1)
    logs = np.where(short, rng.gamma(4.2, 0.94, jobs), rng.gamma(312, 0.03, jobs))
    run_s = np.clip(np.rint(np.exp(logs)), 1, 86_400).astype(np.int64)
    gaps = rng.gamma(10.23, 0.4871, jobs)
    span_s = 100 * int((size * run_s).sum()) / (PROCESSORS * load)
    submit_s = np.floor(np.cumsum(np.exp(gaps)) / np.exp(gaps).sum() * span_s).astype(np.int64)
    return np.stack([submit_s - submit_s[0], run_s, size], axis=1)


def write(rows: Ints, path: Path) -> None:
    """Write rows as a log of the Standard Workload Format; jobs ask for one to five times as long as they run."""
    lines = [f"; MaxProcs: {PROCESSORS}"]
    for number, (submit, run, size) in enumerate(rows.tolist(), 1):
        asked = run * (1 + number % 5)
        lines.append(f"{number} {submit} -1 {run} {size} -1 -1 {size} {asked} -1 1 1 1 1 1 1 -1 -1")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def relaxed(trace: Trace) -> Ints:
    """Return the starts under the rule that AccaSim 1.1.3 calls EASY, in seconds.

    It differs from EASY (Lifka, 1995) in two ways. What comes after the job that waits starts wherever there are
    processors, however long it runs: the allocator is told of no reserved node, so its check for overlaps never
    finds any. And the job that waits is tried again no sooner than at the time that was reserved for it when it first
    had to, from then on at every event: where runs end early, processors stay idle until then.
    """
    order = sorted(range(len(trace)), key=lambda job: (int(trace.submit_s[job]), job))
    cards, run_s, asked_s = trace.cards.tolist(), trace.run_s.tolist(), trace.limit_s.tolist()
    start_s = np.full(len(trace), -1, np.int64)
    free, arrived, held_s = PROCESSORS, 0, -1
    queue: list[int] = []
    running: list[tuple[int, int]] = []  # when a job ends, and the job
    while queue or running or arrived < len(order):
        times = [end for end, _ in running]
        if arrived < len(order):
            times.append(int(trace.submit_s[order[arrived]]))
        now = min(times, default=held_s)  # nothing runs or comes, and still it is not tried
        free += sum(cards[job] for end, job in running if end == now)
        running = [each for each in running if each[0] != now]
        while arrived < len(order) and trace.submit_s[order[arrived]] == now:
            queue.append(order[arrived])
            arrived += 1
        waits: list[int] = queue[:1] if held_s > now else []  # only the first is ever held back
        for job in queue[len(waits) :]:
            if cards[job] <= free:
                free -= cards[job]
                start_s[job] = now
                running.append((now + run_s[job], job))
                held_s = -1 if job == queue[0] else held_s
            elif not waits and held_s < 0:
                expected = [(start_s[each] + asked_s[each], each) for _, each in running]
                held_s = _slot(expected, cards, free, cards[job])
                waits.append(job)
        queue = [job for job in queue if start_s[job] < 0]
    return start_s


def _slot(expected: list[tuple[int, int]], cards: list[int], free: int, need: int) -> int:
    """Return when so many processors will have been given back by what runs."""
    for end, job in sorted(expected):
        free += cards[job]
        if free >= need:
            return end
    raise ValueError(f"{need} processors are never free")


def theirs(python: Path, policy: str, log: Path, folder: Path, jobs: int) -> tuple[Ints, float]:
    """Return how long each job waits in AccaSim, seconds, and its jobs a second of CPU."""
    command = [str(each) for each in (python, RUNNER, policy.upper(), log, PROCESSORS, folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"AccaSim failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    waits = np.array([said["waits"][str(number)] for number in range(1, jobs + 1)], np.int64)
    return waits, jobs / said["cpu_s"]


def main() -> None:
    """Print every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="a Python that has AccaSim 1.1.3")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--load", type=int, default=70, help="offered load, per cent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="exit 1 if a job waits longer in one of both")
    chosen = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        log = Path(name, "drawn.swf")
        write(draw(chosen.jobs, chosen.load, chosen.seed), log)
        trace = read_swf(log).trace
        for policy, (queueing, backfill) in RULES.items():
            there, rate = theirs(chosen.python, policy, log, Path(name), len(trace))
            spent = []
            for _ in range(2):
                ready = prepare(
                    trace, cluster_of({"all": 1}, PROCESSORS), queueing, backfill,
                    isolated=False, expected_s=trace.limit_s,
                )  # fmt: skip
                began = time.process_time()
                found = fused.run(ready)
                spent.append(time.process_time() - began)
            ours = found.start_s - trace.submit_s
            told(f"accasim_{policy}_wait", float(ours.mean()), "s", "AccaSim 1.1.3", float(there.mean()))
            told(f"accasim_{policy}_jobs_per_s", len(trace) / min(spent), "1/s", "AccaSim 1.1.3", round(rate))
            if policy == "easy":
                ours = relaxed(trace) - trace.submit_s
                told(
                    "accasim_easy_as_theirs_wait",
                    float(ours.mean()),
                    "s",
                    "AccaSim 1.1.3",
                    float(there.mean()),
                )
            differ = int((ours != there).sum())
            if differ:
                wrong.append(f"{policy}: {differ} of {len(trace)} jobs wait otherwise than in AccaSim")
    if wrong and chosen.check:
        sys.exit("\n".join(wrong))
    for each in wrong:
        print(each, file=sys.stderr)
    if not wrong:
        print("every job of FIFO and SJF waits as long as in AccaSim; its EASY is `relaxed`", file=sys.stderr)


if __name__ == "__main__":
    main()
