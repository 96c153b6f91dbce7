"""Under what conditions a trace runs: outages as people write them, failures, wrong forecasts, other days."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from hutong.core.kernel.errors import Refused
from hutong.core.kernel.quantities import parse_seconds
from hutong.sim.chance import node_failures, scattered, site_outages
from hutong.sim.faults import Outage
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster

_OUTAGE = re.compile(
    r"^(?P<where>[^@]+)@(?P<begin>\w+)\.\.(?P<end>\w+)(?:=(?P<share>\d+(?:\.\d+)?)(?P<percent>%)?)?$"
)


@dataclass(frozen=True, slots=True)
class Often:
    """How often something fails: mean seconds between failures (0: never), and to repair."""

    mtbf_s: int = 0
    mttr_s: int = 14_400


@dataclass(frozen=True, slots=True)
class Conditions:
    """What differs from a calm world. `checkpoint_s`: 0 if a killed job begins from its start.

    `forecast_error_ppm` is the standard deviation of the error of the green share that a policy sees, as a
    part of that share. `resample`: days of the trace are drawn with replacement.
    """

    outages: tuple[Outage, ...] = ()
    node: Often = Often()
    site: Often = Often()
    checkpoint_s: int = 0
    forecast_error_ppm: int = 0
    resample: bool = False

    @property
    def by_chance(self) -> bool:
        """True if runs with different seeds may differ, outages of a part of a pool left aside."""
        return bool(self.node.mtbf_s or self.site.mtbf_s or self.forecast_error_ppm or self.resample)

    def drawn(self, trace: Trace, cluster: Cluster, seed: int) -> list[Outage]:
        """Return all outages of a run.

        Failures come for twice as long as the jobs would take if none of them had to wait.
        """
        until_s = 2 * (trace.span_s + int(trace.run_s.max(initial=0)))
        found = scattered(self.outages, cluster.nodes, seed)
        if self.node.mtbf_s:
            found += node_failures(cluster.nodes, until_s, self.node.mtbf_s, self.node.mttr_s, seed)
        if self.site.mtbf_s:
            names, nodes = cluster.names, cluster.nodes
            found += site_outages(names, nodes, until_s, self.site.mtbf_s, self.site.mttr_s, seed)
        return found


def parse_outage(text: str, cluster: Cluster, regions: Mapping[str, Sequence[int]]) -> list[Outage]:
    """Return the outages that `SITE[/POOL]@FROM..TO[=SHARE]` means, one a pool that loses nodes.

    The place is a pool, a site or a region (its pools are given); times count from the begin of the trace;
    SHARE is the part of the nodes that stays, as 0.9 or 90%, and none if it is left out. Raises Refused.
    """
    where, begin, end, stays = read_outage(text)
    found = []
    for pool in pools_at(where, cluster, regions):
        away = cluster.nodes[pool] - int(stays * cluster.nodes[pool] + Fraction(1, 2))
        found += [Outage(pool, begin, end, away)] if away else []
    if not found:
        raise Refused("outage", f"{text!r} takes no node away: the share is too near to all")
    return found


def read_outage(text: str) -> tuple[str, int, int, Fraction]:
    """Return place, begin, end (seconds) and the share that stays, of an outage as it is typed."""
    match = _OUTAGE.match(text.strip())
    if match is None:
        raise Refused("outage", f"{text!r} is not SITE[/POOL]@FROM..TO[=SHARE], as tianjin-ai@36h..60h=0.9")
    begin, end = parse_seconds(match["begin"]), parse_seconds(match["end"])
    if begin is None or end is None or end <= begin:
        raise Refused("outage", f"{text!r}: FROM and TO are times as 90s, 36h or 2d, and TO is the later one")
    stays = Fraction(match["share"] or "0") / (100 if match["percent"] else 1)
    if stays >= 1:
        raise Refused("outage", f"{text!r}: SHARE is the part of the nodes that stays, below 1 or 100%")
    return match["where"].strip(), begin, end, stays


def pools_at(where: str, cluster: Cluster, regions: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the pools of a pool's, site's or region's name; raises Refused, which names what there is."""
    exact = [pool for pool, name in enumerate(cluster.names) if name == where]
    of_site = [pool for pool, name in enumerate(cluster.names) if name.split("/")[0] == where]
    of_region = [
        pool
        for region, pools in regions.items()
        for pool in pools
        if where.casefold() in {region.casefold(), region.split(",")[0].casefold()}
    ]
    found = exact or of_site or of_region
    if not found:
        sites = sorted({name.split("/")[0] for name in cluster.names})
        known = "; ".join([", ".join(sites), *sorted(regions)])
        raise Refused("outage", f"no site, pool or region is called {where!r}; there are {known}")
    return found
