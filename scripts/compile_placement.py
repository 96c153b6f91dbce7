"""Compile the scheduling pass ahead, so that the first turn of a platform and the tests need not."""

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement import kernel, quotas
from hutong.core.placement.bookings import withheld
from hutong.core.placement.columns import Arrays, Backfill
from hutong.core.placement.defragmentation import Effort
from hutong.core.placement.guesses import expected_end, length
from hutong.core.placement.limits import count_ahead
from hutong.core.placement.node_scores import NodePolicy
from hutong.core.placement.nodes import NodePlacer, Nodes, PodTypes
from hutong.core.placement.profile import hold, moments
from hutong.core.placement.roll import roll
from hutong.sim import fused, world
from hutong.sim.measures import measure
from hutong.sim.rules import Queueing
from hutong.sim.trace import make_trace


def main() -> None:
    """Run a world of two jobs through every function that is called from outside."""
    trace = make_trace("two jobs", "made here", submit_s=[0, 0], run_s=[1, 1], cards_per_node=[1, 1])
    cluster = world.cluster_of({"all": 1}, 1)

    def scene(backfill: Backfill = Backfill.EASY) -> world.World:
        return world.prepare(trace, cluster, Queueing.FIFO, backfill, isolated=False)

    found = fused.run(scene())
    measure(trace, found, cluster)
    if world.run(scene()).digest != found.digest:
        raise RuntimeError("the two loops of the simulator differ: the compiled code is not to be trusted")
    live(scene(Backfill.CONSERVATIVE).board)
    on_nodes()


def live(board: Arrays) -> None:
    """Call what a live turn and a forecast call, with arrays as they use them (`control/queue.py`)."""
    kernel.enqueue_all(board, 2)
    kernel.occupy(board, 2, np.zeros((7, 0), np.int64))
    kernel.begin(board, 0)
    job = kernel.next_start(board, 0)
    kernel.next_start(board, 0)  # it is told to wait, and a profile is drawn
    quotas.borrows(board, 0)
    quotas.count_held(board, 0, 0, 0)
    quotas.bars_of(board, np.arange(1), np.zeros(1, np.int64))
    withheld(board, 0, 0, 0, 1, 1)
    count_ahead(board, 0, 0, 0, 1, 0)
    hold(board, 0, 1, 1, 0)
    length(board, 0, job)
    expected_end(0, 1, 1, 0)
    moments(board, 0, -1, np.empty((c.MOST_KEPT, 2), np.int64))
    kernel.undo(board, job)
    roll(board, 0, np.arange(2, 2), 2, np.empty(2, np.int64))


def on_nodes() -> None:
    """Place a pod on a node, and look for room for another."""
    one = np.ones(1, np.int64)
    placer = NodePlacer(
        Nodes(one, one, one, one), PodTypes(one, one, one, 1000 * one, one, one), NodePolicy.FGD
    )
    placer.place(np.zeros(1, np.int64))
    placer.room_for(0, np.array([[0, 0, 1, 1]], np.int64), Effort())


if __name__ == "__main__":
    main()
