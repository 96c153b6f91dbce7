"""Sites as declared by their operators and as the wire shows them."""

from collections.abc import Mapping
from dataclasses import replace

from hutong.core.book.stays import Stays, mtbf_s
from hutong.core.capacity.accelerators import find_accelerator
from hutong.core.capacity.links import learnt_from
from hutong.core.capacity.sites import Admission, Maintenance, Pool, PoolState, Site, SiteStatus, Supply
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.kernel.money import parse_micro
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.server.api.shapes.bookings import booking_shape
from hutong.server.api.shapes.power import drawn_kw, power_limit_shape
from hutong.server.api.shapes.times import percent, read_time, thousandths, time_or_none
from hutong.wire import sites as w
from hutong.wire.base import Money, rfc3339

PRICE_AT_MOST_MICRO = 1_000_000_000_000  # a million yuan for one card-hour is a slip of the finger
MAINTENANCES_AT_MOST = 50
MAINTENANCE_AT_MOST_MS = 92 * DAY_MS


def read_site(new: w.NewSite) -> Site:
    """Return the site that an operator declares; raises Refused that names each wrong field."""
    problems = [*_unknown_chips(new), *_repeated_pools(new), *_bad_prices(new)]
    if problems:
        raise Refused("bad_site", f"the site cannot be registered: {problems[0].message}", tuple(problems))
    return Site(
        id=SiteId(new.id),
        name_zh=new.name_zh,
        name_en=new.name_en,
        region=new.region,
        distance_km=new.distance_km,
        engine=new.engine,
        pools=tuple(_read_pool(pool) for pool in new.pools),
        supply=_read_supply(new.supply),
        declared_only=new.declared_only,
        service_host=new.service_host,
        admission=Admission(new.admission),
        domains=distinct(new.domains),
    )


def _read_supply(supply: w.Supply) -> Supply:
    prices = _read_prices(supply.price_per_kwh)
    return Supply(supply.green_ppm, supply.grams_per_kwh, supply.source, supply.synthetic, prices)


def _read_prices(prices: w.HourlyPrices | None) -> tuple[int, ...]:
    return tuple(map(parse_micro, prices.amounts)) if prices else ()


def set_electricity(site: Site, change: w.ElectricityChange) -> Site:
    """Return the site with other prices of its electricity."""
    supply = replace(site.supply, price_micro_per_kwh=_read_prices(change.price_per_kwh))
    return replace(site, supply=supply)


