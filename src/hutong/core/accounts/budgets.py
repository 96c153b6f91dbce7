"""Budgets: how much an institution, a project or a person in it may use of something in a time."""

from dataclasses import dataclass
from enum import StrEnum

from hutong.core.kernel.days import day_text, month_days, month_of, month_text

ALL = "*"
"""All accelerators together."""

PERCENT_MOST = 1000


class Scope(StrEnum):
    """Whose use counts."""

    INSTITUTION = "institution"
    PROJECT = "project"
    PERSON = "person"


class Unit(StrEnum):
    """What is counted. It is kept in its base unit: micro-yuan, card-ms, tokens, joules, milligrams."""

    CNY = "CNY"
    CARD_HOURS = "card-hours"
    TOKENS = "tokens"
    KWH = "kWh"
    CO2 = "kgCO2e"


BASE = {Unit.CNY: 10**6, Unit.CARD_HOURS: 3_600_000, Unit.TOKENS: 1, Unit.KWH: 3_600_000, Unit.CO2: 10**6}
"""How many base units one unit has."""


class Action(StrEnum):
    """What happens when so much is used. Each does what those before it do, too."""

    NOTIFY = "notify"
    BLOCK_NEW = "block_new"  # nothing is placed that would bring it beyond
    DRAIN = "drain"  # and nobody makes services larger
    STOP = "stop"  # and what runs is stopped: what may be preempted at once, the rest after a notice


_SEVERITY = {action: at for at, action in enumerate(Action)}


@dataclass(frozen=True, slots=True)
class Threshold:
    """At so many percent of the amount, this is done."""

    percent: int
    action: Action


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of a unit for days `[from, until)`, UTC; `monthly`: the amount is for each month in them.

    `name` is of the institution, or of the project (also where a person in it is meant). `until_day` None:
    without end. `above`: somebody set it who may do so for the whole institution; a project does not undo it.
    """

    id: str
    scope: Scope
    name: str
    unit: Unit
    amount: int
    from_day: int
    until_day: int | None
    thresholds: tuple[Threshold, ...]
    by: str
    person: str = ""
    accelerator: str = ALL
    monthly: bool = False
    note: str = ""
    above: bool = False
    ended: bool = False

    @property
    def parent(self) -> str:
        """Under what the registry keeps it, such as `project/vision`."""
        kind = Scope.INSTITUTION if self.scope is Scope.INSTITUTION else Scope.PROJECT
        return f"{kind}/{self.name}"

    @property
    def whose(self) -> str:
        """Whose it is, in words."""
        return f"{self.person} in project {self.name}" if self.person else f"{self.scope} {self.name}"

    def days_at(self, day: int) -> tuple[int, int] | None:
        """Return the days `[from, until)` of the period that a day lies in, or None if in none."""
        if self.ended or day < self.from_day or (self.until_day is not None and day >= self.until_day):
            return None
        if not self.monthly:
            return self.from_day, day + 1 if self.until_day is None else self.until_day
        first, after = month_days(month_of(day))
        until = after if self.until_day is None else min(after, self.until_day)
        return max(first, self.from_day), until

    def period_at(self, day: int) -> str:
        """Return the name of the period that a day lies in: a month, or the day on which it began."""
        return month_text(month_of(day)) if self.monthly else day_text(self.from_day)

    def limit(self, least: Action) -> int | None:
        """Return from what use on an action, or a harsher one, is taken; None for never."""
        found = [each.percent for each in self.thresholds if _SEVERITY[each.action] >= _SEVERITY[least]]
        return self.amount * min(found) // 100 if found else None

    def crossed(self, used: int) -> tuple[Threshold, ...]:
        """Return the thresholds that so much use has reached, the lowest first."""
        reached = (each for each in self.thresholds if used * 100 >= self.amount * each.percent)
        return tuple(sorted(reached, key=lambda each: (each.percent, _SEVERITY[each.action])))

    def covers(self, project: str, person: str, institution: str) -> bool:
        """True if use of that person's in that project counts."""
        match self.scope:
            case Scope.INSTITUTION:
                return institution == self.name
            case Scope.PROJECT:
                return project == self.name
            case Scope.PERSON:
                return (project, person) == (self.name, self.person)


def amount_text(amount: int, unit: Unit) -> str:
    """Return an amount in its unit with at most three decimals, cut off: `12.5`."""
    base = BASE[unit]
    whole, rest = divmod(abs(amount), base)
    part = f"{rest * 1000 // base:03d}".rstrip("0")
    sign = "-" if amount < 0 and (whole or part) else ""
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def told(budget: Budget) -> str:
    """Return a budget's unit in words: `card-hours of H100`."""
    named = budget.unit is Unit.CARD_HOURS and budget.accelerator != ALL
    return f"{budget.unit} of {budget.accelerator}" if named else str(budget.unit)
