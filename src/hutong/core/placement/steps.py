"""Profiles of what is expected to be free, as chains of steps: cards of a pool, or the power of a site."""

from hutong.core.placement import columns as c
from hutong.core.placement.arrays import Ints
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.heap import pop


@bare
def append(a: Arrays, before: int, at: int, free: int, after: int) -> int:
    """Put a step between two others (-1: none), and return it."""
    new = int(a.state[c.STEPS])
    a.state[c.STEPS] = new + 1
    a.ends[new, c.STEP_AT], a.ends[new, c.STEP_FREE], a.ends[new, c.STEP_NEXT] = at, free, after
    if before >= 0:
        a.ends[before, c.STEP_NEXT] = new
    return new


@bare
def chain(a: Arrays, now: int, free: int, times: Ints, amounts: Ints, size: int) -> int:
    """Return the first of the steps from what is free now and a heap of what is given back, used up."""
    head = append(a, -1, now, free, -1)
    last = head
    while size > 0:
        if last == head or a.ends[last, c.STEP_AT] != times[0]:
            last = append(a, last, times[0], a.ends[last, c.STEP_FREE], -1)
        a.ends[last, c.STEP_FREE] += amounts[0]
        size -= 1
        pop(times, amounts, size)
    return int(head)


@bare
def split(a: Arrays, before: int, at: int) -> int:
    """Return the step that begins at a moment, among those after one; one is made if there is none."""
    after = a.ends[before, c.STEP_NEXT]
    while after >= 0 and a.ends[after, c.STEP_AT] < at:
        before, after = after, a.ends[after, c.STEP_NEXT]
    if after >= 0 and a.ends[after, c.STEP_AT] == at:
        return int(after)
    return append(a, before, at, a.ends[before, c.STEP_FREE], after)


@bare
def take(a: Arrays, step: int, until: int, amount: int) -> int:
    """Take an amount (negative: give it back) from a step on until then; return the least that is left."""
    after, least = split(a, step, until), c.NEVER
    while step != after:
        a.ends[step, c.STEP_FREE] -= amount
        least = min(least, a.ends[step, c.STEP_FREE])
        step = a.ends[step, c.STEP_NEXT]
    return int(least)
