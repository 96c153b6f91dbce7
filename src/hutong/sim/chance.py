"""What a seed decides in a simulated run: which nodes fail when, which days come, how wrong a forecast is.

Every node, site and day draws from numbers of its own, so that another node, or another policy, changes
nothing for the others: runs with the same seed can be compared pair by pair.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import PPM
from hutong.sim.faults import Outage
from hutong.sim.importers.grid import disturb
from hutong.sim.trace import Trace

DAY_S = 86_400
_FORECAST_DAYS = 28
_FORECAST_MEMORY = 0.9
_NODES, _SITES, _DAYS, _FORECAST, _PLACES, _CARBON = range(6)


def node_failures(nodes: Sequence[int], until_s: int, mtbf_s: int, mttr_s: int, seed: int) -> list[Outage]:
    """Return failures of single nodes of pools of so many: each node fails and is repaired on its own.

    Times up and down are exponential, with means of `mtbf_s` and `mttr_s` seconds; none begins at `until_s`
    or later. Raises Refused unless both means are at least a second.
    """
    return [
        Outage(pool, begin, end, 1, node)
        for pool, count in enumerate(nodes)
        for node in range(count)
        for begin, end in _spells(np.random.default_rng((seed, _NODES, pool, node)), until_s, mtbf_s, mttr_s)
    ]


def site_outages(
    names: Sequence[str], nodes: Sequence[int], until_s: int, mtbf_s: int, mttr_s: int, seed: int
) -> list[Outage]:
    """Return outages of whole sites: all pools of a site, `site/pool` by name, go and come back together.

    Otherwise as `node_failures`.
    """
    sites: dict[str, list[int]] = {}
    for pool, name in enumerate(names):
        sites.setdefault(name.split("/")[0], []).append(pool)
    return [
        Outage(pool, begin, end, nodes[pool])
        for place, pools in enumerate(sites.values())
        for begin, end in _spells(np.random.default_rng((seed, _SITES, place)), until_s, mtbf_s, mttr_s)
        for pool in pools
    ]


def _spells(random: np.random.Generator, until_s: int, mtbf_s: int, mttr_s: int) -> list[tuple[int, int]]:
    if mtbf_s < 1 or mttr_s < 1:
        raise Refused("simulation", "a mean time between failures, and one to repair, is at least a second")
    found, now = [], random.exponential(mtbf_s)
    while now < until_s:
        end = now + random.exponential(mttr_s)
        found.append((int(now), max(int(now) + 1, int(end))))
        now = max(end, int(now) + 1) + random.exponential(mtbf_s)
    return found


def scattered(outages: Sequence[Outage], nodes: Sequence[int], seed: int) -> list[Outage]:
    """Return outages of a part of a pool's nodes with a seed's choice of where these nodes begin."""
    return [
        replace(each, first=int(np.random.default_rng((seed, _PLACES, place)).integers(nodes[each.pool])))
        for place, each in enumerate(outages)
    ]


def resampled(trace: Trace, seed: int) -> Trace:
    """Return as many days as the trace has, drawn with replacement: a bootstrap of its arrivals by blocks.

    A day keeps its jobs and their times of day (Carlstein, 1986); the last may be a part of one. Raises
    Refused for a trace of less than two days.
    """
    day = trace.submit_s // DAY_S
    count = trace.span_s // DAY_S + 1
    if count < 2:
        raise Refused("simulation", f"{trace.name} has one day: there is nothing to draw days from")
    bounds = np.searchsorted(day, np.arange(count + 1))
    drawn = np.random.default_rng((seed, _DAYS)).integers(0, count, count).tolist()
    which = np.concatenate([np.arange(bounds[each], bounds[each + 1]) for each in drawn])
    if not len(which):
        raise Refused("simulation", f"{trace.name}: seed {seed} draws only days without jobs")
    moved = np.repeat(np.arange(count) - np.array(drawn), [bounds[each + 1] - bounds[each] for each in drawn])
    taken = trace.take(which)
    return replace(taken, submit_s=taken.submit_s + moved * DAY_S)


def wrong_forecast(green_ppm: Ints, sites: Sequence[str], error_ppm: int, seed: int) -> Ints:
    """Return the green share by hour and pool over four weeks, as a wrong forecast has it, 0 to 1 000 000.

    `green_ppm` has a row for each hour of a day. Errors are normal, with a standard deviation of `error_ppm`
    of the share, and last for hours: those of neighbouring hours are correlated by 0.9. Pools of one site
    share them.
    """
    return np.minimum(_disturbed(green_ppm, sites, error_ppm, (seed, _FORECAST)), PPM)


def wrong_carbon(co2_mg_per_kwh: Ints, sites: Sequence[str], error_ppm: int, seed: int) -> Ints:
    """Return the carbon intensity likewise; its errors are as large, and not those of the green share."""
    return _disturbed(co2_mg_per_kwh, sites, error_ppm, (seed, _CARBON))


def _disturbed(by_hour: Ints, sites: Sequence[str], error_ppm: int, seed: tuple[int, int]) -> Ints:
    true = np.tile(by_hour, (_FORECAST_DAYS, 1))
    seeds = {site: (*seed, place) for place, site in enumerate(dict.fromkeys(sites))}
    columns = [
        disturb(
            true[:, pool],
            error_ppm,
            int(np.random.SeedSequence(seeds[site]).generate_state(1)[0]),
            memory=_FORECAST_MEMORY,
        )
        for pool, site in enumerate(sites)
    ]
    return np.stack(columns, axis=1)
