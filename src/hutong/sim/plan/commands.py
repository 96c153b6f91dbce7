"""`hutong plan`: the cheapest capacity for a growing demand, what breaks first, and what if."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.core.capacity.sites import Admission
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.quantities import parse_seconds

# HiGHS and numba are loaded by the command that needs them.
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hutong.core.capacity.sites import Site
    from hutong.core.placement.request import Policy
    from hutong.sim.plan.file import PlanFile
    from hutong.sim.plan.model import Found, Price
    from hutong.sim.plan.proof import Figure, Proof, Proved
    from hutong.sim.settled import Agreed

Sites = Callable[[str], "Sequence[Site]"]
Policies = Callable[["Sequence[str]"], "Sequence[Policy]"]
Folder = Callable[[str], Path]

_FRONT = range(20, 81, 10)


def add_to(cli: typer.Typer, sites: Sites, policies: Policies, folder: Folder) -> None:
    """Add the command; `folder` is where a scenario's files are."""

    @cli.command(rich_help_panel="Platform")
    def plan(
        scenario: Annotated[str, typer.Argument(help="Whose centres, and whose plan.yaml.")] = "beijing",
        file: Annotated[Path | None, typer.Option("--file", help="Another plan file.")] = None,
        outage: Annotated[
            list[str] | None, typer.Option("--outage", help="What if: PLACE@FROM..TO, =SHARE of what stays.")
        ] = None,
        checkpoint: Annotated[str, typer.Option("--checkpoint", help="Jobs save so often.")] = "1h",
        policy: Annotated[str, typer.Option("--policy", help="Who places then, or a file.")] = "balanced",
        seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Runs of each phase.")] = 5,
        days: Annotated[int, typer.Option("--days", min=1, max=60, help="Simulated, of each phase.")] = 3,
        rules_file: Annotated[
            Path | None, typer.Option("--rules", help="A file of limits of power for the proof.")
        ] = None,
        front: Annotated[bool, typer.Option("--front", help="Cost against green share.")] = False,
        quick: Annotated[bool, typer.Option("--quick", help="One seed of one day.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    ) -> None:
        """Plan a city's capacity: what to add, where and when, at the least cost; proved in the simulator.

        Example: hutong plan beijing --outage 'Zhangjiakou@24h..48h'
        """
        from hutong.sim.plan.file import read_plan
        from hutong.sim.plan.proof import check_outages
        from hutong.sim.rules_file import read_rules
        from hutong.sim.settled import Agreed

        found = [site for site in sites(scenario) if site.admission is Admission.ACTIVE]
        asked = read_plan(file or folder(scenario) / "plan.yaml", found)
        (chosen,) = policies([policy])
        checkpoint_s = parse_seconds(checkpoint)
        if checkpoint_s is None:
            raise Refused("plan", "--checkpoint is a time as 30m or 1h")
        agreed = read_rules(rules_file) if rules_file else Agreed()
        seeds, days = (1, 1) if quick else (seeds, days)
        check_outages(outage or (), found, days)
        study = _Study(asked, found, chosen, seeds, days, agreed, as_json)
        document = study.run(tuple(outage or ()), checkpoint_s, front=front)
        if as_json:
            show_json(document)


class _Study:
    """One plan, its proof, and what was asked beside it; shown as it comes."""

    def __init__(
        self, plan: "PlanFile", sites: "list[Site]", policy: "Policy", seeds: int, days: int,
        agreed: "Agreed", quiet: bool,
    ) -> None:  # fmt: skip
        self._plan, self._sites, self._policy, self._agreed = plan, sites, policy, agreed
        self._seeds, self._days, self._quiet = seeds, days, quiet

    def run(self, outages: tuple[str, ...], checkpoint_s: int, *, front: bool) -> dict[str, Any]:
        """Plan, prove, ask; return everything as one document."""
        from hutong.sim.plan.model import cheapest
        from hutong.sim.plan.proof import proved

        with self._progress("planning"):
            done = proved(
                self._plan, self._sites, self._policy, seeds=self._seeds, days=self._days, agreed=self._agreed
            )
            plan, found, proofs = done.plan, done.found, list(done.proofs)
            sides = {each: cheapest(plan, self._sites, demand=each) for each in ("low", "high")}
        document = {
            "busy_percent": plan.busy_percent,
            "cost_million_yuan": found.cost_million,
            "gap": found.gap,
            "feasible": found.feasible,
            "late": list(done.late),
            "range_million_yuan": {name: each.cost_million for name, each in sides.items()},
            "stages": [asdict(each) for each in found.stages],
            "options": [asdict(each) for each in found.options],
            "prices": [asdict(each) for each in found.prices],
            "proof": [asdict(each) for each in proofs],
        }
        if not self._quiet:
            self._show(done, sides)
        document["breaks_first"] = self._breaks(plan, found)
        if outages:
            document["what_if"] = self._what_if(plan, found, proofs, outages, checkpoint_s)
        if front:
            document["front"] = self._front(plan)
        return document

    def _progress(self, text: str) -> Progress:
        shown = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
            console=Console(stderr=True), transient=True, disable=self._quiet,
        )  # fmt: skip
        shown.add_task(text)
        return shown

    def _show(self, done: "Proved", sides: "dict[str, Found]") -> None:
        plan, found, proofs = done.plan, done.found, done.proofs
        low, high = (sides[each].cost_million for each in ("low", "high"))
        say(
            f"cheapest plan: {found.cost_million:,.0f} million yuan, discounted ({low:,.0f} to {high:,.0f} "
            f"for low and high demand); within {100 * found.gap:.2f} % of the best; "
            f"cards at most {plan.busy_percent:g} % busy"
        )
        if not found.feasible:
            say(
                "not possible: not all work finds room, or not enough of it is green, within the limits below"
            )
        if done.late:
            target = f"{plan.wait_p90_minutes:g} min"
            say(
                f"waits are too long in {', '.join(done.late)}: a tenth waits more than {target} all the same"
            )
        built = [
            (
                stage.name, f"{stage.peak_p:,.0f}", f"{stage.capacity_p:,.0f}", f"{stage.used_mw:.2f}",
                f"{stage.build_million:,.0f}", f"{stage.running_million:,.0f}",
                f"{stage.short_p:,.0f}" if stage.short_p >= 0.5 else "",
            )
            for stage in found.stages
        ]  # fmt: skip
        heads = ("phase", ">peak, P", ">there, P", ">in use, MW", ">build", ">run", ">short, P")
        rows_of(table(*heads), built, "no phases")
        went = [
            (
                stage.name, f"{stage.green_percent:.0f} %", f"{proof.green_percent.mean:.0f} %",
                f"{proof.wait_p50.mean:.0f} min", _span(proof.wait_p90),
            )
            for stage, proof in zip(found.stages, proofs, strict=True)
        ]  # fmt: skip
        rows_of(table("phase", ">green", ">simulated", ">wait p50", ">p90"), went, "no phases")
        added = [
            (stage.name, f"{count:,}", option.accelerator, option.site, option.region)
            for stage in found.stages
            for count, option in zip(stage.added, found.options, strict=True)
            if count
        ]
        rows_of(table("phase", "nodes", "accelerator", "centre", "region"), added, "nothing is added")
        priced = [(each.phase, each.limit, _worth(each)) for each in found.prices[:8]]
        rows_of(table("phase", "what binds", "worth, million yuan"), priced, "no limit binds")
        jobs, scales = [each.jobs for each in proofs], [each.scale for each in proofs]
        say(f"proof: {min(jobs):,} to {max(jobs):,} jobs a run, at scales up to 1:{max(scales):.0f}")

    def _breaks(self, plan: "PlanFile", found: "Found") -> list[dict[str, Any]]:
        from hutong.sim.plan.headroom import MOST, headroom

        with self._progress("what breaks first"):
            heads = [headroom(found, plan, at) for at in range(len(found.stages))]
        pairs = list(zip(found.stages, heads, strict=True))
        told: list[dict[str, Any]] = [
            {"phase": stage.name, "grows_by": factor, "limits": list(limits)}
            for stage, (factor, limits) in pairs
        ]
        if not self._quiet:
            rows = [
                (
                    stage.name,
                    f"x {factor:.2f}" if limits else f"more than x {MOST:g}",
                    ", ".join(limits),
                )
                for stage, (factor, limits) in pairs
            ]
            rows_of(table("phase", "its work could grow", "what breaks then"), rows, "no phases")
        return told

    def _what_if(
        self,
        plan: "PlanFile",
        found: "Found",
        calm: "list[Proof]",
        outages: tuple[str, ...],
        checkpoint_s: int,
    ) -> list[dict[str, Any]]:
        from hutong.sim.plan.proof import prove

        with self._progress("what if"):
            cut = [
                prove(
                    plan, self._sites, found.options, stage, self._policy, seeds=self._seeds, days=self._days,
                    outages=outages, checkpoint_s=checkpoint_s, agreed=self._agreed,
                )
                for stage in found.stages
            ]  # fmt: skip
        if not self._quiet:
            rows = [
                (
                    now.phase, f"{was.wait_p90.mean:.0f} min",
                    _span(now.wait_p90),
                    f"{now.restarts.mean:,.0f}", f"{now.lost_card_h.mean:,.0f}",
                    f"{now.green_percent.mean - was.green_percent.mean:+.1f}",
                )
                for was, now in zip(calm, cut, strict=True)
            ]  # fmt: skip
            say(f"what if {', '.join(outages)}")
            columns = ("phase", "wait p90", "then", "restarts", "lost, card-h", "green, points")
            rows_of(table(*columns), rows, "no phases")
        return [asdict(each) for each in cut]

    def _front(self, plan: "PlanFile") -> list[dict[str, Any]]:
        from hutong.sim.plan.model import cheapest, with_green

        with self._progress("green share against cost"):
            found = [(percent, cheapest(with_green(plan, percent), self._sites)) for percent in _FRONT]
        told = [
            {
                "green_percent": percent,
                "cost_million_yuan": each.cost_million if each.feasible else None,
                "last_green_percent": each.stages[-1].green_percent,
            }
            for percent, each in found
        ]
        if not self._quiet:
            rows = [
                (
                    f"{percent} %",
                    f"{each.cost_million:,.0f}" if each.feasible else "not possible",
                    f"{each.stages[-1].green_percent:.0f} %",
                )
                for percent, each in found
            ]
            rows_of(table("green at least", "cost, million yuan", "green in the last phase"), rows, "nothing")
        return told


def _worth(price: "Price") -> str:
    return "" if price.saves_million is None else f"{price.saves_million:,.2f} a {price.unit}"


def _span(figure: "Figure") -> str:
    if figure.low == figure.high:
        return f"{figure.mean:.0f} min"
    return f"{figure.mean:.0f} [{figure.low:.0f}, {figure.high:.0f}] min"
