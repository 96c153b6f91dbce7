"""A trace run through the live scheduling pass by a clock that jumps from one fact to the next.

`run` is the reference: a loop that can be read, over a heap of future facts. `sim.fused` does the same in
machine code, for sweeps; both call the same pass, and give the same starts in the same pools.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement import columns as c
from hutong.core.placement import kernel
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Account, Class, Rules, Shelves, make_board, shelves_of
from hutong.core.placement.columns import Arrays, Backfill, Order
from hutong.core.placement.judge import carbon_ppm, emission, least_of
from hutong.sim import faults
from hutong.sim.faults import Absences, Outage
from hutong.sim.laid import lay_settled
from hutong.sim.minds import Minds
from hutong.sim.predict import Predictor
from hutong.sim.rules import Queueing
from hutong.sim.settled import Settled
from hutong.sim.trace import Trace

_HOUR_S, _DAY_S = 3600, 86_400


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


class Attempts(NamedTuple):
    """Every time that a job of a run held cards, one entry each, in no order; seconds."""

    job: Ints
    pool: Ints
    start_s: Ints
    end_s: Ints


@dataclass(frozen=True, slots=True)
class Run:
    """What became of each job of a trace: its last attempt's start, end and pool.

    Times are seconds, -1: never. `cut` has a row for each attempt that a fault cut short, in order of time;
    its columns are named in `sim.faults`.
    """

    start_s: Ints
    pool: Ints
    finish_s: Ints
    cut: Ints = field(default_factory=lambda: np.zeros((0, faults.CUT_COLUMNS), np.int64))

    @property
    def digest(self) -> str:
        """A hash of every action: equal runs placed the same jobs at the same times in the same pools."""
        return sha256(self.start_s.tobytes() + self.pool.tobytes() + self.cut.tobytes()).hexdigest()

    @property
    def restarts(self) -> Ints:
        """How often each job was cut short."""
        return np.bincount(self.cut[:, faults.JOB], minlength=len(self.start_s)).astype(np.int64)

    @property
    def attempts(self) -> Attempts:
        """All attempts, those that were cut short first."""
        ran = np.flatnonzero(self.start_s >= 0)
        last = (ran, self.pool[ran], self.start_s[ran], self.finish_s[ran])
        cut = self.cut[:, [faults.JOB, faults.POOL, faults.START, faults.END]].T
        return Attempts(*(np.concatenate(pair) for pair in zip(cut, last, strict=True)))

    def lost_card_s(self, cards: Ints) -> int:
        """Return the card-seconds of work that had to be done again; `cards` are those of each job."""
        return int((self.cut[:, faults.LOST] * cards[self.cut[:, faults.JOB]]).sum())

    def waited_s(self, submit_s: Ints) -> Ints:
        """Return how long each job was in the queue, before its first start and between attempts."""
        held = np.zeros(len(self.start_s), np.int64)
        np.add.at(held, self.cut[:, faults.JOB], self.cut[:, faults.END] - self.cut[:, faults.START])
        found: Ints = self.start_s - submit_s - held
        return found


@dataclass(frozen=True, slots=True)
class World:
    """Jobs to come, and pools in which nothing has happened yet; a run uses it up.

    `hourly` is what `base` of the board becomes from hour to hour, again from its first row after the last;
    without rows it stays as it is. Where it `predicts`, guesses stand beside the lengths of the board.
    """

    trace: Trace
    board: Arrays
    queueing: Queueing
    hourly: Ints
    settled: Settled | None = None
    predicts: bool = False

    @property
    def moments_s(self) -> tuple[int, ...]:
        """When a booking or a limit begins or ends."""
        return self.settled.moments_s if self.settled else ()


@dataclass(frozen=True, slots=True)
class Scores:
    """What a policy says of each pool, see `placement.judge`; without one, only a tight fit counts.

    `green_ppm` is each pool's green share hour by hour from the trace's begin, then from its first row again:
    what is due to it comes to `base` with that weight, as the mean over the hours that a job is expected to
    run. Without rows nothing changes by the hour. So it is with `co2_mg_per_kwh`, where `carbon_weight` is
    not 0; `card_mw` is the power of a card of each pool at the meter.
    """

    base: Ints
    fit_weight: int
    weights: int
    green_ppm: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    green_weight: int = 0
    co2_mg_per_kwh: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    card_mw: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    carbon_weight: int = 0


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
    Raises Refused if a job fits in no pool that it may use.
    """
    gang, per_node = _shape(trace, cluster)
    home = _homes(trace, cluster) if isolated else np.full(len(trace), -1, np.int64)
    accounts, rows = _accounts(trace, queueing, settled)
    kinds, class_of = np.unique(np.stack([home, gang, per_node], axis=1), axis=0, return_inverse=True)
    lanes, lane_of = np.unique(np.stack([class_of.ravel(), accounts], axis=1), axis=0, return_inverse=True)
    scores = scores or Scores(np.zeros(len(cluster.names), np.int64), 1, 1)
    classes = [_class(cluster, scores, *map(int, kind)) for kind in kinds]
    order = Order.SHARE if queueing is Queueing.FAIR else Order.KEY
    expected = trace.run_s if expected_s is None else expected_s
    hourly = _hourly(scores, class_of.ravel(), np.minimum(expected, _DAY_S), classes)
    overdue = backfill in {Backfill.EASY, Backfill.CONSERVATIVE} and bool((expected < trace.run_s).any())
    whole = bool(settled) or not isolated or order is Order.SHARE or overdue or patience_s > 0
    board = make_board(
        Rules(order, backfill, whole=whole),
        _shelves(cluster, by_node=by_node),
        classes,
        [(int(row[0]), int(row[1])) for row in lanes],
        rows,
        jobs=len(trace),
        running=min(len(trace), cluster.cards) + 1,
        gang=int(gang.max(initial=1)),
        flavours=settled.flavours if settled else None,
        booked=settled.booked if settled else None,
        caps=settled.caps if settled else None,
    )
    board.state[c.BRIEF] = int(backfill is Backfill.CONSERVATIVE)  # nobody asks why a job waits
    board.jobs[:, c.CLASS] = class_of.ravel()
    board.jobs[:, c.LANE] = lane_of.ravel()
    board.jobs[:, c.EXPECTED] = expected * 1000
    board.jobs[:, c.KEY] = np.arange(len(trace))
    board.jobs[:, c.QUEUED] = trace.submit_s * 1000
    board.state[c.PATIENCE] = patience_s * 1000
    if queueing is Queueing.SJF:
        board.jobs[np.argsort(expected, kind="stable"), c.KEY] = np.arange(len(trace))
    return World(trace, board, queueing, hourly, settled, patience_s > 0)


