"""The nodes of pools as a pass has them: by how many are free, as counts and as sets of bits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.placement import columns as c
from hutong.core.placement.board import Rules, Shelves, make_board, nodes_of

WIDTH = 4
levels = st.lists(
    st.one_of(st.just(()), st.lists(st.integers(0, 90), min_size=WIDTH + 1, max_size=WIDTH + 1).map(tuple)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(levels)
def test_every_node_stands_in_one_set_that_of_its_free_cards(told: list[tuple[int, ...]]) -> None:
    nodes, counts = nodes_of(told)
    free = np.array([sum(k * count for k, count in enumerate(each)) for each in told], np.int64)
    shelves = Shelves(free, np.ones_like(free), np.full_like(free, c.NEVER), nodes, counts, most=WIDTH)
    a = make_board(Rules(), shelves, [], [], [], jobs=1, running=1)
    at = 0
    for pool, each in enumerate(told):
        row = a.pools[pool]
        if not each:
            assert (row[c.FIRST_NODE], row[c.FIRST_WORD]) == (-1, -1)
            continue
        assert a.levels[pool].tolist() == list(each)
        assert row[c.FIRST_NODE] == at
        for k, count in enumerate(each):
            first = row[c.FIRST_WORD] + k * row[c.WORDS]
            words = a.bits[first : first + row[c.WORDS]].view(np.uint8)
            found = np.flatnonzero(np.unpackbits(words, bitorder="little")) + row[c.FIRST_NODE]
            assert len(found) == count
            assert (a.node_free[found] == k).all()
        at += sum(each)
    assert len(a.node_free) == at


def test_of_no_node_nothing_is_said() -> None:
    assert nodes_of([]) == (None, None)
