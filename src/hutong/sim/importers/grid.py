"""Reads signals of grids, such as carbon intensity by the hour, as integers for the kernels of
placement.
"""

from pathlib import Path

import numpy as np

from hutong.core.placement.arrays import Ints
from hutong.sim.importers.table import read_table, refuse, rounded

_DISTURBANCE_LEAST = 1


def read_signal(path: Path, column: str, *, scale: int = 1000) -> Ints:
    """Read one column, a value a slot, times `scale`, rounded: g/kWh become mg/kWh. Raises Refused."""
    return rounded(read_table(path, (column,)).numbers(column, 0) * scale)


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the names of a file's columns."""
    return tuple(each for each in read_table(path, ()).columns if each)


def disturb(signal: Ints, ppm: int, seed: int, *, memory: float = 0.0) -> Ints:
    """Return the signal as a forecast with errors: each slot times a normal factor of this deviation.

    `memory` is the correlation of the errors of neighbouring slots, 0 to below 1. No value falls below 1. The
    seed makes it repeatable.
    """
    if ppm < 0:
        raise refuse(Path("forecast"), 0, "an error of at least 0 ppm", str(ppm))
    errors = np.random.default_rng(seed).standard_normal(len(signal))
    for slot in range(1, len(errors) if memory else 0):
        errors[slot] = memory * errors[slot - 1] + (1 - memory**2) ** 0.5 * errors[slot]
    factors = 1 + errors * ppm / 1e6
    return np.maximum(_DISTURBANCE_LEAST, rounded(signal * factors))
