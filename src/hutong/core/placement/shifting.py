"""When a job that may wait starts best, over a signal of integers such as mg of CO2 per kWh by the hour.

A *signal* is one integer per slot of `slot` time units (`signal[i]` holds in `[i * slot, (i + 1) *
slot)`), and it repeats after its end, so a forecast of whole days goes on as it was. Lower is better: for
green power give 10^6 minus the green share in ppm. `sums` is `prefix_sums(signal)`. Times are integers in
any one unit (seconds in the live platform) from the signal's start. What a job of constant power costs
between two times is intensity x time, in units of the signal x time units: mg/kWh x s, times kW and
divided by 3600, is mg.

A live job's length is never known, so these rules take an *expected* one: the median of history does
better than its mean, see `lengths`. The start is what they promise: a job that runs longer simply goes on,
at whatever the later hours cost. Only a deadline for the end can be missed then, by what the job is longer
than expected.
"""

import numpy as np

from hutong.core.capacity.sites import Supply
from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled

START_NOW, LOWEST_SLOT, LOWEST_WINDOW, SAVING_PER_DELAY, BELOW_THRESHOLD = range(5)
RULES = ("start now", "lowest slot", "lowest window", "saving per delay", "below threshold")
# The unit in which savings per delay are compared: thousandths of the signal's.
_RATE = 1000


def carbon_signal(supply: Supply) -> Ints:
    """Return a site's carbon by hour of day, mg/kWh; its times are seconds since 1970, a slot is 3600."""
    return np.array(supply.grams_per_kwh, np.int64) * 1000


def ungreen_signal(supply: Supply) -> Ints:
    """Return what a site lacks in green supply by hour of day, ppm; times are those of `carbon_signal`."""
    return 1_000_000 - np.array(supply.green_ppm, np.int64)


def prefix_sums(signal: Ints) -> Ints:
    """Return the sums of the first 0, 1, ... n slots, n + 1 entries."""
    sums = np.zeros(len(signal) + 1, np.int64)
    np.cumsum(signal, out=sums[1:])
    return sums


def smoothed(signal: Ints, reach: int) -> Ints:
    """Return a forecast without its sharpest dips: each slot averaged with neighbours, `reach - 1` a side.

    Weights fall off evenly (1, 2, 1 for a reach of 2). Who takes the lowest of many wrong values takes the
    most wrong one; averaging undoes most of that where errors of neighbouring slots are independent. A reach
    of 1 changes nothing. For the signal that a plan sees, not for counting.
    """
    total = np.zeros(len(signal), np.int64)
    for shift in range(1 - reach, reach):
        total += (reach - abs(shift)) * np.roll(signal, shift)
    return total // (reach * reach)


def latest_start(arrival: int, expected: int, wait: int, end: int | None = None) -> int:
    """Return the latest start of a job that may wait so long and, where `end` is given, shall end by then.

    A deadline that cannot be kept even by starting now asks for a start now.
    """
    latest = arrival + wait
    return max(arrival, latest if end is None else min(latest, end - expected))


@compiled
def used_until(signal: Ints, sums: Ints, slot: int, time: int) -> int:
    """Return the integral of the signal from its start to a time (not negative), in signal x time."""
    whole = time // slot
    at = whole % len(signal)
    full: int = whole // len(signal) * sums[len(signal)] + sums[at]
    part: int = (time - whole * slot) * signal[at]
    return full * slot + part


@compiled
def used(signal: Ints, sums: Ints, slot: int, start: int, end: int) -> int:
    """Return the integral of the signal over `[start, end)`."""
    return used_until(signal, sums, slot, end) - used_until(signal, sums, slot, start)


