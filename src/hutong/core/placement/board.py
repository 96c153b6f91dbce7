"""The arrays of a scheduling pass, built from names and numbers; the pass itself is in `kernel`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from hutong.core.kernel.errors import Broken
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays, Backfill, Order


@dataclass(frozen=True, slots=True)
class Rules:
    """How a pass goes.

    `order` says which waiting job is first, `backfill` what one that waits means for the others. `whole`: a
    pass looks at everything, also where nothing happened since the last; needed where time alone, or what
    happens elsewhere, may let a job start (usage that decays, limits of accounts, overdue jobs).
    """

    order: Order = Order.KEY
    backfill: Backfill = Backfill.EASY
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Shelves:
    """The cards of all pools: how many are free, whether each takes jobs, when it closes (NEVER if not).

    `nodes` has the free cards of each node, pool after pool, and `counts` how many nodes a pool has: -1 where
    nobody knows them. Both are None where nobody knows any. A node may come to have `most` cards free, if
    that is more. `whole` is the cards of a whole node of each pool; None where none counts as whole.
    """

    free: Ints
    is_open: Ints
    closes_ms: Ints
    nodes: Ints | None = None
    counts: Ints | None = None
    most: int = 0
    whole: Ints | None = None


def shelves_of(nodes: Sequence[Ints]) -> Shelves:
    """Return pools whose nodes have so many cards free each, the most of them all; they stay open."""
    free = np.array([int(each.sum()) for each in nodes], np.int64)
    counts = np.array([len(each) for each in nodes], np.int64)
    whole = np.array([int(each.max(initial=0)) for each in nodes], np.int64)
    all_nodes = np.concatenate([np.zeros(0, np.int64), *nodes])
    is_open, closes_ms = np.ones_like(free), np.full_like(free, c.NEVER)
    return Shelves(free, is_open, closes_ms, all_nodes, counts, whole=whole)


def nodes_of(levels: Sequence[Sequence[int]]) -> tuple[Ints | None, Ints | None]:
    """Return `nodes` and `counts` of pools of which so many nodes have so many cards free (none: unknown)."""
    if not levels:
        return None, None
    lengths = np.fromiter(map(len, levels), np.int64, len(levels))
    free = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    flat = np.fromiter(chain.from_iterable(levels), np.int64, len(free))
    known = lengths > 0
    counts = np.full(len(levels), -1, np.int64)
    counts[known] = np.add.reduceat(flat, (np.cumsum(lengths) - lengths)[known]) if len(flat) else 0
    return np.repeat(free, flat), counts


@dataclass(frozen=True, slots=True)
class Booked:
    """Bookings: `rows` as `columns` names them; those of each pool stand from `first` to before `after`."""

    rows: Ints
    first: Ints
    after: Ints


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of power: `rows` as `columns` names them, and what a card of each pool draws, milliwatts.

    Those of a pool's site stand from `first` to before `after`; in their second half nothing is kept yet.
    """

    rows: Ints
    first: Ints
    after: Ints
    draw: Ints


@dataclass(frozen=True, slots=True)
class Class:
    """Jobs that ask for the same: nodes, and for each pool the cards a node (0: never) and a fixed score.

    A score is (base + `fit_weight` x fit + `whole_weight` x fragmentation) / `weights`, see `judge`.
    """

    nodes: int
    per_node: Ints
    base: Ints
    fit_weight: int = 1
    weights: int = 1
    whole_weight: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Cards of a flavour: held now, promised, the most (NEVER without limit), kept free while not needed."""

    held: int = 0
    nominal: int = 0
    ceiling: int = c.NEVER
    kept_back: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Who is charged: a share in thousandths, what it used (card-seconds), its bounds by flavour.

    `parent` is an index of an account that comes before, or -1. `used` decays outside, between passes. One
    that does not `rank` only bounds: its jobs stand in line as those of its parent.
    """

    share: int = 1000
    parent: int = -1
    used: int = 0
    bounds: tuple[tuple[int, Bounds], ...] = ()
    ranks: bool = True


