"""When enough will have been given back by what runs: cards of a pool, or power of a site."""

from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare


@bare
def when(a: Arrays, found: int, free: int, need: int) -> tuple[int, int]:
    """Return when so much is expected to be free, and how much more will be then; NEVER if it is not enough.

    A weighted quickselect (Hoare, 1961) over the first so many of `ends`, which it reorders.
    """
    low, high = 0, found
    while low < high:
        pivot = a.ends[(low + high) // 2, 0]
        below, same = low, low  # [low, below) earlier than the pivot, [below, same) equal, the rest later
        sum_below = sum_same = 0
        for at in range(low, high):
            end, amount = a.ends[at, 0], a.ends[at, 1]
            if end > pivot:
                continue
            a.ends[at, 0], a.ends[at, 1] = a.ends[same, 0], a.ends[same, 1]
            if end == pivot:
                a.ends[same, 0], a.ends[same, 1] = end, amount
                sum_same += amount
            else:
                a.ends[same, 0], a.ends[same, 1] = a.ends[below, 0], a.ends[below, 1]
                a.ends[below, 0], a.ends[below, 1] = end, amount
                sum_below += amount
                below += 1
            same += 1
        if free + sum_below >= need and below > low:
            high = below
        elif free + sum_below + sum_same >= need:
            return int(pivot), free + sum_below + sum_same - need
        else:
            free += sum_below + sum_same
            low = same
    return c.NEVER, 0
