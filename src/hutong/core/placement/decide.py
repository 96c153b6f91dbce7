"""One decision, whole: every pool judged, with its score or what keeps it from taking the request.

The scheduling pass (`kernel`) takes thousands of decisions a turn and keeps none of this; a receipt, a
preview and a replay build it again for one request. Both come to the same choice; a test compares them.
"""

from dataclasses import dataclass

import numpy as np

from hutong.core.placement.ahead import ahead_of
from hutong.core.placement.columns import PPM
from hutong.core.placement.judge import PARTS, Judged, Refusal, judge, table_of, unbroken_ppm, weights_of
from hutong.core.placement.request import (
    Policy,
    PoolView,
    Request,
    is_booked,
    is_capped,
    is_kept,
    is_scattered,
)
from hutong.core.placement.words import WhyNot, explain
from hutong.core.work.spec import Ask

_FIRST_PARTS = PARTS.index("speed")  # how many there were at first
# What no amount of waiting will change while pools and request stay as they are.
NEVER = frozenset(
    {"other_chip", "unable", "node_too_small", "too_few_nodes", "memory", "cpus", "not_allowed", "too_dear"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """One pool as judged: `parts` in the order of PARTS, late ones only if they count."""

    site: str
    pool: str
    accelerator: str
    cards: int
    eligible: bool
    parts: tuple[int, ...] = ()
    score_ppm: int = 0
    why_not: WhyNot | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Every pool judged, in the order given; `chosen` is an index into `rows`, or -1."""

    rows: tuple[Row, ...]
    chosen: int

    @property
    def choice(self) -> Row | None:
        """The chosen row, if any."""
        return self.rows[self.chosen] if self.chosen >= 0 else None

    @property
    def never(self) -> bool:
        """True if no pool could take the request even when idle and within reach."""
        return all(row.why_not is not None and row.why_not.code in NEVER for row in self.rows)

    @property
    def nearest(self) -> Row | None:
        """The refused pool that is nearest to saying yes: first what only needs time."""
        refused = [row for row in self.rows if row.why_not is not None]
        order = {
            "busy": 0,
            "scattered": 0,
            "kept": 0,
            "booked": 0,
            "power": 0,
            "quota": 0,
            "maintenance": 1,
            "unreachable": 2,
            "draining": 3,
            "no_data": 4,
        }
        return min(
            refused,
            key=lambda row: (order.get(row.why_not.code if row.why_not else "", 5), row.site, row.pool),
            default=None,
        )


def decide(request: Request, pools: tuple[PoolView, ...], policy: Policy) -> Decision:
    """Judge every pool and choose the eligible one with the best score; ties go to the smaller name."""
    table = table_of(pools)
    found = judge(request, policy, table, ahead_of(pools))
    need = found.asked * request.nodes
    taken = np.where(need > table.free, Refusal.BUSY, Refusal.NONE)
    for i, pool in enumerate(pools):
        if taken[i] == Refusal.NONE and is_scattered(pool, request.nodes, int(found.asked[i])):
            taken[i] = Refusal.SCATTERED
        elif taken[i] == Refusal.NONE and is_kept(pool, request, int(need[i])):
            taken[i] = Refusal.KEPT
        elif taken[i] == Refusal.NONE and is_booked(pool, request.run_ms, int(need[i])):
            taken[i] = Refusal.BOOKED
        elif taken[i] == Refusal.NONE and is_capped(pool, request.run_ms, int(need[i])):
            taken[i] = Refusal.POWER
    refusal = np.where(found.refusal == Refusal.NONE, taken, found.refusal)
    eligible = refusal == Refusal.NONE
    fit = np.where(eligible, PPM * need // np.maximum(table.free, 1), 0)
    whole = [
        unbroken_ppm(pool, request.nodes, int(found.asked[i])) if eligible[i] else 0
        for i, pool in enumerate(pools)
    ]
    weights = weights_of(policy)
    told = _told(policy)
    moving = policy.fit * fit + policy.fragmentation * np.array(whole, np.int64)
    score = (found.base + moving) // max(1, sum(weights))
    rows = tuple(
        _row(request, pools[i], found, i, Refusal(refusal[i]), (int(fit[i]), whole[i]), int(score[i]), told)
        for i in range(len(pools))
    )
    best = min(
        np.flatnonzero(eligible).tolist(),
        key=lambda i: (-score[i], pools[i].site, pools[i].pool),
        default=-1,
    )
    return Decision(rows, best)


def _row(
    request: Request,
    pool: PoolView,
    found: Judged,
    at: int,
    refusal: Refusal,
    moving: tuple[int, int],
    score: int,
    told: int,
) -> Row:
    cards = int(found.asked[at]) * request.nodes if refusal is not Refusal.OTHER_CHIP else 0
    if refusal is not Refusal.NONE:
        why = explain(request, pool, int(found.asked[at]), refusal)
        return Row(pool.site, pool.pool, pool.accelerator, cards, eligible=False, why_not=why)
    fit, whole = moving
    parts = (fit, *map(int, found.parts[:, at]), whole)[:told]
    score_ppm = score + int(found.penalty[at])
    return Row(pool.site, pool.pool, pool.accelerator, cards, eligible=True, parts=parts, score_ppm=score_ppm)


def _told(policy: Policy) -> int:
    """Return how many parts a row tells: those that came later are left out at the end, while they have no
    weight, so that receipts from before them keep their bits.
    """
    weighed = [at for at, weight in enumerate(weights_of(policy), 1) if weight]
    return max(_FIRST_PARTS, *weighed)


def refuse(request: Request, pool: PoolView, policy: Policy) -> WhyNot | None:
    """Return what keeps one pool from taking a request now, or None."""
    return decide(request, (pool,), policy).rows[0].why_not


def ask_for(request: Request, pool: PoolView) -> Ask | None:
    """Return the alternative of the request that names the pool's accelerator."""
    return next((ask for ask in request.asks if ask.accelerator == pool.accelerator), None)


def cards_asked(request: Request, pool: PoolView) -> int:
    """Return all cards the request takes in that pool; 0 if it does not ask for that accelerator."""
    ask = ask_for(request, pool)
    return ask.cards_per_node * request.nodes if ask else 0
