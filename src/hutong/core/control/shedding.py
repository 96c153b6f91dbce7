"""Stopping preemptible jobs where a limit of power holds that asks for it, the least work lost first.

What is lost, and who is left alone, is as when room is made (`preemption`). What is being freed counts as
freed, so that nobody is stopped twice for the same kilowatt. If all that may be stopped is not enough, it is
stopped all the same: each kilowatt counts.
"""

from collections import Counter
from collections.abc import Mapping

from hutong.core.capacity.sites import Site
from hutong.core.control.desk import Desk
from hutong.core.control.draft import Draft
from hutong.core.control.power import MILLIWATTS
from hutong.core.control.preemption import Stoppable, stop, victims_of
from hutong.core.control.room import least_for
from hutong.core.energy.account import card_milliwatts
from hutong.core.kernel.ids import JobId


def shed(desk: Desk, looked_at: Mapping[JobId, Draft]) -> list[Draft]:
    """Stop what must be stopped for the limits that hold now; return what is.

    `looked_at` are the jobs about which this turn decides already.
    """
    over = {
        site.id: _over_mw(site, desk) for site in desk.snapshot.sites if site.stops_for_power(desk.now_ms)
    }
    if not any(need > 0 for need in over.values()):
        return []
    able = [each for found in victims_of(desk, looked_at).values() for each in found if _draws_mw(each)]
    stopped: list[Draft] = []
    for site, need in over.items():
        here = [each for each in able if each.attempt.site == site]
        chosen = least_for(here, need, _draws_mw)
        stopped += [stop(victim, desk, looked_at, f"the power of {site} is limited") for victim in chosen]
    return stopped


def _over_mw(site: Site, desk: Desk) -> int:
    """Return how much more is drawn than the tightest limit for which jobs are stopped, milliwatts."""
    clearing = Counter({(each.site, each.pool): each.cards for each in desk.snapshot.clearing})
    for at, pool_id, freed in desk.stopped.values():
        clearing[at, pool_id] += freed
    drawn = sum(
        (desk.cards_used(site.id, pool.id) - clearing[site.id, pool.id])
        * card_milliwatts(pool.accelerator, pool.pue_milli)
        for pool in site.pools
    )
    least_kw = min(each.limit_kw for each in site.power_limits if each.stops(desk.now_ms))
    return drawn - least_kw * MILLIWATTS


def _draws_mw(victim: Stoppable) -> int:
    attempt = victim.attempt
    return attempt.cards * card_milliwatts(attempt.accelerator, attempt.pue_milli)
