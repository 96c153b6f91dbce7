"""Contracts for renewable electricity, and whose use in an hour their deliveries of that hour meet.

A contract delivers in one region of the grid, to sites of that region alone. What it delivers in an hour
goes to its sites in their order, and a site's use is met by direct lines first, then by power purchase
agreements, then by green tariffs. No joule is given to two, and none is kept for another hour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hutong.core.book.energy import Match
from hutong.core.kernel.errors import Conflict
from hutong.core.kernel.quantities import HOUR_MS

CONTRACT = "energy_contract"
"""The kind of a contract's document in the registry."""


class ContractKind(StrEnum):
    """How electricity comes to a site, in the order in which it is counted."""

    DIRECT = "direct"  # a line that is not the public grid's
    PPA = "ppa"  # a power purchase agreement over the grid
    TARIFF = "tariff"  # a supplier's green tariff


class Source(StrEnum):
    """What it is made from: renewable energy as in ISO/IEC 30134-3."""

    WIND = "wind"
    SOLAR = "solar"
    HYDRO = "hydro"
    BIOMASS = "biomass"
    GEOTHERMAL = "geothermal"


_ORDER = {kind: at for at, kind in enumerate(ContractKind)}


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract over `[from, until)` UTC ms (0: no end). `sites` are in the order in which they are met."""

    id: str
    kind: ContractKind
    source: Source
    region: str
    sites: tuple[str, ...]
    supplier: str
    from_ms: int
    until_ms: int = 0
    evidence: str = ""
    synthetic: bool = False

    def holds_in(self, hour: int) -> bool:
        """True if it holds in the whole of an hour."""
        return self.from_ms <= hour * HOUR_MS and (not self.until_ms or (hour + 1) * HOUR_MS <= self.until_ms)


def end_contract(contract: Contract, until_ms: int, now_ms: int) -> Contract:
    """Return it with its end: not in the past, for what was matched stays. A repeat changes nothing."""
    if contract.until_ms == until_ms:
        return contract
    if until_ms < now_ms or (contract.until_ms and contract.until_ms <= now_ms):
        raise Conflict("too_late", f"contract {contract.id} cannot end in the past, nor be reopened")
    return replace(contract, until_ms=until_ms)


def match_hour(
    contracts: Sequence[Contract], delivered: Mapping[str, int], used: Mapping[str, int], hour: int
) -> tuple[Match, ...]:
    """Return what of each contract's deliveries, by its id, meets which site's use; joules.

    Of a contract no more than it delivered, of a site no more than it used.
    """
    left = dict(used)
    found = []
    for contract in sorted(contracts, key=lambda each: (_ORDER[each.kind], each.id)):
        supply = delivered.get(contract.id, 0) if contract.holds_in(hour) else 0
        for site in dict.fromkeys(contract.sites):
            part = min(supply, left.get(site, 0))
            if part > 0:
                found.append(Match(contract.id, hour, site, part))
                left[site] -= part
                supply -= part
    return tuple(found)
