"""Simulated runs on the terminal: as a table for people, as one document for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.sim.compare import Result
from hutong.sim.figures import figures_of
from hutong.sim.seeds import Estimate, Summary, figure_rows
from hutong.sim.sweep import Plan

_WORDS = frozenset({"rules", "of", "what"})


def show(plan: Plan, found: Sequence[Result], summaries: Sequence[Summary], *, as_json: bool) -> None:
    """Print the runs; those with several seeds by their means and intervals."""
    seeds = len(summaries[0].digests)
    if as_json:
        show_json(document(plan, found, summaries))
        return
    trace, cards = plan.trace, plan.ground.cluster.cards
    days = trace.span_s / 86_400
    say(f"{trace.name}: {len(trace):,} jobs over {days:.1f} days, {cards:,} cards")
    say(trace.source)
    if seeds > 1:
        say(f"means over {seeds} seeds, and their 95 % intervals by the bootstrap")
        _show_rows([(each.rules, {**each.measures, **each.footprint}) for each in summaries])
        if len(summaries) > 1:
            say(f"less {summaries[0].rules}, seed by seed")
            _show_rows([(each.rules, each.against_first) for each in summaries[1:]])
        return
    figures = figures_of(found)
    if figures.shared:
        say(f"all: {figures.shared}" if len(found) > 1 else figures.shared)
    for heads, rows in figures.tables:
        rows_of(table(*(each if each in _WORDS else f">{each}" for each in heads)), rows, "nothing ran")


def document(plan: Plan, found: Sequence[Result], summaries: Sequence[Summary]) -> dict[str, object]:
    """Return all runs as one document; of several seeds the means stand where one run's figures would."""
    seeds = len(summaries[0].digests)
    head = {
        "trace": plan.trace.name,
        "source": plan.trace.source,
        "jobs": len(plan.trace),
        "cards": plan.ground.cluster.cards,
        "seeds": seeds,
    }
    if seeds == 1:
        return head | {
            "runs": [
                {
                    "rules": each.rules,
                    "digest": each.digest,
                    "measures": asdict(each.measures),
                    "footprint": asdict(each.footprint) if each.footprint else None,
                    "uses": [asdict(use) for use in each.uses],
                }
                for each in found
            ]
        }
    return head | {
        "runs": [
            {
                "rules": each.rules,
                "digests": each.digests,
                "measures": {name: of.mean for name, of in each.measures.items()},
                "footprint": {name: of.mean for name, of in each.footprint.items()} or None,
                "intervals": {
                    name: [of.low, of.high] for name, of in {**each.measures, **each.footprint}.items()
                },
                "against_first": {name: asdict(of) for name, of in each.against_first.items()},
            }
            for each in summaries
        ]
    }


def _show_rows(columns: Sequence[tuple[str, Mapping[str, Estimate]]]) -> None:
    made = table("", *(rules for rules, _ in columns))
    rows_of(made, figure_rows(columns), "nothing ran")
