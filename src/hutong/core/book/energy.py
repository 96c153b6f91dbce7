"""The part of the book's protocol that keeps energy by the hour: see `hutong.core.book.store`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hutong.core.book.audit import Author
from hutong.core.book.meters import Batch, Intake, KeptReading, MeterHour

Hours = tuple[int, int]
"""Hours since 1970, UTC, `[from, to)`."""


@dataclass(frozen=True, slots=True)
class JobUse:
    """Card-milliseconds that an attempt used of an accelerator in a time, net of corrections."""

    key: str
    project: str
    sku: str
    card_ms: int


def part_in(quantity: int, of: tuple[int, int], span: tuple[int, int]) -> int:
    """Return what of a quantity over a time `of` falls into a span that overlaps it; parts sum exactly."""
    whole_ms = of[1] - of[0]
    if whole_ms <= 0:
        return quantity
    sign = -1 if quantity < 0 else 1  # what reverses a record is cut as the record was
    upto_ms, from_ms = min(of[1], span[1]) - of[0], max(of[0], span[0]) - of[0]
    return sign * (abs(quantity) * upto_ms // whole_ms - abs(quantity) * from_ms // whole_ms)


def add_uses(parts: Iterable[JobUse]) -> tuple[JobUse, ...]:
    """Return the sums by attempt and accelerator, in order, those left out of which nothing is left."""
    total: dict[tuple[str, str, str], int] = {}
    for each in parts:
        name = (each.key, each.sku, each.project)
        total[name] = total.get(name, 0) + each.card_ms
    return tuple(
        JobUse(key, project, sku, card_ms)
        for (key, sku, project), card_ms in sorted(total.items())
        if card_ms > 0
    )


@dataclass(frozen=True, slots=True)
class DueHour:
    """An hour of a region that is to be settled. `mark` tells whether something came since it was read."""

    region: str
    hour: int
    mark: int


@dataclass(frozen=True, slots=True)
class SiteHour:
    """What an hour of a site came to: `jobs_j + idle_j + overhead_j = metered_j`, to the joule.

    `it_j` went to IT equipment (jobs and idle), `modelled_j` is what jobs were taken to draw, by a model or
    by counters, before it was fitted to the meter, `green_j` was matched with contracts in this very hour,
    `grid_green_j` is the renewable part of the grid's mix in the rest. Carbon by location and by market (GHG
    Protocol Scope 2). `basis` names what the figures rest on.
    """

    site: str
    hour: int
    region: str
    metered_j: int
    it_j: int
    jobs_j: int
    idle_j: int
    overhead_j: int
    modelled_j: int
    green_j: int
    grid_green_j: int
    location_mg: int
    market_mg: int
    reused_j: int
    water_ml: int
    covered_ms: int
    spread_ms: int
    basis: str
    settled_ms: int


@dataclass(frozen=True, slots=True)
class SiteEnergy:
    """What settled hours of a site came to that rest on the same basis: sums of those of `SiteHour`."""

    site: str
    basis: str
    hours: int
    metered_j: int
    green_j: int
    grid_green_j: int
    location_mg: int
    market_mg: int


@dataclass(frozen=True, slots=True)
class JobHour:
    """What of an hour fell to an attempt: what its cards drew, and its share of the overhead."""

    key: str
    hour: int
    site: str
    project: str
    it_j: int
    overhead_j: int
    green_j: int
    location_mg: int
    market_mg: int
    method: str


@dataclass(frozen=True, slots=True)
class Match:
    """Energy of a contract that a site used in the hour in which it was delivered."""

    contract: str
    hour: int
    site: str
    energy_j: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A region's hour, settled: all of it replaces what was there. Looked at again at `again_ms` (0: not)."""

    due: DueHour
    sites: tuple[SiteHour, ...]
    jobs: tuple[JobHour, ...]
    matches: tuple[Match, ...]
    again_ms: int


class Energy(Protocol):
    """Readings of meters, and what settled hours came to."""

    def read_meter(self, batch: Batch, *, author: Author | None = None) -> Intake:
        """Keep readings, and mark the hours that they change as due; all of them or none.

        A repeat changes nothing. Raises Refused, or Conflict where another reading is there.
        """
        ...

    def readings(self, meter: str, span: tuple[int, int], limit: int) -> tuple[KeptReading, ...]:
        """Return all revisions of readings that end in `[from, to)` UTC ms, in order of end and revision."""
        ...

    def meter_hours(
        self, site: str, hours: Hours, after: tuple[int, str], limit: int
    ) -> tuple[MeterHour, ...]:
        """Return what a site's meters came to, in order of hour and meter beyond `after`."""
        ...

    def region_hours(self, region: str, hour: int) -> tuple[MeterHour, ...]:
        """Return what all meters of a region came to in one hour, in order of their ids (at most 1,000)."""
        ...

    def due_hours(self, now_ms: int, limit: int) -> tuple[DueHour, ...]:
        """Return the hours that are to be settled now, those that wait longest first."""
        ...

    def card_ms_in(self, site: str, hour: int) -> tuple[JobUse, ...]:
        """Return what each attempt used of a site's cards in an hour, in order of keys and accelerators.

        As many as ran there in that hour; their records are read, and no others.
        """
        ...

    def settle_again(self, region: str, hours: Hours, now_ms: int) -> int:
        """Mark the hours of a region that have readings (at most 1,000) as due; return how many."""
        ...

    def settle_hour(self, settled: Settled) -> bool:
        """Write a settled hour in place of what was there. False, and nothing is written, if news came."""
        ...

    def site_hours(self, site: str, hours: Hours, limit: int) -> tuple[SiteHour, ...]:
        """Return the settled hours of a site, in order."""
        ...

    def site_energy(self, sites: Sequence[str], hours: Hours) -> tuple[SiteEnergy, ...]:
        """Return what settled hours of sites (at most a thousand) came to, by site and basis, in order."""
        ...

    def job_hours(self, keys: Sequence[str], hours: Hours, limit: int) -> tuple[JobHour, ...]:
        """Return what fell to some attempts (at most a thousand), in order of key and hour."""
        ...

    def matches(self, site: str, hours: Hours, limit: int) -> tuple[Match, ...]:
        """Return what was matched with a site's use, in order of hour and contract."""
        ...
