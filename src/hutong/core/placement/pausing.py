"""When a job that may be paused runs: the cheapest pauses for a length known only as a survival curve.

Nothing is learnt about a job but that it has not ended yet, so what is best for it is a list, made once:
how long to pause before each further quantum of work. The list is optimal in expectation over the curve
(by dynamic programming from the last quantum back), for a price of delay and a cost of each resume. A job
that ends early leaves the rest of its list unused; one that lasts longer than the curve runs on without a
pause.
"""

import numpy as np
import numpy.typing as npt

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled
from hutong.core.placement.shifting import used

Flags = npt.NDArray[np.bool_]

ALIVE = 1_000_000


def known_length(quanta: int) -> Ints:
    """Return the survival curve of a job of exactly so many quanta: ppm alive after 0, 1, ... of them."""
    curve = np.full(quanta + 1, ALIVE, np.int64)
    curve[quanta] = 0
    return curve


@compiled
def best_pauses(
    signal: Ints,
    sums: Ints,
    slot: int,
    arrival: int,
    quantum: int,
    alive: Ints,
    most: int,
    delay_price: int,
    resume: int,
    once: bool,
) -> Ints:
    """Return how many quanta to pause before each quantum of work, one entry per quantum of the curve.

    `alive[r]` is the chance, in ppm, that the job has not ended after `r` quanta of work (`alive[0]` =
    10^6, falling). All pauses together last at most `most` quanta, so the job ends at most that much later
    than if it ran at once. `delay_price` is the price of a time unit of pause, in units of the signal.
    `resume` is the time that restoring a paused job takes, below a quantum; it is spent at the end of the
    pause and uses as much as running does. With `once` the job can wait for its start only. Works in
    O(length of the curve x most); the earliest run of equals is taken.
    """
    pauses = np.zeros(len(alive) - 1, np.int64)
    steps = len(alive) - 1
    while steps > 0 and alive[steps - 1] == 0:
        steps -= 1
    if most <= 0 or steps < 1:
        return pauses
    # Cost of each quantum of time, from the arrival on, and of a restore that ends where it begins.
    run = np.empty(steps + most, np.int64)
    restore = np.zeros(steps + most, np.int64)
    for t in range(steps + most):
        begin = arrival + t * quantum
        run[t] = used(signal, sums, slot, begin, begin + quantum)
        if resume > 0 and t > 0:
            restore[t] = used(signal, sums, slot, begin - resume, begin)
    waits = _choose(run, restore, alive[: steps + 1], most, delay_price * quantum, once)
    w = 0
    for r in range(steps):
        pausing = 0
        while waits[r, w, pausing]:
            pausing = 1
            pauses[r] += 1
            w += 1
    return pauses


@compiled
def _choose(run: Ints, restore: Ints, alive: Ints, most: int, quantum_price: int, once: bool) -> Flags:
    """Return whether to pause at (work done, pauses used, paused just before), from the last quantum back.

    Costs are expected ones from there to the end, as seen at the arrival, so that they only add up. A quantum
    that is begun counts whole.
    """
    steps = len(alive) - 1
    waits = np.zeros((steps, most + 1, 2), np.bool_)
    running = np.zeros(most + 1, np.int64)
    for r in range(steps - 1, -1, -1):
        pause_cost = quantum_price * alive[r] // ALIVE
        may_wait = r == 0 or not once
        paused: int = 0
        for w in range(most, -1, -1):
            go = run[r + w] * alive[r] // ALIVE + running[w]
            come_back = go
            if r > 0:
                come_back += restore[r + w] * alive[r] // ALIVE
            if may_wait and w < most:
                waiting = pause_cost + paused
                if waiting < go:
                    waits[r, w, 0] = True
                    go = waiting
                if waiting < come_back:
                    waits[r, w, 1] = True
                    come_back = waiting
            running[w] = go
            paused = come_back
    return waits


@compiled
def segments(pauses: Ints, arrival: int, quantum: int, length: int, resume: int) -> Ints:
    """Return when a job runs under its pauses: rows of start and end, restores included, in order.

    `length` is what the job turns out to need; what exceeds the list runs on without a pause.
    """
    rows = np.zeros((len(pauses) + 1, 2), np.int64)
    count, at, done = 0, arrival, 0
    for r in range(len(pauses)):
        if done >= length:
            break
        if pauses[r] > 0 or r == 0:
            at += pauses[r] * quantum
            rows[count, 0] = at - resume if r > 0 else at
            count += 1
        part = min(quantum, length - done)
        at += part
        done += part
        rows[count - 1, 1] = at
    if done < length or count == 0:
        if count == 0:
            rows[0, 0] = at
            count = 1
        rows[count - 1, 1] = at + length - done
    return rows[:count]
