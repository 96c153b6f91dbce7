"""A region's hour, settled: meters shared out to jobs, contracts matched with use, carbon both ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hutong.core.book.energy import DueHour, Hours, JobHour, JobUse, Match, Settled, SiteHour
from hutong.core.book.meters import Measures, Meter, MeterHour, settled_from_ms
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Site
from hutong.core.energy.carbon import by_location_mg, by_market_mg
from hutong.core.energy.contracts import Contract, match_hour
from hutong.core.energy.counted import Taken
from hutong.core.energy.pue import PueTable, site_pue
from hutong.core.energy.sharing import Shared, share
from hutong.core.kernel.days import day_of, month_days, month_of
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS

FINAL_AFTER_MS = 3 * DAY_MS
"""When an hour is settled for the last time, unless a reading changes: accounting may be two days late."""
OPEN_DAYS = 5
"""For how long a month is still open when it is over."""
MODELLED = "modelled: cards x nameplate TDP, fitted to the meter"
COUNTED = "counted: {}, spread over its time"


@dataclass(frozen=True, slots=True)
class Known:
    """All that an hour of a region is settled by. `sites` are those with a meter of all that they take.

    `taken` is what counters say of attempts, by site and key.
    """

    meters: Sequence[Meter]
    hours: Sequence[MeterHour]
    sites: Sequence[Site]
    uses: Mapping[str, Sequence[JobUse]]
    contracts: Sequence[Contract]
    tables: Mapping[str, PueTable]
    residual_mg_per_kwh: int | None = None
    taken: Mapping[str, Mapping[str, Taken]] = field(default_factory=dict)


@dataclass(slots=True)
class _Side:
    """What a site's meters came to, and how it is shared."""

    site: Site
    sums: Mapping[Measures, int]
    covered_ms: int
    spread_ms: int
    shared: Shared
    wanted_j: int
    basis: list[str]
    projects: dict[str, str]
    methods: dict[str, str]


def open_hours(now_ms: int) -> Hours:
    """Return the hours that a change of what they rest on still settles again: those of this UTC month.

    In its first days, of the month before as well: that is when bills of it come.
    """
    today = day_of(now_ms)
    first = month_days(month_of(today - OPEN_DAYS))[0]
    return 24 * first, now_ms // HOUR_MS + 1


def settle(due: DueHour, known: Known, now_ms: int) -> Settled:
    """Return what the hour came to. What is not known is not guessed: a site without readings has no row."""
    sides = [side for site in known.sites if (side := _side(due.hour, known, site)) is not None]
    used = {str(each.site.id): each.shared.it_j + each.shared.overhead_j for each in sides}
    delivered: dict[str, int] = {}
    for told in known.hours:
        if told.measures is Measures.DELIVERED:
            delivered[told.contract] = delivered.get(told.contract, 0) + told.value
    found = match_hour(known.contracts, delivered, used, due.hour)
    rows = [_rows(due, side, found, known.residual_mg_per_kwh, now_ms) for side in sides]
    final_ms = settled_from_ms(due.hour) + FINAL_AFTER_MS
    return Settled(
        due,
        tuple(row for row, _ in rows),
        tuple(job for _, jobs in rows for job in jobs),
        found,
        final_ms if now_ms < final_ms else 0,
    )


def _side(hour: int, known: Known, site: Site) -> _Side | None:
    mine = [each for each in known.hours if each.site == site.id]
    main = {each.meter: each for each in mine if each.measures is Measures.FACILITY}
    if not main:
        return None
    sums: dict[Measures, int] = {}
    for each in mine:
        sums[each.measures] = sums.get(each.measures, 0) + each.value
    covered = _covered(hour, known.meters, main, site.id, Measures.FACILITY)
    uses, basis = known.uses.get(site.id, ()), []
    cards: dict[str, int] = {}
    for use in uses:
        cards[use.sku] = cards.get(use.sku, 0) + use.card_ms
    wanted, counted, methods = _drawn(uses, known.taken.get(site.id, {}))
    metered = sums[Measures.FACILITY]
    it_meters = {each.meter: each for each in mine if each.measures is Measures.IT}
    if it_meters and _covered(hour, known.meters, it_meters, site.id, Measures.IT) >= covered:
        it_j = sums[Measures.IT]
        basis.append("it=metered" if it_j <= metered else "it=metered,more than the site")
    else:
        pue = site_pue(site, known.tables, cards, hour, covered or HOUR_MS)
        it_j = metered * 1000 // max(1000, pue)
        basis.append(f"it=pue {pue // 1000}.{pue % 1000:03d}")
    shared = share(metered, it_j, wanted, counted)
    basis.append(_told(shared, len(counted), len(wanted)))
    if covered < HOUR_MS:
        basis.append("hour=partial")
    if any(each.synthetic for each in known.meters if each.id in main):
        basis.append("meter=synthetic")
    return _Side(
        site, sums, covered, max(each.spread_ms for each in main.values()), shared,
        sum(wanted.values()) + sum(counted.values()), basis, {use.key: use.project for use in uses}, methods,
    )  # fmt: skip


