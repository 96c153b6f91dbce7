"""How green a site's use was, by the hour and by the month, and the figures of ISO/IEC 30134.

By the hour counts what a contract delivered in the hour of use (as the 24/7 carbon-free score does, without
the grid's own share), and certificates that say this hour. By volume counts deliveries of any hour of the
month, and certificates retired for it. The second is never less than the first, and says less. What is not
known is None, with its reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hutong.core.book.energy import SiteHour
from hutong.core.energy.certificates import MWH_J, RetiredFor
from hutong.core.kernel.days import month_days, month_of
from hutong.core.kernel.quantities import HOUR_MS

KWH_J = 3_600_000


@dataclass(frozen=True, slots=True)
class Progress:
    """A site's use in a month: joules, and hours with a meter of all there are in it so far.

    `by_volume_j` is what is met by volume: matched by the hour, and certificates of what was left.
    """

    month: int
    hours: int
    hours_known: int
    used_j: int
    by_hour_j: int
    retired_j: int
    by_volume_j: int
    grid_green_j: int
    location_mg: int
    market_mg: int


@dataclass(frozen=True, slots=True)
class Indicator:
    """A figure of ISO/IEC 30134 in thousandths, or why there is none. `interim`: less than twelve months."""

    name: str
    value_milli: int | None
    why: str
    interim: bool


def progress_of(rows: Iterable[SiteHour], retired: RetiredFor, until_hour: int) -> Progress:
    """Return what a month came to, up to an hour. Of certificates, no more than what was left counts."""
    told, month, hourly = tuple(rows), retired.month, dict(retired.hours)
    used = sum(each.metered_j for each in told)
    delivered = sum(each.green_j for each in told)
    met = sum(min(each.metered_j - each.green_j, hourly.get(each.hour, 0) * MWH_J) for each in told)
    market = sum(each.market_mg for each in told)
    left = used - delivered
    certified = min(left, retired.mwh * MWH_J)
    first, after = (24 * each for each in month_days(month))
    return Progress(
        month=month,
        hours=max(0, min(after, until_hour) - first),
        hours_known=sum(each.covered_ms == HOUR_MS for each in told),
        used_j=used,
        by_hour_j=delivered + met,
        retired_j=retired.mwh * MWH_J,
        by_volume_j=delivered + certified,
        grid_green_j=sum(each.grid_green_j for each in told),
        location_mg=sum(each.location_mg for each in told),
        market_mg=market * (left - certified) // left if left else market,
    )


def by_month(rows: Iterable[SiteHour]) -> dict[int, list[SiteHour]]:
    """Return hours by their month."""
    found: dict[int, list[SiteHour]] = {}
    for each in rows:
        found.setdefault(month_of(each.hour // 24), []).append(each)
    return found


def indicators(
    rows: Iterable[SiteHour], hours: int, by_volume_j: int, has: Mapping[str, bool]
) -> tuple[Indicator, ...]:
    """Return PUE, REF, ERF and WUE over `hours` hours; `has` says which meters the site has.

    PUE and WUE ask for an IT meter in every hour: a PUE that was assumed would only come out again.
    """
    told = tuple(rows)
    whole = [each for each in told if each.covered_ms == HOUR_MS]
    used, it_j = sum(each.metered_j for each in told), sum(each.it_j for each in told)
    it_hours = sum("it=metered" in each.basis for each in whole)
    gaps = "" if len(whole) == hours else f"the site's meters tell {len(whole)} of {hours} hours"
    it_gaps = gaps or ("" if it_hours == hours else f"an IT meter tells {it_hours} of {hours} hours")
    interim = hours < 8760
    water = sum(each.water_ml for each in told)
    asked = (
        ("PUE", it_gaps, used * 1000, it_j),
        ("REF", gaps, by_volume_j * 1000, used),
        ("ERF", gaps or _missing(has, "reused"), sum(each.reused_j for each in told) * 1000, used),
        # ml x 1000 / 1000 per kWh: thousandths of a litre per kWh
        ("WUE", it_gaps or _missing(has, "water"), water * KWH_J, it_j),
    )
    return tuple(
        Indicator(name, None, why or "nothing was used", interim)
        if why or below <= 0
        else Indicator(name, above // below, "", interim)
        for name, why, above, below in asked
    )


def _missing(has: Mapping[str, bool], what: str) -> str:
    return "" if has.get(what) else f"the site has no meter of `{what}`"
