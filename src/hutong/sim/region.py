"""Space and time together: sites with their own green supply, and jobs that may choose where and when.

Green power of a site-hour serves its own load first; what is beyond comes from the grid, at the grid's factor
(marginal accounting). A choice adds up, over the hours that a job is expected to run, what it would add to the
grid's part of each site, given the load that is expected there from the jobs known so far. Nobody knows a length:
load to come is weighted with the survival curves of `green.learn`. Starts only, no pauses; once started, a job
keeps its cards. Capacity is enforced by what really runs, in steps of `STEP_S`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hutong.core.placement.compiled import Ints, compiled
from hutong.sim.green import HOUR_S, Learnt, Work

STEP_S = 300
IN_ORDER, BEST_PLACE = range(2)
_ALIVE = 1_000_000
_NEVER = 1 << 60


@dataclass(frozen=True)
class Region:
    """Sites in the order of their latency: cards, PUE in thousandths, grid in mg/kWh, green watts by the hour.

    `green_w` has one row a site and repeats after its end; a card draws `card_w`.
    """

    names: tuple[str, ...]
    cards: Ints
    pue_milli: Ints
    mg_per_kwh: Ints
    green_w: Ints
    card_w: int = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """Carbon in kg, green share and energy by site in kWh, mean wait in hours, pinned jobs that waited, jobs unplaced."""

    carbon_kg: float
    green: float
    energy_kwh: tuple[float, ...]
    wait_h: float
    violations: int
    unplaced: int


def run_region(
    work: Work,
    region: Region,
    learnt: Learnt,
    pinned: npt.NDArray[np.bool_],
    policy: int,
    *,
    price: int = 0,
    near: int = 2,
) -> Outcome:
    """Return what a policy comes to.

    `pinned` jobs need one of the first `near` sites, at once. IN_ORDER takes the first site with room;
    BEST_PLACE the site and start of least marginal carbon within each job's wait. `price` is what an hour of a
    *job's* wait has to save, in mg of CO2: wide jobs wait for less a card. `learnt` counts in hours.
    """
    wait = np.where(pinned, 0, work.wait // HOUR_S).astype(np.int64)
    start, site = _run(
        work.arrival, work.length, work.cards, work.queue, wait, pinned.astype(np.int64), learnt.curves,
        learnt.row, learnt.steps, region.cards, region.pue_milli, region.mg_per_kwh, region.green_w,
        region.card_w, policy, price, near,
    )  # fmt: skip
    placed = site >= 0
    hours = int((start[placed] + work.length[placed]).max()) // HOUR_S + 1
    loads = _card_seconds(start, work.length, work.cards, site, len(region.cards), hours)
    # Floats from here on: sums of a report, not of a decision.
    energy = loads / HOUR_S * region.card_w * region.pue_milli[:, None] / 1000 / 1000
    supply = np.take(region.green_w, np.arange(hours) % region.green_w.shape[1], axis=1) / 1000
    green = np.minimum(energy, supply)
    carbon = ((energy - green) * region.mg_per_kwh[:, None]).sum() / 1e6
    waited = start - work.arrival
    return Outcome(
        float(carbon),
        float(green.sum() / energy.sum()),
        tuple(float(each) for each in energy.sum(axis=1)),
        float(waited[placed].mean()) / HOUR_S,
        int((pinned & placed & ((waited > 0) | (site >= near))).sum()),
        int((~placed).sum()),
    )


@compiled
def _card_seconds(start: Ints, length: Ints, cards: Ints, site: Ints, sites: int, hours: int) -> Ints:
    loads = np.zeros((sites, hours), np.int64)
    for job in range(len(start)):
        if site[job] < 0:
            continue
        at, end = start[job], start[job] + length[job]
        while at < end:
            border = min(end, (at // HOUR_S + 1) * HOUR_S)
            loads[site[job], at // HOUR_S] += cards[job] * (border - at)
            at = border
    return loads


@compiled
def _expect(plan: Ints, hour: int, curve: Ints, cards: int) -> None:
    """Add a job's expected load to the hours from its start on, in millionths of a card (negative: take it off)."""
    for r in range(len(curve) - 1):
        plan[(hour + r) % len(plan)] += cards * curve[r]


