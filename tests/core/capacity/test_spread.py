"""How free cards are spread over nodes: counts of nodes do what a list of nodes would."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hutong.core.capacity.spread import (
    CARDS_MAX,
    SHAPES_MAX,
    Levels,
    Spread,
    has_room,
    levels_now,
    spread_of,
    taken,
)

free_of_nodes = st.lists(st.integers(0, 8), min_size=1, max_size=12)
gangs = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 8)), max_size=8)


def levels_of(nodes: list[int]) -> Levels:
    return tuple(nodes.count(level) for level in range(9))


def placed(nodes: list[int], wide: int, cards: int) -> list[int]:
    """Take cards of the fullest nodes that suffice, node by node."""
    left = sorted(nodes)
    able = [at for at, free in enumerate(left) if free >= cards][:wide]
    for at in able:
        left[at] -= cards
    return left


@given(free_of_nodes, gangs)
def test_a_gang_takes_the_fullest_nodes_that_suffice(nodes: list[int], asked: list[tuple[int, int]]) -> None:
    levels = levels_of(nodes)
    for wide, cards in asked:
        assert has_room(levels, wide, cards) == (sum(free >= cards for free in nodes) >= wide)
        nodes, levels = placed(nodes, wide, cards), taken(levels, wide, cards)
        assert levels == levels_of(nodes)


@given(free_of_nodes, gangs)
def test_what_a_centre_says_is_told_by_counts_alone(nodes: list[int], ours: list[tuple[int, int]]) -> None:
    spread = spread_of(nodes, ours)
    assert spread is not None
    assert [free for free, count in enumerate(spread.levels) for _ in range(count)] == sorted(nodes)
    assert {(wide, cards): count for wide, cards, count in spread.ours} == Counter(ours)


def test_a_centre_with_too_many_kinds_or_too_large_nodes_says_nothing() -> None:
    assert spread_of([], [(1, 1)]) is None
    assert spread_of([8], [(1, cards) for cards in range(1, SHAPES_MAX + 2)]) is None
    assert spread_of([CARDS_MAX + 1], []) is None
    assert spread_of([-3, 8], [(1, 0)]) == Spread((1, 0, 0, 0, 0, 0, 0, 0, 1)), "more in use than there is"


@given(free_of_nodes, gangs)
def test_a_report_that_knows_all_that_the_book_knows_is_taken_as_it_is(
    nodes: list[int], ours: list[tuple[int, int]]
) -> None:
    spread = spread_of(nodes, ours)
    assert spread is not None
    assert levels_now(spread, Counter(ours), len(nodes), 8) == levels_of(nodes)


@given(free_of_nodes, gangs, gangs)
def test_what_was_given_away_since_takes_its_cards(
    nodes: list[int], ours: list[tuple[int, int]], new: list[tuple[int, int]]
) -> None:
    spread = spread_of(nodes, ours)
    assert spread is not None
    found = levels_now(spread, Counter(ours) + Counter(new), len(nodes), 8)
    left = nodes
    for wide, cards in sorted(new, key=lambda each: (-each[1], -each[0])):
        left = placed(left, wide, cards)
    assert found == levels_of(left)


@given(free_of_nodes, gangs)
def test_what_is_over_gives_its_cards_back_and_makes_no_node(
    nodes: list[int], ours: list[tuple[int, int]]
) -> None:
    spread = spread_of(nodes, ours)
    assert spread is not None
    found = levels_now(spread, {}, len(nodes), 8)
    assert sum(found) == len(nodes)
    before, after = (sum(free * count for free, count in enumerate(each)) for each in (spread.levels, found))
    assert before <= after <= min(8 * len(nodes), before + sum(wide * cards for wide, cards in ours))


def test_a_full_pool_from_which_a_gang_is_gone_has_whole_nodes_again() -> None:
    spread = Spread((4,), ((2, 8, 1), (4, 4, 1)))
    assert levels_now(spread, {(4, 4): 1}, 4, 8) == (2, 0, 0, 0, 0, 0, 0, 0, 2)
    assert levels_now(spread, {(2, 8): 1}, 4, 8) == (0, 0, 0, 0, 4, 0, 0, 0, 0)


def test_no_more_nodes_count_than_were_declared_the_fullest_of_them() -> None:
    spread = Spread((5, 0, 2, 0, 0, 1))
    assert levels_now(spread, {}, 2, 4) == (0, 0, 1, 0, 1)


def test_what_cannot_be_true_costs_no_time() -> None:
    most = (1 << 31) - 1
    spread = Spread((most,) * 9, tuple((most - n, 1 + n % 8, most) for n in range(SHAPES_MAX)))
    assert levels_now(spread, {}, 100_000, 8) == (0,) * 8 + (100_000,)
