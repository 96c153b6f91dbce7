"""What no schedule of `bench.bth` can pass: its work as a fluid, every hour of the year in one linear program.

All is known beforehand, stopping and moving cost nothing, nobody is pinned, and each hour of a job's work may be put
off by so many hours and no more. A real schedule also needs whole jobs, restores, and what is known by now only.
"""

from dataclasses import dataclass

import numpy as np

from hutong.sim.green import HOUR_S
from hutong.sim.importers.table import Floats
from hutong.sim.plan.program import INFINITE, Program
from hutong.sim.region import Region
from hutong.sim.trace import Trace


@dataclass(frozen=True, slots=True)
class Bound:
    """The carbon of a year in kg, and the green share of its energy."""

    carbon_kg: float
    green: float


def least_carbon(jobs: Trace, sites: Region, wait_h: int) -> Bound:
    """Return the schedule of least carbon."""
    return _best(jobs, sites, wait_h, 0.0, sites.mg_per_kwh / 1e6)


def most_green(jobs: Trace, sites: Region, wait_h: int) -> Bound:
    """Return the schedule of the largest green share: a ratio, found by Dinkelbach's steps."""
    share, found = 0.0, _best(jobs, sites, wait_h, -1.0, np.zeros(len(sites.cards)))
    while found.green - share > 1e-6:
        share = found.green
        found = _best(jobs, sites, wait_h, share - 1, np.full(len(sites.cards), share))
    return found


def _cards(jobs: Trace, rest_h: int) -> Floats:
    """Return the cards by the hour if every job began when it came, and none in so many hours after the last."""
    at = np.concatenate([jobs.submit_s, jobs.submit_s + jobs.run_s])
    order = np.argsort(at, kind="stable")
    at, more = at[order], np.concatenate([jobs.cards, -jobs.cards])[order]
    done = np.concatenate([[0], np.cumsum(np.cumsum(more)[:-1] * np.diff(at))])
    borders = np.arange(int(at[-1]) // HOUR_S + 2 + rest_h) * HOUR_S
    hours: Floats = np.diff(np.interp(borders, at, done)) / HOUR_S
    return hours


def _best(jobs: Trace, sites: Region, wait_h: int, green: float, grid: Floats) -> Bound:
    """Return the schedule of least cost; a kWh costs `green` or, from the grid, what its site says."""
    load = _cards(jobs, wait_h)
    program, kw = Program(), sites.card_w * sites.pue_milli / 1_000_000
    came = np.concatenate([[0], np.cumsum(load)])
    before, taken = -1, []
    for hour, cards in enumerate(load):
        # Work left over is no older than it may wait.
        left = program.variable(0, float(came[hour + 1] - came[max(0, hour + 1 - wait_h)]), 0)
        terms = {left: 1.0} if before < 0 else {left: 1.0, before: -1.0}
        for site, most in enumerate(sites.cards):
            free = sites.green_w[site, hour % sites.green_w.shape[1]] / 1000
            own = program.variable(0, float(free / kw[site]), float(green * kw[site]))
            bought = program.variable(0, INFINITE, float(grid[site] * kw[site]))
            program.row(-INFINITE, float(most), {own: 1.0, bought: 1.0})
            terms[own] = terms[bought] = 1.0
            taken.append((site, own, bought))
        program.row(float(cards), float(cards), terms)
        before = left
    solved = program.solve(whole=False, most_s=600, gap=0)
    if solved is None:
        raise RuntimeError("the sites cannot take this work")
    site, own, bought = np.array(taken).T
    values = np.array(solved.values)
    clean, brown = values[own] * kw[site], values[bought] * kw[site]
    carbon = (brown * sites.mg_per_kwh[site]).sum() / 1e6
    return Bound(float(carbon), float(clean.sum() / (clean.sum() + brown.sum())))
