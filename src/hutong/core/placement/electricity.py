"""What the electricity of a run brings with it, CO2e and cost: by the hour, or by the work of an hour."""

import numpy as np
import numpy.typing as npt

from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import PPM


def by_kwh(card_mw: Ints, per_kwh: Ints, cards: Ints | int, card_ppm: Ints | None) -> Ints:
    """Return what an hour of so many cards brings with it, or the work of a fastest card's hour; -1: unknown.

    In mg or micro-yuan, as each kWh does (-1 where that is unknown), but for the nodes: they are as many
    everywhere. By work the number of cards does not count either. 10^5 cards a node of 2 kW at a PUE of 5
    and 5 x 10^6 for a kWh come to 5 x 10^18, here and in `least_ppm`; 1024 at 4 and 10^8 to 8 x 10^17.
    """
    of_card = card_mw * per_kwh  # mW x mg/kWh: 10^-6 mg/h
    found = cards * of_card // PPM if card_ppm is None else of_card // card_ppm
    return np.where((card_mw > 0) & (per_kwh >= 0), found, -1)


def least_of(found: Ints, is_open: npt.NDArray[np.bool_]) -> int:
    """Return the least that is known of pools that are open, -1 where nothing is."""
    known = found[is_open & (found >= 0)]
    return int(known.min()) if len(known) else -1


def least_ppm(found: Ints, least: int) -> Ints:
    """Return the least by what each pool has, at most 10^6; 0 where that is unknown."""
    return np.where(found > least, PPM * max(0, least) // np.maximum(found, 1), PPM) * (found >= 0)
