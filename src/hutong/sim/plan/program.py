"""A mixed-integer program in names of one's own, solved by HiGHS."""

import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highspy
import numpy as np

INFINITE = highspy.kHighsInf


def _new_solver() -> Any:  # noqa: ANN401 - the class is not typed
    """Return a solver that says nothing. Its maker prints a banner on the process's standard output."""
    sys.stdout.flush()
    libc = ctypes.CDLL(None)
    kept = os.dup(1)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
            solver.silent()
            libc.fflush(None)  # what is buffered there must not come out later
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    return solver


@dataclass(frozen=True, slots=True)
class Solved:
    """Values by variable, prices by row (what one more unit of its bound changes), the cost and its gap."""

    values: list[float]
    duals: list[float]
    cost: float
    gap: float


class Program:
    """Variables and rows of one minimisation; both are numbered as they are added."""

    def __init__(self) -> None:
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._cost: list[float] = []
        self._whole: list[int] = []
        self._bounds: list[tuple[float, float]] = []
        self._starts = [0]
        self._index: list[int] = []
        self._value: list[float] = []

    def variable(self, lower: float, upper: float, cost: float, *, whole: bool = False) -> int:
        """Add a variable; return its number."""
        self._lower.append(lower)
        self._upper.append(upper)
        self._cost.append(cost)
        if whole:
            self._whole.append(len(self._cost) - 1)
        return len(self._cost) - 1

    def row(self, lower: float, upper: float, terms: Mapping[int, float]) -> int:
        """Add a row: the sum of the terms is within the bounds; return its number."""
        self._bounds.append((lower, upper))
        self._index += terms.keys()
        self._value += terms.values()
        self._starts.append(len(self._index))
        return len(self._bounds) - 1

    def solve(self, *, whole: bool, most_s: float, gap: float) -> Solved | None:
        """Return the best that was found in the time, None if nothing was; `whole` numbers where asked."""
        solver = _new_solver()
        solver.setOptionValue("time_limit", most_s)
        solver.setOptionValue("mip_rel_gap", gap)
        solver.passModel(self._model(whole=whole))
        solver.run()
        info, solution = solver.getInfo(), solver.getSolution()
        if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        mixed = whole and self._whole
        return Solved(
            list(solution.col_value),
            list(solution.row_dual),
            float(info.objective_function_value),
            float(info.mip_gap) if mixed else 0.0,
        )

    def _model(self, *, whole: bool) -> highspy.HighsLp:
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self._cost), len(self._bounds)
        lp.col_cost_ = np.array(self._cost)
        lp.col_lower_, lp.col_upper_ = np.array(self._lower), np.array(self._upper)
        bounds = np.array(self._bounds).reshape(len(self._bounds), 2)
        lp.row_lower_, lp.row_upper_ = bounds[:, 0].copy(), bounds[:, 1].copy()
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.array(self._starts, np.int32)
        lp.a_matrix_.index_ = np.array(self._index, np.int32)
        lp.a_matrix_.value_ = np.array(self._value)
        if whole:
            kinds = [highspy.HighsVarType.kContinuous] * len(self._cost)
            for each in self._whole:
                kinds[each] = highspy.HighsVarType.kInteger
            lp.integrality_ = kinds
        return lp
