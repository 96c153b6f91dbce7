"""What came of runs, in rows for people: one wording for the terminal and for the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.sim.city import Footprint
from hutong.sim.compare import Result

_SHORT_S, _HOURS_FROM_S = 120, 7200


@dataclass(frozen=True, slots=True)
class Figures:
    """Tables of runs, each its heads and a row for each run; `shared` is what the rules of all have alike."""

    shared: str
    tables: tuple[tuple[tuple[str, ...], list[tuple[str, ...]]], ...]


def figures_of(found: Sequence[Result]) -> Figures:
    """Return how the runs went, and what they cost where centres are known."""
    shared, names = _names([each.rules for each in found])
    heads: tuple[str, ...] = (
        "rules", "completion", "wait", "p50", "p99", "slowdown", "used", "fragm.", "Jain",
    )  # fmt: skip
    broken = any(each.measures.restarts for each in found)
    heads += ("restarts", "lost, card-h", "stops") if broken else ()
    rows = [(name, *_went(each))[: len(heads)] for name, each in zip(names, found, strict=True)]
    tables = [(heads, rows)]
    costs = [each.footprint for each in found if each.footprint is not None]
    if costs:
        heads = ("rules", "cost, yuan", "energy", "carbon", "green")
        heads += ("electricity, yuan",) if any(each.electricity_yuan is not None for each in costs) else ()
        rows = [(name, *_cost(each))[: len(heads)] for name, each in zip(names, costs, strict=True)]
        tables.append((heads, rows))
    return Figures(shared, tuple(tables))


def _names(rules: Sequence[str]) -> tuple[str, list[str]]:
    """Return what all rules share, and what each has for itself; the first word of one that has nothing."""
    parts = [each.split(", ") for each in rules]
    alike = [part for part in parts[0][len(parts) == 1 :] if all(part in each for each in parts)]
    return ", ".join(alike), [", ".join(part for part in each if part not in alike) for each in parts]


def span(seconds: float) -> str:
    """Return a time in the unit that is read best."""
    if abs(seconds) < _SHORT_S:
        return f"{seconds:,.0f} s"
    if abs(seconds) < _HOURS_FROM_S:
        return f"{seconds / 60:,.1f} min"
    return f"{seconds / 3600:,.2f} h"


def _went(each: Result) -> tuple[str, ...]:
    of = each.measures
    times = (of.completion_mean_s, of.wait_mean_s, of.wait_p50_s, of.wait_p99_s)
    return (
        *(span(value) for value in times),
        f"{of.slowdown_mean:,.1f}", f"{of.used:.0%}", f"{of.fragmented:.1%}", f"{of.jain:.2f}",
        f"{of.restarts:,}", f"{of.lost_card_s / 3600:,.0f}", f"{of.stops:,}",
    )  # fmt: skip


def _cost(of: Footprint) -> tuple[str, ...]:
    paid = "" if of.electricity_yuan is None else f"{of.electricity_yuan:,.0f}"
    energy, carbon = _scaled(of.energy_kwh, "kWh", "MWh"), _scaled(of.carbon_kg, "kg", "t")
    return f"{of.cost_yuan:,.0f}", energy, carbon, f"{of.green_share:.1%}", paid


def _scaled(value: float, unit: str, thousand: str) -> str:
    return f"{value:,.1f} {unit}" if value < 10_000 else f"{value / 1000:,.1f} {thousand}"
