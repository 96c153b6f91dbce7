"""Space and time together: sites with their own green supply, and jobs that may choose where and when.

Green power of a site-hour serves its own load first; what is beyond comes from the grid, at the grid's
factor (marginal accounting). A choice adds up, over the hours that a job is expected to run, what it would
add to the grid's part of each site, given the load that is expected there: from what runs, for how long it
has run, and what is planned. Nobody knows a length; load to come is weighted with the survival curves of
`green.learn`. What waits chooses again at each full hour, for by then others have come, ended or chosen. The
green supply of the hours to come is taken as known. Starts only, no pauses; once
started, a job keeps its cards, unless it makes room for a pinned one (ADR 20): then it goes on elsewhere from
its last checkpoint. Capacity is enforced by what really runs, in steps of `STEP_S`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled
from hutong.sim.green import HOUR_S, Learnt, Work

STEP_S = 300
CHECKPOINT_S, RESTORE_S = HOUR_S, 600
"""A stopped job does again what it did since its last checkpoint, and holds its cards for a restore."""
IN_ORDER, BEST_PLACE = range(2)
JOB, SITE, FROM, UNTIL, RAN_COLUMNS = range(5)
"""Columns of what ran where: a row for each stretch of a job at one site, in seconds."""
_ALIVE = 1_000_000
_NEVER = 1 << 60
# Hours of expected load that are kept: more than any wait and curve together.
_RING = 256
# So many steps without a start after the last arrival, and what is left can never be placed.
_PATIENCE = 500 * HOUR_S // STEP_S


@dataclass(frozen=True)
class Region:
    """Sites in the order of their latency: cards, PUE in thousandths, grid in mg/kWh, green watts by the
    hour.

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
    """Carbon in kg, green share, energy by site; means over jobs; pinned jobs that waited, jobs left.

    `wait_h` is to the first start, `delay_h` of the end; `weighted_delay_h` is its mean by card-hours.
    `stops` are of jobs that made room.
    """

    carbon_kg: float
    green: float
    energy_kwh: tuple[float, ...]
    wait_h: float
    delay_h: float
    weighted_delay_h: float
    stops: int
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
    spare: Sequence[int] = (),
    make_room: bool = False,
) -> Outcome:
    """Return what a policy comes to.

    `pinned` jobs need one of the first `near` sites, at once. IN_ORDER takes the first site with room;
    BEST_PLACE the site and start of least marginal carbon within each job's wait. `price` is what an hour
    of a *job's* wait has to save, in mg of CO2: wide jobs wait for less a card. `learnt` counts in hours.
    `spare` are cards of each site that only pinned jobs may take; with `make_room` others are stopped for
    them where too few are free.
    """
    wait = np.where(pinned, 0, work.wait // HOUR_S).astype(np.int64)
    kept_free = np.zeros(len(region.cards), np.int64)
    kept_free[: len(spare)] = spare
    start, stops, cut, site, since, end = _run(
        work.arrival, work.length, work.cards, work.queue, wait, pinned.astype(np.int64), learnt.curves,
        learnt.row, learnt.steps, region.cards, region.pue_milli, region.mg_per_kwh, region.green_w,
        region.card_w, policy, price, near, kept_free, make_room,
    )  # fmt: skip
    placed = site >= 0
    last = np.stack([np.arange(len(work)), site, since, end], axis=1)[placed]
    ran = np.concatenate([cut, last])
    hours = int(ran[:, UNTIL].max()) // HOUR_S + 1
    loads = _card_seconds(ran, work.cards, len(region.cards), hours)
    # Floats from here on: sums of a report, not of a decision.
    energy = loads / HOUR_S * region.card_w * region.pue_milli[:, None] / 1000 / 1000
    supply = np.take(region.green_w, np.arange(hours) % region.green_w.shape[1], axis=1) / 1000
    green = np.minimum(energy, supply)
    carbon = ((energy - green) * region.mg_per_kwh[:, None]).sum() / 1e6
    waited = (start - work.arrival)[placed]
    delay = (end - work.arrival - work.length)[placed]
    weight = (work.cards * work.length)[placed].astype(np.float64)
    return Outcome(
        float(carbon),
        float(green.sum() / energy.sum()),
        tuple(float(each) for each in energy.sum(axis=1)),
        float(waited.mean()) / HOUR_S,
        float(delay.mean()) / HOUR_S,
        float((delay * weight).sum() / weight.sum()) / HOUR_S,
        int(stops.sum()),
        int((pinned & placed & ((start > work.arrival) | (site >= near))).sum()),
        int((~placed).sum()),
    )


@compiled
def _card_seconds(ran: Ints, cards: Ints, sites: int, hours: int) -> Ints:
    loads = np.zeros((sites, hours), np.int64)
    for row in ran:
        at = row[FROM]
        while at < row[UNTIL]:
            border = min(row[UNTIL], (at // HOUR_S + 1) * HOUR_S)
            loads[row[SITE], at // HOUR_S] += cards[row[JOB]] * (border - at)
            at = border
    return loads


@compiled
def _expect(plan: Ints, hour: int, curve: Ints, age: int, cards: int) -> None:
    """Add a job's expected load to the hours from one on, in ppm of a card; it has run for `age` hours."""
    if age >= len(curve) - 1 or curve[age] <= 0:
        # Longer than anything that is known: it runs now, and that is all to be said.
        plan[hour % _RING] += cards * _ALIVE
        return
    for r in range(age, len(curve) - 1):
        plan[(hour + r - age) % _RING] += cards * (curve[r] + curve[r + 1]) // 2 * _ALIVE // curve[age]


@compiled
def _marginal(
    plan: Ints, green_w: Ints, hour: int, count: int, cards: int, card_mw: int, rate: int, into: Ints
) -> None:
    """Fill the carbon in mg that so many more cards add in each of the hours from one on, whole hours."""
    for r in range(count):
        have = plan[(hour + r) % _RING] // 1000 * card_mw // 1_000_000
        free = max(0, green_w[(hour + r) % len(green_w)] - have)
        into[r] = max(0, cards * card_mw // 1000 - free) * rate // 1000


@compiled
def _choose(
    plans: Ints, green_w: Ints, room: Ints, spare: Ints, capacity: Ints, pue: Ints, factor: Ints, card_w: int,
    hour: int, wait: int, cards: int, curve: Ints, price: int, sites: int,
) -> tuple[int, int]:  # fmt: skip
    """Return site and hours to wait of least expected carbon and price; site -1 where none has room."""
    most = len(curve) - 1
    best, where, when = _NEVER, -1, 0
    each = np.empty(wait + most, np.int64)
    for site in range(sites):
        _marginal(
            plans[site], green_w[site], hour, wait + most, cards, card_w * pue[site], factor[site], each
        )
        for delay in range(wait + 1):
            planned = plans[site, (hour + delay) % _RING] // _ALIVE
            free = room[site] if delay == 0 else capacity[site] - planned
            if free - spare[site] < cards:
                continue
            cost: int = price * delay
            for r in range(most):
                cost += each[delay + r] * (curve[r] + curve[r + 1]) // (2 * _ALIVE)
                if cost >= best:
                    break
            if cost < best:
                best, where, when = cost, site, delay
    return where, when


@compiled
def _foresee(
    plans: Ints, hour: int, running: Ints, active: int, start: Ints, end: Ints, site: Ints, waiting: Ints,
    held: int, due: Ints, place: Ints, cards: Ints, curves: Ints, row: Ints, queue: Ints, steps: Ints,
) -> int:  # fmt: skip
    """Make the expected load anew from what runs, how long it has, and what is planned; count what runs."""
    plans[:] = 0
    kept = 0
    for index in range(active):
        job = running[index]
        if end[job] <= hour * HOUR_S:
            continue
        curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
        _expect(plans[site[job]], hour, curve, (hour * HOUR_S - start[job]) // HOUR_S, cards[job])
        running[kept] = job
        kept += 1
    for index in range(held):
        job = waiting[index]
        if place[job] >= 0 and due[job] > hour:
            curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
            _expect(plans[place[job]], due[job], curve, 0, cards[job])
    return kept


@compiled
def _plan_again(
    plans: Ints, hour: int, running: Ints, active: int, start: Ints, end: Ints, site: Ints, waiting: Ints,
    held: int, due: Ints, place: Ints, cards: Ints, curves: Ints, row: Ints, queue: Ints, steps: Ints,
    green_w: Ints, room: Ints, spare: Ints, capacity: Ints, pue: Ints, factor: Ints, card_w: int,
    arrival: Ints, wait: Ints, price: int,
) -> int:  # fmt: skip
    """Make the expected load anew and let each job that waits choose against it again; count what runs.

    A job whose best start has become this hour is due.
    """
    active = _foresee(
        plans, hour, running, active, start, end, site, waiting, held, due, place, cards, curves, row,
        queue, steps,
    )  # fmt: skip
    for index in range(held):
        job = waiting[index]
        if place[job] < 0 or due[job] <= hour:
            continue
        curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
        _expect(plans[place[job]], due[job], curve, 0, -cards[job])
        may_wait = _may_wait(wait[job], hour * HOUR_S - arrival[job])
        where, delay = _choose(
            plans, green_w, room, spare, capacity, pue, factor, card_w, hour, may_wait, cards[job], curve,
            price, len(capacity),
        )  # fmt: skip
        if where >= 0 and delay > 0:
            _expect(plans[where], hour + delay, curve, 0, cards[job])
        place[job], due[job] = where, hour + delay
    return active


@compiled
def _may_wait(wait: int, waited_s: int) -> int:
    """Return how many whole hours are left of what a job may wait."""
    left: int = wait - (waited_s + HOUR_S - 1) // HOUR_S
    return max(0, left)


@compiled
def _make_room(
    now: int, needed: int, near: int, room: Ints, back: Ints, running: Ints, active: int, pinned: Ints,
    cards: Ints, site: Ints, since: Ints, end: Ints, left: Ints, stops: Ints, ran: Ints, rows: int,
) -> int:  # fmt: skip
    """Stop jobs at the near site where the fewest cards have to, the latest first; return how many.

    What is stopped has no site then; the stretch that it ran is written from `rows` on.
    """
    best, least = -1, _NEVER
    for s in range(near):
        freed = room[s]
        for index in range(active - 1, -1, -1):
            job = running[index]
            if freed < needed and _stoppable(job, s, now, site, since, end, pinned):
                freed += cards[job]
        if freed >= needed and freed - room[s] < least:
            best, least = s, freed - room[s]
    count = 0
    for index in range(active - 1, -1, -1):
        job = running[index]
        if best < 0 or room[best] >= needed or not _stoppable(job, best, now, site, since, end, pinned):
            continue
        done = max(0, now - since[job] - (RESTORE_S if stops[job] else 0))
        left[job] -= done // CHECKPOINT_S * CHECKPOINT_S
        back[best, _slot(end[job], back)] -= cards[job]
        room[best] += cards[job]
        ran[rows + count] = (job, best, since[job], now)
        count, site[job], end[job], stops[job] = count + 1, -1, now, stops[job] + 1
    return count


@compiled
def _stoppable(job: int, at: int, now: int, site: Ints, since: Ints, end: Ints, pinned: Ints) -> bool:
    runs: bool = site[job] == at and since[job] <= now < end[job]
    return runs and pinned[job] == 0


@compiled
def _slot(end: int, back: Ints) -> int:
    """Return the step, in a ring of them, at which the cards of a job that ends then are free."""
    slot: int = ((end - 1) // STEP_S + 1) % back.shape[1]
    return slot


@compiled
def _run(
    arrival: Ints, length: Ints, cards: Ints, queue: Ints, wait: Ints, pinned: Ints, curves: Ints, row: Ints,
    steps: Ints, capacity: Ints, pue: Ints, factor: Ints, green_w: Ints, card_w: int, policy: int, price: int,
    near: int, kept_free: Ints, make_room: bool,
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:  # fmt: skip
    """Return first start and stops by job, what was cut short, and the last stretch: site, begin, end."""
    count, sites = len(arrival), len(capacity)
    start, site = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    since, end, stops = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
    left, room, none = length.copy(), capacity.copy(), np.zeros(sites, np.int64)
    plans = np.zeros((sites, _RING), np.int64)
    due, place = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    waiting, running = np.empty(count, np.int64), np.empty(count, np.int64)
    # Each stop is for a pinned job and takes the cards of at most so many others.
    ran = np.empty((int(pinned.sum()) * int(cards.max()) * make_room, RAN_COLUMNS), np.int64)
    # Cards that come back, by step: a ring longer than any job.
    back = np.zeros((sites, (int(length.max()) + RESTORE_S) // STEP_S + 2), np.int64)
    held, active, arrived, step, stuck, rows = 0, 0, 0, arrival[0] // STEP_S, 0, 0
    while (arrived < count or held > 0) and stuck < _PATIENCE:
        now, hour, first, kept = step * STEP_S, step * STEP_S // HOUR_S, rows, 0
        room += back[:, step % back.shape[1]]
        back[:, step % back.shape[1]] = 0
        if now % HOUR_S == 0:
            active = _plan_again(
                plans, hour, running, active, start, end, site, waiting, held, due, place, cards, curves, row,
                queue, steps, green_w, room, kept_free, capacity, pue, factor, card_w, arrival, wait, price,
            )  # fmt: skip
        while arrived < count and arrival[arrived] < now + STEP_S:
            waiting[held], due[arrived] = arrived, hour
            held, arrived = held + 1, arrived + 1
        for index in range(held):
            job = waiting[index]
            where, delay = -1, due[job] - hour
            if delay <= 0:
                # New, or its planned start has come: what is known by now decides.
                curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
                open_ = near if pinned[job] else sites
                where, delay = _first_with_room(room, cards[job], open_), 0
                if where < 0 and pinned[job] and make_room:
                    rows += _make_room(
                        now, cards[job], near, room, back, running, active, pinned, cards, site, since, end,
                        left, stops, ran, rows,
                    )  # fmt: skip
                    active = _still(running, active, site)
                    where = _first_with_room(room, cards[job], open_)
                elif policy == BEST_PLACE:
                    may_wait = _may_wait(wait[job], now - arrival[job])
                    where, delay = _choose(
                        plans, green_w, room, none if pinned[job] else kept_free, capacity, pue, factor,
                        card_w, hour, may_wait, cards[job], curve, price, open_,
                    )  # fmt: skip
                if where >= 0:
                    _expect(plans[where], hour + delay, curve, 0, cards[job])
                place[job], due[job] = where, hour + delay
            if where >= 0 and delay == 0:
                site[job], since[job] = where, max(arrival[job], now)
                start[job] = since[job] if start[job] < 0 else start[job]
                end[job] = since[job] + left[job] + (RESTORE_S if stops[job] else 0)
                room[where] -= cards[job]
                back[where, _slot(end[job], back)] += cards[job]
                running[active], active = job, active + 1
                continue
            waiting[kept] = job
            kept += 1
        stuck = stuck + 1 if kept == held and arrived == count else 0
        # What made room waits again, from the next step on.
        waiting[kept : kept + rows - first], due[ran[first:rows, JOB]] = ran[first:rows, JOB], hour
        held, step = kept + rows - first, step + 1
    return start, stops, ran[:rows], site, since, end


@compiled
def _still(running: Ints, active: int, site: Ints) -> int:
    """Leave out of what runs the jobs that were stopped; return how many are left."""
    kept = 0
    for index in range(active):
        running[kept] = running[index]
        kept += site[running[index]] >= 0
    return kept


@compiled
def _first_with_room(room: Ints, cards: int, sites: int) -> int:
    for site in range(sites):
        if room[site] >= cards:
            return site
    return -1
