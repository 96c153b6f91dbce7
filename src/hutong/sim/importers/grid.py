"""Reads signals of grids, such as carbon intensity by the hour, as integers for the kernels of
placement.
"""

from pathlib import Path

import numpy as np

from hutong.core.placement.compiled import Ints
from hutong.sim.importers.table import read_table, refuse, rounded

_DISTURBANCE_LEAST = 1


def read_signal(path: Path, column: str, *, scale: int = 1000) -> Ints:
    """Read one column, a value a slot, times `scale`, rounded: g/kWh become mg/kWh. Raises Refused."""
    return rounded(read_table(path, (column,)).numbers(column, 0) * scale)


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the names of a file's columns."""
    return tuple(each for each in read_table(path, ()).columns if each)


def disturb(signal: Ints, ppm: int, seed: int) -> Ints:
    """Return the signal as a forecast with errors: each slot times a normal factor of this deviation.

    Errors of neighbouring slots are independent; no value falls below 1. The seed makes it repeatable.
    """
    if ppm < 0:
        raise refuse(Path("forecast"), 0, "an error of at least 0 ppm", str(ppm))
    factors = 1 + np.random.default_rng(seed).standard_normal(len(signal)) * ppm / 1e6
    return np.maximum(_DISTURBANCE_LEAST, rounded(signal * factors))
