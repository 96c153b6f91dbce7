"""PUE (ISO/IEC 30134-2) where no IT meter tells it: a pool's declared figure, or a table by month and load.

What a centre declares is the PUE of each month at full load and which part of the overhead does not fall
with the load (fans, pumps, losses of transformers without load). With a load l of the IT equipment:

    PUE(l) = 1 + (PUE(1) - 1) x (fixed / l + 1 - fixed)

That overhead has a constant and a proportional part is a convention that leaves losses out which grow with
the square of the load. There are no figures of ours in it: a site without a table has its declared PUE.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Site
from hutong.core.kernel.days import month_of

PUE = "energy_pue"
"""The kind of a table's document in the registry."""
_LOAD_LEAST_PPM = 50_000
"""Below a twentieth of the load, the formula says nothing of use."""
PUE_MOST_MILLI = 10_000


class Cooling(StrEnum):
    """How a pool is cooled: a label of its table."""

    AIR = "air"
    FREE_AIR = "free-air"
    COLD_PLATE = "cold-plate"
    IMMERSION = "immersion"


@dataclass(frozen=True, slots=True)
class PueTable:
    """A pool's PUE at full load in each month of the year, in thousandths, as its centre declares it."""

    site: str
    pool: str
    cooling: Cooling
    month_milli: tuple[int, ...]
    fixed_ppm: int
    source: str

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.site}/{self.pool}"

    def at(self, hour: int, load_ppm: int) -> int:
        """Return the PUE in an hour at a load, in thousandths."""
        full = self.month_milli[month_of(hour // 24) % 12] - 1000
        load = min(1_000_000, max(_LOAD_LEAST_PPM, load_ppm))
        grown = full * (self.fixed_ppm * 1_000_000 // load + 1_000_000 - self.fixed_ppm) // 1_000_000
        return min(1000 + grown, PUE_MOST_MILLI)


def site_pue(
    site: Site, tables: Mapping[str, PueTable], used_card_ms: Mapping[str, int], hour: int, span_ms: int
) -> int:
    """Return a site's PUE in an hour, in thousandths: the mean over its pools by their nameplate power.

    `used_card_ms` is the use of each accelerator at the site; its share of the pools' cards is their load.
    """
    total = power = 0
    for pool in site.pools:
        card = ACCELERATORS.get(pool.accelerator)
        weight = pool.cards * (card.tdp_w if card else 0)
        total += weight * pool_pue(site, pool.id, tables, used_card_ms, hour, span_ms)
        power += weight
    if power:
        return total // power
    return max((pool.pue_milli for pool in site.pools), default=1000)


def pool_pue(
    site: Site,
    name: str,
    tables: Mapping[str, PueTable],
    used_card_ms: Mapping[str, int],
    hour: int,
    span_ms: int,
) -> int:
    """Return a pool's PUE in an hour: of its table, else as declared; at the load of its accelerator."""
    pool = next(each for each in site.pools if each.id == name)
    table = tables.get(f"{site.id}/{pool.id}")
    if table is None:
        return pool.pue_milli
    cards = sum(each.cards for each in site.pools if each.accelerator == pool.accelerator)
    load = used_card_ms.get(pool.accelerator, 0) * 1_000_000 // max(1, cards * span_ms)
    return table.at(hour, load)


def tables_by_id(tables: Sequence[PueTable]) -> dict[str, PueTable]:
    """Return tables by site and pool."""
    return {each.id: each for each in tables}
