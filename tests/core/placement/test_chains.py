"""Chains that are found by a key: the same order as a sorted list, however jobs come and go."""

from bisect import insort

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement import chains
from hutong.core.placement import columns as c

JOBS = 120
ROW, FIRST, KEY = 1, c.HEAD, c.KEY

steps = st.lists(st.tuples(st.integers(0, JOBS - 1), st.integers(0, 9)), max_size=200)


def followed(jobs: np.ndarray, heads: np.ndarray, level: int) -> list[int]:
    at, found = heads[ROW, FIRST + level], []
    while at >= 0:
        found.append(int(at))
        at = jobs[at, c.NEXT + level]
    return found


def test_some_jobs_are_on_each_chain() -> None:
    """Of 4096 jobs, an eighth on the second and one in 64 on the third; so of every other, or each eighth."""
    for stride in (1, 2, 8, 1000):
        heights = [chains.height(job * stride) for job in range(4096)]
        assert 400 < sum(each > 0 for each in heights) < 650
        assert 40 < sum(each > 1 for each in heights) < 100


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_chain_is_a_sorted_list(todo: list[tuple[int, int]]) -> None:
    """A job that is not there comes, one that is there goes; equal keys stand as they came."""
    jobs = np.full((JOBS, c.JOB_COLUMNS), -1, np.int64)
    heads = np.full((3, c.LANE_COLUMNS), -1, np.int64)
    expected: list[tuple[int, int, int]] = []
    for turn, (job, key) in enumerate(todo):
        there = [each for each in expected if each[2] == job]
        if there:
            chains.remove(jobs, heads, ROW, FIRST, KEY, job)
            expected.remove(there[0])
        else:
            jobs[job, KEY] = key
            before = chains.insert(jobs, heads, ROW, FIRST, KEY, job)
            insort(expected, (key, turn, job))
            at = expected.index((key, turn, job))
            assert before == (expected[at - 1][2] if at else -1)
        for level in range(3):
            wanted = [each for _, _, each in expected if chains.height(each) >= level]
            assert followed(jobs, heads, level) == wanted
    assert (heads[[0, 2]] == -1).all()
