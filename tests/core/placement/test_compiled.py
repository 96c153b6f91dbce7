"""Machine code that counts no references: what it must refuse, and that the pass is such code."""

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.errors import NumbaError

from hutong.core.placement import columns, kernel, waits
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


def test_no_two_columns_have_one_name() -> None:
    """The second would be the first too, of another array: no type and no name tells them apart."""
    tree = ast.parse(Path(columns.__file__).read_text(encoding="utf-8"))
    targets = [target for each in tree.body if isinstance(each, ast.Assign) for target in each.targets]
    names = Counter(each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
    assert len(names) > 100
    assert [name for name, count in names.items() if count > 1] == []
