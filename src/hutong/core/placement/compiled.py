"""Machine code for the inner loops of placement: plain Python on integer arrays, compiled on first use.

A compiled function takes and gives integers, booleans and int64 arrays only, so that it computes the same on
every machine; what numba compiles is kept beside the source (or in `NUMBA_CACHE_DIR`) for the next start.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Params = ParamSpec("Params")
Result = TypeVar("Result")

Ints = npt.NDArray[np.int64]


def compiled(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Return the function as machine code; `.py_func` of it is the plain one."""
    return numba.njit(cache=True)(function)
