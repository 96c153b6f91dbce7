"""Energy of an attempt by the hour: a documented model where no counter exists, and it says so.

Model: power = cards x nameplate TDP x PUE of the pool, for as long as the ranks run. Hosts, network and
idle cards are left out, and a card is taken to draw its full TDP: a convention, not a measurement.
Green share and carbon follow the site's supply hour by hour (location-based, as in GHG Protocol Scope 2).
"""

from dataclasses import dataclass

from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Supply
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS, hour_slices

METHOD = "modelled: cards x nameplate TDP x PUE x running time; hosts and network left out"


@dataclass(frozen=True, slots=True)
class Energy:
    """Running totals: joules at the meter, the part matched by green supply in its hour, mg of CO2e."""

    energy_j: int
    green_j: int
    co2_mg: int

    def minus(self, earlier: "Energy") -> "Energy":
        """Return what was added since an earlier total."""
        return Energy(
            self.energy_j - earlier.energy_j,
            self.green_j - earlier.green_j,
            self.co2_mg - earlier.co2_mg,
        )


def electricity_micro(
    supply: Supply, cards: int, tdp_w: int, pue_milli: int, start_ms: int, run_ms: int
) -> int | None:
    """Return what the centre pays for the electricity of a run, by that model; None where nobody knows."""
    if not supply.price_micro_per_kwh or not tdp_w:
        return None
    days, rest_ms = divmod(run_ms, DAY_MS)
    prices = days * HOUR_MS * sum(supply.price_micro_per_kwh)
    for hour, part_ms in hour_slices(start_ms, start_ms + rest_ms):
        prices += part_ms * supply.price_micro_per_kwh[hour // HOUR_MS % 24]
    # W x ms x milli = microjoule, 3.6e12 of which are a kWh
    return cards * tdp_w * pue_milli * prices // 3_600_000_000_000


def card_milliwatts(accelerator: str, pue_milli: int) -> int:
    """Return what a card is taken to draw while its job runs; 0 if the catalogue does not know it."""
    card = ACCELERATORS.get(accelerator)
    return card.tdp_w * pue_milli if card else 0


def energy_of(supply: Supply, cards: int, tdp_w: int, pue_milli: int, start_ms: int, run_ms: int) -> Energy:
    """Return the energy of a run from its start on; totals telescope, so slicing cannot change a sum.

    The cost does not grow with the length of the run: whole days are summed once, supply repeats daily.
    """
    # W x ms x milli = microjoule
    micro_j_per_ms = cards * tdp_w * pue_milli
    days, rest_ms = divmod(run_ms, DAY_MS)
    green = days * HOUR_MS * sum(supply.green_ppm) if days else 0
    carbon = days * HOUR_MS * sum(supply.grams_per_kwh) if days else 0
    for hour, part_ms in hour_slices(start_ms, start_ms + rest_ms):
        green += part_ms * supply.green_ppm[hour // HOUR_MS % 24]
        carbon += part_ms * supply.grams_per_kwh[hour // HOUR_MS % 24]
    micro_j = micro_j_per_ms * run_ms
    green, carbon = micro_j_per_ms * green, micro_j_per_ms * carbon
    # 1 kWh = 3.6e12 microjoule; g x 1000 = mg
    return Energy(micro_j // 10**6, green // 10**12, carbon // 3_600_000_000)
