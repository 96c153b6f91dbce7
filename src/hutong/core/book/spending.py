"""How much of a budget is spent: settled by the days' use, and what placed work may still use."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hutong.core.accounts.budgets import ALL, Action, Budget, Scope, Unit
from hutong.core.book.ahead import Ahead
from hutong.core.book.money import TOKEN_UNITS
from hutong.core.book.uses import Amounts, Use, UseQuery
from hutong.core.capacity.sites import Supply
from hutong.core.kernel.days import day_of

_SECONDS = 3600  # J x g/kWh / 3600 = mg
BY = ("sku",)


@dataclass(frozen=True, slots=True)
class Spending:
    """A budget in its period of now, in base units of its unit.

    `settled` is metered; `ahead` is what placed work may still use, of which some is in flight. `told_ms` is
    since when people know that what runs will be stopped, 0 for not yet.
    """

    budget: Budget
    days: tuple[int, int]
    settled: int
    ahead: int
    told_ms: int = 0

    @property
    def spent(self) -> int:
        """What is settled, or may still become so without anything more being placed."""
        return self.settled + self.ahead


def measured(budget: Budget, sku: str, unit: str, amounts: Amounts) -> int:
    """Return how much of a budget's unit an amount of use is."""
    match budget.unit:
        case Unit.CNY:
            return amounts.charge_micro
        case Unit.CARD_HOURS:
            counts = unit == "card_ms" and budget.accelerator in {ALL, sku}
            return amounts.quantity if counts else 0
        case Unit.TOKENS:
            return amounts.quantity if unit in TOKEN_UNITS else 0
        case Unit.KWH:
            return amounts.energy_j
        case Unit.CO2:
            return amounts.co2_mg


def with_carbon(amounts: Amounts, supply: Supply | None) -> Amounts:
    """Return what is ahead with its carbon, taken as if the worst hour of its site lasted."""
    grams = max(supply.grams_per_kwh, default=0) if supply else 0
    co2_mg = -(-amounts.energy_j * grams // _SECONDS)
    return Amounts(amounts.quantity, amounts.charge_micro, amounts.energy_j, 0, co2_mg)


def projects_of(budget: Budget, of_institution: Callable[[str], frozenset[str]]) -> frozenset[str]:
    """Return the projects whose use counts."""
    if budget.scope is Scope.INSTITUTION:
        return of_institution(budget.name)
    return frozenset({budget.name})


def query_of(budget: Budget, projects: frozenset[str], days: tuple[int, int]) -> UseQuery:
    """Return the question whose answer is what is settled of a budget."""
    people = frozenset({budget.person}) if budget.scope is Scope.PERSON else frozenset()
    return UseQuery(projects, days, BY, people)


def spending_of(
    budget: Budget,
    now_ms: int,
    uses: Iterable[Use],
    ahead: Iterable[Ahead],
    supplies: Mapping[str, Supply],
    told_ms: int = 0,
) -> Spending | None:
    """Return what is spent of a budget in its period of now, or None if it has none.

    `uses` answer `query_of` the budget; `ahead` is of its projects, people who do not count left out here.
    """
    days = budget.days_at(day_of(now_ms))
    if days is None:
        return None
    settled = sum(measured(budget, str(use.key[0]), str(use.key[1]), use.amounts) for use in uses)
    still = sum(
        measured(budget, each.sku, "card_ms", with_carbon(each.amounts, supplies.get(each.site)))
        for each in ahead
        if not budget.person or each.person == budget.person
    )
    return Spending(budget, days, settled, still, told_ms)


def notice_id(budget: Budget, day: int, percent: int) -> str:
    """Return the name of the notice of a threshold in the period that a day lies in: there is one of each."""
    return f"{budget.id}.{budget.period_at(day)}.{percent}"


def stop_notice(budget: Budget, now_ms: int) -> str:
    """Return the name of the notice that tells people that what runs will be stopped; empty for none."""
    day = day_of(now_ms)
    percents = [each.percent for each in budget.thresholds if each.action is Action.STOP]
    return notice_id(budget, day, min(percents)) if percents and budget.days_at(day) else ""
