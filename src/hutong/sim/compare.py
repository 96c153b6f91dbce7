"""Runs of one trace side by side, under different rules, as a table, a document or a report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Refused
from hutong.core.placement.columns import Backfill
from hutong.core.placement.request import Policy
from hutong.sim import fused, world
from hutong.sim.city import City, Footprint, city_of, footprint, scores_of
from hutong.sim.importers import read_vc_config
from hutong.sim.measures import Measures, measure
from hutong.sim.predict import Predictor
from hutong.sim.rules import Lengths, Queueing, Rules
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster, Run, cluster_of, pooled, prepare

START_MS = 1_767_225_600_000  # 2026-01-01 00:00 UTC: a trace has no date of its own here


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the jobs run: pools, and the city that they are of, if any."""

    cluster: Cluster
    city: City | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One run: its rules in words, its figures, and what it cost where prices are known."""

    rules: str
    measures: Measures
    footprint: Footprint | None
    digest: str
    run: Run


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
) -> Result:
    """Run a trace once. Raises Refused where the trace lacks what the rules need."""
    if lengths is Lengths.LIMIT and not trace.limit_s.all():
        raise Refused("simulation", f"{trace.name} does not say what time its jobs asked for")
    ready = prepare(
        trace,
        ground.cluster,
        queueing,
        backfill,
        isolated=isolated,
        expected_s=trace.limit_s if lengths is Lengths.LIMIT else None,
        scores=scores_of(ground.city, policy) if ground.city and policy else None,
    )
    guessed = lengths is Lengths.GUESSED
    found = world.run(ready, Predictor()) if guessed else fused.run(ready)
    name = f"{queueing.value}, {backfill.name.lower()}, {lengths.value} lengths"
    name += ", isolated" if isolated else f", {policy.name}" if policy else ", pooled"
    return Result(
        name,
        measure(trace, found, ground.cluster.cards, warm_up_s=warm_up_s),
        footprint(ground.city, trace, found, START_MS) if ground.city else None,
        found.digest,
        found,
    )


def compare(
    trace: Trace,
    ground: Ground,
    rules: Rules,
    policies: Sequence[Policy],
    *,
    isolated: bool,
    warm_up_s: int,
) -> list[Result]:
    """Run a trace once for each order and policy. Raises Refused for rules that do not fit the ground."""
    return [
        simulate(
            trace, ground, Queueing(order), Backfill[rules.backfill.upper()], rules.lengths,
            isolated=isolated, policy=policy, warm_up_s=warm_up_s,
        )
        for order in rules.orders
        for policy in policies or (None,)
    ]  # fmt: skip


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


def show(trace: Trace, ground: Ground, found: Sequence[Result], *, as_json: bool) -> None:
    """Print the runs as a table, or as one JSON document."""
    if as_json:
        rows = [
            {
                "rules": each.rules,
                "digest": each.digest,
                "measures": asdict(each.measures),
                "footprint": asdict(each.footprint) if each.footprint else None,
            }
            for each in found
        ]
        show_json({"trace": trace.name, "jobs": len(trace), "cards": ground.cluster.cards, "runs": rows})
        return
    days = trace.span_s / 86_400
    say(f"{trace.name}: {len(trace):,} jobs over {days:.1f} days, {ground.cluster.cards:,} cards")
    made = table("rules", "completion", "wait", "p50", "p99", "slowdown", "used", "Jain")
    rows_of(made, [_row(each) for each in found], "nothing ran")
    if ground.city is not None:
        made = table("rules", "cost, yuan", "energy, MWh", "carbon, t", "green")
        rows_of(made, [_costs(each) for each in found], "nothing ran")


def _row(each: Result) -> tuple[str, ...]:
    of = each.measures
    times = (of.completion_mean_s, of.wait_mean_s, of.wait_p50_s, of.wait_p99_s)
    return (
        each.rules, *(f"{value:,.0f} s" for value in times),
        f"{of.slowdown_mean:,.1f}", f"{of.used:.0%}", f"{of.jain:.2f}",
    )  # fmt: skip


def _costs(each: Result) -> tuple[str, ...]:
    of = each.footprint or Footprint(0, 0, 0, 0)
    return (
        each.rules, f"{of.cost_yuan:,.0f}", f"{of.energy_kwh / 1000:,.1f}",
        f"{of.carbon_kg / 1000:,.1f}", f"{of.green_share:.1%}",
    )  # fmt: skip
