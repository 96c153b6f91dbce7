"""What is settled for later as the rows of a pass, by what is expected to be over then.

Plain functions of integers, which a turn calls as they are and the simulator compiles: both lay the same
rows. What runs beyond its time is taken to end at any moment but this one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from itertools import pairwise

from hutong.core.placement import columns as c

Row = Sequence[int]

# Columns of what is told of a booking: the account that its row names, its cards, from when until when, the
# cards that its holder has of the pool now, and the holder, by any number of its own but one below 0.
ACCOUNT, CARDS, FROM, UNTIL, HELD, HOLDER, TOLD_COLUMNS = range(7)
# Columns of what runs: until when, its cards, and the holders that it counts to, -2 for none.
RUNS_UNTIL, RUNS_CARDS, PROJECT, INSTITUTION, RUN_COLUMNS = range(5)


def spans(booked: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield (from, until, cards) of the bookings of one holder in one pool, added up where they overlap.

    What the holder has there is then taken off one booking at any moment.
    """
    changes: Counter[int] = Counter()
    for begins, ends, cards in booked:
        changes[begins] += cards
        changes[ends] -= cards
    cards = 0
    for begins, ends in pairwise(sorted(changes)):
        cards += changes[begins]
        if cards:
            yield begins, ends, cards


def over_by(now: int, at: int, runs: Sequence[Row]) -> int:
    """Return how many cards are given back by a moment to come; rows begin with the two columns of runs."""
    found = 0
    for each in runs:
        if each[RUNS_UNTIL] <= at and at > now:
            found += each[RUNS_CARDS]
    return found


def lay_bookings(
    now: int,
    free: int,
    told: Sequence[Row],
    runs: Sequence[Row],
    rows: Sequence[MutableSequence[int]],
    row: int,
) -> int:
    """Write the rows of the bookings of one pool from a row on (`columns` names them); return the row after.

    `told` are the spans that are not over, by their begins. Each has a row for every moment of its
    time at which one begins; of those that have begun, the last one's is the moment.
    """
    begun = now
    for each in told:
        if each[FROM] <= now:
            begun = each[FROM]
    before = -1
    for first in told:
        at = first[FROM]
        if at == before or (at <= now and at != begun):
            continue
        before, free_then = at, free
        for run in runs:
            if run[RUNS_UNTIL] <= at and at > now:
                free_then += run[RUNS_CARDS]
        for each in told:
            if each[FROM] > at or at >= each[UNTIL]:
                continue
            left = each[CARDS] - each[HELD]
            for run in runs:
                mine = run[PROJECT] == each[HOLDER] or run[INSTITUTION] == each[HOLDER]
                if mine and run[RUNS_UNTIL] <= at and at > now:
                    left += run[RUNS_CARDS]
            rows[row][c.HOLDER], rows[row][c.BOOKED_FROM] = each[ACCOUNT], at
            rows[row][c.BOOKED_UNTIL], rows[row][c.BOOKED_LEFT] = each[UNTIL], left
            rows[row][c.FREE_THEN] = free_then
            row += 1
    return row
