"""What came of runs, in rows for people: one wording for the terminal and for the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from hutong.sim.city import Footprint
from hutong.sim.compare import Result
from hutong.sim.uses import Use

_SHORT_S, _HOURS_FROM_S = 120, 7200


Heads = tuple[str, ...]
Rows = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Tables of runs, each its heads and its rows; `shared` is what the rules of all runs have alike."""

    shared: str
    tables: tuple[tuple[Heads, Rows], ...]


def figures_of(found: Sequence[Result]) -> Figures:
    """Return how the runs went, what was undone, what they cost, and how far quotas and limits were used.

    Each table but the first is there only where there is anything of it.
    """
    shared, names = _names([each.rules for each in found])
    went: Heads = ("rules", "completion", "wait", "p50", "p99", "slowdown", "used", "fragm.", "Jain")
    tables = [(went, [(name, *_went(each)) for name, each in zip(names, found, strict=True)])]
    if any(each.measures.restarts for each in found):
        undone: Heads = ("rules", "restarts", "of them stopped", "lost, card-h")
        tables.append((undone, [(name, *_undone(each)) for name, each in zip(names, found, strict=True)]))
    costs = [each.footprint for each in found if each.footprint is not None]
    if costs:
        heads: Heads = ("rules", "cost, yuan", "energy", "carbon", "green")
        heads += ("electricity, yuan",) if any(each.electricity_yuan is not None for each in costs) else ()
        rows = [(name, *_cost(each))[: len(heads)] for name, each in zip(names, costs, strict=True)]
        tables.append((heads, rows))
    used = [(name, *_use(use)) for name, each in zip(names, found, strict=True) for use in each.uses]
    if used:
        heads = ("rules", "of", "what", "promised", "at most", "mean", "peak", "at the limit")
        tables.append((heads, used))
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
    )  # fmt: skip


def _undone(each: Result) -> tuple[str, ...]:
    of = each.measures
    return f"{of.restarts:,}", f"{of.stops:,}", f"{of.lost_card_s / 3600:,.0f}"


def _cost(of: Footprint) -> tuple[str, ...]:
    paid = "" if of.electricity_yuan is None else f"{of.electricity_yuan:,.0f}"
    energy, carbon = _scaled(of.energy_kwh, "kWh", "MWh"), _scaled(of.carbon_kg, "kg", "t")
    return f"{of.cost_yuan:,.0f}", energy, carbon, f"{of.green_share:.1%}", paid


def _scaled(value: float, unit: str, thousand: str) -> str:
    return f"{value:,.1f} {unit}" if value < 10_000 else f"{value / 1000:,.1f} {thousand}"


def _use(use: Use) -> tuple[str, ...]:
    promised, most = ("" if each is None else f"{each:,}" for each in (use.promised, use.most))
    return (
        use.name, use.what, promised, most, f"{use.mean:,.1f}", f"{use.peak:,.1f}", f"{use.full_h:,.1f} h",
    )  # fmt: skip
