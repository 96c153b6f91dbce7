"""Bookings in the scheduling pass: what others may have of a pool beside what somebody has booked there.

A booking binds every job that would still run when it begins. How many cards such a job may have is what is
expected to be free at that moment, less what is booked then and not held by those who booked it. Between two
beginnings cards only become free, so those moments suffice: each has a row for every booking that goes on
then, and those that have begun share one moment. Nothing here is asked of pools without bookings.
"""

from hutong.core.placement import columns as c
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare


@bare
def is_of(a: Arrays, account: int, holder: int) -> bool:
    """True if an account, or one above it, is that of the holder."""
    while account >= 0:
        if account == holder:
            return True
        account = a.accounts[account, c.PARENT]
    return False


@bare
def promised(a: Arrays, pool: int, row: int, account: int, now: int, own: bool) -> int:
    """Return what is booked and not held at the moment of a row, by the account (`own`) or by others.

    What is over by now is left out.
    """
    return promised_at(a, pool, account, max(a.bookings[row, c.BOOKED_FROM], now), own)


@bare
def promised_at(a: Arrays, pool: int, account: int, at: int, own: bool) -> int:
    """Return what is booked at a moment and not held, by the account (`own`) or by others."""
    found, begins = 0, -1
    for each in range(a.pools[pool, c.FIRST_BOOKING], a.pools[pool, c.AFTER_BOOKING]):
        if a.bookings[each, c.BOOKED_FROM] > at:
            break
        if a.bookings[each, c.BOOKED_FROM] != begins:  # a later moment has all that still goes on
            begins, found = a.bookings[each, c.BOOKED_FROM], 0
        is_open = at < a.bookings[each, c.BOOKED_UNTIL]
        if is_open and is_of(a, account, a.bookings[each, c.HOLDER]) == own:
            found += max(0, a.bookings[each, c.BOOKED_LEFT])
    return int(found)


@bare
def spare(a: Arrays, pool: int, row: int, account: int, now: int) -> int:
    """Return how many cards an account may have of a pool in a run that goes beyond the moment of a row."""
    others = promised(a, pool, row, account, now, False)
    own = promised(a, pool, row, account, now, True)
    return int(max(a.bookings[row, c.FREE_THEN] - others, own))


@bare
def unbooked(a: Arrays, pool: int, account: int, now: int, until: int) -> int:
    """Return how many cards bookings leave an account for a run from now until then, or NEVER."""
    found = c.NEVER
    for each in range(a.pools[pool, c.FIRST_BOOKING], a.pools[pool, c.AFTER_BOOKING]):
        if a.bookings[each, c.BOOKED_FROM] < until and now < a.bookings[each, c.BOOKED_UNTIL]:
            found = min(found, spare(a, pool, each, account, now))
    return int(found)


@bare
def withheld(a: Arrays, pool: int, account: int, now: int, until: int, need: int) -> int:
    """Return what others have booked now and do not hold, or NEVER where a booking to come leaves too few.

    What runs now may have ended by the time when that begins: for that nothing is stopped.
    """
    for each in range(a.pools[pool, c.FIRST_BOOKING], a.pools[pool, c.AFTER_BOOKING]):
        to_come = now < a.bookings[each, c.BOOKED_FROM] < until
        if to_come and spare(a, pool, each, account, now) < need:
            return c.NEVER
    return promised_at(a, pool, account, now, False)


@bare
def count_booked(a: Arrays, pool: int, account: int, now: int, until: int, cards: int) -> None:
    """Count cards that an account takes of a pool from now until then (negative: given back)."""
    for each in range(a.pools[pool, c.FIRST_BOOKING], a.pools[pool, c.AFTER_BOOKING]):
        if a.bookings[each, c.BOOKED_FROM] < until and now < a.bookings[each, c.BOOKED_UNTIL]:
            a.bookings[each, c.FREE_THEN] -= cards
            if is_of(a, account, a.bookings[each, c.HOLDER]):
                a.bookings[each, c.BOOKED_LEFT] -= cards
