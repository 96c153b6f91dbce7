"""A trace run through the live scheduling pass by a clock that jumps from one fact to the next.

`run` is the reference: a loop that can be read, over a heap of future facts. `sim.fused` does the same in
machine code, for sweeps; both call the same pass, and give the same starts in the same pools.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement import columns as c
from hutong.core.placement import kernel
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Account, Class, Rules, Shelves, make_board, shelves_of
from hutong.core.placement.columns import Arrays, Backfill, Order
from hutong.core.placement.judge import Mask
from hutong.sim.closings import Closing, Closings
from hutong.sim.cuts import Cuts
from hutong.sim.faults import Absences, Outage
from hutong.sim.laid import lay_settled
from hutong.sim.minds import Minds
from hutong.sim.predict import Predictor
from hutong.sim.rest import Rests
from hutong.sim.rows import distinct
from hutong.sim.rules import Queueing, check_least
from hutong.sim.runs import Run
from hutong.sim.scores import Hours, Scores, hourly_of
from hutong.sim.settled import Settled
from hutong.sim.trace import Trace
from hutong.sim.yielding import Yielding, key_of

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Cluster:
    """Pools of equal nodes: how many, and with how many cards each."""

    names: tuple[str, ...]
    nodes: tuple[int, ...]
    cards_per_node: tuple[int, ...]

    @property
    def cards(self) -> int:
        """All cards."""
        return sum(nodes * cards for nodes, cards in zip(self.nodes, self.cards_per_node, strict=True))


@dataclass(frozen=True, slots=True)
class World:
    """Jobs to come, and pools in which nothing has happened yet; a run uses it up.

    `hourly` is what `base` of the board becomes from hour to hour, again from its first row after the last;
    without rows it stays as it is. Where it `predicts`, guesses stand beside the lengths of the board.
    `closing` is there where sites are maintained.
    """

    trace: Trace
    board: Arrays
    queueing: Queueing
    hourly: Ints
    settled: Settled | None = None
    predicts: bool = False
    closing: Closing | None = None

    @property
    def moments_s(self) -> tuple[int, ...]:
        """When something that is settled is announced, begins or ends."""
        return self.settled.moments_s if self.settled else ()

    @property
    def stops_jobs(self) -> bool:
        """True if some of its jobs may be stopped before they have ended."""
        some = self.settled is not None and self.settled.stops_jobs
        return some or self.queueing is Queueing.LEAST

    @property
    def is_plain(self) -> bool:
        """True if `sim.fused` can run it."""
        return not self.stops_jobs and self.closing is None


def cluster_of(nodes: Mapping[str, int], cards_per_node: int) -> Cluster:
    """Return pools of equal nodes, by name."""
    names = tuple(sorted(nodes))
    return Cluster(names, tuple(nodes[name] for name in names), (cards_per_node,) * len(names))


def pooled(cluster: Cluster) -> Cluster:
    """Return all nodes as one pool; they must be alike."""
    if len(set(cluster.cards_per_node)) != 1:
        raise Refused("cluster", "nodes with unlike numbers of cards cannot be one pool")
    return Cluster(("all",), (sum(cluster.nodes),), cluster.cards_per_node[:1])


def prepare(
    trace: Trace,
    cluster: Cluster,
    queueing: Queueing,
    backfill: Backfill,
    *,
    isolated: bool,
    expected_s: Ints | None = None,
    scores: Scores | None = None,
    by_node: bool = True,
    settled: Settled | None = None,
    patience_s: int = 0,
) -> World:
    """Return a world in which nothing has happened yet.

    Jobs with more cards than a node has take whole nodes. `isolated`: a group may use only the pool of its
    name. `by_node`: cards are given away on nodes, not only as a number of each pool. `expected_s` is what
    the scheduler believes of each length, the true one if not given; `scores` what it thinks of each pool.
    With `settled` groups are projects, with accounts, quotas, bookings and limits as live.
    With `patience_s` a predictor's guesses stand beside `expected_s`, as live; so long a job may have waited
    before none counts against it any more.
    Raises Refused if a job fits in no pool that it may use, and for rules that do not go together.
    """
    if queueing is Queueing.LEAST:
        check_least(
            greedy=backfill is Backfill.GREEDY,
            guessed=patience_s == 0,
            free=settled is None or settled.is_free,
        )
    kinds, class_of = kinds_of(trace, cluster, isolated=isolated)
    accounts, rows = _accounts(trace, queueing, settled)
    lanes, lane_of = distinct(class_of, accounts)
    if settled and settled.stops_jobs:
        lanes, lane_of = np.repeat(lanes, 2, axis=0), 2 * lane_of + settled.preemptible
    scores = scores or Scores(lambda _nodes, _cards, _shut: np.zeros(len(cluster.names), np.int64), 1, 1)
    _see_to_room(cluster, kinds, class_of)
    order = Order.SHARE if queueing is Queueing.FAIR else Order.KEY
    expected = trace.run_s if expected_s is None else expected_s

    def weigh(shut: Mask) -> tuple[list[Class], Ints]:
        found = [_class(cluster, scores, shut, *map(int, kind)) for kind in kinds]
        return found, hourly_of(scores, class_of, np.minimum(expected, _DAY_S), found, shut)

    classes, hourly = weigh(np.zeros(len(cluster.names), np.bool_))
    closing = Closing(settled, weigh, len(kinds), len(lanes)) if settled and settled.maintenance else None
    levels = closing.levels if closing else 1
    overdue = backfill in {Backfill.EASY, Backfill.CONSERVATIVE} and bool((expected < trace.run_s).any())
    whole = bool(settled) or not isolated or order is Order.SHARE or overdue or patience_s > 0
    board = make_board(
        Rules(order, backfill, whole=whole),
        _shelves(cluster, by_node=by_node),
        classes * levels,
        [(int(row[0]) + len(kinds) * level, int(row[1])) for level in range(levels) for row in lanes],
        rows,
        jobs=len(trace),
        running=min(len(trace), cluster.cards) + 1,
        gang=int(kinds[:, 1].max(initial=1)),
        flavours=settled.flavours if settled else None,
        booked=settled.booked if settled else None,
        caps=settled.caps if settled else None,
    )
    board.state[c.BRIEF] = int(backfill is Backfill.CONSERVATIVE)  # nobody asks why a job waits
    _put_on(board, trace, class_of, lane_of, expected)
    board.state[c.PATIENCE] = patience_s * 1000
    stops = settled is not None and settled.stops_jobs  # who is stopped ends sooner than it was to
    board.state[c.BY_END] = int(backfill is Backfill.EASY and patience_s == 0 and not stops)
    if queueing in {Queueing.SJF, Queueing.LEAST}:
        board.state[c.BY_KEY] = 1
        board.jobs[np.argsort(expected, kind="stable"), c.KEY] = np.arange(len(trace))
    return World(trace, board, queueing, hourly, settled, patience_s > 0, closing)


def _put_on(board: Arrays, trace: Trace, class_of: Ints, lane_of: Ints, expected_s: Ints) -> None:
    """Write all jobs of a trace on a board, none of them in the queue yet."""
    board.jobs[:, c.CLASS] = class_of
    board.jobs[:, c.LANE] = lane_of
    board.jobs[:, c.EXPECTED] = expected_s * 1000
    board.jobs[:, c.KEY] = key_of(trace.submit_s, 0, np.arange(len(trace)), len(trace))
    board.jobs[:, c.QUEUED] = trace.submit_s * 1000


def _accounts(trace: Trace, queueing: Queueing, settled: Settled | None) -> tuple[Ints, Sequence[Account]]:
    """Return the account of each job, and all accounts."""
    if settled:
        return settled.account_of, settled.accounts
    of = np.maximum(trace.group, 0) if queueing is Queueing.FAIR else np.zeros(len(trace), np.int64)
    return of, [Account()] * (int(of.max(initial=0)) + 1)


def _shelves(cluster: Cluster, *, by_node: bool) -> Shelves:
    sizes = zip(cluster.nodes, cluster.cards_per_node, strict=True)
    shelves = shelves_of([np.full(count, cards, np.int64) for count, cards in sizes])
    return shelves if by_node else replace(shelves, nodes=None, counts=None)


def _shape(trace: Trace, cluster: Cluster) -> tuple[Ints, Ints]:
    """Return nodes and cards a node of each job; a job wider than a node becomes whole nodes."""
    width = max(cluster.cards_per_node)
    wide = (trace.nodes == 1) & (trace.cards_per_node > width)
    gang = np.where(wide, -(-trace.cards_per_node // width), trace.nodes)
    return gang, np.where(wide, width, trace.cards_per_node)


def _homes(trace: Trace, cluster: Cluster) -> Ints:
    missing = sorted(set(trace.groups) - set(cluster.names))
    if missing or not trace.groups:
        raise Refused("cluster", f"no pool is called {', '.join(missing) or 'as the groups of the trace'}")
    at = {name: index for index, name in enumerate(cluster.names)}
    return np.array([at[name] for name in trace.groups], np.int64)[trace.group]


def kinds_of(trace: Trace, cluster: Cluster, *, isolated: bool) -> tuple[Ints, Ints]:
    """Return kinds of jobs, a row each (pool, -1 for any; nodes; cards a node), and which each job is."""
    home = _homes(trace, cluster) if isolated else np.full(len(trace), -1, np.int64)
    return distinct(home, *_shape(trace, cluster))


def per_node_of(cluster: Cluster, home: int, gang: int, per_node: int) -> Ints:
    """Return how many cards a node a kind of jobs takes in each pool, 0 where it can never run."""
    sizes = enumerate(zip(cluster.nodes, cluster.cards_per_node, strict=True))
    able = [cards >= per_node and nodes >= gang and home in {-1, index} for index, (nodes, cards) in sizes]
    return np.where(np.array(able, np.bool_), per_node, 0)


def _see_to_room(cluster: Cluster, kinds: Ints, class_of: Ints) -> None:
    """Refuse jobs that fit into no pool that they may use; say which is the first, and how many."""
    for kind, (home, gang, per_node) in enumerate(kinds.tolist()):
        if not per_node_of(cluster, home, gang, per_node).any():
            jobs = np.flatnonzero(class_of == kind)
            text = f"no pool can ever hold {gang:,} nodes with {per_node} cards each: job {jobs[0] + 1}"
            raise Refused("cluster", f"{text} ({len(jobs):,} jobs in all)" if len(jobs) > 1 else text)


def _class(cluster: Cluster, scores: Scores, shut: Mask, home: int, gang: int, per_node: int) -> Class:
    able = per_node_of(cluster, home, gang, per_node)
    base = scores.base(gang, per_node, shut)
    return Class(gang, able, base, scores.fit_weight, scores.weights, scores.whole_weight)


def run(
    world: World,
    predictor: Predictor | None = None,
    outages: Sequence[Outage] = (),
    checkpoint_s: int = 0,
) -> Run:
    """Run the world to its end: for every moment, the facts of that moment, then one pass.

    With a predictor, nobody knows a length before its end: what a job is expected to run is guessed when it
    is submitted; its place among the shortest (`neighbours`), or its length where the world `predicts`, again
    until it starts, as its like end. What an outage kills goes back to its place in the queue, with the work
    since its last checkpoint to do again (all of it if `checkpoint_s` is 0); what is stopped, to its end
    (`yielding`). A job for which nodes never come back does not end. Raises Refused for an outage
    that does not fit the pools.
    """
    trace, board = world.trace, world.board
    start_s, pool = np.full(len(trace), -1, np.int64), np.full(len(trace), -1, np.int64)
    submit_s, run_s = [*trace.submit_s.tolist(), c.NEVER], trace.run_s.tolist()
    started = np.empty((len(board.ends), 2), np.int64)
    ends: list[tuple[int, int]] = []
    arrived, going, count = 0, 0, len(trace)
    minds = Minds(trace, board, predictor, world.queueing, predicts=world.predicts) if predictor else None
    cuts = Cuts(board, run_s, start_s, pool, checkpoint_s)
    absences, ways = Absences(board, cuts, outages), _ways(world, cuts)
    scored = Closings(board, world.closing) if world.closing else Hours(board, world.hourly)
    fault_s = absences.next_s
    moments_s = [*world.moments_s, c.NEVER]
    moment_s, back_s = moments_s[0], c.NEVER
    while ends or arrived < count or (going < count and min(fault_s, moment_s, back_s) < c.NEVER):
        coming_s = min(submit_s[arrived], fault_s, moment_s, back_s)
        now_s = min(coming_s, ends[0][0]) if ends else coming_s
        moment_s = moments_s[bisect_right(moments_s, now_s)]
        over, before = _over(ends, now_s), arrived
        while submit_s[arrived] == now_s:
            arrived += 1
        came: Sequence[int] = range(before, arrived)
        if ways:
            many = len(over)
            over, back = ways.see(over, now_s)
            going += len(over) - many
            came = [*came, *back] if world.predicts else came
        if minds:
            minds.see(over, came, now_s)
        # The last that ended is left to the pass, unless something else must see its cards first.
        ended = over.pop() if over and fault_s > now_s and not (world.settled or ways) else -1
        for job in over:
            kernel.release(board, job)
        if fault_s == now_s:
            killed = set(absences.advance(now_s))
            going -= len(killed)
            ends = _without(ends, killed)
            if ways:
                ways.forget(killed)
            fault_s = absences.next_s
        new = arrived if minds and minds.lines_up else before
        scored.turn(now_s, new, arrived)
        starts = [*_passes(world, ways, now_s * 1000, ended, range(new, arrived), started)]
        for job, where in starts:
            going += 1
            start_s[job], pool[job] = now_s, where
            heapq.heappush(ends, (now_s + run_s[job], job))
        if ways:
            stopped = ways.make_room(now_s, [job for job, _ in starts])
            ends = _without(ends, stopped.keys(), [(end_s, job) for job, end_s in stopped.items()])
            back_s = ways.next_s
    finish_s = np.where(start_s < 0, -1, start_s + np.array(run_s, np.int64))
    return Run(start_s, pool, finish_s, cuts.rows)


def _ways(world: World, cuts: Cuts) -> Yielding | Rests | None:
    """Return who is stopped in a world, None where nobody is."""
    if world.queueing is Queueing.LEAST:
        may = world.settled.preemptible if world.settled else None
        return Rests(world.trace, world.board, cuts, may)
    if world.settled is None or not world.stops_jobs:
        return None
    keeps_place = world.queueing is Queueing.SJF
    return Yielding(world.trace, world.board, world.settled, cuts, keeps_place=keeps_place)


def _passes(
    world: World, ways: Yielding | Rests | None, now_ms: int, ended: int, came: range, started: Ints
) -> Iterator[tuple[int, int]]:
    """Yield (job, pool) of what starts at a moment.

    What starts may leave another no part of a quota, or may be the one for which no guess counted: then more
    can start, and live another turn follows at once. Where jobs make room, it comes once they have.
    """
    while True:
        if world.settled:
            lay_settled(world.board, world.settled, now_ms)
        if ways:
            found = ways.turn(now_ms, came, started)
        else:
            found = kernel.turn(world.board, now_ms, ended, came.start, came.stop, started)
        yield from started[:found].tolist()
        if not found or ways or not (world.settled or world.predicts):
            return
        ended, came = -1, range(0)


def _over(ends: list[tuple[int, int]], now_s: int) -> list[int]:
    """Take the jobs that end now out of a heap of ends."""
    found = []
    while ends and ends[0][0] == now_s:
        found.append(heapq.heappop(ends)[1])
    return found


def _without(
    ends: list[tuple[int, int]], gone: Set[int], others: Iterable[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Return a heap of ends without those of some jobs, and with others; the same one if that is all."""
    if not gone:
        return ends
    left = [each for each in ends if each[1] not in gone] + [*others]
    heapq.heapify(left)
    return left
