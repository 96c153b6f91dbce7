"""Deferrable jobs: whether a later hour suits a job better than now, by the weights of its own policy.

Every hour until the job must start is judged as if it were now: the same pools, the green share, carbon and
price that their supply is expected to have over the job's run, and a price for each hour of waiting. Supply
is told by the hour of the day, so a day ahead is all that there is to look at. The parts carbon and energy
compare pools with the least of one moment; here that is the least of all these hours, or one site alone would
be as clean and as cheap at any of them. Of an hour only those pools count that quotas, bookings and limits of
power are expected to leave the job then (`prospects`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.ahead import Hours
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import PPM
from hutong.core.placement.judge import Judged, Refusal, base_against, judge, table_of, weights_of
from hutong.core.placement.page import Grounds, Page, views_of
from hutong.core.placement.request import HORIZON_MS, Policy, Request
from hutong.core.work.spec import JobSpec

Mask = npt.NDArray[np.bool_]
Allows = Callable[[Ints, int], Mask]
"""Which pools may give so many cards, each its own number, to a run from a time on."""

HOUR_PRICE_PPM = 2_000
"""What an hour of waiting costs a score, ppm: a goal of ours, not a measured figure."""

LEAST_GAIN_PPM = 20_000
"""What a later start must gain in score after that price, ppm: a smaller gain is noise of a forecast."""


@dataclass(frozen=True, slots=True)
class Later:
    """A start that suits a job better than now: when, at which centre, its green share then and now.

    `co2_ppm` is how much less CO2e its work is expected to emit than now (negative: more), None where its
    policy does not weigh that, or nobody knows; so is `electricity_ppm` of what its centre pays.
    """

    start_ms: int
    site: str
    green_ppm: int
    green_now_ppm: int
    co2_ppm: int | None = None
    electricity_ppm: int | None = None

    @property
    def text(self) -> str:
        """Say so in a sentence."""
        then, now = self.green_ppm // 10_000, self.green_now_ppm // 10_000
        greener = self.green_ppm > self.green_now_ppm or (self.co2_ppm or 0) > 0
        aim = "greener hours" if greener or (self.electricity_ppm or 0) <= 0 else "cheaper electricity"
        said = f"waits for {aim}: {then} % green at {self.site} then, {now} % now"
        for saved_ppm, of in ((self.co2_ppm, "CO2e"), (self.electricity_ppm, "for electricity")):
            if saved_ppm is not None:
                said += f", {abs(saved_ppm) // 10_000} % {'less' if saved_ppm >= 0 else 'more'} {of}"
        return said


@dataclass(frozen=True, slots=True)
class _Hour:
    """The pools as judged for a start at that time, and which of them may take the job then."""

    start_ms: int
    judged: Judged
    able: Ints


class Outlook:
    """The pools of one turn over the hours to come."""

    def __init__(self, grounds: Grounds, page: Page) -> None:
        self._now_ms = page.at_ms
        self._views = views_of(grounds, page, 0, HOUR_MS)
        self._table = table_of(self._views)
        self._hours = Hours(grounds.sites)

    def best_start(
        self, request: Request, policy: Policy, expected_ms: int, latest_ms: int, allows: Allows | None = None
    ) -> Later | None:
        """Return when a job had better start, up to `latest_ms`, or None if that is now.

        `expected_ms` is how long it is expected to run. A pool that is out of reach now is left aside; so is
        one at an hour at which it is not among what `allows` says, unless nothing is now.
        """
        first = self._at(request, policy, expected_ms, self._now_ms)
        if first is None:
            return None
        later = (self._at(request, policy, expected_ms, start_ms) for start_ms in self._starts(latest_ms))
        hours = [first, *(each for each in later if each is not None)]
        least = _least(hours)
        now = _best(_allowed(first, request, allows) or first, policy, least)
        best: tuple[int, int, _Hour] | None = None
        # The better ones first: what is allowed of an hour is no better than all of it.
        rated = [(_best(hour, policy, least)[0] - self._price(hour), hour) for hour in hours[1:]]
        for most, hour in sorted(rated, key=lambda each: (-each[0], each[1].start_ms)):
            if most < now[0] + LEAST_GAIN_PPM or (best is not None and most <= best[0]):
                break
            left = _allowed(hour, request, allows)
            if left is None:
                continue
            found, pool = _best(left, policy, least)
            score = found - self._price(hour)
            if score >= now[0] + LEAST_GAIN_PPM and (best is None or score > best[0]):
                best = (score, pool, hour)
        if best is None:
            return None
        _, pool, hour = best
        then, before = hour.judged, first.judged
        return Later(
            hour.start_ms,
            self._views[pool].site,
            int(self._hours.over(hour.start_ms, expected_ms).green_ppm[pool]),
            int(self._hours.over(self._now_ms, expected_ms).green_ppm[now[1]]),
            _saved_ppm(policy.carbon, then.co2.item(pool), before.co2.item(now[1])),
            _saved_ppm(policy.energy, then.electricity.item(pool), before.electricity.item(now[1])),
        )

    def _price(self, hour: _Hour) -> int:
        """Return what waiting for an hour costs a score."""
        return HOUR_PRICE_PPM * (hour.start_ms - self._now_ms) // HOUR_MS

    def _starts(self, latest_ms: int) -> Sequence[int]:
        first = (self._now_ms // HOUR_MS + 1) * HOUR_MS
        return range(first, min(latest_ms, self._now_ms + HORIZON_MS) + 1, HOUR_MS)

    def _at(self, request: Request, policy: Policy, expected_ms: int, start_ms: int) -> _Hour | None:
        """Return the pools as judged for a start then, free cards left aside; None if none may take it."""
        table = replace(self._table, closes_in_ms=self._table.closes_in_ms - (start_ms - self._now_ms))
        judged = judge(request, policy, table, self._hours.over(start_ms, expected_ms))
        able = np.flatnonzero(judged.refusal == Refusal.NONE)
        return _Hour(start_ms, judged, able) if len(able) else None


def _allowed(hour: _Hour, request: Request, allows: Allows | None) -> _Hour | None:
    """Return an hour with the pools that are allowed then; None if none is."""
    if allows is None:
        return hour
    may = allows(hour.judged.asked * request.nodes, hour.start_ms)
    able = hour.able[may[hour.able]]
    return replace(hour, able=able) if len(able) else None


def _least(hours: Sequence[_Hour]) -> tuple[int, int]:
    """Return the least CO2e and the least cost of electricity of all hours, -1 where nothing is known."""
    co2 = [each.judged.co2_least for each in hours if each.judged.co2_least >= 0]
    paid = [each.judged.electricity_least for each in hours if each.judged.electricity_least >= 0]
    return min(co2, default=-1), min(paid, default=-1)


def _best(hour: _Hour, policy: Policy, least: tuple[int, int]) -> tuple[int, int]:
    """Return score and pool of the best pool of an hour, by what is least in all hours."""
    base = base_against(hour.judged, policy, *least)
    pool = int(hour.able[int(np.argmax(base[hour.able]))])
    return int(base[pool]) // max(1, sum(weights_of(policy))), pool


def _saved_ppm(weight: int, then: int, now: int) -> int | None:
    """Return how much less one amount is than another, None where it has no weight, or one is not known."""
    return PPM - PPM * then // now if weight and then >= 0 and now > 0 else None


def latest_ms(spec: JobSpec, submitted_ms: int) -> int:
    """Return until when a job may be deferred, 0 if it may not.

    One that must start before some time is deferred to an hour before it at the latest: it may have to queue.
    """
    wish = spec.wish
    if not wish.defer_s:
        return 0
    most_s = wish.defer_s if wish.start_before_s is None else min(wish.defer_s, wish.start_before_s - 3600)
    return submitted_ms + max(0, most_s) * 1000
