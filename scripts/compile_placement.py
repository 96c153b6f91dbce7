"""Compile the scheduling pass ahead, so that the first turn of a platform and the tests need not."""

import numpy as np

from hutong.core.placement import kernel
from hutong.core.placement.columns import Backfill
from hutong.sim import fused, world
from hutong.sim.rules import Queueing
from hutong.sim.trace import make_trace


def main() -> None:
    """Run a world of two jobs through every function that is called from outside."""
    trace = make_trace("two jobs", "made here", submit_s=[0, 0], run_s=[1, 1], cards_per_node=[1, 1])
    cluster = world.cluster_of({"all": 1}, 1)

    def scene() -> world.World:
        return world.prepare(trace, cluster, Queueing.FIFO, Backfill.EASY, isolated=False)

    if world.run(scene()).digest != fused.run(scene()).digest:
        raise RuntimeError("the two loops of the simulator differ: the compiled code is not to be trusted")
    board = scene().board
    kernel.enqueue_all(board, 2)
    nobody = np.zeros(0, np.int64)
    kernel.occupy(board, 2, nobody, nobody, nobody)
    kernel.begin(board)
    kernel.undo(board, kernel.next_start(board, 0))


if __name__ == "__main__":
    main()
