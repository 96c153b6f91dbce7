"""What the weight of energy in a policy comes to: the generated weeks of `bench.carbon` through the Beijing scenario.

`python -m bench.energy_price [--quick]` prints JSON lines: what each weight changes against none, at two loads, as the
least and the most over the seeds. The scenario's prices of electricity are made up. Nothing is deferred.
"""

import argparse
import json
from dataclasses import replace

from bench.carbon import ROOT, run, span, week

from hutong.clients.cli.scenario import read_scenario
from hutong.server.api.shapes.sites import read_site
from hutong.server.policies import load_policies
from hutong.sim.city import Footprint
from hutong.sim.compare import ground_of_sites

WEIGHTS = {"balanced": (1, 2, 3), "cheapest": (1, 2, 4, 8)}


def paid(of: Footprint) -> float:
    """Return what the centres paid for electricity, in yuan."""
    assert of.electricity_yuan is not None
    return of.electricity_yuan


def main() -> None:
    """Print a row for each load, policy and weight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    seeds = range(1, 2 if parser.parse_args().quick else 6)
    policies = load_policies(ROOT / "policies" / "placement")
    ground = ground_of_sites([read_site(each) for each in read_scenario(ROOT / "scenarios" / "beijing")])
    for load in (0.3, 0.8):
        traces = [week(seed, ground.cluster.cards, load) for seed in seeds]
        for name, weights in WEIGHTS.items():
            without = [run(trace, ground, replace(policies[name], energy=0)) for trace in traces]
            for energy in weights:
                runs = [run(trace, ground, replace(policies[name], energy=energy)) for trace in traces]
                pairs = [(a, b) for (a, _), (b, _) in zip(without, runs, strict=True)]
                row = {
                    "load": load,
                    "policy": name,
                    "energy": energy,
                    "electricity_percent": span([100 * (paid(b) / paid(a) - 1) for a, b in pairs]),
                    "of_cost_percent": span([100 * paid(b) / b.cost_yuan for _, b in pairs]),
                    "cost_percent": span([100 * (b.cost_yuan / a.cost_yuan - 1) for a, b in pairs]),
                    "co2_percent": span([100 * (b.carbon_kg / a.carbon_kg - 1) for a, b in pairs]),
                    "green_points": span([100 * (b.green_share - a.green_share) for a, b in pairs]),
                    "wait_s": span([b - a for (_, a), (_, b) in zip(without, runs, strict=True)]),
                }
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
