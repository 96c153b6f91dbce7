"""The plan file: what is asked of a city's computing, phase by phase, and what building more of it costs."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Site
from hutong.core.kernel.errors import Problem, Refused
from hutong.wire.base import Shape

Text = Annotated[str, Field(min_length=1, max_length=200)]
Percent = Annotated[float, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0, le=1e9)]
Day = Annotated[tuple[Amount, ...], Field(min_length=24, max_length=24)]


class Range(Shape):
    """A figure that nobody knows: likely, and from low to high."""

    low: Amount
    likely: Amount
    high: Amount


class Phase(Shape):
    """From a date on, so much work is asked for in its busiest hour: P (10^15 FP16 operations a second)."""

    name: Text
    begins: date
    peak_p: Range
    green_percent: Percent


class Work(Shape):
    """A class of work: its share of all, how far away it may run, whether it may wait within its day.

    `by_hour` is its shape over the hours of the day, UTC; only proportions matter.
    """

    name: Text
    share: Annotated[float, Field(gt=0, le=1)]
    max_km: Annotated[int, Field(ge=0)]
    deferrable: bool = False
    by_hour: Day = (1.0,) * 24


class Card(Shape):
    """What a node of an accelerator costs, and how many such nodes the market may give in a phase."""

    node_yuan: Amount
    most_nodes_a_phase: Annotated[int, Field(ge=0)] = 1_000_000


class Region(Shape):
    """What a region gives: power for cards and cooling, its price, and the accelerators that may be added."""

    most_mw: Amount
    yuan_per_kwh: Amount
    adds: tuple[Text, ...] = ()


class PlanFile(Shape):
    """All that a plan rests on beside the scenario's centres.

    `busy_percent` is how busy cards are planned to be at most, `upkeep_percent` what a node costs a year, of
    its price. Costs of later years are discounted to the first phase.
    """

    assumed: Annotated[str, Field(min_length=1)]
    ends: date
    busy_percent: Annotated[float, Field(gt=0, le=100)]
    discount_percent: Percent
    upkeep_percent: Percent
    wait_p90_minutes: Amount
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=12)]
    work: Annotated[tuple[Work, ...], Field(min_length=1, max_length=12)]
    cards: dict[str, Card]
    regions: dict[str, Region]


def read_plan(path: Path, sites: list[Site]) -> PlanFile:
    """Return the plan file, checked against the sites that it speaks of; raises Refused, field by field."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = PlanFile.model_validate(document)
    except FileNotFoundError as error:
        raise Refused("plan", f"there is no plan file {path}") from error
    except yaml.YAMLError as error:
        raise Refused("plan", f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        faults = (Problem("/" + "/".join(map(str, each["loc"])), each["msg"]) for each in error.errors())
        raise Refused("plan", f"{path} is not a plan", tuple(faults)) from error
    problems = _problems(found, sites)
    if problems:
        raise Refused("plan", f"{path} contradicts itself or the scenario", tuple(problems))
    return found


def _problems(plan: PlanFile, sites: list[Site]) -> list[Problem]:
    return [*_in_time(plan), *_in_work(plan), *_in_places(plan, {site.region for site in sites})]


def _in_time(plan: PlanFile) -> Iterator[Problem]:
    days = [each.begins for each in plan.phases]
    if sorted(set(days)) != days or plan.ends <= days[-1]:
        yield Problem("/phases", "each phase begins after the one before, and the plan ends after the last")
    for at, phase in enumerate(plan.phases):
        if not phase.peak_p.low <= phase.peak_p.likely <= phase.peak_p.high:
            yield Problem(f"/phases/{at}/peak_p", "low, likely and high are not in that order")


def _in_work(plan: PlanFile) -> Iterator[Problem]:
    if abs(sum(each.share for each in plan.work) - 1) > 1e-6:
        yield Problem("/work", "the shares do not add up to 1")
    if len({each.name for each in plan.work}) < len(plan.work):
        yield Problem("/work", "two classes have one name")
    for at, each in enumerate(plan.work):
        if not sum(each.by_hour):
            yield Problem(f"/work/{at}/by_hour", "no hour has any work")


def _in_places(plan: PlanFile, regions: set[str]) -> Iterator[Problem]:
    for name in sorted(regions - plan.regions.keys()):
        yield Problem("/regions", f"{name!r} is missing: centres of the scenario are there")
    for name, region in plan.regions.items():
        if name not in regions:
            yield Problem(f"/regions/{name}", "no centre of the scenario is there")
        for chip in region.adds:
            if chip not in plan.cards:
                yield Problem(f"/regions/{name}/adds", f"{chip} has no price in cards")
    for chip in plan.cards:
        if chip not in ACCELERATORS or ACCELERATORS[chip].fp16 is None:
            yield Problem(f"/cards/{chip}", "no accelerator of the catalogue with an FP16 figure")
