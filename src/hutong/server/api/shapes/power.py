"""Limits of a centre's power as operators declare them and as the wire shows them."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from hutong.core.capacity.sites import PowerLimit, Site
from hutong.core.energy.account import card_milliwatts
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server.api.shapes.times import read_time, thousandths, time_or_none
from hutong.wire import sites as w

AT_MOST = 50


def add_power_limit(site: Site, new: w.NewPowerLimit, now_ms: int) -> Site:
    """Return the site with one more limit, those that are over left out; raises Refused for a bad one.

    One of the same span takes the place of what was there: a repeat changes nothing.
    """
    from_ms = read_time(new.start, "/start") if new.start else 0
    until_ms = read_time(new.end, "/end") if new.end else 0
    name = sha256(f"{from_ms} {until_ms}".encode()).hexdigest()[:12]
    added = PowerLimit(name, new.limit_kw, from_ms, until_ms, new.reason, new.stop_jobs)
    if new.end and until_ms <= max(from_ms, now_ms):
        problem = Problem("/end", "it must end after it begins, and not in the past", "a later time")
        raise Refused("bad_power_limit", problem.message, (problem,))
    kept = [each for each in site.power_limits if not each.is_over(now_ms) and each.id != added.id]
    if len(kept) >= AT_MOST:
        problem = Problem("/start", f"{site.id} has {len(kept)} limits already", "remove some first")
        raise Refused("bad_power_limit", problem.message, (problem,))
    ordered = sorted((*kept, added), key=lambda each: (each.from_ms, each.until_ms))
    return replace(site, power_limits=tuple(ordered))


def remove_power_limit(site: Site, name: str) -> Site:
    """Return the site without a limit; raises NotFound."""
    left = tuple(each for each in site.power_limits if each.id != name)
    if len(left) == len(site.power_limits):
        raise NotFound("not_found", f"{site.id} has no power limit {name!r}")
    return replace(site, power_limits=left)


def power_limit_shape(each: PowerLimit) -> w.PowerLimit:
    """Return a limit as the wire shows it."""
    return w.PowerLimit(
        id=each.id,
        limit_kw=each.limit_kw,
        start=time_or_none(each.from_ms),
        end=time_or_none(each.until_ms),
        reason=each.reason,
        stop_jobs=each.stop_jobs,
    )


def drawn_kw(site: Site, use: Mapping[str, int]) -> str:
    """Return what so many cards of each pool draw, kW with at most three decimals."""
    drawn = (use.get(pool.id, 0) * card_milliwatts(pool.accelerator, pool.pue_milli) for pool in site.pools)
    return thousandths(sum(drawn) // 1000)
