"""How the free cards of a pool are spread over its nodes: as counts of nodes, never as names.

Levels say how many nodes have how many cards free: at k stands how many have k. A gang of n nodes with k
cards each fits where n nodes have k or more. It takes the fullest that suffice (best fit), as a scheduling
pass does; a receipt finds the same levels again from what the turn gave away.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Levels = tuple[int, ...]
Shape = tuple[int, int]
"""The nodes of an attempt, and its cards on each."""

SHAPES_MAX = 256
"""How many shapes of attempts a centre may tell of in one pool; with more it says nothing of nodes."""

CARDS_MAX = 1024
"""The most cards of a node."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The nodes of a pool that take work, by their free cards, as the centre's own scheduler has it.

    `ours` are the platform's attempts whose cards are not free there: (nodes, cards a node, how many).
    """

    levels: Levels
    ours: tuple[tuple[int, int, int], ...] = ()


def spread_of(free: Iterable[int], ours: Iterable[Shape]) -> Spread | None:
    """Return the spread of nodes with so many cards free; None of no node, or too many kinds of attempts."""
    counts = Counter(max(0, each) for each in free)
    shapes = Counter(shape for shape in ours if min(shape) > 0)
    if not counts or max(counts) > CARDS_MAX or len(shapes) > SHAPES_MAX:
        return None
    levels = tuple(counts[level] for level in range(max(counts) + 1))
    return Spread(levels, tuple((*shape, count) for shape, count in sorted(shapes.items())))


def has_room(levels: Sequence[int], nodes: int, cards: int) -> bool:
    """True if so many nodes have so many cards free."""
    return sum(levels[cards:]) >= nodes


def begun(levels: Sequence[int], nodes: int, cards: int, whole: int) -> int:
    """Return on how many of its nodes a gang finds its cards without breaking one with all `whole` free."""
    return nodes if cards >= whole else min(nodes, sum(levels[cards:whole]))


def taken(levels: Levels, nodes: int, cards: int) -> Levels:
    """Return the levels after a gang took its cards: of the fullest nodes that suffice, or of fewer."""
    left = list(levels)
    for level in range(cards, len(left)):
        moved = min(nodes, left[level])
        left[level] -= moved
        left[level - cards] += moved
        nodes -= moved
    return tuple(left)


def levels_now(spread: Spread, held: Mapping[Shape, int], nodes: int, cards_per_node: int) -> Levels:
    """Return the levels of a pool of so many nodes with the attempts that hold cards by the platform's book.

    What the centre's report does not know of yet takes its cards. What it still counts and is over gives them
    back; on which nodes it was nobody has said, so until the next report they go where fewest are free. Nodes
    beyond those that were declared do not count, those with the fewest free cards first.
    """
    levels = _declared(spread.levels, nodes, cards_per_node)
    if not held and not spread.ours:
        return levels
    counted = {(wide, cards): count for wide, cards, count in spread.ours}
    shapes = sorted({*held, *counted}, key=lambda each: (-each[1], -each[0]))
    for wide, cards in shapes:
        over = counted.get((wide, cards), 0) - held.get((wide, cards), 0)
        if over > 0:
            levels = _given_back(levels, wide * over, cards)
    for wide, cards in shapes:
        new = held.get((wide, cards), 0) - counted.get((wide, cards), 0)
        if new > 0 and wide == 1:
            levels = _filled(levels, new, cards)
        elif new > 0:
            for _ in range(new):
                levels = taken(levels, wide, cards)
    return levels


def _given_back(levels: Levels, nodes: int, cards: int) -> Levels:
    """Return the levels after so many nodes got cards back, those with the fewest free first."""
    before: Levels = ()
    while nodes > 0 and levels != before:
        before, left = levels, list(levels)
        for level in range(len(levels) - cards):
            moved = min(nodes, before[level])
            left[level] -= moved
            left[level + cards] += moved
            nodes -= moved
        levels = tuple(left)
    return levels


def _filled(levels: Levels, attempts: int, cards: int) -> Levels:
    """Return the levels after so many attempts of one node each, as if each was `taken` after the other."""
    left = list(levels)
    for level in range(cards, len(left)):
        fit = level // cards  # a node that was begun is the fullest that suffices, until it is full
        whole = min(left[level], attempts // fit)
        left[level] -= whole
        left[level - fit * cards] += whole
        attempts -= whole * fit
        if attempts and left[level]:
            left[level] -= 1
            left[level - attempts * cards] += 1
            break
    return tuple(left)


def _declared(levels: Levels, nodes: int, cards_per_node: int) -> Levels:
    short = cards_per_node + 1 - len(levels)
    if short >= 0 and sum(levels) <= nodes:  # as they mostly are
        return levels + (0,) * short if short else levels
    found = [0] * (cards_per_node + 1)
    for free, count in reversed(tuple(enumerate(levels))):
        counted = min(nodes, count)
        found[min(free, cards_per_node)] += counted
        nodes -= counted
    return tuple(found)
