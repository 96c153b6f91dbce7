"""One simulated run, from a trace and the ground that it runs on to the figures of what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.placement.columns import Backfill
from hutong.core.placement.expected import PATIENCE_MS
from hutong.core.placement.request import Policy, PoolView, view_pool
from hutong.sim import fused, world
from hutong.sim.chance import resampled, wrong_carbon, wrong_forecast
from hutong.sim.city import City, Footprint, city_of, co2_by_hour, footprint, green_by_hour, scores_of
from hutong.sim.conditions import Conditions
from hutong.sim.importers import read_vc_config
from hutong.sim.measures import Measures, measure
from hutong.sim.predict import Predictor
from hutong.sim.rules import Lengths, Queueing, check_least
from hutong.sim.runs import Run
from hutong.sim.scores import Scores
from hutong.sim.settled import Agreed, settle
from hutong.sim.trace import Trace
from hutong.sim.uses import Use, uses_of
from hutong.sim.world import Cluster, cluster_of, pooled, prepare
from hutong.sim.yielding import RULES

START_MS = 1_767_225_600_000  # 2026-01-01 00:00 UTC: a trace has no date of its own here
CALM = Conditions()
ANY_CARD = "card"
"""The accelerator of pools of which only the number of cards is known."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the jobs run: pools, and the city that they are of, if any."""

    cluster: Cluster
    city: City | None = None

    @property
    def views(self) -> tuple[PoolView, ...]:
        """The pools as a decision sees them; those of no city hold cards of which nothing else is known."""
        if self.city:
            return tuple(
                view_pool(site, pool, pool.cards, 0, reachable=True) for site, pool in self.city.pools
            )
        supply = Supply((0,) * 24, (0,) * 24, "")
        found = []
        cluster = self.cluster
        for name, nodes, cards in zip(cluster.names, cluster.nodes, cluster.cards_per_node, strict=True):
            pool = Pool(PoolId(name), ANY_CARD, nodes, cards, 0, 1000, "")
            site = Site(SiteId(name), name, name, "", 0, "", (pool,), supply)
            found.append(view_pool(site, pool, pool.cards, 0, reachable=True))
        return tuple(found)

    @property
    def regions(self) -> dict[str, list[int]]:
        """The pools of each region of the city."""
        found: dict[str, list[int]] = {}
        for pool, (site, _) in enumerate(self.city.pools if self.city else ()):
            found.setdefault(site.region, []).append(pool)
        return found


@dataclass(frozen=True, slots=True)
class Result:
    """One run: its rules in words, its figures, and what it cost where prices are known.

    `run` says what became of each job; None where nobody asked to keep it. `uses` are of quotas and limits.
    """

    rules: str
    measures: Measures
    footprint: Footprint | None
    digest: str
    run: Run | None
    uses: tuple[Use, ...] = ()


def simulate(
    trace: Trace,
    ground: Ground,
    queueing: Queueing,
    backfill: Backfill,
    lengths: Lengths,
    *,
    isolated: bool = False,
    policy: Policy | None = None,
    warm_up_s: int = 0,
    conditions: Conditions = CALM,
    seed: int = 1,
    agreed: Agreed | None = None,
) -> Result:
    """Run a trace once; the seed decides what the conditions leave to chance.

    `agreed` is all that is settled before. Raises Refused where the trace lacks what the rules
    need, and where a job never ended.
    """
    if queueing is Queueing.LEAST:
        guessed = lengths is Lengths.GUESSED
        check_least(
            greedy=backfill is Backfill.GREEDY, guessed=guessed, free=agreed is None or agreed.is_free
        )
    limited = lengths in {Lengths.LIMIT, Lengths.PREDICTED}
    if limited and not trace.limit_s.all():
        raise Refused("simulation", f"{trace.name} does not say what time its jobs asked for")
    trace = resampled(trace, seed) if conditions.resample else trace
    settled = settle(agreed, trace, ground.views, ground.cluster.names) if agreed else None
    ready = prepare(
        trace,
        ground.cluster,
        queueing,
        backfill,
        isolated=isolated,
        expected_s=trace.limit_s if limited else None,
        patience_s=PATIENCE_MS // 1000 if lengths is Lengths.PREDICTED else 0,
        scores=_scores(ground.city, policy, conditions.forecast_error_ppm, seed),
        settled=settled,
    )
    outages = conditions.drawn(trace, ground.cluster, seed)
    predictor = Predictor() if lengths in {Lengths.GUESSED, Lengths.PREDICTED} else None
    if outages or predictor or not ready.is_plain:
        found = world.run(ready, predictor, outages, conditions.checkpoint_s)
    else:
        found = fused.run(ready)
    if settled is not None:
        _see_to_all(trace, found)
    name = f"{queueing.value}, {backfill.name.lower()}, {lengths.value} lengths"
    name += ", isolated" if isolated else f", {policy.name}" if policy else ", pooled"
    return Result(
        name,
        measure(trace, found, ground.cluster, isolated=isolated, warm_up_s=warm_up_s),
        footprint(ground.city, trace, found, START_MS) if ground.city else None,
        found.digest,
        found,
        uses_of(agreed, trace, found, ground.views) if agreed else (),
    )


def _see_to_all(trace: Trace, run: Run) -> None:
    """Refuse what leaves jobs without a start for ever; say so of the first of them."""
    left = np.flatnonzero(run.start_s < 0)
    given_up = left[run.stops[left] >= RULES.max_attempts]
    if len(given_up):
        often, first = RULES.max_attempts, int(given_up[0]) + 1
        text = f"some jobs are given up after {often} stops, as live, first job {first}:"
        raise Refused("rules", f"{text} stop jobs less often, or let them save by --checkpoint")
    if len(left):
        first, cards = int(left[0]) + 1, int(trace.cards[left[0]])
        text = f"the rules leave {len(left)} jobs no start, first job {first}, which takes {cards} cards:"
        raise Refused("rules", f"{text} raise the quota or the limit of power that is below that")


def _scores(city: City | None, policy: Policy | None, error_ppm: int, seed: int) -> Scores | None:
    if city is None or policy is None:
        return None
    if not error_ppm:
        return scores_of(city, policy)
    sites = [site.id for site, _ in city.pools]
    return scores_of(
        city,
        policy,
        green_ppm=wrong_forecast(green_by_hour(city), sites, error_ppm, seed),
        co2_mg_per_kwh=wrong_carbon(co2_by_hour(city), sites, error_ppm, seed),
    )


def ground_of(trace_file: str, nodes: int, cards: int, *, isolated: bool) -> Ground:
    """Return one pool of so many nodes, or the virtual clusters of a file, pooled unless isolated."""
    if nodes:
        return Ground(cluster_of({"all": nodes}, cards))
    cluster = cluster_of(read_vc_config(Path(trace_file)), cards)
    return Ground(cluster if isolated else pooled(cluster))


def ground_of_sites(sites: Sequence[Site]) -> Ground:
    """Return the pools of some sites."""
    city = city_of(sites)
    return Ground(city.cluster, city)
