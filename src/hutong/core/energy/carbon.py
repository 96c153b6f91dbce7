"""Carbon of electricity, both ways of GHG Protocol Scope 2, and SCI (ISO/IEC 21031).

By location, every joule has the grid's mean intensity in its hour. By market, what a renewable contract met
in its hour has none, and the rest has the residual mix of the region, which is what the grid has without
what others have bought; where nobody declares it, the grid's mean stands in for it, and it is said so.
"""

from dataclasses import dataclass

KWH_J = 3_600_000
FACTOR = "energy_factor"
"""The kind of a residual mix's document in the registry."""


@dataclass(frozen=True, slots=True)
class Factor:
    """The residual mix of a region in a year: milligrams of CO2e per kWh, and who says so."""

    region: str
    year: int
    residual_mg_per_kwh: int
    source: str

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.region}/{self.year}"


def by_location_mg(energy_j: int, mg_per_kwh: int) -> int:
    """Return milligrams of CO2e by the grid's mean."""
    return energy_j * mg_per_kwh // KWH_J


def by_market_mg(energy_j: int, matched_j: int, residual_mg_per_kwh: int | None, mg_per_kwh: int) -> int:
    """Return milligrams of CO2e of what no contract met."""
    rate = mg_per_kwh if residual_mg_per_kwh is None else residual_mg_per_kwh
    return (energy_j - matched_j) * rate // KWH_J


def sci_mg(carbon_mg: int, embodied_mg: int, units_milli: int) -> int | None:
    """Return SCI: (E x I + M) / R in milligrams per unit, from thousandths of units; None of none."""
    return (carbon_mg + embodied_mg) * 1000 // units_milli if units_milli > 0 else None
