"""What is settled for later about a pool, behind one name: bookings of its cards, limits of its site's power.

Nothing here is asked of a pool that has neither (AHEAD).
"""

from hutong.core.placement.bookings import count_booked, unbooked
from hutong.core.placement.columns import Arrays
from hutong.core.placement.compiled import bare
from hutong.core.placement.headroom import power_spare
from hutong.core.placement.power import count_power, within_limits
from hutong.core.placement.profile import beside_kept


@bare
def room(a: Arrays, pool: int, account: int, now: int, reach: int, until: int) -> int:
    """Return how many cards bookings and limits leave an account for a run from now until then, or NEVER.

    As far as the run reaches, also beside what is kept for jobs that wait.
    """
    found = min(unbooked(a, pool, account, now, until), within_limits(a, pool, now, until))
    found = min(found, power_spare(a, pool, until))
    return int(min(found, beside_kept(a, pool, account, reach)))


@bare
def count_ahead(a: Arrays, pool: int, account: int, now: int, until: int, cards: int) -> None:
    """Count cards that an account takes of a pool from now until then (negative: given back)."""
    count_booked(a, pool, account, now, until, cards)
    count_power(a, pool, now, until, cards)
