"""What a report is: tables of texts with units, what their figures mean, and the facts that it is made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hutong.core.book.energy import SiteEnergy
from hutong.core.book.rollups import FirstUse, PoolNote, card_ms_of
from hutong.core.book.waits import WaitGroup
from hutong.core.capacity.agreement import Agreement
from hutong.core.capacity.rollups import Group
from hutong.core.kernel.quantities import HOUR_MS

CARD_HOUR_MS = HOUR_MS
KWH_J = 3_600_000
MICRO = 1_000_000
KG_MG = 1_000_000
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, its unit where it has one, and whether it holds numbers."""

    title: str
    unit: str = ""
    number: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under columns; an empty cell of a number was not to be had. `chart` is drawn as bars."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] = ()
    chart: int | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose a project is and what that institution was then: kind, and district of its registration."""

    institution: str
    kind: str
    district: str


@dataclass(frozen=True, slots=True)
class Used:
    """Use of cards in a time in which no institution changed; what a report does not tell apart is empty."""

    project: str
    tenant: Tenant
    site: str
    accelerator: str
    card_ms: int
    charge_micro: int
    energy_j: int
    green_j: int
    co2_mg: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that one kind of transaction moved on one kind of lot, of one sort of tenant."""

    tenant: Tenant
    txn: str
    lot: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Told:
    """Jobs that told the same: see `hutong.core.book.waits`. What a report does not tell apart is empty."""

    jobs: int
    wait_ms: int
    card_ms: int
    kind: str = ""
    asked: str = ""
    size: int = 0
    what: str = ""
    why: str = ""
    bucket: int = 0


@dataclass(frozen=True, slots=True)
class Sampled:
    """What agents saw of cards while a counter, or none, counted how busy they were, in card-ms."""

    site: str
    accelerator: str
    method: str
    counted_card_ms: int
    busy_card_ms: int


@dataclass(frozen=True, slots=True)
class Chip:
    """What counts of an accelerator: whether it is domestic, and its dense FP16 figure with its basis."""

    domestic: bool
    gops: int
    basis: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report of a span of UTC ms is made of; `cut_ms` is when it was looked at.

    `served` is all use by project, `used` by what the report is grouped by; `registered` is what the registry
    of centres says was in service on the last day, by region, `agreed` how connected centres agree with what
    their sites declare then; `yields` are measured over nominal throughput
    of accelerators, in millionths.
    """

    span: tuple[int, int]
    cut_ms: int
    used: tuple[Used, ...] = ()
    served: tuple[Used, ...] = ()
    moved: tuple[Moved, ...] = ()
    metered: tuple[SiteEnergy, ...] = ()
    told: tuple[Told, ...] = ()
    waiting: tuple[WaitGroup, ...] = ()
    notes: tuple[PoolNote, ...] = ()
    registered: tuple[Group, ...] = ()
    agreed: tuple[Agreement, ...] = ()
    seen: tuple[Sampled, ...] = ()
    firsts: tuple[FirstUse, ...] = ()
    people: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    chips: Mapping[str, Chip] = field(default_factory=dict)
    yields: Mapping[str, int] = field(default_factory=dict)

    @property
    def supply(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Card-ms installed and available until the cut, by site and accelerator."""
        return card_ms_of(self.notes, (self.span[0], max(self.span[0], min(self.span[1], self.cut_ms))))


def decimal(value: int, whole: int, places: int) -> str:
    """Return a value in a larger unit as a decimal text, half to even; no float comes near it.

    >>> decimal(1_500_000, 1_000_000, 2), decimal(-1, 3, 3)
    ('1.50', '-0.333')
    """
    scaled, rest = divmod(abs(value) * 10**places, whole)
    if 2 * rest > whole or (2 * rest == whole and scaled % 2):
        scaled += 1
    digits = str(scaled).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 and scaled else text


def percent(part: int, whole: int) -> str:
    """Return a share in percent, empty where there is no whole."""
    return decimal(100 * part, whole, 2) if whole > 0 else ""


def hours(card_ms: int) -> str:
    """Return card-hours."""
    return decimal(card_ms, CARD_HOUR_MS, 3)


def kwh(joules: int) -> str:
    """Return kilowatt-hours."""
    return decimal(joules, KWH_J, 3)


def yuan(micro: int) -> str:
    """Return yuan."""
    return decimal(micro, MICRO, 6)


PARTS: Mapping[str, Callable[[Used], str]] = {
    "site": lambda each: each.site,
    "accelerator": lambda each: each.accelerator,
    "kind": lambda each: each.tenant.kind or UNKNOWN,
    "district": lambda each: each.tenant.district or UNKNOWN,
    "institution": lambda each: each.tenant.institution or UNKNOWN,
    "project": lambda each: each.project,
}
"""By what use may be grouped."""
TITLES: Mapping[str, str] = {
    "site": "中心 Site",
    "accelerator": "加速卡 Accelerator",
    "kind": "机构类型 Kind of institution",
    "district": "区划 District",
    "institution": "机构 Institution",
    "project": "项目 Project",
}


def used_by(used: Iterable[Used], by: tuple[str, ...]) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Return card-ms, charge, energy, green energy and CO2 of each group, in the order of the groups."""
    found: dict[tuple[str, ...], list[int]] = {}
    for each in used:
        sums = found.setdefault(tuple(PARTS[part](each) for part in by), [0] * 5)
        amounts = (each.card_ms, each.charge_micro, each.energy_j, each.green_j, each.co2_mg)
        for at, amount in enumerate(amounts):
            sums[at] += amount
    return {key: tuple(found[key]) for key in sorted(found)}
