"""Which running tasks to move so that one that fits on no node has room: a bounded search, in machine code.

The waiting task is put on a node although tasks there have to leave; each of those is put somewhere in the
same way, until all have a place or too many would move. It is an ejection chain (Glover, "Ejection chains,
reference structures and alternating path methods for traveling salesman problems", 1996) with a beam: of the
partial answers of each length only the best are followed, so an answer may be missed. While the beam holds
all candidates, an answer that moves one task is found wherever there is one; where several have to leave one
node together, only the likeliest set is tried. Of the answers that are found the first has the fewest moves.

All moves are one change: whoever moves stops, and starts in its new place when all have stopped.
"""

from dataclasses import dataclass

import numpy as np

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.core.placement.ejections import (
    JOB,
    STAYS,
    T_KIND,
    T_MOVABLE,
    T_NODE,
    WAITS,
    Beam,
    Scene,
    search,
)
from hutong.core.placement.fragmentation import CARD, MAX_CARDS, S_CARDS, S_CPU, S_MILLI

BEAM_MAX = 4096
MOVES_MAX = 64


@dataclass(frozen=True, slots=True)
class Effort:
    """How far a search goes: how many tasks it may stop, and how many partial answers of a length it follows.

    Of those whose homeless tasks are of the same types only `alike` are followed. With `may_wait`, tasks may
    be stopped for which there is no place, if fewer cards wait than before.
    """

    moves: int = 3
    beam: int = 8
    may_wait: bool = False
    alike: int = 3


def make_room(
    job: int, free: Ints, fixed: Ints, specs: Ints, sizes: Ints, tasks: Ints, effort: Effort
) -> Ints:
    """Return moves (M, 3) that make room for a task of a type: which task, to which node and cards (mask).

    One of them is of JOB; there are none if no way was found, for the search is not exhaustive. The arrays
    are those of `NodePlacer`: free (N, 10), fixed (N, 3), specs (S, 6); `sizes` (S) say how hard a type is to
    place; `tasks` (T, 4) are what runs: type, node, mask of cards, and 1 if it may be moved. Raises Refused
    for what is not there.
    """
    tasks = np.ascontiguousarray(tasks, dtype=np.int64).reshape(-1, 4)
    _check(job, len(specs), tasks, effort)
    most, beam = effort.moves, effort.beam
    by_node = np.argsort(tasks[:, T_NODE], kind="stable")
    starts = np.searchsorted(tasks[by_node, T_NODE], np.arange(len(free) + 1))
    taken = np.where(tasks[:, T_MOVABLE] == 0, STAYS, 0)
    scene = Scene(
        free.copy(), np.ascontiguousarray(fixed), specs, sizes, tasks, starts, by_node, taken,
        np.full(len(specs), -1, np.int64), np.zeros(CARD + MAX_CARDS, np.int64),
        np.full(most + 1, -1, np.int64), np.zeros(7, np.int64),
    )  # fmt: skip
    best = Beam(
        np.zeros((beam, 7), np.int64),
        np.zeros((beam, most + 1), np.int64),
        np.array((0, effort.alike), np.int64),
    )
    partial = np.zeros((2, beam, most + 1, 3), np.int64)
    partial[0, 0, 0] = JOB, WAITS, 0
    counts = np.ones((2, beam), np.int64)
    moves = np.zeros((most + 1, 3), np.int64)
    return moves[: search(job, effort.may_wait, scene, best, partial, counts, moves)]


def sizes_of(specs: Ints, capacity_milli: int, capacity_cpu: int) -> Ints:
    """Return how hard types (S) are to place, no two alike: what they ask of cards, and of processors.

    Those count a quarter: a type that asks for all of them is as hard as one for a quarter of all cards.
    """
    cpu = np.minimum(specs[:, S_CPU], capacity_cpu) * capacity_milli // (4 * max(1, capacity_cpu))
    size = specs[:, S_CARDS] * specs[:, S_MILLI] + cpu
    return np.ascontiguousarray(size * len(specs) + np.arange(len(specs)))


def _check(job: int, types: int, tasks: Ints, effort: Effort) -> None:
    # Machine code reads past the end of an array without a word.
    if not 0 <= effort.moves <= MOVES_MAX or not 1 <= effort.beam <= BEAM_MAX or effort.alike < 1:
        words = f"a search moves 0 to {MOVES_MAX} tasks and follows 1 to {BEAM_MAX} partial answers"
        raise Refused("bad_effort", words)
    kinds = [job, *tasks[:, T_KIND].tolist()]
    if not 0 <= min(kinds) <= max(kinds) < types:
        raise Refused("bad_pod", f"types of pods are 0 to {types - 1}")
