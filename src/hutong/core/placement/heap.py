"""A binary heap of ends in two parallel arrays, for loops in machine code; its owner keeps count."""

from hutong.core.placement.arrays import Ints
from hutong.core.placement.compiled import bare


@bare
def push(ends: Ints, jobs: Ints, size: int, end: int, job: int) -> None:
    """Put an end into a heap of so many, the earliest first, then the smaller job."""
    at = size
    while at > 0:
        above = (at - 1) // 2
        if (ends[above], jobs[above]) <= (end, job):
            break
        ends[at], jobs[at] = ends[above], jobs[above]
        at = above
    ends[at], jobs[at] = end, job


@bare
def pop(ends: Ints, jobs: Ints, size: int) -> None:
    """Take the earliest end out of a heap; so many are left."""
    end, job = ends[size], jobs[size]
    at = 0
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and (ends[below + 1], jobs[below + 1]) < (ends[below], jobs[below]):
            below += 1
        if (end, job) <= (ends[below], jobs[below]):
            break
        ends[at], jobs[at] = ends[below], jobs[below]
        at = below
    ends[at], jobs[at] = end, job
