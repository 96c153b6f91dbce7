"""A city's centres as a simulated cluster: the same sites and the same scores that the live platform uses.

A trace does not say which chips its jobs would take here, so any card of the city counts as a card of the
trace; what differs between centres is price, distance, supply and how the nodes fill up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hutong.core.capacity.accelerators import tdp_w_of
from hutong.core.capacity.sites import Admission, Pool, Site
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.placement.ahead import ahead_of
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import NEVER
from hutong.core.placement.judge import Mask, judge, table_of, weights_of
from hutong.core.placement.request import Policy, Request, policy_at, view_pool
from hutong.core.work.spec import Ask
from hutong.sim.runs import Run
from hutong.sim.scores import Scores
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster


@dataclass(frozen=True, slots=True)
class City:
    """Every pool of every site, in the order of their names."""

    pools: tuple[tuple[Site, Pool], ...]

    @property
    def cluster(self) -> Cluster:
        """The pools as the simulator knows them."""
        return Cluster(
            tuple(f"{site.id}/{pool.id}" for site, pool in self.pools),
            tuple(pool.nodes for _, pool in self.pools),
            tuple(pool.cards_per_node for _, pool in self.pools),
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the jobs of a run cost and used, also for work that was undone, by the pools that they ran in.

    Energy is cards x the model's TDP x PUE x time, the model of `core.energy.account`; carbon is by the hour
    of the day of each site's supply, location-based. So is what its electricity cost the centres, which is no
    part of what the jobs cost; None unless all of the city say their prices.
    """

    cost_yuan: float
    energy_kwh: float
    carbon_kg: float
    green_share: float
    electricity_yuan: float | None = None


def city_of(sites: Sequence[Site]) -> City:
    """Return the pools of those sites that take work."""
    is_open = [site for site in sites if site.admission is Admission.ACTIVE]
    found = [(site, pool) for site in is_open for pool in site.pools]
    return City(tuple(sorted(found, key=lambda each: (each[0].id, each[1].id))))


def green_by_hour(city: City) -> Ints:
    """Return the green share of each pool's supply in ppm: 24 hours, UTC, x pools."""
    return np.array([site.supply.green_ppm for site, _ in city.pools], np.int64).T


def co2_by_hour(city: City) -> Ints:
    """Return the carbon intensity of each pool's supply in mg/kWh: 24 hours, UTC, x pools."""
    return np.array([site.supply.mg_per_kwh for site, _ in city.pools], np.int64).T


def price_by_hour(city: City) -> Ints:
    """Return the price of each pool's electricity, micro-yuan/kWh: 24 hours, UTC, x pools; -1: unknown."""
    return np.array([site.supply.kwh_micro for site, _ in city.pools], np.int64).T


def scores_of(
    city: City,
    policy: Policy,
    latency_class: str = "batch",
    green_ppm: Ints | None = None,
    co2_mg_per_kwh: Ints | None = None,
) -> Scores:
    """Return what the policy says of each pool, hour by hour.

    `green_ppm` and `co2_mg_per_kwh` are the green share and the carbon intensity that it sees, hours x pools;
    the true ones if not given. Prices of electricity it knows. The trace's clock begins at midnight, UTC.
    """
    policy = policy_at(policy, (site for site, _ in city.pools))
    views = tuple(view_pool(site, pool, pool.cards, 0, reachable=True) for site, pool in city.pools)
    models = sorted({pool.accelerator for _, pool in city.pools})
    table = table_of(views)
    # Green, carbon and energy come by the hour. Reliability is the same everywhere: here no site has a past.
    steady = replace(policy, green=0, carbon=0, reliability=0, energy=0)
    green = green_by_hour(city) if green_ppm is None else green_ppm
    co2 = co2_by_hour(city) if co2_mg_per_kwh is None else co2_mg_per_kwh

    def base(nodes: int, cards: int, shut: Mask) -> Ints:
        asks = tuple(Ask(model, cards) for model in models)
        request = Request(nodes, asks, False, 0, 0, HOUR_MS, latency_class, (), (), None)
        return judge(
            request, steady, replace(table, closes_in_ms=np.where(shut, 0, NEVER)), ahead_of(views)
        ).base

    return Scores(
        base,
        policy.fit,
        max(1, sum(weights_of(policy))),
        green,
        policy.green,
        np.tile(co2, (len(green) // len(co2), 1)),
        table.card_mw,
        policy.carbon,
        np.tile(price_by_hour(city), (len(green) // 24, 1)),
        policy.energy,
        policy.fragmentation,
    )


def footprint(city: City, trace: Trace, run: Run, start_ms: int) -> Footprint:
    """Return what a run cost; its clock began at `start_ms`, UTC."""
    cost = energy = carbon = green = paid = 0.0
    held = run.attempts
    for at, (site, pool) in enumerate(city.pools):
        here = held.pool == at
        cards, began_s = trace.cards[held.job[here]], held.start_s[here]
        ran_s = held.end_s[here] - began_s
        watts = cards * tdp_w_of(pool.accelerator) * pool.pue_milli / 1000
        hours = seconds_by_hour(began_s + start_ms // 1000, ran_s)
        kwh = (watts @ hours) / 3.6e6
        cost += float((cards * ran_s).sum()) / 3600 * pool.price_micro_per_card_hour / 1e6
        energy += float(kwh.sum())
        carbon += float(kwh @ np.array(site.supply.grams_per_kwh)) / 1000
        green += float(kwh @ np.array(site.supply.green_ppm)) / 1e6
        paid += float(kwh @ np.array(site.supply.kwh_micro)) / 1e6
    known = all(site.supply.price_micro_per_kwh for site, _ in city.pools)
    return Footprint(cost, energy, carbon, green / energy if energy else 0.0, paid if known else None)


def seconds_by_hour(start_s: Ints, ran_s: Ints) -> Ints:
    """Return how many seconds of each run fall into each hour of the day: jobs x 24."""
    days, rest = np.divmod(ran_s, 86_400)
    begin = start_s % 86_400
    table = np.repeat(days[:, None] * 3600, 24, axis=1)
    for hour in range(24):
        for day in (0, 86_400):
            first = np.maximum(begin, hour * 3600 + day)
            last = np.minimum(begin + rest, (hour + 1) * 3600 + day)
            table[:, hour] += np.maximum(0, last - first)
    return table
