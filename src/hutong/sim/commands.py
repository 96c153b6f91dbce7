"""`hutong simulate`: a trace through the live placement, under one or more rules, side by side."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hutong.core.kernel.errors import Refused
from hutong.core.kernel.quantities import parse_seconds
from hutong.sim.rules import BackfillName, Lengths, Queueing, Rules

# numba and numpy are loaded by the command that needs them, and not by `hutong jobs`.
if TYPE_CHECKING:
    from hutong.core.capacity.sites import Site
    from hutong.core.placement.request import Policy

Sites = Callable[[str], "Sequence[Site]"]
Policies = Callable[[], "Mapping[str, Policy]"]


def add_to(cli: typer.Typer, sites: Sites, policies: Policies) -> None:
    """Add the command; `sites` reads a scenario's sites by its name, `policies` those that ship."""

    @cli.command(rich_help_panel="Platform")
    def simulate(
        scenario: Annotated[
            str, typer.Argument(help="Whose centres: a scenario, or a file of virtual clusters.")
        ] = "",
        trace: Annotated[Path | None, typer.Option("--trace", help="A file of jobs.")] = None,
        kind: Annotated[str, typer.Option("--kind", help="The kind of trace, where it does not show.")] = "",
        nodes: Annotated[int, typer.Option("--nodes", min=0, help="One pool of so many nodes.")] = 0,
        cards: Annotated[int, typer.Option("--cards-per-node", min=1, help="Cards of each node.")] = 8,
        order: Annotated[list[Queueing] | None, typer.Option("--order", help="Give several.")] = None,
        backfill: Annotated[BackfillName, typer.Option("--backfill")] = BackfillName.EASY,
        lengths: Annotated[Lengths, typer.Option("--lengths", help="What is known.")] = Lengths.GUESSED,
        policy: Annotated[list[str] | None, typer.Option("--policy", help="Give several.")] = None,
        isolated: Annotated[bool, typer.Option("--isolated", help="Each group in its own pool.")] = False,
        warm_up: Annotated[str, typer.Option("--warm-up", help="Count only jobs after, as 1d.")] = "0s",
        out: Annotated[Path | None, typer.Option("--out", help="Write a report here, HTML.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    ) -> None:
        """Simulate a trace with the code that places jobs live, and show what came of it.

        Example: hutong simulate demo --trace philly.csv --policy cheapest --policy greenest
        """
        from hutong.sim import compare
        from hutong.sim.importers import read
        from hutong.sim.report import write_report

        warm_up_s = parse_seconds(warm_up)
        if trace is None or warm_up_s is None:
            raise Refused("simulation", "give a file of jobs by --trace, and --warm-up as 90s, 12h or 1d")
        jobs = read(trace, kind or None)
        by_file = bool(nodes) or Path(scenario).is_file()
        if by_file and policy:
            raise Refused(
                "simulation", "--policy weighs the centres of a scenario; these pools have no prices"
            )
        if by_file:
            ground = compare.ground_of(scenario, nodes, cards, isolated=isolated)
        else:
            ground = compare.ground_of_sites(sites(scenario))
        found = compare.compare(
            jobs,
            ground,
            Rules(tuple(order or (Queueing.FIFO, Queueing.FAIR)), backfill, lengths),
            () if by_file else _named(policy or ["balanced"], policies()),
            isolated=isolated,
            warm_up_s=warm_up_s,
        )
        if out:
            write_report(out, jobs, ground.cluster, [(each.rules, each.measures, each.run) for each in found])
        compare.show(jobs, ground, found, as_json=as_json)


def _named(names: Sequence[str], known: "Mapping[str, Policy]") -> "list[Policy]":
    missing = [name for name in names if name not in known]
    if missing:
        raise Refused("simulation", f"no policy {missing[0]!r}; there are {', '.join(sorted(known))}")
    return [known[name] for name in names]