def _drawn(
    uses: Sequence[JobUse], taken: Mapping[str, Taken]
) -> tuple[dict[str, int], dict[str, int], dict[str, str]]:
    """Return what attempts drew by the model, what others did by counters, and how it is known of each."""
    wanted: dict[str, int] = {}
    counted: dict[str, int] = {}
    methods: dict[str, str] = {}
    for use in uses:
        told = taken.get(use.key)
        if told is not None and told.energy_j is not None:
            counted[use.key], methods[use.key] = told.energy_j, COUNTED.format(told.basis)
            continue
        card = ACCELERATORS.get(use.sku)
        # W x ms = mJ
        wanted[use.key] = wanted.get(use.key, 0) + (use.card_ms * card.tdp_w // 1000 if card else 0)
        methods[use.key] = f"{MODELLED}; {told.basis}" if told is not None else MODELLED
    return wanted, counted, methods


def _told(shared: Shared, counted: int, modelled: int) -> str:
    if not counted:
        return "jobs=scaled" if shared.scaled else "jobs=modelled"
    how = "jobs=counted" if not modelled else f"jobs=counted {counted} of {counted + modelled}"
    return how + (",counters beyond IT" if shared.beyond else ",scaled" if shared.scaled else "")


def _covered(
    hour: int, meters: Sequence[Meter], told: Mapping[str, MeterHour], site: str, what: Measures
) -> int:
    """Return for how much of the hour all of a site's meters of a kind told something."""
    wanted = [m.id for m in meters if m.site == site and m.measures is what and m.counts_in(hour)]
    return min(told[name].covered_ms if name in told else 0 for name in {*wanted, *told})


def _rows(
    due: DueHour, side: _Side, found: Sequence[Match], residual: int | None, now_ms: int
) -> tuple[SiteHour, tuple[JobHour, ...]]:
    shared, site = side.shared, side.site
    metered = shared.it_j + shared.overhead_j
    green = sum(each.energy_j for each in found if each.site == site.id)
    hour_of_day = due.hour % 24
    mg, grid_ppm = site.supply.mg_per_kwh[hour_of_day], site.supply.green_ppm[hour_of_day]
    basis = [*side.basis, "market=residual" if residual is not None else "market=grid mean"]
    if site.supply.synthetic:
        basis.append("grid=synthetic")
    row = SiteHour(
        site=str(site.id),
        hour=due.hour,
        region=due.region,
        metered_j=metered,
        it_j=shared.it_j,
        jobs_j=shared.jobs_j,
        idle_j=shared.idle_j,
        overhead_j=shared.overhead_j,
        modelled_j=side.wanted_j,
        green_j=green,
        grid_green_j=(metered - green) * grid_ppm // 1_000_000,
        location_mg=by_location_mg(metered, mg),
        market_mg=by_market_mg(metered, green, residual, mg),
        reused_j=side.sums.get(Measures.REUSED, 0),
        water_ml=side.sums.get(Measures.WATER, 0),
        covered_ms=side.covered_ms,
        spread_ms=side.spread_ms,
        basis="; ".join(basis),
        settled_ms=now_ms,
    )
    jobs = []
    for key, it_j in shared.it.items():
        whole = it_j + shared.overhead[key]
        part = whole * green // metered if metered else 0
        jobs.append(
            JobHour(
                key, due.hour, row.site, side.projects[key], it_j, shared.overhead[key], part,
                by_location_mg(whole, mg), by_market_mg(whole, part, residual, mg), side.methods[key],
            )
        )  # fmt: skip
    return row, tuple(jobs)
