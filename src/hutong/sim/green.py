"""What moving work to green hours comes to: a trace x a signal x a policy -> carbon, waits, delays.

The policy sees a forecast and what history has told by the job's arrival, never the job's own length; what
happens is counted on the true signal. Capacity is not limited: the experiment isolates the choice of time.
How long a job may be deferred depends on its queue (up to two hours, or longer), which its user says at
submission; as in GAIA, it follows here from whether the job's length stays below two hours.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import compiled
from hutong.core.placement.lengths import JOB, mean, quantile, spread_prior, survival
from hutong.core.placement.pausing import best_pauses, segments
from hutong.core.placement.shifting import best_starts, prefix_sums, used
from hutong.sim.trace import Trace

HOUR_S = 3600
SHORT_S = 2 * HOUR_S
# Longer jobs run on without a pause; jobs of the traces in use end well before this.
HORIZON_S = 72 * HOUR_S
PRIOR_JOBS = 5


@dataclass(frozen=True)
class Work:
    """Jobs, one entry each, times in seconds: `queue` 0 is short, 1 long; `wait` is the most allowed."""

    arrival: Ints
    length: Ints
    cards: Ints
    queue: Ints
    wait: Ints

    def __len__(self) -> int:
        return len(self.arrival)


@dataclass(frozen=True)
class Grid:
    """A signal of integers by the slot, as it came to be, and as the policy saw it beforehand."""

    signal: Ints
    seen: Ints
    slot: int = HOUR_S

    @cached_property
    def sums(self) -> Ints:
        """Prefix sums of the true signal."""
        return prefix_sums(self.signal)

    @cached_property
    def seen_sums(self) -> Ints:
        """Prefix sums of the forecast."""
        return prefix_sums(self.seen)


@dataclass(frozen=True)
class Learnt:
    """What is known when: `curves[row[job], queue[job]]`, a curve of `steps[queue]` quanta, at its
    arrival.
    """

    curves: Ints
    row: Ints
    steps: Ints
    quantum: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Carbon over that of starting at once; means over jobs in hours (one by card-hours); jobs past their
    wait.
    """

    carbon: float
    wait_h: float
    delay_h: float
    weighted_delay_h: float
    resumes: float
    late: int


def deferrable(
    trace: Trace, short_wait_s: int = 6 * HOUR_S, long_wait_s: int = 24 * HOUR_S, *, queues: bool = True
) -> Work:
    """Return a trace's jobs with what they may wait; without queues all count as one, of `long_wait_s`."""
    short = trace.run_s < SHORT_S if queues else np.zeros(len(trace), np.bool_)
    queue = np.where(short, 0, 1).astype(np.int64)
    wait = np.where(short, short_wait_s, long_wait_s).astype(np.int64)
    return Work(trace.submit_s, trace.run_s, trace.cards, queue, wait)


def perfect(signal: Ints, slot: int = HOUR_S) -> Grid:
    """Return a grid whose forecast comes true."""
    return Grid(signal, signal, slot)


