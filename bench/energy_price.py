"""What the weight of energy in a policy comes to: the generated weeks of `bench.carbon` through the Beijing scenario.

`python -m bench.energy_price [--quick]` prints JSON lines: what each weight changes against none, at two loads, as the
least and the most over the seeds. The scenario's prices of electricity are made up. Nothing is deferred.
"""

from dataclasses import replace

from bench.carbon import span, weigh

from hutong.sim.city import Footprint

WEIGHTS = {"balanced": (2, 4, 6), "cheapest": (1, 2, 4, 8)}


def paid(of: Footprint) -> float:
    """Return what the centres paid for electricity, in yuan."""
    assert of.electricity_yuan is not None
    return of.electricity_yuan


def figures(pairs: list[tuple[Footprint, Footprint]]) -> dict[str, list[float]]:
    """Return what a weight changes of the centres' bill, and what part that is of the users'."""
    return {
        "electricity_percent": span([100 * (paid(b) / paid(a) - 1) for a, b in pairs]),
        "of_cost_percent": span([100 * paid(b) / b.cost_yuan for _, b in pairs]),
    }


def main() -> None:
    """Print every row."""
    weigh("energy", WEIGHTS, lambda of, weight: replace(of, energy=weight), figures, __doc__)


if __name__ == "__main__":
    main()
