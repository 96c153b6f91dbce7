"""Guesses by those that came nearest: batches are told apart."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement.columns import Backfill
from hutong.sim import world
from hutong.sim.faults import Outage
from hutong.sim.neighbours import GAP_S, JOB, expected_lengths
from hutong.sim.predict import Predictor
from hutong.sim.rules import Queueing
from hutong.sim.trace import Trace, make_trace
from hutong.sim.world import cluster_of, prepare

TYPICAL_S = 1000

neighbours = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 10**7), st.booleans()), min_size=1, max_size=12
)


def _guesses(rows: list[tuple[int, int, bool]], own: int = 0) -> list[int]:
    """Return guesses for rows of a gap before, the work so far, and whether that is all."""
    gaps, worked, ended = zip(*rows, strict=True)
    submit = np.cumsum(np.array(gaps))
    found = expected_lengths(submit, np.array(worked), np.array(ended), TYPICAL_S, GAP_S, own)
    return [int(each) for each in found]


def test_a_job_is_like_those_beside_it_and_not_like_those_of_another_batch() -> None:
    batch = [(1, 40, True)] * 10 + [(1, 0, False)] * 3
    other = [(7200, 5000, True), *[(1, 5000, True)] * 9, *[(1, 0, False)] * 3]
    found = _guesses(batch + other)
    assert max(found[10:13]) < 1000
    assert min(found[-3:]) > 4000


def test_what_goes_on_and_on_says_that_its_neighbours_are_long() -> None:
    before = _guesses([(0, 10, False), (1, 0, False)])[1]
    assert before < TYPICAL_S
    assert (
        before
        < _guesses([(0, 600, False), (1, 0, False)])[1]
        < _guesses([(0, 6000, False), (1, 0, False)])[1]
    )


def test_a_job_alone_counts_as_shorter_than_is_typical() -> None:
    assert _guesses([(0, 0, False)]) == [TYPICAL_S // 2]


def test_where_its_own_age_counts_a_job_is_expected_to_be_the_longer_the_longer_it_ran() -> None:
    assert _guesses([(0, 8000, False)]) == [TYPICAL_S // 2]
    assert _guesses([(0, 8000, False)], JOB // 2) == [TYPICAL_S // 2 + 8000]


@settings(max_examples=50, deadline=None)
@given(neighbours)
def test_a_guess_is_positive_knows_nothing_of_its_own_job_and_rises_with_its_neighbours(
    rows: list[tuple[int, int, bool]],
) -> None:
    found = _guesses(rows)
    assert min(found) >= 1
    for at, (gap, _, _) in enumerate(rows):
        changed = [*rows[:at], (gap, 123_456, True), *rows[at + 1 :]]
        assert _guesses(changed)[at] == found[at]
    longer = _guesses([(gap, 2 * worked, ended) for gap, worked, ended in rows])
    assert all(after >= before for before, after in zip(found, longer, strict=True))


def _batches() -> Trace:
    """Return a long batch, then a short one an hour later, on a cluster that takes four jobs at a time."""
    submit_s = [*range(40), *range(3600, 3640)]
    return make_trace(
        "batches",
        "a test",
        submit_s=submit_s,
        run_s=[1800 if at < 3600 else 30 for at in submit_s],
        cards_per_node=[1] * 80,
        group=["a"] * 80,
    )


def test_of_two_batches_that_wait_the_short_one_is_found_and_goes_first() -> None:
    trace = _batches()
    ready = prepare(trace, cluster_of({"a": 1}, 4), Queueing.SJF, Backfill.EASY, isolated=True)
    found = world.run(ready, Predictor())
    assert (found.start_s >= trace.submit_s).all()
    long, short = found.start_s[:40], found.start_s[40:]
    # At most what runs as it comes stands before the first of it, and no more than that before the rest.
    assert short.max() <= 3639 + 2 * 1800
    assert (long > short.max()).sum() >= 24


def test_a_stopped_job_stays_in_its_lane() -> None:
    trace = _batches()
    cluster = cluster_of({"a": 1}, 4)
    ready = prepare(trace, cluster, Queueing.SJF, Backfill.EASY, isolated=True)
    found = world.run(ready, Predictor(), [Outage(0, 600, 1200, 1)])
    assert (found.finish_s > trace.submit_s).all()
    assert found.restarts.sum() == 4
