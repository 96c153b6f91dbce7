"""The capacity model: which nodes to add, where and when, at the least cost; a mixed-integer program.

Whole nodes by centre, accelerator and phase; work by class, centre, accelerator, phase and hour of a typical
day. Work that may wait moves within its day, all other work is served in its hour; what runs is within the
power of its region and is as green over the day as the phase asks. What cannot be served or is not green
enough is bought at a price that no plan would pay otherwise, so an impossible plan names what breaks.

Costs are discounted to the first phase: nodes when they are added, upkeep and energy for as long as the
phase lasts. Energy is the cards' nameplate power times PUE for the hours that they are busy, as on bills.
"""

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Problem, Refused
from hutong.sim.plan.file import PlanFile, Work
from hutong.sim.plan.program import INFINITE, Program, Solved

HOURS = 24
_DAYS_A_YEAR = 365.25
_MILLION = 1e6
SHORT_MILLION = 1_000.0
"""What an unserved P, or a MW that is not green, costs an hour of the day, 10^6 yuan: more than any plan."""

MOST_S = 60.0
GAP = 0.002
SMALL_P, SMALL_MW = 0.01, 0.001
"""What is short by less is taken as served: solvers are right to a part in a million or so."""


@dataclass(frozen=True, slots=True)
class Option:
    """Nodes of one accelerator at one centre: those that are there, and whether more may come."""

    site: str
    pool: str
    region: str
    accelerator: str
    km: int
    nodes: int
    cards_per_node: int
    grows: bool
    p_per_node: float
    mw_per_node: float
    green: tuple[float, ...]

    @property
    def mw_per_p(self) -> float:
        """Power of cards, PUE included, that do one P."""
        return self.mw_per_node / self.p_per_node


@dataclass(frozen=True, slots=True)
class Stage:
    """What a plan does in one phase; P, MW and 10^6 yuan. `used_mw` is the mean of a day.

    `short_p` is the work that finds no room, the mean of a day, and `short_of` its classes; `ungreen_mw` how
    much power would have to be green and is not.
    """

    name: str
    years: float
    peak_p: float
    nodes: tuple[int, ...]
    added: tuple[int, ...]
    capacity_p: float
    used_p: float
    used_mw: float
    green_percent: float
    short_p: float
    short_of: tuple[str, ...]
    ungreen_mw: float
    build_million: float
    running_million: float


@dataclass(frozen=True, slots=True)
class Price:
    """A limit that binds in a phase, and what one more unit of it would save, 10^6 yuan, discounted.

    Where something is short that is None: what it would save is the price of being short.
    """

    phase: str
    limit: str
    unit: str
    saves_million: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """A plan: its cost in 10^6 yuan, how far from proven best it may be, stage by stage; what binds."""

    options: tuple[Option, ...]
    stages: tuple[Stage, ...]
    cost_million: float
    gap: float
    prices: tuple[Price, ...]

    @property
    def feasible(self) -> bool:
        """True if all work is served and green enough."""
        return all(each.short_p < SMALL_P and each.ungreen_mw < SMALL_MW for each in self.stages)


def options_of(sites: Sequence[Site], plan: PlanFile) -> tuple[Option, ...]:
    """Return what is there, and what may be added: any accelerator of a region at each of its centres."""
    found: list[Option] = []
    for site in sites:
        adds = plan.regions[site.region].adds
        there = {pool.accelerator for pool in site.pools}
        found += [
            _option(
                site, pool.id, pool.accelerator, pool.nodes, pool.cards_per_node, pool.pue_milli,
                grows=pool.accelerator in adds,
            )
            for pool in site.pools
            if _figure(pool.accelerator)
        ]  # fmt: skip
        pue_milli = min((pool.pue_milli for pool in site.pools), default=1300)
        names = {pool.id for pool in site.pools}
        found += [
            _option(site, _new_name(chip, names), chip, 0, 8, pue_milli, grows=True)
            for chip in adds
            if chip not in there
        ]
    return tuple(found)


