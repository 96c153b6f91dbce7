"""What the witnesses of a site's day say, read from the book and compared."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hutong.core.book.meters import Measures
from hutong.core.book.received import Kept
from hutong.core.book.sealed import PoolHour
from hutong.core.book.store import Store
from hutong.core.book.uses import UseQuery
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Site
from hutong.core.kernel.chain import ChainFault
from hutong.core.kernel.days import day_text
from hutong.core.kernel.quantities import HOUR_MS
from hutong.core.ledger.metering import Limits
from hutong.core.witnesses.detect import detect
from hutong.core.witnesses.shapes import Bounds, DaySeen, Finding, Hour, Timed
from hutong.server.metering import attempt_of
from hutong.server.reconciling import reconcile_day, records_of_day

PAST_DAYS = 28
LOOK_BACK_DAYS = 120
CONFIRMED = "finding_day"
"""An index: days of sites of which a finding was confirmed."""
_PAGE = 500
_MS_PER_S = 1000


def find_on(
    store: Store,
    site: Site,
    day: int,
    limits: Limits,
    bounds: Bounds,
    now_ms: int,
    faults: Sequence[ChainFault] = (),
) -> tuple[Finding, ...]:
    """Return what the witnesses of a site's UTC day contradict each other in.

    It reads 29 days of hours, and as many more (121 in all) as findings of earlier ones are confirmed.
    `faults` are those of the chain. Raises Conflict if the day has too many starts.
    """
    clean = past_days(day, confirmed_days(store, site.id, day))
    span = (clean[0] * 24 if clean else day * 24, (day + 1) * 24)
    metered = metered_of(store, site.id, span)
    hours = tuple(_hours(store, site.id, span))
    cards = sum(pool.cards for pool in site.pools)
    draw_w = sum(pool.cards * _watts(pool.accelerator) for pool in site.pools)
    told = _by_hour(site, hours, metered)
    usual = frozenset(clean)
    mine = [each for each in hours if each.hour // 24 == day]
    query = UseQuery(
        None, (day, day + 1), ("day",), sites=frozenset({site.id}), units=frozenset({"card_ms"}), limit=1
    )
    booked = sum(use.amounts.quantity for use in store.uses(query))
    return detect(
        DaySeen(
            site=site.id,
            day=day,
            cards=cards,
            watts=draw_w // cards if cards else 0,
            report=reconcile_day(store, site.id, day, limits, now_ms),
            starts=tuple(_timed(store, kept) for kept in records_of_day(store, site.id, day)),
            hours=tuple(each for each in told if each.hour // 24 == day),
            past=tuple(each for each in told if each.hour // 24 in usual),
            booked_card_ms=booked,
            reported_card_ms=_reported(site, mine) if mine else None,
            faults=faults,
        ),
        bounds,
    )


def confirmed_day(site: str, day: int) -> str:
    """Return the name of a site's day in the index of confirmed findings."""
    return f"{site}.{day_text(day)}"


def confirmed_days(store: Store, site: str, day: int) -> frozenset[int]:
    """Return the days of which a finding was confirmed, among those before `day` that may be looked at."""
    first = max(0, day - LOOK_BACK_DAYS)
    rows = store.records(CONFIRMED, site, confirmed_day(site, first - 1) if first else "", LOOK_BACK_DAYS)
    names = {row.id for row in rows}
    return frozenset(each for each in range(first, day) if confirmed_day(site, each) in names)


def past_days(day: int, confirmed: Iterable[int]) -> tuple[int, ...]:
    """Return the 28 newest days before `day` of which nothing was confirmed, at most 120 back, in order.

    So a small fraud that lasts does not come to look usual once it is confirmed.
    """
    left_out = frozenset(confirmed)
    clean = [each for each in range(max(0, day - LOOK_BACK_DAYS), day) if each not in left_out]
    return tuple(clean[-PAST_DAYS:])


def metered_of(store: Store, site: str, span: tuple[int, int]) -> Mapping[int, int]:
    """Return the joules that a site took by the hour, of those hours that all its meters measured whole."""
    sums: dict[int, int] = defaultdict(int)
    whole: dict[int, set[str]] = defaultdict(set)
    meters: set[str] = set()
    after = (-1, "")
    while page := store.meter_hours(site, span, after, _PAGE):
        for each in page:
            if each.measures is Measures.FACILITY:
                meters.add(each.meter)
                sums[each.hour] += each.value
                if each.covered_ms == HOUR_MS and not each.spread_ms:
                    whole[each.hour].add(each.meter)
        after = (page[-1].hour, page[-1].meter)
    return {hour: joules for hour, joules in sums.items() if whole[hour] == meters}


def _hours(store: Store, site: str, span: tuple[int, int]) -> Sequence[PoolHour]:
    found: list[PoolHour] = []
    after = (-1, "")
    while page := store.pool_hours(site, span, after, _PAGE):
        found += page
        after = (page[-1].hour, page[-1].pool)
    return found


def _watts(accelerator: str) -> int:
    card = ACCELERATORS.get(accelerator)
    return card.tdp_w if card else 0


def _by_hour(site: Site, hours: Sequence[PoolHour], metered: Mapping[int, int]) -> tuple[Hour, ...]:
    """Return the hours over all pools. One that the agent saw in part only says nothing of its energy."""
    watts: dict[str, int] = {pool.id: _watts(pool.accelerator) for pool in site.pools}
    sums: dict[int, tuple[int, int, bool]] = {}
    for each in hours:
        held, installed, whole = sums.get(each.hour, (0, 0, True))
        mine = watts.get(each.pool, 0)
        sums[each.hour] = (
            held + (each.held_card_ms + each.other_card_ms) * mine // _MS_PER_S,
            installed + each.cards * mine * HOUR_MS // _MS_PER_S,
            whole and each.seen_ms >= HOUR_MS * 95 // 100,
        )
    return tuple(
        Hour(hour, held, installed, metered.get(hour) if whole else None)
        for hour, (held, installed, whole) in sorted(sums.items())
    )


def _reported(site: Site, hours: Sequence[PoolHour]) -> int:
    """Return what the agent saw held on a day, and all cards for the time that it did not see."""
    seen = sum(each.held_card_ms + each.cards * (HOUR_MS - each.seen_ms) for each in hours)
    told = {(each.hour, each.pool) for each in hours}
    whole = sum(pool.cards for pool in site.pools) * HOUR_MS * 24
    known = sum(each.cards * HOUR_MS for each in hours)
    return seen + (max(0, whole - known) if len(told) < 24 * len(site.pools) else 0)


def _timed(store: Store, kept: Kept) -> Timed:
    record = kept.record
    placed = attempt_of(store, record.key)
    attempt = placed[1] if placed else None
    return Timed(
        record.key, record.record, record.from_ms, record.upto_ms, record.quantity,
        attempt.dispatched_ms if attempt else 0,
        attempt.started_seen_ms if attempt else 0,
        attempt.ended_seen_ms if attempt else 0,
    )  # fmt: skip
