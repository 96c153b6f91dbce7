"""Deferrable jobs: whether a later hour suits a job better than now, by the weights of its own policy.

Every hour until the job must start is judged as if it were now: the same pools, the green share that
their supply is expected to have over the job's run, and a price for each hour of waiting. Supply is told by
the hour of the day, so a day ahead is all that there is to look at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.arrays import Ints
from hutong.core.placement.judge import Refusal, judge, table_of, weights_of
from hutong.core.placement.page import Grounds, Page, views_of
from hutong.core.placement.request import HORIZON_MS, Policy, Request, mean_green_ppm
from hutong.core.work.spec import JobSpec

HOUR_PRICE_PPM = 2_000
"""What an hour of waiting costs a score, ppm: a goal of ours, not a measured figure."""

LEAST_GAIN_PPM = 20_000
"""What a later start must gain in score after that price, ppm: a smaller gain is noise of a forecast."""


@dataclass(frozen=True, slots=True)
class Later:
    """A start that suits a job better than now: when, at which centre, and its green share then and now."""

    start_ms: int
    site: str
    green_ppm: int
    green_now_ppm: int

    @property
    def text(self) -> str:
        """Say so in a sentence."""
        then, now = self.green_ppm // 10_000, self.green_now_ppm // 10_000
        return f"waits for greener hours: {then} % green at {self.site} then, {now} % now"


class Outlook:
    """The pools of one turn over the hours to come."""

    def __init__(self, grounds: Grounds, page: Page) -> None:
        self._now_ms = page.at_ms
        self._views = views_of(grounds, page, 0, HOUR_MS)
        self._table = table_of(self._views)
        self._sites = grounds.sites
        self._green: dict[tuple[int, int], Ints] = {}

    def best_start(self, request: Request, policy: Policy, expected_ms: int, latest_ms: int) -> Later | None:
        """Return when a job had better start, up to `latest_ms`, or None if that is now.

        `expected_ms` is how long it is expected to run. A pool that is out of reach now is left aside.
        """
        best: tuple[int, int, int] | None = None
        now = self._at(request, policy, expected_ms, self._now_ms)
        if now is None:
            return None
        for start_ms in self._starts(latest_ms):
            then = self._at(request, policy, expected_ms, start_ms)
            if then is None:
                continue
            score = then[0] - HOUR_PRICE_PPM * (start_ms - self._now_ms) // HOUR_MS
            if score >= now[0] + LEAST_GAIN_PPM and (best is None or score > best[0]):
                best = (score, start_ms, then[1])
        if best is None:
            return None
        _, start_ms, pool = best
        then_ppm = int(self._green_at(start_ms, expected_ms)[pool])
        now_ppm = int(self._green_at(self._now_ms, expected_ms)[now[1]])
        return Later(start_ms, self._views[pool].site, then_ppm, now_ppm)

    def _starts(self, latest_ms: int) -> Sequence[int]:
        first = (self._now_ms // HOUR_MS + 1) * HOUR_MS
        return range(first, min(latest_ms, self._now_ms + HORIZON_MS) + 1, HOUR_MS)

    def _at(
        self, request: Request, policy: Policy, expected_ms: int, start_ms: int
    ) -> tuple[int, int] | None:
        """Return score and pool of the best pool for a start then, free cards left aside."""
        request = replace(request, run_ms=request.run_ms + start_ms - self._now_ms)
        judged = judge(request, policy, self._table, self._green_at(start_ms, expected_ms))
        able = np.flatnonzero(judged.refusal == Refusal.NONE)
        if not len(able):
            return None
        pool = int(able[int(np.argmax(judged.base[able]))])
        return int(judged.base[pool]) // max(1, sum(weights_of(policy))), pool

    def _green_at(self, start_ms: int, run_ms: int) -> Ints:
        found = self._green.get((start_ms, run_ms))
        if found is None:
            by_site = [mean_green_ppm(site, start_ms, run_ms) for site in self._sites]
            found = np.repeat(np.array(by_site, np.int64), [len(site.pools) for site in self._sites])
            self._green[start_ms, run_ms] = found
        return found


def latest_ms(spec: JobSpec, submitted_ms: int) -> int:
    """Return until when a job may be deferred, 0 if it may not.

    One that must start before some time is deferred to an hour before it at the latest: it may have to queue.
    """
    wish = spec.wish
    if not wish.defer_s:
        return 0
    most_s = wish.defer_s if wish.start_before_s is None else min(wish.defer_s, wish.start_before_s - 3600)
    return submitted_ms + max(0, most_s) * 1000
