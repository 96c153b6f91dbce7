"""Nodes that are away for a while: outages as given, and what they do to a simulated run.

Nobody knows an outage before it begins, nor how long it will last: the scheduling pass sees only which cards
are there. A node that goes takes with it every job that holds a card of it, a gang as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.kernel import enqueue
from hutong.core.placement.levels import move_node
from hutong.sim.cuts import Cuts

NEVER_S = c.NEVER // 1000


@dataclass(frozen=True, slots=True)
class Outage:
    """So many nodes of a pool are away in `[from_s, to_s)`, in seconds of the trace's clock.

    They are the nodes from `first` on, round the end of the pool; all of them, and the pool is cut off. What
    runs there is killed. Outages may overlap: a node is back when the last of them is over.
    """

    pool: int
    from_s: int
    to_s: int
    nodes: int
    first: int = 0


class Absences:
    """Which nodes of a running world are away; its clock is that of the run.

    Raises Refused for an outage that does not fit the pools.
    """

    def __init__(self, board: Arrays, cuts: Cuts, outages: Sequence[Outage]) -> None:
        self._board = board
        self._cuts = cuts
        self._capacity = board.node_free.copy()
        self._pool_of = np.repeat(np.arange(len(board.pools)), _sizes(board)) if outages else board.node_free
        self._nothing = np.zeros_like(board.node_free)
        self._depth = np.zeros(len(board.node_free), np.int64)
        self._found = np.empty(len(board.ends), np.int64)
        self._changes = sorted(_changes(board, outages), key=lambda each: each[0])
        self._at = 0
        self.next_s = self._changes[0][0] if self._changes else c.NEVER

    def advance(self, now_s: int) -> list[int]:
        """Let nodes go and come back as of now; put what ran on them back into its queue, and return it.

        All ends up to now must have been released.
        """
        changes = []
        while self.next_s == now_s:
            changes.append(self._changes[self._at])
            self._at += 1
            self.next_s = self._changes[self._at][0] if self._at < len(self._changes) else c.NEVER
        touched = (
            changes[0][1] if len(changes) == 1 else np.unique(np.concatenate([each[1] for each in changes]))
        )
        was_away = self._depth[touched] > 0
        for _, nodes, by in changes:
            self._depth[nodes] += by
        is_away = self._depth[touched] > 0
        gone, back = touched[is_away & ~was_away], touched[was_away & ~is_away]
        killed: list[int] = []
        if (self._board.node_free[gone] < self._capacity[gone]).any():
            killed = sorted(self._found[: _jobs_on(self._board, self._depth, self._found)].tolist())
        for job in killed:
            self._cuts.kill(job, now_s)
            enqueue(self._board, job)
        _resize(self._board, gone, self._pool_of, self._nothing)
        _resize(self._board, back, self._pool_of, self._capacity)
        return killed


def _sizes(board: Arrays) -> Ints:
    """Return how many nodes each pool has."""
    if (board.pools[:, c.FIRST_WORD] < 0).any():
        raise Refused("outage", "outages need pools whose nodes are known")
    return np.diff(np.append(board.pools[:, c.FIRST_NODE], len(board.node_free)))


def _changes(board: Arrays, outages: Sequence[Outage]) -> list[tuple[int, Ints, int]]:
    """Return when which nodes go (+1) or come back (-1)."""
    sizes = _sizes(board).tolist() if outages else []
    found = []
    for each in outages:
        if not 0 <= each.pool < len(sizes) or not 0 <= each.from_s < each.to_s:
            raise Refused("outage", f"{each} is of no pool, or ends before it begins")
        if not 1 <= each.nodes <= sizes[each.pool]:
            raise Refused("outage", f"{each}: the pool has {sizes[each.pool]} nodes")
        places = (each.first + np.arange(each.nodes)) % sizes[each.pool]
        nodes = board.pools[each.pool, c.FIRST_NODE] + places
        found.append((each.from_s, nodes, 1))
        if each.to_s < NEVER_S:
            found.append((each.to_s, nodes, -1))
    return found


@bare
def _jobs_on(a: Arrays, away: Ints, found: Ints) -> int:
    """Write into `found` the running jobs that hold a node marked as away; return how many."""
    count = 0
    for pool in range(a.pools.shape[0]):
        job = a.pools[pool, c.RUNS]
        while job >= 0:
            hold = a.jobs[job, c.HELD]
            while hold >= 0 and away[a.holds[hold, c.HOLD_NODE]] == 0:
                hold = a.holds[hold, c.HOLD_NEXT]
            if hold >= 0:
                found[count] = job
                count += 1
            job = a.jobs[job, c.NEXT]
    return count


@bare
def _resize(a: Arrays, nodes: Ints, pool_of: Ints, free: Ints) -> None:
    """Give nodes on which nothing runs another number of free cards; their pools are looked at again."""
    for node in nodes:
        pool = pool_of[node]
        a.pools[pool, c.FREE] += free[node] - a.node_free[node]
        move_node(a, pool, node, free[node])
        a.groups[a.pools[pool, c.GROUP], c.TOUCHED] = 1
