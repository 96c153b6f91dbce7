"""What no schedule of `bench.bth` can pass: its work as a fluid, every hour of the year in one linear program.

All is known beforehand, stopping and moving cost nothing, and each hour of a job's work may be put off by so many
hours and no more. A real schedule also needs whole jobs, restores, and what is known by now only.
`within` is nearer to the scenario: pinned work keeps its hour and its sites, a job may wait as long as it may there,
and the mean wait of all jobs is bounded. Who starts late by an hour has all of its work put off by one; so an hour
that a card-hour is put off counts as one part of a job's wait in as many as the largest job of its class has
card-hours, which is never too much.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hutong.core.placement.arrays import Ints
from hutong.sim.green import HOUR_S
from hutong.sim.importers.table import Floats
from hutong.sim.plan.program import INFINITE, Program
from hutong.sim.region import Region
from hutong.sim.trace import Trace

# Pinned work has to go to the first so many sites.
NEAR = 2
# Jobs of `within` are told apart by their card-hours: up to so many, the last class up to the largest.
EDGES = (2, 8, 32, 128, 512)


@dataclass(frozen=True, slots=True)
class Bound:
    """The carbon of a year in kg, and the green share of its energy."""

    carbon_kg: float
    green: float


@dataclass(frozen=True, slots=True)
class Flow:
    """Work of one class: cards by the hour if it began as it came, and the most hours that it may be put off.

    `jobs` is the wait of jobs, in hours, that a card-hour put off by an hour comes to.
    """

    cards: Floats
    wait_h: int
    jobs: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a schedule has to keep: all waits of jobs together, the green share, cards of the first two sites."""

    waits_h: float = INFINITE
    green: float = 0.0
    near: Floats | None = None


def least_carbon(jobs: Trace, sites: Region, wait_h: int) -> Bound:
    """Return the schedule of least carbon."""
    return _need(_best([_whole(jobs, wait_h)], sites, 0.0, sites.mg_per_kwh / 1e6))


def most_green(jobs: Trace, sites: Region, wait_h: int) -> Bound:
    """Return the schedule of the largest green share: a ratio, found by Dinkelbach's steps."""
    flows, none = [_whole(jobs, wait_h)], np.zeros(len(sites.cards))
    share, found = 0.0, _need(_best(flows, sites, -1.0, none))
    while found.green - share > 1e-6:
        share = found.green
        found = _need(_best(flows, sites, share - 1, none + share))
    return found


def within(
    jobs: Trace,
    sites: Region,
    pinned: npt.NDArray[np.bool_],
    waits_h: Ints,
    mean_h: float,
    green: float = 0.0,
) -> Bound | None:
    """Return the least carbon within a mean wait and with so large a green share; None if none is so green."""
    card_h = jobs.run_s * jobs.cards / HOUR_S
    kind = np.searchsorted(EDGES, card_h)
    flows, rest_h = [], int(waits_h.max())
    for wait_h in np.unique(waits_h[~pinned]):
        for each in range(len(EDGES) + 1):
            mine = ~pinned & (waits_h == wait_h) & (kind == each)
            if mine.any():
                flows.append(Flow(_cards(jobs, rest_h, mine), int(wait_h), 1 / float(card_h[mine].max())))
    near = _cards(jobs, rest_h, pinned)
    terms = Terms(mean_h * len(jobs), green, near)
    return _best([*flows, Flow(near, 0)], sites, 0.0, sites.mg_per_kwh / 1e6, terms)


def _need(found: Bound | None) -> Bound:
    if found is None:
        raise RuntimeError("the sites cannot take this work")
    return found


def _whole(jobs: Trace, wait_h: int) -> Flow:
    return Flow(_cards(jobs, wait_h, np.ones(len(jobs), np.bool_)), wait_h)


def _cards(jobs: Trace, rest_h: int, mine: npt.NDArray[np.bool_]) -> Floats:
    """Return the cards by the hour if some jobs began when they came, up to so many hours after the last of all."""
    ends = jobs.submit_s + jobs.run_s
    at = np.concatenate([jobs.submit_s[mine], ends[mine]])
    order = np.argsort(at, kind="stable")
    at, more = at[order], np.concatenate([jobs.cards[mine], -jobs.cards[mine]])[order]
    done = np.concatenate([[0], np.cumsum(np.cumsum(more)[:-1] * np.diff(at))])
    borders = np.arange(int(ends.max()) // HOUR_S + 2 + rest_h) * HOUR_S
    hours: Floats = np.diff(np.interp(borders, at, done)) / HOUR_S
    return hours


def _put_off(program: Program, flow: Flow, waits: dict[int, float]) -> list[dict[int, float]]:
    """Add what is left over of a flow after each hour; return the terms that lessen the work done in each."""
    came, before, each = np.concatenate([[0], np.cumsum(flow.cards)]), -1, []
    for hour, cards in enumerate(flow.cards):
        # Work left over is no older than it may wait.
        most = float(came[hour + 1] - came[max(0, hour + 1 - flow.wait_h)])
        terms = {} if before < 0 else {before: -1.0}
        before = -1
        if most > 0:
            before = program.variable(0, most, 0)
            terms[before] = 1.0
            waits[before] = flow.jobs
            program.row(-INFINITE, float(cards), terms)
        each.append(terms)
    return each


def _best(
    flows: Sequence[Flow], sites: Region, green: float, grid: Floats, keep: Terms = Terms()
) -> Bound | None:
    """Return the schedule of least cost; a kWh costs `green` or, from the grid, what its site says."""
    program, kw = Program(), sites.card_w * sites.pue_milli / 1_000_000
    waits: dict[int, float] = {}
    left = [_put_off(program, flow, waits) for flow in flows]
    shares: dict[int, float] = {}
    taken = []
    for hour, cards in enumerate(np.sum([flow.cards for flow in flows], axis=0)):
        terms: dict[int, float] = {}
        for flow in left:
            terms |= flow[hour]
        near: dict[int, float] = {}
        for site, most in enumerate(sites.cards):
            free = sites.green_w[site, hour % sites.green_w.shape[1]] / 1000
            own = program.variable(0, float(free / kw[site]), float(green * kw[site]))
            bought = program.variable(0, INFINITE, float(grid[site] * kw[site]))
            program.row(-INFINITE, float(most), {own: 1.0, bought: 1.0})
            terms[own] = terms[bought] = 1.0
            shares[own], shares[bought] = (1 - keep.green) * kw[site], -keep.green * kw[site]
            near |= {own: 1.0, bought: 1.0} if site < NEAR else {}
            taken.append((site, own, bought))
        program.row(float(cards), float(cards), terms)
        if keep.near is not None:
            program.row(float(keep.near[hour]), INFINITE, near)
    if keep.waits_h < INFINITE:
        program.row(-INFINITE, keep.waits_h, waits)
    if keep.green > 0:
        program.row(0, INFINITE, shares)
    # What is not solved to the end is no bound.
    solved = program.solve(whole=False, most_s=INFINITE, gap=0)
    if solved is None:
        return None
    site, own, bought = np.array(taken).T
    values = np.array(solved.values)
    clean, brown = values[own] * kw[site], values[bought] * kw[site]
    carbon = (brown * sites.mg_per_kwh[site]).sum() / 1e6
    return Bound(float(carbon), float(clean.sum() / (clean.sum() + brown.sum())))
