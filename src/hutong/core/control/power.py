"""Limits of the sites' power in a turn: rows for a scheduling pass, what they leave, and room under them.

A card in use draws what it is metered by. What others run at a centre is left out: a limit is what the
platform's jobs may draw.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hutong.core.book.snapshot import Snapshot
from hutong.core.capacity.sites import PowerLimit
from hutong.core.energy.account import card_milliwatts
from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.board import Caps
from hutong.core.placement.columns import Arrays
from hutong.core.placement.laying import over_by
from hutong.core.placement.request import Cap, PoolView

Left = tuple[int, int, int, int, int]
"""What a limit leaves of a pool, as a ticket has it: pool, from_ms, until_ms, cards, kW."""

MILLIWATTS = 1_000_000
"""In a kilowatt."""


@dataclass(frozen=True, slots=True)
class Limited:
    """Limits that are not over: `caps` for a pass, and the kilowatts of each row, 0 where it keeps.

    `pairs` are (pool, row) of all limits of all pools.
    """

    caps: Caps
    limit_kw: Ints
    pairs: Ints


def limited_of(shot: Snapshot, views: Sequence[PoolView], used: Callable[[str, str], int]) -> Limited | None:
    """Return the limits that are not over, or None if there are none.

    `used` gives the cards of a pool, by site and name, that are in use now. What ends later than the snapshot
    shows is taken not to end.
    """
    by_site = {str(site.id): found for site in shot.sites if (found := _open(site.power_limits, shot.now_ms))}
    if not by_site:
        return None
    draw = np.array([card_milliwatts(view.accelerator, view.pue_milli) for view in views], np.int64)
    first, after = np.zeros(len(views), np.int64), np.zeros(len(views), np.int64)
    pools = defaultdict(list)
    for at, view in enumerate(views):
        if view.site in by_site and draw[at]:
            pools[view.site].append(at)
    ends = _ends(shot)
    rows: list[tuple[int, int, int]] = []
    limit_kw: list[int] = []
    for site, members in pools.items():
        first[members] = len(rows)
        for each in by_site[site]:
            drawn = sum(_cards(shot, views[at], each, ends, used) * int(draw[at]) for at in members)
            left = each.limit_kw * MILLIWATTS - drawn
            rows.append((each.from_ms, each.until_ms or c.NEVER, left))
            limit_kw.append(each.limit_kw)
        rows += [(c.NEVER, each.until_ms or c.NEVER, 0) for each in by_site[site]]
        limit_kw += [0] * len(by_site[site])
        after[members] = len(rows)
    table = np.array(rows, np.int64).reshape(len(rows), c.LIMIT_COLUMNS)
    pairs = [(at, row) for at in range(len(views)) for row in range(int(first[at]), int(after[at]))]
    return Limited(
        Caps(table, first, after, draw),
        np.array(limit_kw, np.int64),
        np.array(pairs, np.int64).reshape(len(pairs), 2),
    )


def binding(limited: Limited, rows: Ints, free: Ints, until_ms: int) -> tuple[Left, ...]:
    """Return what limits leave of all pools to a run until then, those left out that leave all free cards.

    What is left out can refuse nothing that the free cards do not.
    """
    left = _left(limited, rows, limited.pairs)
    return tuple(map(tuple, left[(left[:, 1] < until_ms) & (left[:, 3] < free[left[:, 0]])].tolist()))


def beside_kept_power(a: Arrays, limited: Limited, free: Ints, until_ms: int) -> tuple[Left, ...]:
    """Return what the power that is kept for jobs that wait leaves of all pools, where all of them keep some.

    Of each pool only the moments at which it leaves fewer cards than at any before, and not all free ones.
    """
    found: list[Left] = []
    for pool in np.flatnonzero(a.pools[:, c.POWER_STEP] >= 0).tolist():
        draw, least = int(limited.caps.draw[pool]), int(free[pool])
        step = int(a.ends[a.pools[pool, c.POWER_STEP], c.STEP_NEXT])
        while step >= 0 and int(a.ends[step, c.STEP_AT]) < until_ms:
            spare = max(0, int(a.ends[step, c.STEP_FREE]) // draw)
            if spare < least:
                least = spare
                found.append((pool, int(a.ends[step, c.STEP_AT]), 0, spare, 0))
            step = int(a.ends[step, c.STEP_NEXT])
    return tuple(found)


def caps_left(limited: Limited, rows: Ints, pool: int, now_ms: int) -> tuple[Cap, ...]:
    """Return what limits leave of one pool."""
    found = _left(limited, rows, limited.pairs[limited.pairs[:, 0] == pool]).tolist()
    return tuple(Cap(max(0, each[1] - now_ms), *each[1:]) for each in found)


def _left(limited: Limited, rows: Ints, pairs: Ints) -> Ints:
    """Return what limits leave of pools, as a pass has counted them (`within_limits`), a `Left` a row."""
    pool, row = pairs.T
    from_ms, until_ms, left = rows[row].T
    spare = np.maximum(0, left // limited.caps.draw[pool])
    ends_ms = np.where(until_ms == c.NEVER, 0, until_ms)
    found: Ints = np.stack([pool, from_ms, ends_ms, spare, limited.limit_kw[row]], axis=1)
    live: Ints = found[from_ms < c.NEVER]
    return live


class Spoken:
    """Power of a pass that is free or being freed, less what jobs count on for which room is made.

    Of a site's rows the first half are its limits (`columns`).
    """

    def __init__(self, a: Arrays, clearing: Mapping[int, int]) -> None:
        self._pools = a.pools
        self._rows = a.limits
        self._now: Counter[int] = Counter()
        self._later: Counter[int] = Counter()
        for pool, cards in clearing.items():
            self._now[self._site(pool)] -= cards * int(a.pools[pool, c.DRAW])

    def _site(self, pool: int) -> int:
        return int(self._pools[pool, c.FIRST_LIMIT]) if self._pools[pool, c.AFTER_LIMIT] else -1

    def lack(self, pool: int, cards: int, now_ms: int, until_ms: int) -> int:
        """Return how many cards of a pool must be freed for the power of a run, NEVER if it would not help.

        What runs now may have ended by the time when a limit begins: for that nothing is stopped.
        """
        first, after, found = int(self._pools[pool, c.FIRST_LIMIT]), int(self._pools[pool, c.AFTER_LIMIT]), 0
        for from_ms, _, left in self._rows[first : (first + after) // 2].tolist():
            if from_ms >= until_ms:
                continue
            is_open, draw, site = from_ms <= now_ms, int(self._pools[pool, c.DRAW]), self._site(pool)
            spoken = self._now[site] if is_open else self._later[site]
            short = cards * draw + spoken - left
            if short > 0 and not is_open:
                return c.NEVER
            found = max(found, -(-short // draw))
        return found

    def take(self, pool: int, cards: int, freed: int) -> None:
        """Count cards that a job will have of a pool, and those that are freed there for it."""
        draw = int(self._pools[pool, c.DRAW])
        self._now[self._site(pool)] += (cards - freed) * draw
        self._later[self._site(pool)] += cards * draw


def _open(limits: tuple[PowerLimit, ...], now_ms: int) -> list[PowerLimit]:
    found = [each for each in limits if not each.is_over(now_ms)]
    return sorted(found, key=lambda each: (each.from_ms, each.until_ms, each.id))


def _ends(shot: Snapshot) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return (until_ms, cards) of the running jobs of each pool."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for each in shot.running:
        found[each.site, each.pool].append((each.until_ms, each.cards))
    return found


def _cards(
    shot: Snapshot,
    view: PoolView,
    limit: PowerLimit,
    ends: Mapping[tuple[str, str], list[tuple[int, int]]],
    used: Callable[[str, str], int],
) -> int:
    """Return how many cards of a pool are in use when a limit begins, by walltimes; now if it has begun."""
    runs = ends[view.site, view.pool]
    return used(view.site, view.pool) - over_by(shot.now_ms, limit.from_ms, runs)
