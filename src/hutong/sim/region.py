"""Space and time together: sites with their own green supply, and jobs that may choose where and when.

Green power of a site-hour serves its own load first; what is beyond comes from the grid, at the grid's
factor (marginal accounting). A choice adds up, over the hours that a job is expected to run, what it would
add to the grid's part of each site, given the load that is expected there: from what runs, for how long it
has run, and what is planned; parts of an hour count as such. Only `green.knowing` tells lengths; load to come
is weighted with the survival curves of `green.learn`. What waits chooses again at each full hour, for by then
others have come, ended or chosen. The green supply to come is taken as known. Starts only, no pauses; once
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
    price: int | Ints = 0,
    near: int = 2,
    spare: Sequence[int] = (),
    make_room: bool = False,
) -> Outcome:
    """Return what a policy comes to.

    `pinned` jobs need one of the first `near` sites, at once. IN_ORDER takes the first site with room;
    BEST_PLACE the site and start of least marginal carbon within each job's wait. `price` is what an hour
    of a job's wait has to save, in mg of CO2, one for all or one each. A quantum of `learnt` is a part of an
    hour and a multiple of `STEP_S`. `spare` are cards of each site that only pinned jobs may take; with
    `make_room` others are stopped for them where too few are free.
    """
    wait = np.where(pinned, 0, work.wait).astype(np.int64)
    kept_free = np.zeros(len(region.cards), np.int64)
    kept_free[: len(spare)] = spare
    start, stops, cut, site, since, end = _run(
        work.arrival, work.length, work.cards, work.queue, wait, pinned.astype(np.int64), learnt.curves,
        learnt.row, learnt.steps, learnt.quantum, region.cards, region.pue_milli, region.mg_per_kwh,
        region.green_w, region.card_w, policy, np.full(len(work), price, np.int64), near, kept_free,
        make_room,
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
def _expect(plan: Ints, slot: int, an_hour: int, curve: Ints, age: int, cards: int) -> None:
    """Add a job's expected load from a slot on to the hours, in ppm of a card; it has run for `age` slots."""
    if age >= len(curve) - 1 or curve[age] <= 0:
        # Longer than anything that is known: it runs now, and that is all to be said.
        plan[slot // an_hour % _RING] += cards * _ALIVE
        return
    for r in range(age, len(curve) - 1):
        part = cards * (curve[r] + curve[r + 1]) * _ALIVE // (2 * curve[age] * an_hour)
        plan[(slot + r - age) // an_hour % _RING] += part


@compiled
def _by_hour(curve: Ints, begin: int, an_hour: int, into: Ints) -> int:
    """Fill, for each hour of a run from a slot of the first on, who is alive then and for how long.

    Both in ppm, the second in parts of an hour for those who are; return how many hours there are.
    """
    most, hours = len(curve) - 1, 0
    at, until = 0, an_hour - begin
    while at < most and curve[at] > 0:
        worked: int = 0
        for r in range(at, min(until, most)):
            worked += curve[r] + curve[r + 1]
        into[hours, 0], into[hours, 1] = curve[at], worked * _ALIVE // (2 * curve[at] * an_hour)
        hours, at, until = hours + 1, until, until + an_hour
    return hours


@compiled
def _choose(
    plans: Ints, green_w: Ints, room: Ints, spare: Ints, capacity: Ints, pue: Ints, factor: Ints, card_w: int,
    slot: int, an_hour: int, latest: int, cards: int, curve: Ints, price: int, sites: int,
) -> tuple[int, int]:  # fmt: skip
    """Return site and slots to wait, until a full hour, of least expected carbon and price.

    The site is -1 where none has room.
    """
    hour, begin = divmod(slot, an_hour)
    later = max(0, latest // an_hour - hour)
    alive = np.empty((2, len(curve) // an_hour + 2, 2), np.int64)
    lasts = _by_hour(curve, begin, an_hour, alive[0]), _by_hour(curve, 0, an_hour, alive[1])
    best, where, when = _NEVER, -1, 0
    free = np.empty(later + max(lasts), np.int64)
    for site in range(sites):
        card_mw = card_w * pue[site]
        for h in range(len(free)):
            have = plans[site, (hour + h) % _RING] // 1000 * card_mw // 1_000_000
            free[h] = max(0, green_w[site, (hour + h) % green_w.shape[1]] - have)
        for h in range(later + 1):
            delay = h * an_hour - begin if h else 0
            planned = plans[site, (hour + h) % _RING] // _ALIVE
            if (capacity[site] - planned if h else room[site]) - spare[site] < cards:
                continue
            cost: int = price * delay // an_hour
            for r in range(lasts[min(h, 1)]):
                part = alive[min(h, 1), r]
                bought = max(0, cards * card_mw // 1000 * part[1] // _ALIVE - free[h + r])
                cost += bought * factor[site] // 1000 * part[0] // _ALIVE
                if cost >= best:
                    break
            if cost < best:
                best, where, when = cost, site, delay
    return where, when


@compiled
def _foresee(
    plans: Ints, slot: int, slot_s: int, running: Ints, active: int, start: Ints, end: Ints, site: Ints,
    waiting: Ints, held: int, due: Ints, place: Ints, cards: Ints, curves: Ints, row: Ints, queue: Ints,
    steps: Ints,
) -> int:  # fmt: skip
    """Make the expected load anew from what runs, how long it has, and what is planned; count what runs."""
    plans[:] = 0
    kept, an_hour = 0, HOUR_S // slot_s
    for index in range(active):
        job = running[index]
        if end[job] <= slot * slot_s:
            continue
        curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
        age = (slot * slot_s - start[job]) // slot_s
        _expect(plans[site[job]], slot, an_hour, curve, age, cards[job])
        running[kept] = job
        kept += 1
    for index in range(held):
        job = waiting[index]
        if place[job] >= 0:
            curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
            _expect(plans[place[job]], due[job], an_hour, curve, 0, cards[job])
    return kept


@compiled
def _plan_again(
    plans: Ints, slot: int, slot_s: int, running: Ints, active: int, start: Ints, end: Ints, site: Ints,
    waiting: Ints, held: int, due: Ints, place: Ints, cards: Ints, curves: Ints, row: Ints, queue: Ints,
    steps: Ints, green_w: Ints, room: Ints, spare: Ints, capacity: Ints, pue: Ints, factor: Ints, card_w: int,
    arrival: Ints, wait: Ints, price: Ints,
) -> int:  # fmt: skip
    """Make the expected load anew and let each job that waits choose against it again; count what runs.

    A job whose best start has become this hour is due; the others count with what it takes.
    """
    an_hour = HOUR_S // slot_s
    active = _foresee(
        plans, slot, slot_s, running, active, start, end, site, waiting, held, due, place, cards, curves, row,
        queue, steps,
    )  # fmt: skip
    for index in range(held):
        job = waiting[index]
        if place[job] < 0:
            continue
        curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
        _expect(plans[place[job]], due[job], an_hour, curve, 0, -cards[job])
        latest = (arrival[job] + wait[job]) // slot_s
        where, delay = _choose(
            plans, green_w, room, spare, capacity, pue, factor, card_w, slot, an_hour, latest, cards[job],
            curve, price[job], len(capacity),
        )  # fmt: skip
        if where >= 0:
            _expect(plans[where], slot + delay, an_hour, curve, 0, cards[job])
        place[job], due[job] = where, slot + delay
    return active


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
    steps: Ints, slot_s: int, capacity: Ints, pue: Ints, factor: Ints, green_w: Ints, card_w: int,
    policy: int, price: Ints, near: int, kept_free: Ints, make_room: bool,
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:  # fmt: skip
    """Return first start and stops by job, what was cut short, and the last stretch: site, begin, end."""
    count, sites, an_hour = len(arrival), len(capacity), HOUR_S // slot_s
    start, site = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    since, end, stops = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
    left, room, none, plans = length.copy(), capacity.copy(), capacity * 0, np.zeros((sites, _RING), np.int64)
    due, place, waiting, running = since.copy(), site.copy(), since.copy(), since.copy()
    # Each stop is for a pinned job and takes the cards of at most so many others.
    ran = np.empty((int(pinned.sum()) * int(cards.max()) * make_room, RAN_COLUMNS), np.int64)
    # Cards that come back, by step: a ring longer than any job.
    back = np.zeros((sites, (int(length.max()) + RESTORE_S) // STEP_S + 2), np.int64)
    held, active, arrived, step, stuck, rows = 0, 0, 0, arrival[0] // STEP_S, 0, 0
    while (arrived < count or held > 0) and stuck < _PATIENCE:
        now, slot, first, kept = step * STEP_S, step * STEP_S // slot_s, rows, 0
        room += back[:, step % back.shape[1]]
        back[:, step % back.shape[1]] = 0
        if now % HOUR_S == 0:
            active = _plan_again(
                plans, slot, slot_s, running, active, start, end, site, waiting, held, due, place, cards,
                curves, row, queue, steps, green_w, room, kept_free, capacity, pue, factor, card_w, arrival,
                wait, price,
            )  # fmt: skip
        while arrived < count and arrival[arrived] < now + STEP_S:
            waiting[held], due[arrived] = arrived, slot
            held, arrived = held + 1, arrived + 1
        for index in range(held):
            job = waiting[index]
            where, delay = place[job], due[job] - slot
            if delay <= 0 and (where < 0 or room[where] - kept_free[where] < cards[job]):
                # New, or others have the room of its planned start: what is known by now decides.
                curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
                open_ = near if pinned[job] else sites
                if where >= 0:
                    _expect(plans[where], slot, an_hour, curve, 0, -cards[job])
                where, delay = _first_with_room(room, cards[job], open_), 0
                if where < 0 and pinned[job] and make_room:
                    rows += _make_room(
                        now, cards[job], near, room, back, running, active, pinned, cards, site, since, end,
                        left, stops, ran, rows,
                    )  # fmt: skip
                    active = _still(running, active, site)
                    where = _first_with_room(room, cards[job], open_)
                elif policy == BEST_PLACE:
                    where, delay = _choose(
                        plans, green_w, room, none if pinned[job] else kept_free, capacity, pue, factor,
                        card_w, slot, an_hour, (arrival[job] + wait[job]) // slot_s, cards[job], curve,
                        price[job], open_,
                    )  # fmt: skip
                if where >= 0:
                    _expect(plans[where], slot + delay, an_hour, curve, 0, cards[job])
                place[job], due[job] = where, slot + delay
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
        # What made room waits again, from the next step on.
        cut, stuck = ran[first:rows, JOB], stuck + 1 if kept == held and arrived == count else 0
        waiting[kept : kept + len(cut)], due[cut], place[cut] = cut, slot, -1
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