def _accounts(trace: Trace, queueing: Queueing, settled: Settled | None) -> tuple[Ints, Sequence[Account]]:
    """Return the account of each job, and all accounts."""
    if settled:
        return settled.account_of, settled.accounts
    of = np.maximum(trace.group, 0) if queueing is Queueing.FAIR else np.zeros(len(trace), np.int64)
    return of, [Account()] * (int(of.max(initial=0)) + 1)


def _hourly(scores: Scores, class_of: Ints, seconds: Ints, classes: Sequence[Class]) -> Ints:
    """Return hours x classes x pools: the base of each class, by the hour.

    Jobs of one class share a score, so it looks as far ahead as they run in the mean, at most a day.
    """
    table = np.empty((len(scores.green_ppm), len(classes), len(scores.base)), np.int64)
    for row, each in enumerate(classes if len(table) else ()):
        mean_s = int(seconds[class_of == row].mean())
        table[:, row] = scores.base + scores.green_weight * mean_ahead(scores.green_ppm, mean_s)
        if scores.carbon_weight:
            table[:, row] += scores.carbon_weight * _carbon(scores, each.per_node, mean_s)
    return table


def _carbon(scores: Scores, per_node: Ints, length_s: int) -> Ints:
    """Return hours x pools: the part carbon of a class's jobs, as `judge` has it."""
    by_hour = mean_ahead(scores.co2_mg_per_kwh, length_s)
    co2 = emission(scores.card_mw, by_hour, int(per_node.max()), None)
    return np.stack([carbon_ppm(row, least_of(row, per_node > 0)) for row in co2])


