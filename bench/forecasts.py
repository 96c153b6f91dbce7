"""Whether forecasts of starts are what they say, on a real trace: half by the likely time, nine tenths by the late one.

`python -m bench.forecasts [--data DIR] [--quick]` runs Philly through the live pass, first come first served with EASY.
When a job comes and has to wait, the queue is run forward as the platform does it (`core.placement.roll`), by what the
scheduler believes of each length: the four-fifths quantile of earlier jobs of the kind, for the trace has no walltimes.
The forecast is corrected by how the waits before came out (`core.control.forecast.Record`); waits that are not over by
then count as far as they are known. The rows say how many of the waits ended by the likely and by the late time; the baseline is what the
plan without correction covers.
"""

import argparse
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench.data import find_traces
from bench.rows import told
from bench.simulator import philly

from hutong.core.control.forecast import Record
from hutong.core.placement import columns as c
from hutong.core.placement import kernel
from hutong.core.placement.columns import Arrays, Backfill
from hutong.core.placement.roll import roll
from hutong.sim.predict import Predictor
from hutong.sim.rules import Queueing
from hutong.sim.trace import Trace
from hutong.sim.world import World, pooled, prepare


@dataclass(frozen=True, slots=True)
class Waited:
    """A wait that a forecast was made for: when, how long it was planned, and when the job started, s."""

    asked_s: int
    planned_s: int
    started_s: int


def planned_s(board: Arrays, now_s: int, waiting: list[int], running: list[int], job: int) -> int:
    """Return how long a job would wait by what is expected, s; -1 for never. The board stays as it is."""
    copy = Arrays(*(each.copy() for each in board))
    starts = np.empty(len(copy.jobs), np.int64)
    roll(copy, now_s * 1000, np.array(running, np.int64), len(waiting), starts)
    return int(starts[job]) // 1000 - now_s if starts[job] >= 0 else -1


def waits(world: World, predictor: Predictor, every: int) -> Iterator[Waited]:
    """Yield a forecast for every so manieth job that has to wait, when it starts."""
    trace, board = world.trace, world.board
    run_s, kinds = trace.run_s.tolist(), list(zip(trace.group.tolist(), trace.cards.tolist(), strict=True))
    submit_s = [*trace.submit_s.tolist(), c.NEVER]
    started = np.empty((len(board.ends), 2), np.int64)
    ends: list[tuple[int, int]] = []
    waiting: set[int] = set()
    asked: dict[int, tuple[int, int]] = {}
    arrived, seen = 0, 0
    while ends or arrived < len(trace):
        now_s = min(submit_s[arrived], ends[0][0]) if ends else submit_s[arrived]
        ended, before = -1, arrived
        while ends and ends[0][0] == now_s:
            if ended >= 0:
                kernel.release(board, ended)
            ended = heapq.heappop(ends)[1]
            predictor.learn((kinds[ended], kinds[ended][1], None), run_s[ended])
        while submit_s[arrived] == now_s:
            _, most_s = predictor.guess_s((kinds[arrived], kinds[arrived][1], None), 50, 80)
            board.jobs[arrived, c.EXPECTED] = most_s * 1000
            waiting.add(arrived)
            arrived += 1
        found = kernel.turn(board, now_s * 1000, ended, before, arrived, started)
        for job in started[:found, 0].tolist():
            waiting.discard(job)
            heapq.heappush(ends, (now_s + run_s[job], job))
            if job in asked:
                yield Waited(*asked.pop(job), now_s)
        for job in range(before, arrived):
            if job in waiting:
                seen += 1
                if seen % every == 0:
                    running = [each for _, each in ends]
                    plan_s = planned_s(board, now_s, sorted(waiting), running, job)
                    if plan_s > 0:
                        asked[job] = (now_s, plan_s)


def cover(trace: Trace, world: World, every: int) -> dict[str, float]:
    """Return the parts of the waits that were over by the likely, by the late and by the planned time."""
    found = sorted(waits(world, Predictor(), every), key=lambda each: each.asked_s)
    record, pending = Record(), sorted(found, key=lambda each: each.started_s)
    known = asked = counted = likely = late = planned = 0
    waits_yet: list[Waited] = []
    for each in found:
        while known < len(pending) and pending[known].started_s <= each.asked_s:
            over = pending[known]
            record.learn(1000 * over.planned_s, 1000 * (over.started_s - over.asked_s))
            known += 1
        while asked < len(found) and found[asked].asked_s < each.asked_s:
            waits_yet.append(found[asked])
            asked += 1
        waits_yet = [one for one in waits_yet if one.started_s > each.asked_s]
        still = [(1000 * one.planned_s, 1000 * (each.asked_s - one.asked_s)) for one in waits_yet]
        told_ms = record.correct(1000 * each.planned_s, still)
        if told_ms.samples:
            true_ms = 1000 * (each.started_s - each.asked_s)
            counted += 1
            likely += true_ms <= told_ms.likely_ms
            late += true_ms <= told_ms.late_ms
            planned += each.started_s - each.asked_s <= each.planned_s
    if not counted:
        raise RuntimeError(f"{trace.name}: nobody had to wait")
    return {
        "waits": counted, "likely": likely / counted, "late": late / counted, "planned": planned / counted,
    }  # fmt: skip


def main() -> None:
    """Print the rows of each part of the trace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data (default: HUTONG_DATA)")
    parser.add_argument("--quick", action="store_true", help="the first week only")
    given = parser.parse_args()
    folder = find_traces(given.data)
    for name, every in (("week1", 4),) if given.quick else (("week1", 1), ("oct2017", 4)):
        trace, cluster = philly(folder, name)
        world = prepare(trace, pooled(cluster), Queueing.FIFO, Backfill.EASY, isolated=False)
        found = cover(trace, world, every)
        told(f"forecast_likely_covers_{name}", found["likely"], "part", "planned", round(found["planned"], 3))
        told(f"forecast_late_covers_{name}", found["late"], "part", "planned", round(found["planned"], 3))
        print(json.dumps({"note": f"{name}: {found['waits']} waits; goals 0.5 and 0.9"}), flush=True)


if __name__ == "__main__":
    main()
