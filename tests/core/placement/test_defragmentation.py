"""Making room by moves: never invalid, loses nobody, and with the fewest moves, as trying all says."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.kernel.errors import Broken, Refused
from hutong.core.placement import defragmentation, ejections
from hutong.core.placement.arrays import Ints
from hutong.core.placement.defragmentation import BEAM_MAX, Effort
from hutong.core.placement.ejections import JOB, M_NODE, M_TASK, T_MOVABLE, T_NODE, WAITS
from hutong.core.placement.node_scores import NodePolicy
from hutong.core.placement.nodes import NodePlacer, Nodes, PodTypes

A, B = 1, 2  # two models
# milli-cores, MiB, cards, model
NODES = ((8_000, 8_000, 2, A), (6_000, 8_000, 1, B), (4_000, 4_000, 1, A))
# milli-cores, MiB, cards, milli of each, models, weight
KINDS = (
    (2_000, 1_000, 1, 300, 0, 1), (2_000, 2_000, 1, 500, 0, 1), (1_000, 1_000, 1, 700, A, 1),
    (3_000, 2_000, 1, 1000, 0, 1), (2_000, 1_000, 1, 1000, B, 1), (4_000, 4_000, 2, 1000, 0, 1),
    (4_000, 3_000, 0, 0, 0, 1),
)  # fmt: skip
ALL = Effort(moves=4, beam=1024, alike=1024)


def columns(rows: tuple[tuple[int, ...], ...]) -> list[Ints]:
    return [np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)]


def filled(kinds: list[int], order: list[int], movable: list[bool]) -> tuple[NodePlacer, Ints]:
    """Return a placer whose pods were placed one after another, and what runs."""
    placer = NodePlacer(
        Nodes(*columns(NODES)), PodTypes(*columns(KINDS)), NodePolicy.HUTONG, np.array(order, np.int64)
    )
    placed = placer.place(np.array(kinds, dtype=np.int64))
    table = np.column_stack((np.array(kinds), placed, np.array(movable)))
    return placer, table[placed[:, 0] >= 0].astype(np.int64)


def places(kind: int) -> list[tuple[int, int]]:
    """Return every node and set of its cards that could ever take a type."""
    _, _, cards, _, models, _ = KINDS[kind]
    return [
        (node, sum(1 << card for card in chosen))
        for node, (_, _, count, model) in enumerate(NODES)
        if cards == 0 or not models or models & model
        for chosen in combinations(range(count), cards)
    ]


def possible(pods: list[tuple[int, int, int]]) -> bool:
    """True if pods (type, node, mask) can all run together."""
    for node, (cpu, memory, cards, _) in enumerate(NODES):
        here = [(KINDS[kind], mask) for kind, at, mask in pods if at == node]
        if sum(k[0] for k, _ in here) > cpu or sum(k[1] for k, _ in here) > memory:
            return False
        if any(sum(k[3] for k, mask in here if mask >> card & 1) > 1000 for card in range(cards)):
            return False
    return True


def fewest(kind: int, tasks: Ints, most: int) -> int | None:
    """Return the fewest tasks that have to move, by trying all; None if `most` are not enough."""
    rows = [tuple(row) for row in tasks.tolist()]
    able = [at for at, row in enumerate(rows) if row[T_MOVABLE]]
    for count in range(most + 1):
        for moved in combinations(able, count):
            stay = [row[:3] for at, row in enumerate(rows) if at not in moved]
            ways = product(places(kind), *(places(rows[at][0]) for at in moved))
            for way in ways:
                who = [kind, *(rows[at][0] for at in moved)]
                if possible(stay + [(k, *place) for k, place in zip(who, way, strict=True)]):
                    return count
    return None


SITUATION = st.tuples(
    st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=5),
    st.permutations(range(len(NODES))),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.integers(0, len(KINDS) - 1),
)


def apply(placer: NodePlacer, kind: int, tasks: Ints, moves: Ints) -> None:
    for task in moves[moves[:, M_TASK] != JOB, M_TASK].tolist():
        placer.release(*tasks[task, :T_MOVABLE].tolist())
    for task, node, mask in moves.tolist():
        if node != WAITS:
            placer.put(kind if task == JOB else int(tasks[task, 0]), node, mask)


@settings(max_examples=60, deadline=None)
@given(SITUATION)
def test_room_is_found_where_one_move_makes_it_and_never_with_fewer_than_there_must_be(
    situation: tuple[list[int], list[int], list[bool], int],
) -> None:
    kinds, order, movable, kind = situation
    placer, tasks = filled(kinds, order, movable[: len(kinds)])
    before = placer.free
    moves = placer.room_for(kind, tasks, ALL)
    assert np.array_equal(placer.free, before)
    least = fewest(kind, tasks, 3)
    if least is not None and least < 2:
        assert len(moves) - 1 == least
    if not len(moves):
        return
    assert len(moves) - 1 >= (4 if least is None else least)
    # Nobody is lost or moved twice, who may not move stays, and all of it fits: `put` would say so.
    who = moves[:, M_TASK].tolist()
    assert sorted(set(who)) == sorted(who)
    assert who.count(JOB) == 1
    assert all(tasks[task, T_MOVABLE] for task in who if task != JOB)
    assert moves[:, M_NODE].min() >= 0
    apply(placer, kind, tasks, moves)
    assert placer.free.min() >= 0


@settings(max_examples=60, deadline=None)
@given(SITUATION, st.integers(0, 2), st.integers(1, 2))
def test_an_answer_of_a_hasty_search_holds_too_and_what_waits_frees_cards(
    situation: tuple[list[int], list[int], list[bool], int], most: int, beam: int
) -> None:
    kinds, order, movable, kind = situation
    placer, tasks = filled(kinds, order, movable[: len(kinds)])
    moves = placer.room_for(kind, tasks, Effort(most, beam, may_wait=True))
    if not len(moves):
        return
    assert len(moves) <= most + 1
    assert all(tasks[task, T_MOVABLE] for task in moves[:, M_TASK].tolist() if task != JOB)
    before = int(placer.free[:, 2:].sum())
    apply(placer, kind, tasks, moves)
    assert placer.free.min() >= 0
    # Whoever waits afterwards, fewer cards are free than before: by the job's if all have a place.
    if KINDS[kind][2]:
        assert int(placer.free[:, 2:].sum()) < before
    if moves[:, M_NODE].min() >= 0:
        assert before - int(placer.free[:, 2:].sum()) == KINDS[kind][2] * KINDS[kind][3]


def test_one_task_that_moves_may_put_another_out() -> None:
    # Nodes have 700 (for A only), 800, and twice 200 on model B: another 700 for A fits nowhere.
    nodes = Nodes(*columns(((9_000, 9_000, 1, A), (9_000, 9_000, 1, A), (9_000, 9_000, 1, B))))
    types = PodTypes(*columns(((1, 1, 1, 700, A, 1), (1, 1, 1, 800, 0, 1), (1, 1, 1, 200, 0, 1))))
    placer = NodePlacer(nodes, types, NodePolicy.HUTONG)
    for kind, node in ((0, 0), (1, 1), (2, 2), (2, 2)):
        placer.put(kind, node, 1)
    tasks = np.array([[0, 0, 1, 1], [1, 1, 1, 1], [2, 2, 1, 1], [2, 2, 1, 1]], dtype=np.int64)
    # 800 leaves the second node for the third, and one of 200 there goes beside a 700.
    assert len(placer.room_for(0, tasks, Effort(moves=1))) == 0
    moves = placer.room_for(0, tasks, Effort(moves=3))
    assert {tuple(move) for move in moves.tolist()} >= {(JOB, 1, 1), (1, 2, 1)}
    assert len(moves) == 3
    tasks[1, T_MOVABLE] = 0
    assert len(placer.room_for(0, tasks, Effort(moves=3))) == 0


def test_a_larger_task_may_take_the_place_of_one_that_waits_then() -> None:
    one = Nodes(*columns(((9_000, 9_000, 1, A),)))
    types = PodTypes(*columns(((1, 1, 1, 810, 0, 1), (1, 1, 1, 1000, 0, 1))))
    placer = NodePlacer(one, types, NodePolicy.HUTONG)
    placer.put(0, 0, 1)
    tasks = np.array([[0, 0, 1, 1]], dtype=np.int64)
    assert len(placer.room_for(1, tasks, Effort())) == 0
    assert placer.room_for(1, tasks, Effort(may_wait=True)).tolist() == [[JOB, 0, 1], [0, WAITS, 0]]
    # As large is not larger.
    assert len(placer.room_for(0, tasks, Effort(may_wait=True))) == 0


def test_the_plain_program_and_the_compiled_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    situations = [
        ([1, 3, 6, 6], [1, 0, 2], 5), ([3, 3, 6, 1, 1], [2, 1, 0], 4), ([0, 1, 1, 6], [2, 0, 1], 4),
        ([6, 3, 0, 6], [1, 0, 2], 6),
    ]  # fmt: skip

    def answers() -> list[list[list[int]]]:
        found = []
        for kinds, order, kind in situations:
            placer, tasks = filled(kinds, order, [True] * len(kinds))
            found.append(placer.room_for(kind, tasks, Effort(3, 16)).tolist())
        return found

    compiled = answers()
    assert [len(moves) - 1 for moves in compiled] == [3, 2, 1, 1]
    for module in (defragmentation, ejections):
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)
    assert answers() == compiled


def test_what_cannot_be_asked_is_refused() -> None:
    placer, tasks = filled([0, 1], [0, 1, 2], [True, True])
    for kind, effort in (
        (len(KINDS), Effort()), (-1, Effort()), (0, Effort(moves=-1)), (0, Effort(beam=0)),
        (0, Effort(beam=BEAM_MAX + 1)), (0, Effort(alike=0)),
    ):  # fmt: skip
        with pytest.raises(Refused):
            placer.room_for(kind, tasks, effort)
    tasks[0, T_NODE] = len(NODES)
    with pytest.raises(Refused, match="nodes are"):
        placer.room_for(0, tasks, Effort())


def test_a_pod_is_put_only_where_it_has_room() -> None:
    placer, _ = filled([5], [0, 1, 2], [True])
    node = int(np.flatnonzero(placer.free[:, 2] == 0)[0])
    for kind, mask in ((0, 1), (0, 0), (0, 3), (6, 1)):
        with pytest.raises(Broken):
            placer.put(kind, node, mask)


def test_moved_pods_are_scored_anew() -> None:
    placer, tasks = filled([0, 1, 2, 3], [0, 1, 2], [True] * 4)
    kind, node, mask, _ = tasks[0].tolist()
    placer.place(np.array([0, 3], dtype=np.int64))  # scores are kept from here
    placer.release(kind, node, mask)
    placer.put(kind, node, mask)
    anew = NodePlacer(
        Nodes(*columns(NODES)), PodTypes(*columns(KINDS)), NodePolicy.HUTONG, np.arange(3, dtype=np.int64)
    )
    anew._free, anew._tags = placer._free.copy(), placer._tags.copy()
    stream = np.array([1, 0, 6, 2, 0], dtype=np.int64)
    assert np.array_equal(placer.place(stream), anew.place(stream))