def _new_name(chip: str, taken: Set[str]) -> str:
    return chip.lower() if chip.lower() not in taken else f"{chip.lower()}-new"


def _figure(model: str) -> float:
    """Return a card's FP16 dense figure in P, 0 if it has none."""
    card = ACCELERATORS.get(model)
    return card.fp16.gops / 1e6 if card and card.fp16 else 0.0


def _option(
    site: Site, pool: str, model: str, nodes: int, cards: int, pue_milli: int, *, grows: bool
) -> Option:
    mw = cards * ACCELERATORS[model].tdp_w * pue_milli / 1000 / _MILLION
    green = tuple(share / _MILLION for share in site.supply.green_ppm)
    p_node = cards * _figure(model)
    return Option(site.id, pool, site.region, model, site.distance_km, nodes, cards, grows, p_node, mw, green)


class Model:
    """The program of one plan, with the names of its variables and rows."""

    def __init__(self, plan: PlanFile, options: Sequence[Option], peak_p: Sequence[float]) -> None:
        self.plan = plan
        self.options = tuple(options)
        self.peak_p = tuple(peak_p)
        self._program = Program()
        self._nodes: dict[tuple[int, int], int] = {}
        self._work: dict[tuple[str, int, int, int], int] = {}
        self._short: dict[tuple[str, int, int], int] = {}
        self._ungreen: dict[int, int] = {}
        self._rows: dict[int, tuple[int, str, str]] = {}
        self._years = _years(plan)
        for phase in range(len(plan.phases)):
            self._add_phase(phase)

    def solve(self) -> Found:
        """Return the cheapest plan; raises Refused where there is none, or the solver finds none in time."""
        self._refuse_what_stands()
        best = self._program.solve(whole=True, most_s=MOST_S, gap=GAP)
        priced = self._program.solve(whole=False, most_s=MOST_S, gap=GAP)
        if best is None or priced is None:
            raise Refused("plan", f"no plan was found within {MOST_S:.0f} s")
        stages = tuple(self._stage(best, phase) for phase in range(len(self.plan.phases)))
        cost = sum(
            self._discount(phase) * (stage.build_million + stage.running_million)
            for phase, stage in enumerate(stages)
        )
        found = Found(self.options, stages, cost, best.gap, self._prices(priced))
        if found.feasible:
            return found
        return replace(found, prices=tuple(replace(each, saves_million=None) for each in found.prices))

    def _refuse_what_stands(self) -> None:
        """Refuse a limit that what stands already goes beyond: nothing is ever pulled down."""
        problems = []
        for region, limit in self.plan.regions.items():
            drawn_mw = sum(each.nodes * each.mw_per_node for each in self.options if each.region == region)
            if drawn_mw > limit.most_mw:
                text = f"{drawn_mw:.2f} MW stand there already"
                problems.append(Problem(f"/regions/{region}/most_mw", text, f"{drawn_mw:.2f} or more"))
        if problems:
            raise Refused("plan", "a limit is below what stands already", tuple(problems))

    def _discount(self, phase: int) -> float:
        began = (self.plan.phases[phase].begins - self.plan.phases[0].begins).days / _DAYS_A_YEAR
        return float((1 + self.plan.discount_percent / 100) ** -began)

    def _add_phase(self, phase: int) -> None:
        self._add_nodes(phase)
        for work in self.plan.work:
            self._add_work(phase, work)
        self._add_limits(phase)

    def _add_nodes(self, phase: int) -> None:
        plan, worth = self.plan, self._discount(phase)
        for at, option in enumerate(self.options):
            most = INFINITE if option.grows else option.nodes
            price = plan.cards[option.accelerator].node_yuan / _MILLION if option.grows else 0.0
            later = self._discount(phase + 1) if phase + 1 < len(plan.phases) else 0.0
            # Added nodes are a difference of variables: what is bought now is not bought later.
            cost = price * (worth - later) + price * plan.upkeep_percent / 100 * self._years[phase] * worth
            self._nodes[at, phase] = self._program.variable(option.nodes, most, cost, whole=True)
            if phase:
                self._program.row(0, INFINITE, {self._nodes[at, phase]: 1, self._nodes[at, phase - 1]: -1})
        for chip, card in plan.cards.items():
            mine = [at for at, option in enumerate(self.options) if option.accelerator == chip]
            terms = {self._nodes[at, phase]: 1.0 for at in mine}
            terms |= {self._nodes[at, phase - 1]: -1.0 for at in mine if phase}
            there = sum(self.options[at].nodes for at in mine) if not phase else 0
            row = self._program.row(-INFINITE, card.most_nodes_a_phase + there, terms)
            self._rows[row] = (phase, f"{chip} nodes of a phase", "node")

    def _add_work(self, phase: int, work: Work) -> None:
        program, asked = self._program, self.peak_p[phase] * work.share
        peak = max(work.by_hour)
        by_hour = [asked * each / peak for each in work.by_hour]
        hours = []
        for hour in range(HOURS):
            terms: dict[int, float] = {}
            for at, option in enumerate(self.options):
                if option.km <= work.max_km:
                    cost = self._energy_cost(phase, option)
                    name = self._work[work.name, at, phase, hour] = program.variable(0, INFINITE, cost)
                    terms[name] = 1.0
            if not work.deferrable:
                terms[self._shortage(work.name, phase, hour)] = 1.0
                program.row(by_hour[hour], by_hour[hour], terms)
            hours.append(terms)
        if work.deferrable:
            whole = {name: 1.0 for terms in hours for name in terms}
            whole[self._shortage(work.name, phase, 0)] = 1.0
            program.row(sum(by_hour), sum(by_hour), whole)

    def _shortage(self, work: str, phase: int, hour: int) -> int:
        found = self._program.variable(0, INFINITE, SHORT_MILLION)
        self._short[work, phase, hour] = found
        return found

    def _energy_cost(self, phase: int, option: Option) -> float:
        """Return what one P for one hour of every day of the phase costs, 10^6 yuan, discounted."""
        days = _DAYS_A_YEAR * self._years[phase]
        kwh = option.mw_per_p * 1000 * days
        return kwh * self.plan.regions[option.region].yuan_per_kwh / _MILLION * self._discount(phase)

    def _add_limits(self, phase: int) -> None:
        program, plan = self._program, self.plan
        for at, option in enumerate(self.options):
            for hour in range(HOURS):
                terms = {
                    self._work[work.name, at, phase, hour]: 1.0
                    for work in plan.work
                    if option.km <= work.max_km
                }
                terms[self._nodes[at, phase]] = -option.p_per_node * plan.busy_percent / 100
                program.row(-INFINITE, 0, terms)
        for region, limit in plan.regions.items():
            terms = {
                self._nodes[at, phase]: option.mw_per_node
                for at, option in enumerate(self.options)
                if option.region == region
            }
            row = program.row(-INFINITE, limit.most_mw, terms)
            self._rows[row] = (phase, f"power in {region}", "MW")
        target = plan.phases[phase].green_percent / 100
        self._ungreen[phase] = program.variable(0, INFINITE, SHORT_MILLION)
        terms = {self._ungreen[phase]: 1.0}
        for (_, at, when, hour), variable in self._work.items():
            if when == phase:
                option = self.options[at]
                terms[variable] = option.mw_per_p * (option.green[hour] - target)
        row = program.row(0, INFINITE, terms)
        self._rows[row] = (phase, "green share", "point")

    def _stage(self, found: Solved, phase: int) -> Stage:
        plan = self.plan
        nodes = tuple(round(found.values[self._nodes[at, phase]]) for at in range(len(self.options)))
        before = (
            tuple(round(found.values[self._nodes[at, phase - 1]]) for at in range(len(self.options)))
            if phase
            else tuple(option.nodes for option in self.options)
        )
        used_p = used_mw = green_mw = 0.0
        for (_, at, when, hour), variable in self._work.items():
            if when == phase:
                option, work = self.options[at], found.values[variable]
                used_p += work
                used_mw += work * option.mw_per_p
                green_mw += work * option.mw_per_p * option.green[hour]
        short: dict[str, float] = defaultdict(float)
        for (work_name, when, _), variable in self._short.items():
            if when == phase:
                short[work_name] += found.values[variable] / HOURS
        added = tuple(now - then for now, then in zip(nodes, before, strict=True))
        return Stage(
            name=plan.phases[phase].name,
            years=self._years[phase],
            peak_p=self.peak_p[phase],
            nodes=nodes,
            added=added,
            capacity_p=sum(n * o.p_per_node for n, o in zip(nodes, self.options, strict=True)),
            used_p=used_p / HOURS,
            used_mw=used_mw / HOURS,
            green_percent=100 * green_mw / used_mw if used_mw else 0.0,
            short_p=sum(short.values()),
            short_of=tuple(sorted(name for name, size_p in short.items() if size_p > SMALL_P)),
            ungreen_mw=found.values[self._ungreen[phase]] / HOURS,
            build_million=self._build_million(added),
            running_million=self._running_million(found, phase, nodes),
        )

    def _build_million(self, added: Sequence[int]) -> float:
        return sum(
            count * self.plan.cards[option.accelerator].node_yuan / _MILLION
            for count, option in zip(added, self.options, strict=True)
            if count
        )

    def _running_million(self, found: Solved, phase: int, nodes: Sequence[int]) -> float:
        """Return upkeep of what may grow, and energy, of the whole phase, not discounted."""
        energy = sum(
            found.values[variable] * self._energy_cost(phase, self.options[at])
            for (_, at, when, _), variable in self._work.items()
            if when == phase
        )
        upkeep = sum(
            count * self.plan.cards[option.accelerator].node_yuan / _MILLION
            for count, option in zip(nodes, self.options, strict=True)
            if option.grows
        )
        return energy / self._discount(phase) + upkeep * self.plan.upkeep_percent / 100 * self._years[phase]

    def _prices(self, found: Solved) -> tuple[Price, ...]:
        prices = []
        for row, (phase, limit, unit) in self._rows.items():
            dual = found.duals[row]
            if unit == "point":  # a point more asks for a hundredth of the day's energy
                mwh = sum(
                    found.values[variable] * self.options[option].mw_per_p
                    for (_, option, when, _), variable in self._work.items()
                    if when == phase
                )
                dual *= mwh / 100
            if abs(dual) > 1e-6:
                prices.append((-abs(dual), Price(self.plan.phases[phase].name, limit, unit, abs(dual))))
        return tuple(price for _, price in sorted(prices, key=lambda each: each[0]))


def _years(plan: PlanFile) -> list[float]:
    """Return how many years each phase lasts."""
    ends = [*(each.begins for each in plan.phases[1:]), plan.ends]
    return [(end - each.begins).days / _DAYS_A_YEAR for each, end in zip(plan.phases, ends, strict=True)]


def cheapest(plan: PlanFile, sites: Sequence[Site], *, demand: str = "likely") -> Found:
    """Return the cheapest plan for the low, likely or high demand."""
    peaks = [float(getattr(each.peak_p, demand)) for each in plan.phases]
    return Model(plan, options_of(sites, plan), peaks).solve()


def with_green(plan: PlanFile, percent: float) -> PlanFile:
    """Return the plan with another green share for every phase."""
    phases = tuple(each.model_copy(update={"green_percent": percent}) for each in plan.phases)
    return plan.model_copy(update={"phases": phases})
