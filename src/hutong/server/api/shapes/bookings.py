"""Bookings as operators ask for them and as the wire shows them."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from hutong.core.capacity.sites import Booking, Site
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.kernel.ids import PoolId
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.api.shapes.times import read_time
from hutong.wire import sites as w
from hutong.wire.base import rfc3339

AT_MOST = 100
LONGEST_MS = 366 * DAY_MS


def add_booking(site: Site, new: w.NewBooking, now_ms: int, kin: Callable[[str], bool]) -> Site:
    """Return the site with one more booking, those that are over left out; raises Refused for a bad one.

    One of the same pool, holder and span takes the place of what was there: a repeat changes nothing. `kin`
    says which others are the same people: its institution, or its projects. One of them has
    bookings of a pool at a time, which add up, or nobody could say on whose a job runs.
    """
    from_ms, until_ms = read_time(new.start, "/start"), read_time(new.end, "/end")
    name = sha256(f"{new.pool} {new.holder} {from_ms} {until_ms}".encode()).hexdigest()[:12]
    added = Booking(name, PoolId(new.pool), new.cards, from_ms, until_ms, new.holder, new.reason)
    kept = [each for each in site.bookings if each.until_ms > now_ms and each.id != added.id]
    problem = _problem(site, kept, added, now_ms, kin)
    if problem:
        raise Refused("bad_booking", problem.message, (problem,))
    ordered = sorted((*kept, added), key=lambda each: (each.from_ms, each.until_ms, each.pool, each.id))
    return replace(site, bookings=tuple(ordered))


def remove_booking(site: Site, name: str) -> Site:
    """Return the site without a booking; raises NotFound."""
    left = tuple(each for each in site.bookings if each.id != name)
    if len(left) == len(site.bookings):
        raise NotFound("not_found", f"{site.id} has no booking {name!r}")
    return replace(site, bookings=left)


def booking_shape(each: Booking) -> w.Booking:
    """Return a booking as the wire shows it."""
    return w.Booking(
        id=each.id,
        pool=each.pool,
        cards=each.cards,
        start=rfc3339(each.from_ms),
        end=rfc3339(each.until_ms),
        holder=each.holder,
        reason=each.reason,
    )


def _problem(
    site: Site, kept: list[Booking], added: Booking, now_ms: int, kin: Callable[[str], bool]
) -> Problem | None:
    pool = site.pool(added.pool)
    if pool is None:
        known = ", ".join(each.id for each in site.pools)
        return Problem("/pool", f"{site.id} has no pool {added.pool!r}", f"one of {known}")
    if added.until_ms <= max(added.from_ms, now_ms):
        return Problem("/end", "it must end after it begins, and not in the past", "a later time")
    if added.until_ms - added.from_ms > LONGEST_MS:
        return Problem("/end", "it is longer than a year", "a quota keeps cards without an end")
    if len(kept) >= AT_MOST:
        return Problem("/start", f"{site.id} has {len(kept)} bookings already", "remove some first")
    together = [
        each
        for each in kept
        if each.pool == added.pool and each.from_ms < added.until_ms and added.from_ms < each.until_ms
    ]
    rival = next((each for each in together if kin(each.holder)), None)
    if rival is not None:
        text = f"{rival.holder} has {rival.cards} cards booked in that time already, as {rival.id}"
        return Problem("/start", text, "another time, or remove that one and book once")
    left = pool.cards - _booked(together, added)
    if added.cards > left:
        text = f"{pool.cards} cards, of which {pool.cards - left} are booked already in that time"
        return Problem("/cards", text, f"{left} or fewer, or another time")
    return None


def _booked(together: list[Booking], added: Booking) -> int:
    """Return the most cards of the pool that others have booked at some moment of a booking's time."""
    # What is booked grows only where one begins.
    begins = {max(each.from_ms, added.from_ms) for each in together}
    at_once = (sum(e.cards for e in together if e.from_ms <= at < e.until_ms) for at in begins)
    return max(at_once, default=0)
