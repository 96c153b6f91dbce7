"""The nodes of a pool by how many of their cards are free, as sets of bits."""

import numpy as np

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare, inlined


@bare
def shelve_nodes(pools: Ints, levels: Ints, bits: Ints, node_free: Ints, counts: Ints) -> None:
    """Write the nodes of each pool, so many, into `levels` and `bits`, which are empty."""
    for pool in range(len(counts)):
        first, words = pools[pool, c.FIRST_WORD], pools[pool, c.WORDS]
        for place in range(counts[pool]):
            free = node_free[pools[pool, c.FIRST_NODE] + place]
            levels[pool, free] += 1
            bits[first + free * words + place // c.WORD_BITS] |= np.int64(1) << (place % c.WORD_BITS)


@inlined
def move_node(a: Arrays, pool: int, node: int, free: int) -> None:
    """Give a node another number of free cards."""
    before = a.node_free[node]
    place = node - a.pools[pool, c.FIRST_NODE]
    word, bit = place // c.WORD_BITS, np.int64(1) << (place % c.WORD_BITS)
    first, words = a.pools[pool, c.FIRST_WORD], a.pools[pool, c.WORDS]
    a.bits[first + before * words + word] &= ~bit
    a.bits[first + free * words + word] |= bit
    a.levels[pool, before] -= 1
    a.levels[pool, free] += 1
    a.node_free[node] = free


@inlined
def first_node(a: Arrays, pool: int, free: int) -> int:
    """Return the first node of a pool with exactly so many cards free; there must be one."""
    words = a.pools[pool, c.WORDS]
    at = a.pools[pool, c.FIRST_WORD] + free * words
    word = 0
    while a.bits[at + word] == 0:
        word += 1
    rest, bit = a.bits[at + word], 0
    while rest & 0xFF == 0:
        rest >>= 8
        bit += 8
    while rest & 1 == 0:
        rest >>= 1
        bit += 1
    return int(a.pools[pool, c.FIRST_NODE]) + word * c.WORD_BITS + bit


@bare
def give_back(a: Arrays, pool: int, nodes: int, cards: int) -> None:
    """Give so many nodes cards back that were taken before the pass: nobody knows which, so the fullest."""
    free = 0
    while nodes > 0 and a.pools[pool, c.FIRST_WORD] >= 0 and free + cards < a.levels.shape[1]:
        if a.levels[pool, free] == 0:
            free += 1
            continue
        move_node(a, pool, first_node(a, pool, free), free + cards)
        nodes -= 1


@inlined
def fits(a: Arrays, pool: int, nodes: int, cards: int) -> bool:
    """True if so many nodes of the pool have so many cards free each; by its total if nodes are unknown."""
    if a.pools[pool, c.FREE] < nodes * cards:
        return False
    if a.pools[pool, c.FIRST_WORD] < 0:
        return True
    found = 0
    for free in range(cards, a.levels.shape[1]):
        found += a.levels[pool, free]
        if found >= nodes:
            return True
    return False


@inlined
def unbroken(a: Arrays, pool: int, nodes: int, cards: int) -> int:
    """Return of a gang's nodes the share, ppm, for which no whole node is broken; -1 where it does not fit.

    There are as many cards free. See `judge.unbroken_ppm`.
    """
    whole = a.pools[pool, c.NODE_CARDS]
    if a.pools[pool, c.FIRST_WORD] < 0:
        return c.PPM if cards >= whole or a.pools[pool, c.FREE] < whole else c.UNTOLD
    found = begun = 0
    for free in range(cards, a.levels.shape[1]):
        if free == whole:
            begun = found
        found += a.levels[pool, free]
        if found >= nodes:
            return c.PPM if free < whole or cards >= whole else int(c.PPM * begun // nodes)
    return -1
