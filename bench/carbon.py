"""What the weight of carbon in a policy comes to: generated weeks through the Beijing scenario, one run a seed.

`python -m bench.carbon [--quick]` prints JSON lines: what each weight changes against none, at two loads, as the
least and the most over the seeds. Any card counts as any other, so frugal cards look cleaner here than by work.
"""

import argparse
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hutong.clients.cli.scenario import read_scenario
from hutong.core.placement.columns import Backfill
from hutong.core.placement.request import Policy
from hutong.server.api.shapes.sites import read_site
from hutong.server.policies import load_policies
from hutong.sim.city import Footprint
from hutong.sim.compare import Ground, ground_of_sites, simulate
from hutong.sim.rules import Lengths, Queueing
from hutong.sim.trace import Trace, make_trace

ROOT = Path(__file__).parents[1]
WEEK_S = 7 * 86_400
JOBS = 3_000
WEIGHTS = {"balanced": (2, 4, 6), "greenest": (2, 5, 10, 20)}


def week(seed: int, cards: int, load: float) -> Trace:
    """Return a week of jobs of 1 card to 16 nodes that holds so much of the cards; lengths are log-normal."""
    dice = random.Random(seed)
    lengths = [int(dice.lognormvariate(8, 1.2)) + 60 for _ in range(JOBS)]
    per_node = [dice.choice([1, 2, 4, 8, 8]) for _ in range(JOBS)]
    nodes = [dice.choice([1, 4, 16]) if each == 8 else 1 for each in per_node]
    work = sum(run * each * gang for run, each, gang in zip(lengths, per_node, nodes, strict=True))
    run_s = [max(60, min(2 * 86_400, int(run * load * cards * WEEK_S / work))) for run in lengths]
    submit_s = sorted(dice.randrange(WEEK_S) for _ in range(JOBS))
    return make_trace(
        "a week",
        "generated",
        submit_s=submit_s,
        run_s=run_s,
        limit_s=run_s,
        nodes=nodes,
        cards_per_node=per_node,
    )


def run(trace: Trace, ground: Ground, policy: Policy) -> tuple[Footprint, float]:
    """Return what a week costs by a policy, and the mean wait in seconds."""
    found = simulate(trace, ground, Queueing.FIFO, Backfill.EASY, Lengths.LIMIT, policy=policy)
    assert found.footprint is not None
    return found.footprint, found.measures.wait_mean_s


def span(values: Sequence[float]) -> list[float]:
    """Return the least and the most."""
    return [round(min(values), 2), round(max(values), 2)]


def weigh(
    part: str,
    tried: Mapping[str, Sequence[int]],
    weighed: Callable[[Policy, int], Policy],
    figures: Callable[[list[tuple[Footprint, Footprint]]], dict[str, list[float]]],
    about: str | None,
) -> None:
    """Print a row for each load, policy and weight of a part, beside the same weeks without that part."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true")
    seeds = range(1, 2 if parser.parse_args().quick else 6)
    policies = load_policies(ROOT / "policies" / "placement")
    ground = ground_of_sites([read_site(each) for each in read_scenario(ROOT / "scenarios" / "beijing")])
    for load in (0.3, 0.8):
        traces = [week(seed, ground.cluster.cards, load) for seed in seeds]
        for name, weights in tried.items():
            without = [run(trace, ground, weighed(policies[name], 0)) for trace in traces]
            for weight in weights:
                runs = [run(trace, ground, weighed(policies[name], weight)) for trace in traces]
                pairs = [(a, b) for (a, _), (b, _) in zip(without, runs, strict=True)]
                row = {
                    "load": load,
                    "policy": name,
                    part: weight,
                    **figures(pairs),
                    "co2_percent": span([100 * (b.carbon_kg / a.carbon_kg - 1) for a, b in pairs]),
                    "green_points": span([100 * (b.green_share - a.green_share) for a, b in pairs]),
                    "cost_percent": span([100 * (b.cost_yuan / a.cost_yuan - 1) for a, b in pairs]),
                    "wait_s": span([b - a for (_, a), (_, b) in zip(without, runs, strict=True)]),
                }
                print(json.dumps(row), flush=True)


def main() -> None:
    """Print every row."""
    weigh("carbon", WEIGHTS, lambda of, weight: replace(of, carbon=weight), lambda _: {}, __doc__)


if __name__ == "__main__":
    main()
