"""Least expected rest first, by stops: who waits takes the cards of who is expected to hold them far longer.

What a job still needs is guessed by its neighbours (`sim.neighbours`) and by its own age: where lengths
spread so much that what went on for long goes on for longer, that is the inverse of Gittins' index (Gittins,
1979). Guesses are often wrong by ten times, so only who is expected to need TIMES as many card-seconds is
stopped. A stop costs RESTART_S of work, the mean that Tiresias' authors measured for a checkpoint and a start
(NSDI 2019, section 5.2.4). Who is stopped goes on from where it was; every job may be, or some.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import compiled
from hutong.core.placement.judge import Mask
from hutong.core.placement.kernel import enqueue, turn
from hutong.sim.cuts import Cuts
from hutong.sim.large import put_in_lanes
from hutong.sim.neighbours import JOB, Kinds
from hutong.sim.predict import UNKNOWN_S
from hutong.sim.trace import Trace

TIMES, RESTART_S = 33, 62
# By half falls a neighbour's weight with each half hour between two; a job's own age has half a weight.
GAP_S, OWN = 1800, JOB // 2


@compiled
def _on_nodes(a: Arrays, pools: Ints) -> Ints:
    """Return the jobs on each node of some pools, a row each, then -1."""
    found = np.full((len(a.node_free), a.levels.shape[1]), -1, np.int64)
    for pool in pools:
        job = a.pools[pool, c.RUNS]
        while job >= 0:
            hold = a.jobs[job, c.HELD]
            while hold >= 0:
                node, at = a.holds[hold, c.HOLD_NODE], 0
                while found[node, at] >= 0:
                    at += 1
                found[node, at] = job
                hold = a.holds[hold, c.HOLD_NEXT]
            job = a.jobs[job, c.NEXT]
    return found


@compiled
def _next_victim(on: Ints, score: Ints, may: Mask, over: int, below: int, last: int) -> int:
    """Return the job of a node with the most score, more than `over`, behind (below, last); -1: none."""
    best = -1
    for job in on:
        if job < 0 or not may[job] or score[job] <= over or (score[job], -job) >= (below, -last):
            continue
        if best < 0 or (score[job], -job) > (score[best], -best):
            best = job
    return best


@compiled
def _worth(
    a: Arrays, pool: int, nodes: Ints, on: Ints, free: Ints, need: int, score: Ints, may: Mask, over: int
) -> Ints:
    """Return the least score of what must be stopped on each node for `need` cards; 0: not to be had."""
    found = np.zeros(len(nodes), np.int64)
    for place in range(len(nodes)):
        node, room, worst, last = nodes[place], free[nodes[place]], c.NEVER, -1
        while room < need:
            last = _next_victim(on[node], score, may, over, worst, last)
            if last < 0:
                break
            worst = score[last]
            room += a.per_node[a.jobs[last, c.CLASS], pool]
        found[place] = worst if room >= need else 0
    return found


@compiled
def whom_to_stop(
    a: Arrays, pools: Ints, nodes: Ints, waiting: Ints, score: Ints, may: Mask, cards: Ints, times: int
) -> Ints:
    """Return the jobs to stop in some pools for those that wait, who stand in the order of their scores.

    `nodes` are (pool, node) of all nodes there; `score` and `cards` are of each job; `may` of each that
    runs says whether it may be stopped, which none may twice. Of the nodes that would do, those are taken on
    which the most score is stopped.
    """
    on, free = _on_nodes(a, pools), a.node_free.copy()
    stopped, many = np.empty(len(a.ends), np.int64), 0
    failed = np.zeros(len(a.classes), np.bool_)
    for job in waiting:
        kind = a.jobs[job, c.CLASS]
        gang, over = a.classes[kind, c.GANG], (score[job] + RESTART_S * cards[job]) * times
        failed_before, failed[kind] = failed[kind], True
        if failed_before:
            continue
        for pool in pools:
            need = a.per_node[kind, pool]
            mine = nodes[nodes[:, 0] == pool, 1]
            if need == 0 or len(mine) < gang:
                continue
            worth = _worth(a, pool, mine, on, free, need, score, may, over)
            order = np.argsort(-worth, kind="mergesort")
            if worth[order[gang - 1]] == 0:
                continue
            for node in mine[order[:gang]]:
                while free[node] < need:
                    victim = _next_victim(on[node], score, may, over, c.NEVER, -1)
                    stopped[many] = victim
                    many, may[victim] = many + 1, False
                    hold = a.jobs[victim, c.HELD]
                    while hold >= 0:
                        free[a.holds[hold, c.HOLD_NODE]] += a.per_node[a.jobs[victim, c.CLASS], pool]
                        hold = a.holds[hold, c.HOLD_NEXT]
                free[node] -= need
            failed[kind] = False
            break
    return stopped[:many]


class Rests:
    """Who waits and runs in a running world, by group of pools, and what each is expected to need still.

    It takes the place of `yielding.Yielding`. Who was stopped is put back at once, and another turn follows
    in the same moment; who started in a moment is not stopped in it, so that there is an end of turns. Of
    each job `preemptible` says whether it may be stopped; all may if it is not given.
    """

    next_s = c.NEVER

    def __init__(self, trace: Trace, board: Arrays, cuts: Cuts, preemptible: Mask | None = None) -> None:
        self._board, self._cuts, self._cards, self._run_s = board, cuts, trace.cards, trace.run_s
        self._group = board.pools[board.candidates[board.jobs[:, c.CLASS], 0], c.GROUP].tolist()
        kinds = zip(self._group, trace.user.tolist(), trace.group.tolist(), trace.cards.tolist(), strict=True)
        named = list(kinds)
        self._kinds = Kinds(trace.submit_s, trace.run_s, named, UNKNOWN_S)
        self._in: dict[int, list[Hashable]] = {}
        for kind in dict.fromkeys(named):
            self._in.setdefault(kind[0], []).append(kind)
        self._score = np.zeros(len(trace), np.int64)
        self._stopping: list[int] = []
        self._preemptible = np.ones(len(trace), np.bool_) if preemptible is None else preemptible
        self._may = np.zeros(len(trace), np.bool_)
        self._now_s, self._fresh = -1, list[int]()
        self._touched: set[int] = set()
        self._places = {group: _places(board, group) for group in self._in}

    def see(self, over: Sequence[int], now_s: int) -> tuple[list[int], list[int]]:
        """A turn begins. Of those whose time is over, return those that were not stopped; put others back."""
        for job in self._stopping:
            self._cuts.pause(job, now_s, RESTART_S)
            enqueue(self._board, job)
        stopped, self._stopping = {*self._stopping}, []
        ended = [job for job in over if job not in stopped]
        self._kinds.see(ended, ())
        self._touched.update(self._group[job] for job in over)
        return ended, []

    def forget(self, killed: Iterable[int]) -> None:
        """An outage took these, which wait again."""
        self._touched.update(self._group[job] for job in killed)

    def turn(self, now_ms: int, came: Sequence[int], started: Ints) -> int:
        """Take a pass as `kernel.turn` does, with all that waits in the order of what it needs still."""
        self._kinds.see((), came)
        for job in came:
            enqueue(self._board, job)
        self._touched.update(self._group[job] for job in came)
        for group in self._touched:
            for kind in self._in[group]:
                self._expect(kind, now_ms // 1000)
            waiting, row = self._waiting(group), self._board.groups[group]
            self._board.jobs[waiting, c.KEY] = np.arange(len(waiting))
            put_in_lanes(self._board.jobs, self._board.lanes, row[c.FIRST_LANE], row[c.AFTER_LANE], waiting)
        return turn(self._board, now_ms, -1, 0, 0, started)

    def make_room(self, now_s: int, started: Sequence[int]) -> dict[int, int]:
        """A turn ends, in which these started. Stop whom it pays to stop; return when each ends: now."""
        if now_s != self._now_s:
            self._may[self._fresh] = self._preemptible[self._fresh]
            self._now_s, self._fresh = now_s, []
        self._may[started] = False
        self._fresh.extend(started)
        for group in sorted(self._touched):
            waiting = self._waiting(group)
            if len(waiting):
                found = whom_to_stop(
                    self._board, *self._places[group], waiting, self._score, self._may, self._cards, TIMES
                )
                self._stopping.extend(found.tolist())
        self._touched.clear()
        return dict.fromkeys(self._stopping, now_s)

    def _waiting(self, group: int) -> Ints:
        """Return what waits in a group, who needs the least first."""
        some = np.concatenate([self._kinds.of(kind) for kind in self._in[group]])
        waiting = some[(self._board.jobs[some, c.POOL] < 0) & ~self._kinds.ended[some]]
        waiting.sort()
        found: Ints = waiting[np.argsort(self._score[waiting], kind="stable")]
        return found

    def _expect(self, kind: Hashable, now_s: int) -> None:
        """Say what the jobs of a kind need still, from their neighbours and what they did."""
        some = self._kinds.of(kind)
        goes_on = ~self._kinds.ended[some]
        self._kinds.keep(kind, goes_on)
        if not goes_on.any():
            return
        worked_s = np.where(goes_on, self._cuts.worked_s(some, now_s), self._run_s[some])
        likely_s = self._kinds.lengths(kind, some, worked_s, GAP_S, OWN)
        self._score[some[goes_on]] = (likely_s * self._cards[some])[goes_on]


def _places(board: Arrays, group: int) -> tuple[Ints, Ints]:
    """Return the pools of a group, and (pool, node) of each of their nodes."""
    row, pools = board.groups[group], board.pools
    members = board.members[row[c.FIRST_POOL] : row[c.AFTER_POOL]]
    after = np.append(pools[1:, c.FIRST_NODE], len(board.node_free))
    pairs = [(pool, node) for pool in members for node in range(pools[pool, c.FIRST_NODE], after[pool])]
    return members, np.array(pairs, np.int64).reshape(-1, 2)
