"""Cards that stood idle although a job waited that could have used as many."""

import numpy as np

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled
from hutong.sim.cuts import END, JOB
from hutong.sim.runs import Run
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster, kinds_of, per_node_of


def idle_but_wanted(trace: Trace, run: Run, cluster: Cluster, *, isolated: bool) -> int:
    """Return the card-seconds that were free in a pool while a job waited that asks for no more than those.

    Only a job counts that the pool's nodes could ever hold. One begins to wait when it is submitted and when
    it was cut short, and waits until each start.
    """
    kinds, kind_of = kinds_of(trace, cluster, isolated=isolated)
    able = np.stack([per_node_of(cluster, *map(int, kind)) > 0 for kind in kinds])
    asked = kinds[:, 1] * kinds[:, 2]
    sizes, size_of = np.unique(asked, return_inverse=True)
    held, cut = run.attempts, run.cut
    job = np.concatenate([np.arange(len(trace)), cut[:, JOB], held.job])
    at = np.concatenate([trace.submit_s, cut[:, END], held.start_s])
    more = np.repeat([1, -1], [len(trace) + len(cut), len(held.job)])
    order = np.argsort(at, kind="stable")  # who came comes before who started
    at, kind, more = at[order], kind_of[job[order]], more[order]
    total = 0
    for pool, nodes in enumerate(cluster.nodes):
        may = slice(None) if able[:, pool].all() else np.flatnonzero(able[kind, pool])
        here = held.pool == pool
        taken = asked[kind_of[held.job[here]]]
        moves, change = (
            np.concatenate([held.start_s[here], held.end_s[here]]),
            np.concatenate([taken, -taken]),
        )
        first = np.argsort(moves, kind="stable")
        total += _idle(
            at[may], size_of[kind[may]], more[may], moves[first], change[first], sizes,
            nodes * cluster.cards_per_node[pool],
        )  # fmt: skip
    return total


@compiled
def _idle(at: Ints, size: Ints, more: Ints, moves: Ints, change: Ints, sizes: Ints, free: int) -> int:
    """Sum the free cards of a pool over the time in which the least that waits asks for no more.

    At each moment `at` one job `more` of a size, by index, waits; at each of `moves` cards are taken.
    """
    waiting = np.zeros(len(sizes), np.int64)
    least, seen, moved, total = len(sizes), 0, 0, 0
    while seen < len(at) or moved < len(moves):
        now = at[seen] if seen < len(at) else moves[moved]
        if moved < len(moves):
            now = min(now, moves[moved])
        while seen < len(at) and at[seen] == now:
            waiting[size[seen]] += more[seen]
            least, seen = min(least, size[seen]), seen + 1
        while least < len(sizes) and waiting[least] == 0:
            least += 1
        while moved < len(moves) and moves[moved] == now:
            free, moved = free - change[moved], moved + 1
        if seen < len(at):  # else nobody waits any more
            later = min(at[seen], moves[moved]) if moved < len(moves) else at[seen]
            if least < len(sizes) and sizes[least] <= free:
                total += free * (later - now)
    return total
