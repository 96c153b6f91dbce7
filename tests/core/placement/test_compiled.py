"""Machine code that counts no references: what it must refuse, and that the pass is such code."""

from typing import Any

import numpy as np
import pytest
from numba.core.errors import NumbaError

from hutong.core.placement import kernel, waits
from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import bare


def _sum_of_copy(values: Ints) -> int:
    copy = np.zeros(len(values), np.int64)
    copy[:] = values
    return int(copy.sum())


def test_an_array_cannot_be_made_where_no_references_are_counted() -> None:
    """So an option of numba that one day does nothing, or something else, is noticed."""
    with pytest.raises(NumbaError, match="Only accept returning of array passed into the function"):
        bare(_sum_of_copy)(np.arange(3))


@pytest.mark.parametrize("name", ["turn", "turn_here", "next_start", "next_start_here", "release", "enqueue"])
def test_the_pass_counts_no_references(name: str) -> None:
    function: Any = getattr(kernel, name)
    assert function.targetoptions["_nrt"] is False
    passed_over: Any = waits.pass_over
    assert passed_over.targetoptions["_nrt"] is False