@compiled
def lowest_slot(signal: Ints, slot: int, arrival: int, latest: int) -> int:
    """Return the first moment of the lowest slot that is reached by `latest`; the earliest of equals."""
    best, lowest = arrival, signal[arrival // slot % len(signal)]
    for at in range(arrival // slot + 1, latest // slot + 1):
        if signal[at % len(signal)] < lowest:
            best, lowest = at * slot, signal[at % len(signal)]
    return best


@compiled
def below_threshold(signal: Ints, slot: int, arrival: int, latest: int, threshold: int) -> int:
    """Return the first moment at which the signal is below a threshold, or `latest` where none is."""
    if signal[arrival // slot % len(signal)] < threshold:
        return arrival
    for at in range(arrival // slot + 1, latest // slot + 1):
        if signal[at % len(signal)] < threshold:
            return at * slot
    return latest


@compiled
def lowest_window(
    signal: Ints, sums: Ints, slot: int, arrival: int, length: int, latest: int, delay_price: int
) -> int:
    """Return the start in `[arrival, latest]` where window and waiting cost least, the earliest of equals.

    `delay_price` is what a unit of waiting may cost, in units of the signal (0: waiting is free). The cost
    is linear in the start but where the start or the end meets the border of a slot, so its minimum lies
    at one of those, at `arrival` or at `latest`: only these are tried, and none in between can be better.
    """
    best = arrival
    lowest = used(signal, sums, slot, arrival, arrival + length)
    for side in range(2):
        shift = side * length
        border = (arrival + shift) // slot * slot + slot - shift
        while True:
            start = min(border, latest)
            cost = used(signal, sums, slot, start, start + length) + delay_price * (start - arrival)
            if cost < lowest or (cost == lowest and start < best):
                best, lowest = start, cost
            if border >= latest:
                break
            border += slot
    return best


@compiled
def saving_per_delay(signal: Ints, sums: Ints, slot: int, arrival: int, length: int, latest: int) -> int:
    """Return the start with the largest saving over starting now per time from arrival to end.

    This is GAIA's Carbon-Time (ASPLOS 2024, section 4), tried at the borders of slots instead of at whole
    hours after the arrival. Rates are compared in thousandths of a unit of the signal.
    """
    best, highest = arrival, 0
    now = used(signal, sums, slot, arrival, arrival + length)
    for side in range(2):
        shift = side * length
        border = (arrival + shift) // slot * slot + slot - shift
        while True:
            start = min(border, latest)
            saved = now - used(signal, sums, slot, start, start + length)
            rate = saved * _RATE // max(1, start + length - arrival)
            if rate > highest or (rate == highest and start < best):
                best, highest = start, rate
            if border >= latest:
                break
            border += slot
    return best


@compiled
def best_start(
    signal: Ints,
    sums: Ints,
    slot: int,
    rule: int,
    arrival: int,
    length: int,
    latest: int,
    price: int,
) -> int:
    """Return when a job shall start by a rule, in `[arrival, latest]`: what the live scheduler asks.

    `length` is the expected one. `price` is the price of waiting for LOWEST_WINDOW and the threshold for
    BELOW_THRESHOLD; the other rules leave it out.
    """
    if latest <= arrival:
        return arrival
    if rule == LOWEST_SLOT:
        return lowest_slot(signal, slot, arrival, latest)
    if rule == LOWEST_WINDOW:
        return lowest_window(signal, sums, slot, arrival, length, latest, price)
    if rule == SAVING_PER_DELAY:
        return saving_per_delay(signal, sums, slot, arrival, length, latest)
    if rule == BELOW_THRESHOLD:
        return below_threshold(signal, slot, arrival, latest, price)
    return arrival


@compiled
def best_starts(
    signal: Ints,
    sums: Ints,
    slot: int,
    rule: int,
    arrival: Ints,
    length: Ints,
    latest: Ints,
    price: Ints,
) -> Ints:
    """Return `best_start` of many jobs; each array has one entry a job."""
    start = np.empty(len(arrival), np.int64)
    for job in range(len(arrival)):
        start[job] = best_start(signal, sums, slot, rule, arrival[job], length[job], latest[job], price[job])
    return start
