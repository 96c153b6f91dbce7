"""Pausing in brown hours: whether a running job had better stop at its checkpoint, and until when.

Only a job that says how often it may be (`placement.pauses`) is paused: it is stopped as one that makes room
(ADR 20), its checkpoint is kept for the next attempt (ADR 13), and it stands in the queue again when its hour
comes, as a deferred one (ADR 21). What an hour costs is told by the weights of its own policy, from the
supply of the site where it runs; how long it still runs is expected as for a reservation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from hutong.core.capacity.sites import Site
from hutong.core.control.deferral import HOUR_PRICE_PPM, LEAST_GAIN_PPM
from hutong.core.kernel.money import format_micro
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import PPM
from hutong.core.placement.electricity import least_ppm
from hutong.core.placement.expected import expected_end
from hutong.core.placement.judge import weights_of
from hutong.core.placement.pausing import best_pauses, known_length, segments
from hutong.core.placement.request import Policy
from hutong.core.placement.shifting import prefix_sums, used
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.spec import JobSpec

MOST_PAUSES = 3
"""How often a job may be paused at most, whatever it says: each pause is a stop and a start."""

LEAST_RUN_MS = HOUR_MS
"""An attempt runs so long before it is paused, and so much must be left: less is not worth a stop."""

RESUME_S = 600
"""What a stop, a move of the checkpoint and a start take, priced as if it ran: assumed, not measured."""

_HOUR_S, _QUANTUM_S = 3600, 900
_DAY = 24 * _HOUR_S // _QUANTUM_S


@dataclass(frozen=True, slots=True)
class Pause:
    """A running job stops now and stands in the queue again at `resume_ms`, UTC."""

    resume_ms: int
    text: str


def paused(job: Job) -> int:
    """Return how often a job has been paused."""
    return sum(each.resume_ms > 0 for each in job.attempts)


def may_pause(job: Job, spec: JobSpec, attempt: Attempt, now_ms: int) -> bool:
    """True if an attempt that runs may be paused now, as far as its job and its past say.

    One whose last pause left no checkpoint is left alone: it began anew.
    """
    wish = spec.wish
    if not attempt.preemptible or attempt.stop_sent_ms or now_ms >= job.submitted_ms + 1000 * wish.defer_s:
        return False
    if paused(job) >= min(wish.pauses, MOST_PAUSES):
        return False
    if any(each.resume_ms and not each.checkpoint for each in job.attempts):
        return False
    return attempt.started_seen_ms > 0 and now_ms - attempt.started_seen_ms >= LEAST_RUN_MS


def pause_of(
    job: Job, spec: JobSpec, attempt: Attempt, site: Site, policy: Policy, now_ms: int
) -> Pause | None:
    """Return until when a job that may be paused had better be, None if it had better run on."""
    left_ms = _left_ms(job, attempt, now_ms)
    latest_ms = job.submitted_ms + 1000 * spec.wish.defer_s
    signal = signal_of(site, policy)
    if left_ms < LEAST_RUN_MS or signal is None:
        return None
    quanta = min(_DAY, -(-left_ms // (1000 * _QUANTUM_S)))
    most = min(_DAY, (latest_ms - now_ms) // (1000 * _QUANTUM_S))
    found = _plan(signal, now_ms // 1000, quanta, most)
    if found is None:
        return None
    resume_ms = now_ms + 1000 * found * _QUANTUM_S
    then = datetime.fromtimestamp(resume_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    green = [site.supply.green_ppm[at // HOUR_MS % 24] // 10_000 for at in (resume_ms, now_ms)]
    price = [site.supply.kwh_micro[at // HOUR_MS % 24] for at in (resume_ms, now_ms)]
    cheaper = policy.energy and price[0] < price[1] and green[0] <= green[1]
    aim = "cheaper electricity" if cheaper else "greener hours"
    text = f"pauses for {aim} until {then}: {green[0]} % green at {site.id} then, {green[1]} % now"
    if policy.energy and price[1] >= 0:
        text += f", {format_micro(price[0], 2)} CNY a kWh then, {format_micro(price[1], 2)} now"
    return Pause(resume_ms, text)


def signal_of(site: Site, policy: Policy) -> Ints | None:
    """Return what each hour of the day takes from a score at a site, ppm; None where nobody cares."""
    if not policy.green and not policy.carbon and not policy.energy:
        return None
    green = PPM - np.array(site.supply.green_ppm, np.int64)
    weighed = policy.green * green + policy.carbon * _above(site.supply.mg_per_kwh)
    weighed += policy.energy * _above(site.supply.kwh_micro)
    found: Ints = weighed // sum(weights_of(policy))
    return found


def _above(by_hour: Sequence[int]) -> Ints:
    """Return what each hour loses against the least of all, ppm; nothing where the hours are unknown."""
    hours = np.array(by_hour, np.int64)
    found: Ints = PPM - least_ppm(hours, int(hours.min()))
    return found if by_hour[0] >= 0 else np.zeros_like(hours)


def _plan(signal: Ints, now_s: int, quanta: int, most: int) -> int | None:
    """Return for how many quanta to pause now; None where that gains too little, or comes later."""
    sums, length_s = prefix_sums(signal), quanta * _QUANTUM_S
    price = HOUR_PRICE_PPM * length_s // _HOUR_S  # of a second: a score is a mean over the run
    pauses = best_pauses(
        signal, sums, _HOUR_S, now_s, _QUANTUM_S, known_length(quanta), most, price, RESUME_S, False
    )
    first = int(pauses[0]) if len(pauses) else 0
    if first == 0:
        return None
    begin = now_s + first * _QUANTUM_S
    cost = used(signal, sums, _HOUR_S, begin - RESUME_S, begin) + price * int(pauses.sum()) * _QUANTUM_S
    for start, end in segments(pauses, now_s, _QUANTUM_S, length_s, RESUME_S).tolist():
        cost += used(signal, sums, _HOUR_S, start, end)
    gained = used(signal, sums, _HOUR_S, now_s, now_s + length_s) - cost
    return first if gained >= LEAST_GAIN_PPM * length_s else None


def _left_ms(job: Job, attempt: Attempt, now_ms: int) -> int:
    """Return how much longer a job is expected to run, what its checkpoints hold left aside."""
    kept_ms = sum(each.ran_ms for each in job.attempts if each.checkpoint)
    done_ms = kept_ms + now_ms - attempt.started_seen_ms
    until_ms = max(attempt.run_ms, kept_ms + 1)
    return int(expected_end(0, attempt.guess_ms, until_ms, done_ms)) - done_ms