def mean_ahead(by_hour: Ints, length_s: int) -> Ints:
    """Return each hour's mean over so many seconds from its begin, by pool; after the last row the first."""
    whole, rest = divmod(max(1, length_s), _HOUR_S)
    ahead = np.concatenate([by_hour] * (1 + -(-(whole + 1) // len(by_hour))))
    sums = np.concatenate([np.zeros((1, ahead.shape[1]), np.int64), np.cumsum(ahead, axis=0)])
    hours = np.arange(len(by_hour))
    found: Ints = _HOUR_S * (sums[hours + whole] - sums[hours]) + rest * ahead[hours + whole]
    return found // max(1, length_s)


def _shelves(cluster: Cluster, *, by_node: bool) -> Shelves:
    sizes = zip(cluster.nodes, cluster.cards_per_node, strict=True)
    shelves = shelves_of([np.full(count, cards, np.int64) for count, cards in sizes])
    return shelves if by_node else replace(shelves, nodes=None)


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


def _class(cluster: Cluster, scores: Scores, home: int, gang: int, per_node: int) -> Class:
    able = np.array(
        [
            per_node if cards >= per_node and nodes >= gang and home in {-1, index} else 0
            for index, (nodes, cards) in enumerate(zip(cluster.nodes, cluster.cards_per_node, strict=True))
        ],
        np.int64,
    )
    if not able.any():
        raise Refused("cluster", f"no pool can ever hold {gang} nodes with {per_node} cards each")
    return Class(gang, able, scores.base, scores.fit_weight, scores.weights)


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
    since its last checkpoint to do again (all of it if `checkpoint_s` is 0). A job for which nodes never come
    back does not end. Raises Refused for an outage that does not fit the pools.
    """
    trace, board = world.trace, world.board
    start_s, pool = np.full(len(trace), -1, np.int64), np.full(len(trace), -1, np.int64)
    submit_s, run_s = [*trace.submit_s.tolist(), c.NEVER], trace.run_s.tolist()
    started = np.empty((len(board.ends), 2), np.int64)
    ends: list[tuple[int, int]] = []
    arrived, going, count = 0, 0, len(trace)
    minds = Minds(trace, board, predictor, world.queueing, predicts=world.predicts) if predictor else None
    absences = Absences(board, run_s, outages, checkpoint_s)
    fault_s = absences.next_s
    hour_s = 0 if len(world.hourly) else c.NEVER
    moments_s = [*world.moments_s, c.NEVER]
    moment_s = moments_s[0]
    while ends or arrived < count or (going < count and min(fault_s, moment_s) < c.NEVER):
        coming_s = min(submit_s[arrived], fault_s, moment_s)
        now_s = min(coming_s, ends[0][0]) if ends else coming_s
        moment_s = moments_s[bisect_right(moments_s, now_s)]
        over, before = _over(ends, now_s), arrived
        while submit_s[arrived] == now_s:
            arrived += 1
        if minds:
            minds.see(over, range(before, arrived), now_s)
        # The last that ended is left to the pass, unless something else must see its cards first.
        ended = over.pop() if over and fault_s > now_s and not world.settled else -1
        for job in over:
            kernel.release(board, job)
        if fault_s == now_s:
            killed = set(absences.advance(now_s, start_s, pool))
            going -= len(killed)
            ends = _without(ends, killed) if killed else ends
            fault_s = absences.next_s
        if now_s >= hour_s:
            board.base[:] = world.hourly[now_s // _HOUR_S % len(world.hourly)]
            hour_s = now_s // _HOUR_S * _HOUR_S + _HOUR_S
        for job, where in _passes(world, now_s * 1000, ended, range(before, arrived), started):
            going += 1
            start_s[job], pool[job] = now_s, where
            heapq.heappush(ends, (now_s + run_s[job], job))
    finish_s = np.where(start_s < 0, -1, start_s + np.array(run_s, np.int64))
    return Run(start_s, pool, finish_s, absences.cut)


def _passes(world: World, now_ms: int, ended: int, came: range, started: Ints) -> Iterator[tuple[int, int]]:
    """Yield (job, pool) of what starts at a moment.

    What starts may leave another no part of a quota, or may be the one for which no guess counted: then more
    can start, and live another turn follows at once.
    """
    while True:
        if world.settled:
            lay_settled(world.board, world.settled, now_ms)
        found = kernel.turn(world.board, now_ms, ended, came.start, came.stop, started)
        yield from started[:found].tolist()
        if not found or not (world.settled or world.predicts):
            return
        ended, came = -1, range(0)


def _over(ends: list[tuple[int, int]], now_s: int) -> list[int]:
    """Take the jobs that end now out of a heap of ends."""
    found = []
    while ends and ends[0][0] == now_s:
        found.append(heapq.heappop(ends)[1])
    return found


def _without(ends: list[tuple[int, int]], killed: set[int]) -> list[tuple[int, int]]:
    """Return a heap of ends without those of some jobs."""
    left = [each for each in ends if each[1] not in killed]
    heapq.heapify(left)
    return left
