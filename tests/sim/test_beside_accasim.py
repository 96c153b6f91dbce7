"""What `make parity` gives AccaSim to run, and the rule that AccaSim calls EASY, by hand."""

from pathlib import Path

import numpy as np
from bench.beside_accasim import PROCESSORS, draw, relaxed, write

from hutong.core.placement.columns import Backfill
from hutong.sim import fused
from hutong.sim.importers.swf import read_swf
from hutong.sim.rules import Queueing
from hutong.sim.trace import make_trace
from hutong.sim.world import cluster_of, prepare


def test_a_drawn_log_is_read_back_as_it_was_drawn_and_a_seed_says_all_of_it(tmp_path: Path) -> None:
    rows = draw(500, 70, 1)
    assert (rows == draw(500, 70, 1)).all()
    assert (rows != draw(500, 70, 2)).any()
    assert (np.diff(rows[:, 0]) >= 0).all()
    assert rows[:, 1].min() >= 1
    assert 1 == rows[:, 2].min() < rows[:, 2].max() <= PROCESSORS
    write(rows, tmp_path / "drawn.swf")
    trace = read_swf(tmp_path / "drawn.swf").trace
    assert np.stack([trace.submit_s, trace.run_s, trace.cards], axis=1).tolist() == rows.tolist()
    assert set((trace.limit_s // trace.run_s).tolist()) == {1, 2, 3, 4, 5}


def test_what_accasim_calls_easy_delays_the_first_and_leaves_processors_idle() -> None:
    trace = make_trace(
        "by hand",
        "a test",
        submit_s=[0, 1, 2, 3],
        run_s=[10, 5, 100, 1],
        limit_s=[10, 5, 100, 1],
        cards_per_node=[200, 256, 56, 10],
    )
    cluster = cluster_of({"all": 1}, PROCESSORS)
    ready = prepare(trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False, expected_s=trace.limit_s)
    assert fused.run(ready).start_s.tolist() == [0, 10, 15, 3], "the third would still run at 10"
    assert relaxed(trace).tolist() == [0, 102, 2, 10]
    early = make_trace(
        "early", "a test", submit_s=[0, 1], run_s=[10, 5], limit_s=[50, 5], cards_per_node=[200, 256]
    )
    ready = prepare(early, cluster, Queueing.FIFO, Backfill.EASY, isolated=False, expected_s=early.limit_s)
    assert fused.run(ready).start_s.tolist() == [0, 10]
    assert relaxed(early).tolist() == [0, 50], "nothing runs from 10 on"