def make_board(
    rules: Rules,
    shelves: Shelves,
    classes: Sequence[Class],
    lanes: Sequence[tuple[int, int]],
    accounts: Sequence[Account],
    *,
    jobs: int,
    running: int,
    gang: int = 0,
    order: Ints | None = None,
    flavours: Ints | None = None,
    booked: Booked | None = None,
    caps: Caps | None = None,
) -> Arrays:
    """Return the arrays for so many jobs, of which `running` may run at once, each on up to `gang` nodes.

    `lanes` are pairs of class and account; lanes that share pools stand together, unless rules are `whole`.
    `order` names the pools in the order in which ties are broken; as they are given, if left out. `flavours`
    is the flavour of each pool, from 1; left out where there are no quotas. With `caps` rules are `whole`.
    """
    if caps is not None and not rules.whole:
        raise Broken("a limit of power binds pools that have nothing else in common")
    levels, bits, node_free, pools = _shelve(shelves)
    candidates = _candidates(classes, np.arange(len(pools)) if order is None else order)
    groups, members = _group(pools, candidates, lanes, whole=rules.whole)
    state = np.zeros(c.STATE_ENTRIES, np.int64)
    state[[c.ORDER, c.BACKFILL]] = rules.order, rules.backfill
    state[[c.WHOLE, c.SORT_ROOM]] = rules.whole, running
    state[c.QUOTAS] = flavours is not None
    quotas = quota_table(accounts, flavours)
    count = quotas.shape[1]
    pools[:, c.FLAVOUR] = 0 if flavours is None else flavours
    if booked is not None:
        pools[:, c.FIRST_BOOKING], pools[:, c.AFTER_BOOKING] = booked.first, booked.after
    if caps is not None:
        pools[:, c.FIRST_LIMIT], pools[:, c.AFTER_LIMIT], pools[:, c.DRAW] = caps.first, caps.after, caps.draw
    pools[:, c.AHEAD] = (pools[:, c.AFTER_BOOKING] > 0) | (pools[:, c.AFTER_LIMIT] > 0)
    moments = 2 * (0 if booked is None else len(booked.rows))
    holds = np.full((max(1, _holds(node_free, running, gang)), c.HOLD_COLUMNS), -1, np.int64)
    holds[:-1, c.HOLD_NEXT] = np.arange(1, len(holds))
    return Arrays(
        pools=pools,
        levels=levels,
        bits=bits,
        node_free=node_free,
        classes=_stack(
            [(each.nodes, each.fit_weight, each.whole_weight, each.weights) for each in classes],
            c.CLASS_COLUMNS,
        ),
        per_node=_stack([each.per_node for each in classes], len(pools)),
        base=_stack([each.base for each in classes], len(pools)),
        candidates=candidates,
        jobs=np.full((jobs, c.JOB_COLUMNS), -1, np.int64),
        lanes=_lanes(lanes, accounts),
        groups=groups,
        members=members,
        accounts=_accounts(accounts),
        quotas=quotas,
        flavours=np.zeros((count, c.FLAVOUR_COLUMNS), np.int64),
        least=_least(classes, pools[:, c.FLAVOUR], count),
        bookings=np.zeros((0, c.BOOKING_COLUMNS), np.int64) if booked is None else booked.rows.copy(),
        limits=np.zeros((0, c.LIMIT_COLUMNS), np.int64) if caps is None else caps.rows.copy(),
        ends=_ends(rules.backfill, len(pools), jobs, running, moments, 0 if caps is None else len(caps.rows)),
        holds=holds,
        state=state,
    )


def _ends(backfill: Backfill, pools: int, jobs: int, running: int, moments: int, limits: int) -> Ints:
    """Return room to sort in, and for steps and reservations where all that waits gets one.

    A step for each pool and each end of a run, for each moment of a booking, two for each reservation. As
    many once more for power where it is limited.
    """
    if backfill is not Backfill.CONSERVATIVE:
        return np.zeros((running, c.END_COLUMNS), np.int64)
    kept = min(jobs, pools * c.MOST_KEPT)
    steps = pools + running + moments + 2 * kept
    if limits:
        steps += pools + running + limits + 2 * kept
    return np.zeros((running + steps + kept, c.KEPT_COLUMNS), np.int64)


def _holds(node_free: Ints, running: int, gang: int) -> int:
    """Return how many (job, node) pairs there can be: no more than cards, nor than jobs times nodes."""
    return min(int(node_free.sum()), running * max(1, gang)) + 1 if len(node_free) else 1


def _stack(rows: Sequence[Ints | tuple[int, ...]], columns: int) -> Ints:
    return np.array(rows, np.int64).reshape(len(rows), columns)


