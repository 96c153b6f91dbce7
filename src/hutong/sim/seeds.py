"""What runs with different seeds amount to together: means, how sure they are, and what one rule gains."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from hutong.sim.compare import Result
from hutong.sim.measures import interval

# How figures are called in a table of several seeds, how they are scaled, and with how many decimals.
FIGURES = {
    "completion_mean_s": ("completion, s", 1, 0),
    "completion_p99_s": ("completion p99, s", 1, 0),
    "wait_mean_s": ("wait, s", 1, 0),
    "wait_p50_s": ("wait p50, s", 1, 0),
    "wait_p99_s": ("wait p99, s", 1, 0),
    "slowdown_mean": ("slowdown", 1, 1),
    "used": ("used, %", 100, 1),
    "fragmented": ("fragmented, %", 100, 1),
    "jain": ("Jain", 1, 3),
    "restarts": ("restarts", 1, 0),
    "lost_card_s": ("lost, card-hours", 1 / 3600, 0),
    "stops": ("stops", 1, 0),
    "stop_lost_card_s": ("lost by stops, card-hours", 1 / 3600, 0),
    "cost_yuan": ("cost, yuan", 1, 0),
    "electricity_yuan": ("electricity, yuan", 1, 0),
    "energy_kwh": ("energy, MWh", 1 / 1000, 1),
    "carbon_kg": ("carbon, t", 1 / 1000, 2),
    "green_share": ("green, %", 100, 2),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its 95 % interval, by the bootstrap."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs under the same rules: each figure of `measures` and `footprint`.

    `against_first` has each figure less that of the first rules, seed by seed; it is empty for these.
    """

    rules: str
    digests: tuple[str, ...]
    measures: dict[str, Estimate]
    footprint: dict[str, Estimate]
    against_first: dict[str, Estimate]


def summarise(results: Sequence[Result], seeds: int) -> list[Summary]:
    """Return a summary of each rules' runs; results are in the order of rules, then of seeds."""
    groups = [results[at : at + seeds] for at in range(0, len(results), seeds)]
    found = []
    for group in groups:
        pairs = zip(group, groups[0], strict=True)
        gains = [_less(_figures(mine), _figures(first)) for mine, first in pairs]
        costs = [_costs(each) for each in group if each.footprint]
        found.append(
            Summary(
                group[0].rules,
                tuple(each.digest for each in group),
                _estimates([asdict(each.measures) for each in group]),
                _estimates(costs),
                {} if group is groups[0] else _estimates(gains),
            )
        )
    return found


def figure_rows(columns: Sequence[tuple[str, Mapping[str, Estimate]]]) -> list[list[str]]:
    """Return a row for each figure that there is: its name, then `mean [low, high]` of each column."""
    return [
        [title, *(_words(of[name], scale, decimals) for _, of in columns)]
        for name, (title, scale, decimals) in FIGURES.items()
        if name in columns[0][1]
    ]


def _words(of: Estimate, scale: float, decimals: int) -> str:
    mean, low, high = (f"{value * scale:z,.{decimals}f}" for value in (of.mean, of.low, of.high))
    return f"{mean} [{low}, {high}]"


def _figures(result: Result) -> dict[str, float]:
    return asdict(result.measures) | _costs(result)


def _costs(result: Result) -> dict[str, float]:
    """Return what a run cost and used, as far as that is known."""
    costs = asdict(result.footprint) if result.footprint else {}
    return {name: value for name, value in costs.items() if value is not None}


def _less(mine: dict[str, float], first: dict[str, float]) -> dict[str, float]:
    return {name: value - first[name] for name, value in mine.items()}


def _estimates(rows: Sequence[dict[str, float]]) -> dict[str, Estimate]:
    return {name: _estimate([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(sum(values) / len(values), *interval(values))
