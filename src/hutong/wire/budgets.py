"""Budgets, notices and use by day: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Money, Shape, Slug, Time

Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-12-01"])]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$", examples=["1200.5"])]
Scope = Literal["institution", "project", "person"]
Unit = Literal["CNY", "card-hours", "tokens", "kWh", "kgCO2e"]
Action = Literal["notify", "block_new", "drain", "stop"]


class BudgetThreshold(Shape):
    """At so many percent of the amount, this is done."""

    percent: Annotated[int, Field(ge=1, le=1000)]
    action: Action


class NewBudget(Shape):
    """How much may be used of a unit in UTC days `[start, end)`, or in each month of them.

    `name` is the institution or the project; `person` is somebody in that project, where `scope` is `person`.
    `accelerator` narrows card-hours to one, `*` are all. Without `start` it begins today.
    """

    scope: Scope
    name: Slug
    person: Annotated[str, Field(max_length=64)] = ""
    unit: Unit
    accelerator: Annotated[str, Field(min_length=1, max_length=64)] = "*"
    amount: Amount
    start: Day | None = None
    end: Day | None = None
    monthly: bool = False
    thresholds: Annotated[tuple[BudgetThreshold, ...], Field(max_length=20)] = (
        BudgetThreshold(percent=80, action="notify"),
        BudgetThreshold(percent=100, action="notify"),
    )
    note: Annotated[str, Field(max_length=500)] = ""


class Numbers(Shape):
    """The four numbers, in the budget's unit, for its period of now.

    `settled` is metered; `in_flight` is used and not metered yet (an estimate by the clock); `committed` is
    what placed work may still use until its walltime; `available` is the rest, below zero if there is none.
    """

    settled: str
    in_flight: str
    committed: str
    available: str
    percent: str


class Budget(NewBudget):
    """A budget, and what is spent of it: no numbers where it has no period now, or has ended."""

    id: Slug
    by: str
    start: Day
    ended: bool
    period: str
    numbers: Numbers | None


class Notice(Shape):
    """That a budget reached a threshold in a period: there is one of each, kept for about a year."""

    id: str
    budget: Slug
    scope: Scope
    name: Slug
    person: str
    period: str
    percent: int
    action: Action
    at: Time
    text: str


class Used(Shape):
    """An amount of use. `quantity` is in the row's unit."""

    quantity: str
    charge: Money
    kwh: str
    green_kwh: str
    co2e_kg: str


class UsageRow(Used):
    """Use of one group; what it is not grouped by is null. `before` is of the time before, as long."""

    project: str | None = None
    person: str | None = None
    site: str | None = None
    accelerator: str | None = None
    day: str | None = None
    month: str | None = None
    unit: Literal["card-hour", "unused card-hour", "byte-hour", "request", "token in", "token out"]
    before: Used | None = None


class Usage(Shape):
    """Use by day, added up: UTC days `[start, end)`. Of tokens, `accelerator` is the model's name."""

    start: Day
    end: Day
    rows: tuple[UsageRow, ...]
    next: str = ""


class Rebuilt(Shape):
    """How many groups of use by day were made anew from the usage records."""

    groups: int
