"""Use by UTC day: usage records added up by project, person, site, what was used, and its unit."""

from collections.abc import Iterable
from dataclasses import dataclass

from hutong.core.book.money import UsageRecord
from hutong.core.kernel.days import day_of, month_of
from hutong.core.kernel.ids import ProjectId

PARTS = ("project", "person", "site", "sku", "day", "month", "unit")
"""By what use may be grouped: the unit always is, for what is counted differently has no sum."""
GROUPED_MOST = 2
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Amounts:
    """What was used, in base units: `quantity` in that of the group, micro-yuan, joules, milligrams."""

    quantity: int = 0
    charge_micro: int = 0
    energy_j: int = 0
    green_j: int = 0
    co2_mg: int = 0

    def plus(self, other: "Amounts") -> "Amounts":
        """Return the sum."""
        return Amounts(
            self.quantity + other.quantity,
            self.charge_micro + other.charge_micro,
            self.energy_j + other.energy_j,
            self.green_j + other.green_j,
            self.co2_mg + other.co2_mg,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record counts. `day` is days since 1970, `month` months since then; `person` where known."""

    project: ProjectId
    day: int
    person: str
    site: str
    sku: str
    unit: str
    month: int


@dataclass(frozen=True, slots=True)
class Use:
    """Use of one group: `key` has a value for each part it was grouped by, then the unit."""

    key: Key
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class UseQuery:
    """Which use to add up. `days` are `[from, to)`; an empty set of anything but projects means all.

    `projects` is None for all of the platform. Groups come in the order of their keys, above `after`.
    """

    projects: frozenset[str] | None
    days: tuple[int, int]
    by: tuple[str, ...] = ()
    people: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    after: Key = ()
    limit: int = 1000

    @property
    def parts(self) -> tuple[str, ...]:
        """What the keys are made of: the unit is always there, and last."""
        return (*(each for each in self.by if each != "unit"), "unit")


def place_of(record: UsageRecord) -> Place:
    """Return where a record counts: in the day up to which it was measured, as in bills."""
    day = day_of(record.upto_ms)
    return Place(record.project, day, record.person, record.site, record.sku, record.unit, month_of(day))


def add_up(records: Iterable[UsageRecord]) -> dict[Place, Amounts]:
    """Return the sums of records by where they count; corrections are negative and need no care."""
    found: dict[tuple[str | int, ...], tuple[Place, list[int]]] = {}
    for each in records:
        name = (each.project, day_of(each.upto_ms), each.person, each.site, each.sku, each.unit)
        if name not in found:
            found[name] = place_of(each), [0] * 5
        sums = found[name][1]
        sums[0] += each.quantity
        sums[1] += each.charge_micro
        sums[2] += each.energy_j
        sums[3] += each.green_j
        sums[4] += each.co2_mg
    return {place: Amounts(*sums) for place, sums in found.values()}


def select(kept: Iterable[tuple[Place, Amounts]], query: UseQuery) -> tuple[Use, ...]:
    """Return the groups that a query asks for, out of all that is kept."""
    found: dict[Key, Amounts] = {}
    for place, amounts in kept:
        if not _matches(place, query):
            continue
        key: Key = tuple(getattr(place, part) for part in query.parts)
        if not query.after or key > query.after:
            found[key] = found.get(key, Amounts()).plus(amounts)
    return first_of(found, query.limit)


def first_of(found: dict[Key, Amounts], limit: int) -> tuple[Use, ...]:
    """Return the first groups in the order of their keys."""
    return tuple(Use(key, found[key]) for key in sorted(found)[:limit])


def _matches(place: Place, query: UseQuery) -> bool:
    sets = (
        (query.people, place.person), (query.sites, place.site),
        (query.skus, place.sku), (query.units, place.unit),
    )  # fmt: skip
    return (
        (query.projects is None or place.project in query.projects)
        and query.days[0] <= place.day < query.days[1]
        and all(not wanted or value in wanted for wanted, value in sets)
    )