def _shelve(shelves: Shelves) -> tuple[Ints, Ints, Ints, Ints]:
    """Return levels, bits, node_free and pools."""
    count = len(shelves.free)
    pools = np.zeros((count, c.POOL_COLUMNS), np.int64)
    pools[:, c.FREE], pools[:, c.OPEN], pools[:, c.CLOSES] = shelves.free, shelves.is_open, shelves.closes_ms
    pools[:, [c.FIRST_NODE, c.FIRST_WORD, c.FIRST_STEP, c.LAST_KEPT, c.POWER_STEP]] = -1
    pools[:, [c.RUNS, c.RUNS_FAR, c.RUNS_FARTHER]] = -1
    pools[:, c.NODE_CARDS] = 0 if shelves.whole is None else shelves.whole
    if shelves.nodes is None or shelves.counts is None:
        none = np.zeros(0, np.int64)
        return np.zeros((count, 1), np.int64), none, none, pools
    most = max(shelves.most, int(shelves.nodes.max(initial=0)))
    known, nodes = shelves.counts >= 0, np.maximum(shelves.counts, 0)
    a_level = -(-nodes // c.WORD_BITS)
    words = (most + 1) * a_level
    firsts = np.stack([np.cumsum(nodes) - nodes, np.cumsum(words) - words, a_level], axis=1)
    pools[np.ix_(np.flatnonzero(known), np.array([c.FIRST_NODE, c.FIRST_WORD, c.WORDS]))] = firsts[known]
    levels, bits = np.zeros((count, most + 1), np.int64), np.zeros(int(words.sum()), np.int64)
    # Here, since the API judges by accounts and quotas of this module and must not load a compiler.
    from hutong.core.placement.levels import shelve_nodes

    shelve_nodes(pools, levels, bits, shelves.nodes, nodes)
    return levels, bits, shelves.nodes.copy(), pools


def _candidates(classes: Sequence[Class], order: Ints) -> Ints:
    found = [order[each.per_node[order] > 0] for each in classes]
    table = np.full((len(classes), max([1, *map(len, found)])), -1, np.int64)
    for row, which in enumerate(found):
        table[row, : len(which)] = which
    return table


def group_pools(candidates: Ints, pools: int) -> Ints:
    """Return for each pool the smallest pool that it shares a class with, over any number of steps."""
    root = list(range(pools))

    def find(pool: int) -> int:
        while root[pool] != pool:
            root[pool] = root[root[pool]]
            pool = root[pool]
        return pool

    for row in candidates.tolist():
        able = [find(pool) for pool in row if pool >= 0]
        for pool in able:
            root[pool] = min(able)
    return np.array([find(pool) for pool in range(pools)], np.int64)


def _group(
    pools: Ints, candidates: Ints, lanes: Sequence[tuple[int, int]], *, whole: bool
) -> tuple[Ints, Ints]:
    """Return groups and members, and write each pool's group into `pools`."""
    if whole:
        groups = np.array([[0, len(pools), 0, len(lanes), 1]], np.int64)
        return groups, np.arange(len(pools), dtype=np.int64)
    roots, group_of = np.unique(group_pools(candidates, len(pools)), return_inverse=True)
    pools[:, c.GROUP] = group_of
    members = np.argsort(group_of, kind="stable").astype(np.int64)
    groups = np.zeros((len(roots), c.GROUP_COLUMNS), np.int64)
    groups[:, c.AFTER_POOL] = np.cumsum(np.bincount(group_of, minlength=len(roots)))
    groups[1:, c.FIRST_POOL] = groups[:-1, c.AFTER_POOL]
    of_lane = np.array([group_of[candidates[lane_class, 0]] for lane_class, _ in lanes], np.int64)
    if (np.diff(of_lane) < 0).any():
        raise Broken("lanes are not in the order of their groups")
    groups[:, c.FIRST_LANE] = np.searchsorted(of_lane, np.arange(len(roots)), side="left")
    groups[:, c.AFTER_LANE] = np.searchsorted(of_lane, np.arange(len(roots)), side="right")
    return groups, members


def _lanes(lanes: Sequence[tuple[int, int]], accounts: Sequence[Account]) -> Ints:
    table = np.full((max(1, len(lanes)), c.LANE_COLUMNS), -1, np.int64)
    if lanes:
        ranks = [at if each.ranks else each.parent for at, each in enumerate(accounts)]
        ranked = [(lane_class, ranks[account]) for lane_class, account in lanes]
        first = {lane: at for at, lane in reversed(list(enumerate(ranked)))}
        table[:, [c.LANE_CLASS, c.ACCOUNT]] = lanes
        table[:, c.RANK] = [rank for _, rank in ranked]
        table[:, c.FIRST] = [first[lane] for lane in ranked]
    return table


def _accounts(accounts: Sequence[Account]) -> Ints:
    table = np.zeros((max(1, len(accounts)), c.ACCOUNT_COLUMNS), np.int64)
    table[:, c.PARENT], table[:, c.SHARE] = -1, 1000
    for row, each in enumerate(accounts):
        if each.share < 1 or not -1 <= each.parent < row or (each.parent < 0 and not each.ranks):
            raise Broken(f"account {row} has share {each.share} and parent {each.parent}")
        table[row] = each.parent, each.share, each.used, 1000 * each.used // each.share
    return table


def _bounded(accounts: Sequence[Account]) -> list[int]:
    return [flavour for each in accounts for flavour, _ in each.bounds]


def quota_table(accounts: Sequence[Account], flavours: Ints | None) -> Ints:
    """Return the quotas of accounts by flavour; `flavours` is that of each pool, None without quotas."""
    count = 1 if flavours is None else 1 + max([int(flavours.max(initial=1)), *_bounded(accounts)])
    table = np.zeros((max(1, len(accounts)), count, c.QUOTA_COLUMNS), np.int64)
    table[:, :, c.CEILING] = c.NEVER
    for row, each in enumerate(accounts):
        for flavour, bounds in each.bounds:
            table[row, flavour] = bounds.held, bounds.nominal, bounds.ceiling, bounds.kept_back
    return table


def _least(classes: Sequence[Class], flavour_of: Ints, flavours: int) -> Ints:
    table = np.full((len(classes), flavours), c.NEVER, np.int64)
    if flavours > 1:
        for row, each in enumerate(classes):
            able = each.per_node > 0
            np.minimum.at(table[row], flavour_of[able], each.nodes * each.per_node[able])
            table[row, 0] = table[row].min()
    return table