def learn(work: Work, quantum: int = HOUR_S // 2, refit_s: int = HOUR_S, *, queues: bool = True) -> Learnt:
    """Return what history tells at each arrival, made anew every `refit_s`.

    A job counts as seen up to the work that it has done for certain: its age less its longest allowed wait.
    """
    most = HORIZON_S // quantum
    steps = np.array([SHORT_S // quantum, most], np.int64)
    first = SHORT_S // quantum if queues else 0
    prior = np.zeros((2, most), np.int64)
    prior[0, : steps[0]] = spread_prior(0, int(steps[0]), PRIOR_JOBS)
    prior[1] = spread_prior(first, most, PRIOR_JOBS)
    epoch = work.arrival // refit_s
    starts = np.flatnonzero(np.diff(epoch, prepend=-1))
    row = np.cumsum(np.diff(epoch, prepend=-1) > 0) - 1
    curves = _learn(
        work.arrival, work.length, work.queue, work.wait, epoch[starts] * refit_s, prior, steps, quantum
    )
    return Learnt(curves, row.astype(np.int64), steps, quantum)


def expected_lengths(work: Work, learnt: Learnt, ppm: int | None = None) -> Ints:
    """Return each job's expected length in seconds by history: a quantile in ppm, or the mean."""
    return _expected(work.queue, learnt.curves, learnt.row, learnt.steps, -1 if ppm is None else ppm) * (
        learnt.quantum
    )


def run_starts(work: Work, grid: Grid, rule: int, expected: Ints, price: int = 0) -> Outcome:
    """Return what a rule of `shifting` comes to: each job starts once and runs to its end."""
    prices = np.full(len(work), price, np.int64)
    latest = work.arrival + work.wait
    start = best_starts(grid.seen, grid.seen_sums, grid.slot, rule, work.arrival, expected, latest, prices)
    carbon = _carbon(grid.signal, grid.sums, grid.slot, start, start + work.length)
    return _outcome(work, grid, carbon, start, start + work.length, np.zeros(len(work), np.int64))


def run_pauses(
    work: Work,
    grid: Grid,
    learnt: Learnt,
    price: int,
    *,
    resume_s: int = 0,
    per_job: bool = False,
    once: bool = False,
) -> Outcome:
    """Return what pausing under a survival curve comes to.

    `price` is what an hour of pause has to save, in the signal's unit x hours of one card; with `per_job`
    of the whole job, so that a wide job waits for less a card.
    """
    prices = price // work.cards if per_job else np.full(len(work), price, np.int64)
    carbon, start, end, resumes = _pause_all(
        grid.signal, grid.sums, grid.seen, grid.seen_sums, grid.slot, learnt.quantum, work.arrival,
        work.length, work.queue, work.wait, learnt.curves, learnt.row, learnt.steps, prices, resume_s, once,
    )  # fmt: skip
    return _outcome(work, grid, carbon, start, end, resumes)


def knowing(work: Work, quantum: int = HOUR_S // 2) -> Learnt:
    """Return curves that know each job's length: the bound that nobody reaches in life."""
    steps = -(-work.length // quantum)
    lengths, row = np.unique(steps, return_inverse=True)
    most = int(lengths.max())
    curves = np.where(np.arange(most + 1)[None, :] < lengths[:, None], 1_000_000, 0).astype(np.int64)
    both = np.ascontiguousarray(np.repeat(curves[:, None, :], 2, axis=1))
    return Learnt(both, row.astype(np.int64), np.array([most, most], np.int64), quantum)


def _outcome(work: Work, grid: Grid, carbon: Ints, start: Ints, end: Ints, resumes: Ints) -> Outcome:
    now = _carbon(grid.signal, grid.sums, grid.slot, work.arrival, work.arrival + work.length)
    delay = end - work.arrival - work.length
    # Card-seconds of a year's trace times its delays go beyond 63 bits, and a mean needs no such care.
    weight: npt.NDArray[np.float64] = (work.cards * work.length).astype(np.float64)
    return Outcome(
        int((carbon * work.cards).sum()) / int((now * work.cards).sum()),
        float((start - work.arrival).mean()) / HOUR_S,
        float(delay.mean()) / HOUR_S,
        float((delay * weight).sum() / weight.sum()) / HOUR_S,
        float(resumes.mean()),
        int((delay > work.wait).sum()),
    )


@compiled
def _carbon(signal: Ints, sums: Ints, slot: int, start: Ints, end: Ints) -> Ints:
    carbon = np.empty(len(start), np.int64)
    for job in range(len(start)):
        carbon[job] = used(signal, sums, slot, start[job], end[job])
    return carbon


@compiled
def _learn(
    arrival: Ints, length: Ints, queue: Ints, wait: Ints, times: Ints, prior: Ints, steps: Ints, quantum: int
) -> Ints:
    most = prior.shape[1]
    curves = np.zeros((len(times), 2, most + 1), np.int64)
    ended = np.zeros((2, most), np.int64)
    open_jobs = np.empty(len(arrival), np.int64)
    count, arrived = 0, 0
    for epoch in range(len(times)):
        now = times[epoch]
        while arrived < len(arrival) and arrival[arrived] < now:
            open_jobs[count] = arrived
            count += 1
            arrived += 1
        unfinished = np.zeros((2, most), np.int64)
        kept = 0
        for place in range(count):
            job = open_jobs[place]
            age, group = now - arrival[job] - wait[job], queue[job]
            last = steps[group] - 1
            if 0 < length[job] <= age and (length[job] - 1) // quantum <= last:
                ended[group, (length[job] - 1) // quantum] += JOB
                continue
            if age > 0:
                unfinished[group, min(last, age // quantum)] += JOB
            open_jobs[kept] = job
            kept += 1
        count = kept
        for group in range(2):
            n = steps[group]
            curves[epoch, group, : n + 1] = survival(
                ended[group, :n], unfinished[group, :n], prior[group, :n]
            )
    return curves


@compiled
def _expected(queue: Ints, curves: Ints, row: Ints, steps: Ints, ppm: int) -> Ints:
    found = np.empty(len(queue), np.int64)
    for job in range(len(queue)):
        curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
        found[job] = mean(curve) if ppm < 0 else max(1, quantile(curve, ppm))
    return found


@compiled
def _pause_all(
    signal: Ints, sums: Ints, seen: Ints, seen_sums: Ints, slot: int, quantum: int, arrival: Ints,
    length: Ints, queue: Ints, wait: Ints, curves: Ints, row: Ints, steps: Ints, price: Ints, resume: int,
    once: bool,
) -> tuple[Ints, Ints, Ints, Ints]:  # fmt: skip
    count = len(arrival)
    carbon, start = np.zeros(count, np.int64), np.empty(count, np.int64)
    end, resumes = np.empty(count, np.int64), np.empty(count, np.int64)
    for job in range(count):
        curve = curves[row[job], queue[job], : steps[queue[job]] + 1]
        pauses = best_pauses(
            seen,
            seen_sums,
            slot,
            arrival[job],
            quantum,
            curve,
            wait[job] // quantum,
            price[job],
            resume,
            once,
        )
        spans = segments(pauses, arrival[job], quantum, length[job], resume)
        for part in range(len(spans)):
            carbon[job] += used(signal, sums, slot, spans[part, 0], spans[part, 1])
        start[job], end[job] = spans[0, 0], spans[len(spans) - 1, 1]
        resumes[job] = len(spans) - 1
    return carbon, start, end, resumes
