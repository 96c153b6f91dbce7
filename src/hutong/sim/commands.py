"""`hutong simulate`: a trace through the live placement, under one or more rules, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hutong.core.kernel.errors import Refused
from hutong.core.kernel.quantities import parse_seconds
from hutong.sim.rules import BackfillName, Lengths, Queueing, Rules, check_least

# numba and numpy are loaded by the command that needs them, and not by `hutong jobs`.
if TYPE_CHECKING:
    from hutong.core.capacity.sites import Site
    from hutong.core.placement.request import Policy
    from hutong.sim.compare import Ground
    from hutong.sim.conditions import Conditions
    from hutong.sim.sweep import Plan, Spreader

Sites = Callable[[str], "Sequence[Site]"]
Policies = Callable[[Sequence[str]], "Sequence[Policy]"]


class On(StrEnum):
    """Where many runs are made."""

    PROCESSES = "processes"
    RAY = "ray"
    SLURM = "slurm"


_PROCESSOR = "CPU"
_WORLD = "What goes wrong"
_MANY = "Many runs"
_Reading = Annotated[
    list[str] | None,
    typer.Option("--read", help="How to read it: unit=milli, seconds:bert=7200. Give several."),
]
_Accelerators = Annotated[
    list[str] | None,
    typer.Option("--accelerator", help="Only a scenario's pools of it; else all but CPU. Give several."),
]
_RulesFile = Annotated[
    Path | None, typer.Option("--rules", help="A file of quotas, bookings, limits and maintenance.")
]
_Outages = Annotated[
    list[str] | None,
    typer.Option("--outage", help="Nodes away; tianjin@36h..60h=0.9: 90 % stay.", rich_help_panel=_WORLD),
]
_NodeMtbf = Annotated[
    str,
    typer.Option("--node-mtbf", help="Each node fails once in so long; 0s: never.", rich_help_panel=_WORLD),
]
_NodeMttr = Annotated[str, typer.Option("--node-mttr", help="And is away for.", rich_help_panel=_WORLD)]
_SiteMtbf = Annotated[
    str, typer.Option("--site-mtbf", help="Each site is lost once in so long.", rich_help_panel=_WORLD)
]
_SiteMttr = Annotated[str, typer.Option("--site-mttr", help="And is away for.", rich_help_panel=_WORLD)]
_Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint", help="One each so long; 0s: killed jobs begin anew.", rich_help_panel=_WORLD
    ),
]
_Error = Annotated[
    float,
    typer.Option(
        "--forecast-error",
        min=0,
        max=100,
        help="Percent of the green share that a policy sees.",
        rich_help_panel=_WORLD,
    ),
]
_Seeds = Annotated[
    int,
    typer.Option(
        "--seeds", min=1, max=10_000, help="So many runs of each, with intervals.", rich_help_panel=_MANY
    ),
]
_Resample = Annotated[
    bool, typer.Option("--resample", help="Each seed draws the trace's days anew.", rich_help_panel=_MANY)
]
_Processes = Annotated[
    int, typer.Option("--processes", min=0, help="0: as many as cores.", rich_help_panel=_MANY)
]
_On = Annotated[On, typer.Option("--on", help="Where the runs are made.", rich_help_panel=_MANY)]
_Work = Annotated[
    Path | None, typer.Option("--work", help="Slurm: a folder all nodes see.", rich_help_panel=_MANY)
]


def add_to(cli: typer.Typer, sites: Sites, policies: Policies) -> None:
    """Add the command; `sites` reads a scenario's sites by its name, `policies` policies."""

    @cli.command(rich_help_panel="Platform")
    def simulate(
        scenario: Annotated[
            str, typer.Argument(help="Whose centres: a scenario, or a file of virtual clusters.")
        ] = "",
        trace: Annotated[Path | None, typer.Option("--trace", help="A file of jobs.")] = None,
        kind: Annotated[str, typer.Option("--kind", help="Its kind, where it does not show.")] = "",
        reading: _Reading = None,
        nodes: Annotated[int, typer.Option("--nodes", min=0, help="One pool of so many nodes.")] = 0,
        cards: Annotated[int, typer.Option("--cards-per-node", min=1, help="Cards of each node.")] = 8,
        accelerator: _Accelerators = None,
        order: Annotated[list[Queueing] | None, typer.Option("--order", help="Give several.")] = None,
        backfill: Annotated[
            BackfillName, typer.Option("--backfill", help="What passes who waits.")
        ] = BackfillName.EASY,
        lengths: Annotated[Lengths, typer.Option("--lengths", help="What is known.")] = Lengths.GUESSED,
        policy: Annotated[list[str] | None, typer.Option("--policy", help="Or a file. Give several.")] = None,
        isolated: Annotated[bool, typer.Option("--isolated", help="Each group in its own pool.")] = False,
        rules_file: _RulesFile = None,
        warm_up: Annotated[str, typer.Option("--warm-up", help="Count only jobs after, as 1d.")] = "0s",
        outage: _Outages = None,
        node_mtbf: _NodeMtbf = "0s",
        node_mttr: _NodeMttr = "4h",
        site_mtbf: _SiteMtbf = "0s",
        site_mttr: _SiteMttr = "4h",
        checkpoint: _Checkpoint = "0s",
        forecast_error: _Error = 0,
        seeds: _Seeds = 1,
        resample: _Resample = False,
        processes: _Processes = 0,
        on: _On = On.PROCESSES,
        work: _Work = None,
        out: Annotated[Path | None, typer.Option("--out", help="Write a report here, HTML.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    ) -> None:
        """Simulate a trace with the code that places jobs live, and show what came of it.

        Example: hutong simulate demo --trace philly.csv --policy cheapest --rules rules.yaml
        """
        from hutong.sim.importers import read
        from hutong.sim.importers.registry import options_of
        from hutong.sim.report import check_writable
        from hutong.sim.rules_file import read_rules
        from hutong.sim.sweep import Plan, cases_of

        if trace is None:
            raise Refused("simulation", "give a file of jobs by --trace")
        if out is not None:
            check_writable(out)
        ground, by_file = _ground(scenario, nodes, cards, isolated, sites, accelerator or ())
        if by_file and (policy or forecast_error):
            raise Refused("simulation", "policies and forecasts are of a scenario's centres; give one")
        conditions = _conditions(
            ground, outage or (), resample, forecast_error,
            node=(node_mtbf, node_mttr), site=(site_mtbf, site_mttr), checkpoint=checkpoint,
        )  # fmt: skip
        chosen = () if by_file else policies(policy or ["balanced"])
        rules = Rules(tuple(order or (Queueing.FIFO, Queueing.FAIR)), backfill, lengths)
        plan = Plan(
            read(trace, kind or None, **options_of(reading or ())), ground, rules,
            cases_of(rules, chosen, seeds), isolated=isolated,
            warm_up_s=_seconds("--warm-up", warm_up), conditions=conditions, keep_run=out is not None,
            agreed=read_rules(rules_file) if rules_file else None,
        )  # fmt: skip
        _check_seeds(plan, seeds)
        _check_rules(plan)
        _make(plan, _spreader(on, processes, work), seeds, out, as_json=as_json)


def _ground(
    scenario: str, nodes: int, cards: int, isolated: bool, sites: Sites, accelerators: Sequence[str]
) -> "tuple[Ground, bool]":
    """Return where jobs run, and whether that is without the centres of a scenario."""
    from hutong.sim.compare import ground_of, ground_of_sites

    if not nodes and not scenario:
        raise Refused("simulation", "name a scenario or a file of virtual clusters, or give --nodes")
    if nodes and scenario:
        raise Refused("simulation", f"--nodes is one pool, and {scenario!r} another place: give one of them")
    if nodes or Path(scenario).is_file():
        if accelerators:
            raise Refused("simulation", "--accelerator chooses among a scenario's pools; give a scenario")
        return ground_of(scenario, nodes, cards, isolated=isolated), True
    return ground_of_sites(_having(sites(scenario), accelerators)), False


def _having(sites: "Sequence[Site]", accelerators: Sequence[str]) -> "list[Site]":
    """Return sites with their pools of these accelerators; of any but processors if none is named."""
    known = sorted({pool.accelerator for site in sites for pool in site.pools})
    missing = [each for each in accelerators if each not in known]
    if missing:
        raise Refused("simulation", f"no pool has {missing[0]!r}; there are {', '.join(known)}")
    wanted = accelerators or [each for each in known if each != _PROCESSOR] or known
    kept = [
        replace(site, pools=tuple(pool for pool in site.pools if pool.accelerator in wanted))
        for site in sites
    ]
    return [site for site in kept if site.pools]


def _conditions(
    ground: "Ground",
    outages: Sequence[str],
    resample: bool,
    error_percent: float,
    *,
    node: tuple[str, str],
    site: tuple[str, str],
    checkpoint: str,
) -> "Conditions":
    from hutong.sim.conditions import Conditions, Often, parse_outage

    told = [each for text in outages for each in parse_outage(text, ground.cluster, ground.regions)]
    return Conditions(
        tuple(told),
        Often(_seconds("--node-mtbf", node[0]), _seconds("--node-mttr", node[1])),
        Often(_seconds("--site-mtbf", site[0]), _seconds("--site-mttr", site[1])),
        _seconds("--checkpoint", checkpoint),
        round(error_percent * 10_000),
        resample,
    )


def _check_seeds(plan: "Plan", seeds: int) -> None:
    away, nodes = plan.conditions.outages, plan.ground.cluster.nodes
    if seeds > 1 and not (plan.conditions.by_chance or any(each.nodes < nodes[each.pool] for each in away)):
        raise Refused(
            "simulation",
            "all seeds would do the same: add --node-mtbf, --site-mtbf, --forecast-error or --resample",
        )


def _check_rules(plan: "Plan") -> None:
    """Refuse rules that do not fit, field by field, before anything runs."""
    from hutong.sim.settled import settle

    rules, free = plan.rules, plan.agreed is None or plan.agreed.is_free
    if Queueing.LEAST in rules.orders:
        greedy, guessed = rules.backfill is BackfillName.GREEDY, rules.lengths is Lengths.GUESSED
        check_least(greedy=greedy, guessed=guessed, free=free)
    if plan.agreed is not None:
        settle(plan.agreed, plan.trace, plan.ground.views, plan.ground.cluster.names)


def _seconds(option: str, text: str) -> int:
    found = parse_seconds(text)
    if found is None:
        raise Refused("simulation", f"{option} is a time as 90s, 12h or 1d, and not {text!r}")
    return found


def _spreader(on: On, processes: int, work: Path | None) -> "Spreader":
    from hutong.sim.sweep import on_processes

    if on is On.RAY:
        from hutong.sim.on_ray import on_ray

        return on_ray
    if on is On.SLURM:
        from hutong.sim.on_slurm import on_slurm

        if work is None:
            raise Refused("simulation", "--on slurm needs --work, a folder that all nodes see")
        return on_slurm(work)
    return on_processes(processes)


def _make(plan: "Plan", spreader: "Spreader", seeds: int, out: Path | None, *, as_json: bool) -> None:
    from hutong.sim.chance import resampled
    from hutong.sim.report import write_report
    from hutong.sim.seeds import summarise
    from hutong.sim.showing import show
    from hutong.sim.sweep import sweep

    found = sweep(plan, spreader, quiet=as_json)
    summaries = summarise(found, seeds)
    if out:
        first = resampled(plan.trace, 1) if plan.conditions.resample else plan.trace
        write_report(out, first, plan.ground.cluster, found[::seeds], summaries if seeds > 1 else ())
    show(plan, found, summaries, as_json=as_json)
