"""Large jobs hold half of the cards: lanes keep their order and lose nobody, and short jobs find room."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.chains import height, make_chain
from hutong.core.placement.columns import Backfill
from hutong.sim import world
from hutong.sim.faults import Outage
from hutong.sim.large import line_up
from hutong.sim.predict import Predictor
from hutong.sim.rules import Queueing
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import cluster_of, prepare

LANES, OVER, WIDE, MOST = 2, 100, 2, 8


@dataclass(frozen=True)
class Found:
    """The jobs of each lane in order, those beside the lanes, those let in."""

    lanes: list[list[int]]
    kept: list[int]
    large: list[int]


def _chain(jobs: Ints, head: int, level: int = 0) -> list[int]:
    seen = []
    while head >= 0:
        seen.append(head)
        head = int(jobs[head, c.NEXT + level])
    return seen


def _lined_up(rows: list[tuple[int, int, str]], free: int) -> Found:
    """Line up jobs of a length, cards, and whether each waits in a lane or beside, or runs (large or not)."""
    count = len(rows)
    jobs = np.full((count, c.JOB_COLUMNS), -1, np.int64)
    lanes = np.full((LANES, c.LANE_COLUMNS), -1, np.int64)
    cards = np.array([row[1] for row in rows], np.int64)
    for job, (length, _, state) in enumerate(rows):
        jobs[job, [c.KEY, c.LANE]] = length * count + job, job % LANES
        jobs[job, c.POOL] = 0 if state in {"runs", "runs large"} else -1
    for lane in range(LANES):
        mine = [job for job, row in enumerate(rows) if row[2] == "lane" and job % LANES == lane]
        make_chain(jobs, lanes, lane, c.HEAD, np.array(mine, np.int64))

    def of(state: str) -> Ints:
        return np.array([job for job, row in enumerate(rows) if row[2] == state], np.int64)

    kept, large = line_up(
        jobs, lanes, 0, LANES, of("beside"), of("runs large"), np.zeros(count, np.bool_), cards, OVER, WIDE,
        MOST, free,
    )  # fmt: skip
    found = [_chain(jobs, int(lanes[lane, c.HEAD])) for lane in range(LANES)]
    for lane, mine in enumerate(found):
        assert lanes[lane, c.TAIL] == (mine[-1] if mine else -1)
        for level, column in enumerate((c.HEAD, c.HEAD_FAR, c.HEAD_FARTHER)):
            by_height = [job for job in mine if height(job) >= level]
            assert _chain(jobs, int(lanes[lane, column]), level) == by_height, "places are found by these"
    return Found(found, [int(each) for each in kept], [int(each) for each in large])


rows = st.lists(
    st.tuples(
        st.integers(1, 60), st.integers(1, 12), st.sampled_from(["lane", "beside", "runs", "runs large"])
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(rows, st.integers(0, 30))
def test_lanes_keep_their_order_lose_nobody_and_let_in_no_more_than_is_for_the_large(
    jobs: list[tuple[int, int, str]], free: int
) -> None:
    found = _lined_up(jobs, free)
    waiting = {job for job, row in enumerate(jobs) if row[2] in {"lane", "beside"}}
    shown = [job for lane in found.lanes for job in lane]
    assert sorted(shown + found.kept) == sorted(waiting)
    for lane, mine in enumerate(found.lanes):
        assert mine == sorted(mine, key=lambda job: (jobs[job][0], job))
        assert all(job % LANES == lane for job in mine)
    large = {job for job in waiting if jobs[job][0] * jobs[job][1] > OVER and jobs[job][1] >= WIDE}
    assert set(found.kept) <= large, "what is not large is never held back"
    running = [job for job, row in enumerate(jobs) if row[2] == "runs large"]
    assert set(found.large) == {*running, *(large & set(shown))}
    held = sum(jobs[job][1] for job in running)
    in_order = sorted(large & set(shown), key=lambda job: (jobs[job][0], job))
    could = [jobs[job][1] for job in in_order if jobs[job][1] <= free]
    assert held + sum(could) <= max([MOST, held, *could[: not running]])
    if not running and large:
        assert min(large, key=lambda job: (jobs[job][0], job)) in shown, "the first may always start"


def test_a_second_large_job_waits_while_the_first_has_the_half() -> None:
    found = _lined_up([(50, 8, "runs large"), (50, 4, "lane"), (5, 4, "lane")], free=8)
    assert found == Found([[2], []], [1], [0])
    assert _lined_up([(50, 4, "runs large"), (50, 4, "lane"), (5, 4, "lane")], free=8).kept == []


def _lull() -> Trace:
    """Return short jobs, four long ones of a whole node each, and many short ones an hour later."""
    submit_s = [*range(0, 2000, 100), *range(4000, 4004), *range(7600, 7700)]
    return make_trace(
        "lull",
        "a test",
        submit_s=submit_s,
        run_s=[60] * 20 + [40_000] * 4 + [60] * 100,
        cards_per_node=[1] * 20 + [4] * 4 + [1] * 100,
        group=["a"] * 124,
    )


def test_long_wide_jobs_leave_half_of_a_cluster_and_all_come_to_their_turn() -> None:
    trace = _lull()
    for backfill in (Backfill.NONE, Backfill.GREEDY, Backfill.EASY):
        ready = prepare(trace, cluster_of({"a": 4}, 4), Queueing.SJF, backfill, isolated=True)
        found = world.run(ready, Predictor())
        assert (found.start_s >= trace.submit_s).all()
        long, short = found.start_s[20:24], found.start_s[24:]
        assert (short - trace.submit_s[24:]).max() <= 1200, "without room for them they wait for 40,000 s"
        assert max(long) >= 40_000, "the others waited for the first ones"


def test_with_nodes_that_go_away_every_job_still_ends() -> None:
    trace = _lull()
    ready = prepare(trace, cluster_of({"a": 4}, 4), Queueing.SJF, Backfill.GREEDY, isolated=True)
    found = world.run(ready, Predictor(), [Outage(0, 5000, 60_000, 3)])
    assert (found.finish_s > trace.submit_s).all()
    assert found.restarts.sum() > 0
