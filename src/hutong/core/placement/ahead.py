"""The supply of all pools over an expected run, for many runs and starts: `page.views_of` of all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hutong.core.capacity.sites import Site
from hutong.core.placement.arrays import Ints
from hutong.core.placement.request import PoolView, day_parts


@dataclass(frozen=True, slots=True)
class Ahead:
    """Means by time over an expected run, for each pool: green share, mg of CO2 and price per kWh.

    The price is -1 where it is unknown.
    """

    green_ppm: Ints
    co2_mg_per_kwh: Ints
    price_micro_per_kwh: Ints


def ahead_of(pools: Sequence[PoolView]) -> Ahead:
    """Return what pools say of their supply over the run for which they were viewed."""
    return Ahead(
        np.array([pool.green_ppm for pool in pools], np.int64),
        np.array([pool.co2_mg_per_kwh for pool in pools], np.int64),
        np.array([pool.price_micro_per_kwh for pool in pools], np.int64),
    )


class Hours:
    """The supply of some sites by the hour of the day; each run that is asked for is summed once."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._green = _table([site.supply.green_ppm for site in sites])
        self._co2 = _table([site.supply.mg_per_kwh for site in sites])
        self._price = _table([site.supply.kwh_micro for site in sites])
        self._pools = [len(site.pools) for site in sites]
        self._known: dict[tuple[int, int], Ahead] = {}

    def over(self, start_ms: int, run_ms: int) -> Ahead:
        """Return the means over a run, for the pools of the sites in their order."""
        found = self._known.get((start_ms, run_ms))
        if found is None:
            parts = np.array(day_parts(start_ms, run_ms), np.int64)
            tables = (self._green, self._co2, self._price)
            means = (np.repeat(table @ parts // parts.sum(), self._pools) for table in tables)
            found = self._known[start_ms, run_ms] = Ahead(*means)
        return found


def _table(rows: Sequence[Sequence[int]]) -> Ints:
    return np.array(rows, np.int64).reshape(len(rows), 24)
