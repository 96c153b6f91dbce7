"""One simulated run, from a trace and the ground that it runs on to the figures of what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.core.placement.guesses import PATIENCE_MS
from hutong.core.placement.request import Policy
from hutong.sim import fused, world
from hutong.sim.chance import resampled, wrong_carbon, wrong_forecast
from hutong.sim.city import City, Footprint, city_of, co2_by_hour, footprint, green_by_hour, scores_of
from hutong.sim.conditions import Conditions
from hutong.sim.importers import read_vc_config
from hutong.sim.measures import Measures, measure
from hutong.sim.predict import Predictor
from hutong.sim.rules import Lengths, Queueing
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster, Run, Scores, cluster_of, pooled, prepare

START_MS = 1_767_225_600_000  # 2026-01-01 00:00 UTC: a trace has no date of its own here
CALM = Conditions()


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the jobs run: pools, and the city that they are of, if any."""

    cluster: Cluster
    city: City | None = None

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

    `run` says what became of each job; None where nobody asked to keep it.
    """

    rules: str
    measures: Measures
    footprint: Footprint | None
    digest: str
    run: Run | None


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
) -> Result:
    """Run a trace once; the seed decides what the conditions leave to chance.

    Raises Refused where the trace lacks what the rules need, and where a job never ended.
    """
    limited = lengths in {Lengths.LIMIT, Lengths.PREDICTED}
    if limited and not trace.limit_s.all():
        raise Refused("simulation", f"{trace.name} does not say what time its jobs asked for")
    trace = resampled(trace, seed) if conditions.resample else trace
    ready = prepare(
        trace,
        ground.cluster,
        queueing,
        backfill,
        isolated=isolated,
        expected_s=trace.limit_s if limited else None,
        patience_s=PATIENCE_MS // 1000 if lengths is Lengths.PREDICTED else 0,
        scores=_scores(ground.city, policy, conditions.forecast_error_ppm, seed),
    )
    outages = conditions.drawn(trace, ground.cluster, seed)
    predictor = Predictor() if lengths in {Lengths.GUESSED, Lengths.PREDICTED} else None
    if outages or predictor:
        found = world.run(ready, predictor, outages, conditions.checkpoint_s)
    else:
        found = fused.run(ready)
    name = f"{queueing.value}, {backfill.name.lower()}, {lengths.value} lengths"
    name += ", isolated" if isolated else f", {policy.name}" if policy else ", pooled"
    return Result(
        name,
        measure(trace, found, ground.cluster.cards, warm_up_s=warm_up_s),
        footprint(ground.city, trace, found, START_MS) if ground.city else None,
        found.digest,
        found,
    )


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