@compiled
def _marginal(
    plan: Ints, green_w: Ints, hour: int, count: int, cards: int, card_mw: int, rate: int, into: Ints
) -> None:
    """Fill the carbon in mg that so many more cards add in each of the hours from one on, whole hours."""
    for r in range(count):
        have = plan[(hour + r) % len(plan)] // 1000 * card_mw // 1_000_000
        free = max(0, green_w[(hour + r) % len(green_w)] - have)
        into[r] = max(0, cards * card_mw // 1000 - free) * rate // 1000


@compiled
def _choose(
    plans: Ints, green_w: Ints, room: Ints, capacity: Ints, pue: Ints, factor: Ints, card_w: int, hour: int,
    wait: int, cards: int, curve: Ints, price: int, sites: int,
) -> tuple[int, int]:  # fmt: skip
    """Return site and hours to wait of least expected carbon and price; site -1 where none has room in time."""
    most = len(curve) - 1
    best, where, when = _NEVER, -1, 0
    each = np.empty(wait + most, np.int64)
    for site in range(sites):
        _marginal(
            plans[site], green_w[site], hour, wait + most, cards, card_w * pue[site], factor[site], each
        )
        for delay in range(wait + 1):
            if delay == 0:
                if room[site] < cards:
                    continue
            elif plans[site][(hour + delay) % plans.shape[1]] // _ALIVE + cards > capacity[site]:
                continue
            cost: int = price * delay
            for r in range(most):
                cost += each[delay + r] * curve[r] // _ALIVE
                if cost >= best:
                    break
            if cost < best:
                best, where, when = cost, site, delay
    return where, when


@compiled
def _run(
    arrival: Ints, length: Ints, cards: Ints, queue: Ints, wait: Ints, pinned: Ints, curves: Ints, row: Ints,
    steps: Ints, capacity: Ints, pue: Ints, factor: Ints, green_w: Ints, card_w: int, policy: int, price: int,
    near: int,
) -> tuple[Ints, Ints]:  # fmt: skip
    count, sites = len(arrival), len(capacity)
    start, site = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    room = capacity.copy()
    # Expected load by site and hour, a ring that is longer than any wait and curve together.
    plans = np.zeros((sites, 256), np.int64)
    due, place = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    waiting = np.empty(count, np.int64)
    # Cards that come back, by step: a ring longer than any job.
    ring = int(length.max()) // STEP_S + 2
    back = np.zeros((sites, ring), np.int64)
    held, arrived, step = 0, 0, arrival[0] // STEP_S
    idle = 0
    while (arrived < count or held > 0) and idle < 500 * HOUR_S // STEP_S:
        now, hour = step * STEP_S, step * STEP_S // HOUR_S
        for s in range(sites):
            room[s] += back[s, step % ring]
            back[s, step % ring] = 0
            if now % HOUR_S == 0:
                plans[s, (hour - 1) % 256] = 0
            # What runs is known, so it stands instead of what was expected.
            plans[s, hour % 256] = (capacity[s] - room[s]) * _ALIVE
        kept, before = 0, held
        while arrived < count and arrival[arrived] < now + STEP_S:
            waiting[held] = arrived
            held += 1
            arrived += 1
        for index in range(held):
            job = waiting[index]
            fresh = index >= before
            if not fresh and due[job] > hour:
                waiting[kept] = job
                kept += 1
                continue
            curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
            if place[job] >= 0:
                # The start that was planned has come; it is taken off the plan and chosen again, now or never.
                _expect(plans[place[job]], due[job], curve, -cards[job])
                place[job] = -1
            within = near if pinned[job] else sites
            delay = 0
            if policy == IN_ORDER:
                where = -1
                for s in range(within):
                    if room[s] >= cards[job]:
                        where = s
                        break
            else:
                left = wait[job] if fresh else 0
                where, delay = _choose(
                    plans,
                    green_w,
                    room,
                    capacity,
                    pue,
                    factor,
                    card_w,
                    hour,
                    left,
                    cards[job],
                    curve,
                    price,
                    within,
                )
            if where >= 0 and delay == 0:
                site[job], start[job] = where, max(arrival[job], now)
                room[where] -= cards[job]
                back[where, ((start[job] + length[job] - 1) // STEP_S + 1) % ring] += cards[job]
                _expect(plans[where], hour, curve, cards[job])
                continue
            if where >= 0:
                place[job], due[job] = where, hour + delay
                _expect(plans[where], hour + delay, curve, cards[job])
            waiting[kept] = job
            kept += 1
        idle = idle + 1 if kept == held and arrived == count else 0
        held = kept
        step += 1
    return start, site