def _read_pool(pool: w.Pool) -> Pool:
    card = find_accelerator(pool.accelerator)
    whole, _, part = pool.pue.partition(".")
    return Pool(
        id=PoolId(pool.id),
        accelerator=card.model if card else pool.accelerator,
        nodes=pool.nodes,
        cards_per_node=pool.cards_per_node,
        price_micro_per_card_hour=parse_micro(pool.price_per_card_hour.amount),
        pue_milli=int(whole) * 1000 + int(part.ljust(3, "0")),
        stack=card.stack if card else "",
        memory_bytes_per_node=pool.memory_bytes_per_node,
        cpus_per_node=pool.cpus_per_node,
        domains=distinct(pool.domains),
    )


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names in order, each once."""
    return tuple(sorted(set(names)))


def set_domains(site: Site, change: w.DomainsChange) -> Site:
    """Return the site with other failure domains, of one of its pools where one is named."""
    domains = distinct(change.domains)
    if change.pool is None:
        return replace(site, domains=domains)
    if site.pool(change.pool) is None:
        text = f"site {site.id} has no pool {change.pool!r}"
        hint = f"one of {', '.join(each.id for each in site.pools)}"
        raise Refused("unknown_reference", text, (Problem("/pool", text, hint),))
    changed = (replace(each, domains=domains) if each.id == change.pool else each for each in site.pools)
    return replace(site, pools=tuple(changed))


def _unknown_chips(new: w.NewSite) -> list[Problem]:
    return [
        Problem(
            f"/pools/{index}/accelerator",
            f"{pool.accelerator!r} is not in the catalogue",
            "a model such as H100, A100, H20, Ascend910B, MLU370, MI300X or CPU",
        )
        for index, pool in enumerate(new.pools)
        if find_accelerator(pool.accelerator) is None
    ]


def _repeated_pools(new: w.NewSite) -> list[Problem]:
    ids = [pool.id for pool in new.pools]
    return [
        Problem(f"/pools/{index}/id", f"{id_!r} names two pools", "each pool needs its own id")
        for index, id_ in enumerate(ids)
        if id_ in ids[:index]
    ]


def _bad_prices(new: w.NewSite) -> list[Problem]:
    return [
        Problem(f"/pools/{index}/price_per_card_hour/amount", "this is no price", "0 to 1000000 yuan")
        for index, pool in enumerate(new.pools)
        if not 0 <= parse_micro(pool.price_per_card_hour.amount) <= PRICE_AT_MOST_MICRO
    ]


def _learnt_shape(status: SiteStatus | None, now_ms: int) -> w.Learnt | None:
    found = learnt_from(status.transfers, now_ms) if status else None
    if found is None:
        return None
    return w.Learnt(
        bits_per_s=found.bits_per_s, transfers=found.transfers, at=rfc3339(found.at_ms), counts=found.enough
    )


def site_shape(
    site: Site, status: SiteStatus | None, stays: Stays, use: Mapping[str, int], now_ms: int, reach_ms: int
) -> w.Site:
    """Return a site with its present condition; `use` has the cards in use by pool."""
    hour = now_ms // HOUR_MS % 24
    return w.Site(
        id=site.id,
        name_zh=site.name_zh,
        name_en=site.name_en,
        region=site.region,
        distance_km=site.distance_km,
        engine=site.engine,
        admission=site.admission.value,
        declared_only=site.declared_only,
        reachable=is_reachable(status, now_ms, reach_ms),
        last_seen=time_or_none(status.seen_ms) if status else None,
        isolation=status.isolation if status else "",
        trouble=status.trouble if status else "",
        offers=status.offers if status else None,
        can=status.can if status else None,
        lacks=status.lacks if status else (),
        node_hours_to_break=mtbf_s(stays) // 3600 if stays.breaks_ppm else None,
        learnt=_learnt_shape(status, now_ms),
        green_percent_now=percent(site.supply.green_ppm[hour]),
        price_per_kwh_now=Money.of(site.supply.kwh_micro[hour]) if site.supply.price_micro_per_kwh else None,
        supply_source=site.supply.source,
        supply_synthetic=site.supply.synthetic,
        maintenance=tuple(_maintenance_shape(each) for each in site.maintenance if each.until_ms > now_ms),
        bookings=tuple(booking_shape(each) for each in site.bookings if each.until_ms > now_ms),
        power_limits=tuple(power_limit_shape(each) for each in site.power_limits if not each.is_over(now_ms)),
        power_kw=drawn_kw(site, use),
        domains=site.domains,
        pools=tuple(_pool_shape(each, use.get(each.id, 0), _state(status, each.id)) for each in site.pools),
    )


def _maintenance_shape(each: Maintenance) -> w.Maintenance:
    return w.Maintenance(
        start=rfc3339(each.from_ms), end=rfc3339(each.until_ms), reason=each.reason, stop_jobs=each.stop_jobs
    )


def add_maintenance(site: Site, new: w.Maintenance, now_ms: int) -> Site:
    """Return the site with one more maintenance, those that are over left out; raises Refused for a bad one.

    One that begins at the same moment as another takes its place.
    """
    added = Maintenance(read_time(new.start, "/start"), read_time(new.end, "/end"), new.reason, new.stop_jobs)
    if added.until_ms <= max(added.from_ms, now_ms):
        text = "it must end after it begins, and not in the past"
        raise Refused("bad_maintenance", text, (Problem("/end", text, "a later time"),))
    if added.until_ms - added.from_ms > MAINTENANCE_AT_MOST_MS:
        text = "it is longer than 92 days"
        raise Refused("bad_maintenance", text, (Problem("/end", text, "close the site instead"),))
    kept = [each for each in site.maintenance if each.until_ms > now_ms and each.from_ms != added.from_ms]
    if len(kept) >= MAINTENANCES_AT_MOST:
        text = f"the site has {len(kept)} to come already"
        raise Refused("bad_maintenance", text, (Problem("/start", text, "cancel some first"),))
    ordered = sorted((*kept, added), key=lambda each: (each.from_ms, each.until_ms))
    return replace(site, maintenance=tuple(ordered))


def is_reachable(status: SiteStatus | None, now_ms: int, reach_ms: int) -> bool:
    """True if the site's agent called within the reach of the rules."""
    return status is not None and now_ms - status.seen_ms <= reach_ms


def _state(status: SiteStatus | None, pool: str) -> PoolState | None:
    return status.pool(pool) if status else None


def _pool_shape(pool: Pool, in_use: int, state: PoolState | None) -> w.PoolUse:
    return w.PoolUse(
        id=pool.id,
        accelerator=pool.accelerator,
        nodes=pool.nodes,
        cards_per_node=pool.cards_per_node,
        cards=pool.cards,
        cards_in_use=in_use,
        cards_up=state.cards_up if state else None,
        cards_elsewhere=state.cards_elsewhere if state else 0,
        wait_s=state.wait_s if state else 0,
        price_per_card_hour=Money.of(pool.price_micro_per_card_hour),
        pue=thousandths(pool.pue_milli),
        domains=pool.domains,
        nodes_by_free_cards=state.spread.levels if state and state.spread else None,
    )
