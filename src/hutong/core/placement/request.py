"""What a placement knows: the request, the pools as they stand, the policy. Plain data, so it replays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from hutong.core.book.runs import Runs
from hutong.core.book.stays import PRIOR_MTBF_S
from hutong.core.capacity.accelerators import tdp_w_of
from hutong.core.capacity.sites import GANGS, ISOLATION, SERVICES, Admission, Pool, PoolState, Site
from hutong.core.capacity.spread import Levels, has_room
from hutong.core.kernel.changes import made
from hutong.core.kernel.documents import LATE
from hutong.core.kernel.quantities import HOUR_MS, hour_slices
from hutong.core.placement.speeds import Speed, speeds_of
from hutong.core.placement.staging import Cargo
from hutong.core.work.spec import Ask, JobSpec, JobType

HORIZON_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights of the parts of a score; only their proportions matter. A part of weight 0 is not shown."""

    name: str
    fit: int
    price: int
    wait: int
    distance: int
    green: int
    speed: int = field(default=0, metadata=LATE)
    carbon: int = field(default=0, metadata=LATE)
    reliability: int = field(default=0, metadata=LATE)
    energy: int = field(default=0, metadata=LATE)
    fragmentation: int = field(default=0, metadata=LATE)


@dataclass(frozen=True, slots=True)
class Paid:
    """What a card of a pool costs a tenant for an hour, where that is not the pool's own price."""

    site: str
    pool: str
    price_micro: int


@dataclass(frozen=True, slots=True)
class Request:
    """What one attempt needs, per node, and what narrows the choice. Costs are micro-yuan an hour.

    `avoid` names sites that are taken only where no other can: those that broke an earlier attempt. `barred`
    are accelerators of which its person, project or institution may not have more now. `speeds` are what is
    expected of each accelerator that it asks for, if there are several. `data` names what it reads of what
    centres offer: `store/NAME`, `shared/NAME`. `cargo` is what a site must have or be given by content.
    `avoid_domains` are failure domains in which an attempt was broken: pools in them are a last resort, too.
    `likely_ms` is how long it is expected to run by what the same work took before, 0 where that is not
    known: it counts only beside what is kept for others. `paid` are the prices of its tenant, of pools where
    they are not the pool's own. `needs` names what it needs of an engine beside several nodes at once.
    """

    nodes: int
    asks: tuple[Ask, ...]
    ordered: bool
    cpus: int
    memory_bytes: int
    run_ms: int
    latency_class: str
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    max_hourly_cost_micro: int | None
    avoid: tuple[str, ...] = field(default=(), metadata=LATE)
    barred: tuple[str, ...] = field(default=(), metadata=LATE)
    speeds: tuple[Speed, ...] = field(default=(), metadata=LATE)
    data: tuple[str, ...] = field(default=(), metadata=LATE)
    cargo: tuple[Cargo, ...] = field(default=(), metadata=LATE)
    avoid_domains: tuple[str, ...] = field(default=(), metadata=LATE)
    likely_ms: int = field(default=0, metadata=LATE)
    paid: tuple[Paid, ...] = field(default=(), metadata=LATE)
    needs: tuple[str, ...] = field(default=(), metadata=LATE)

    @property
    def abilities(self) -> tuple[str, ...]:
        """All that it needs of an engine."""
        return (GANGS, *self.needs) if self.nodes > 1 else self.needs


@dataclass(frozen=True, slots=True)
class Closing:
    """A maintenance as a decision sees it: it begins in `in_ms`, 0 if it goes on. The others are UTC ms."""

    in_ms: int
    from_ms: int
    until_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Cards kept for a job that came first and is expected to start in `in_ms` (at `from_ms`, UTC).

    A later job may have them if it ends before; `spare` cards beside them are free for longer. A pool has
    several where cards are kept for several jobs.
    """

    in_ms: int
    from_ms: int
    spare: int


@dataclass(frozen=True, slots=True)
class Beside:
    """What a booking of a pool leaves to a request that would still run when it begins: `spare` cards.

    It begins in `in_ms` (at `from_ms`, UTC; 0 if it has begun) and ends at `until_ms`.
    """

    in_ms: int
    from_ms: int
    until_ms: int
    spare: int


@dataclass(frozen=True, slots=True)
class Cap:
    """What a limit of the site's power leaves a request that would still run when it begins: `spare` cards.

    It begins in `in_ms` (at `from_ms`, UTC; 0 if it has begun) and ends at `until_ms`, 0 if it has no end.
    With `limit_kw` 0 it is what is kept of a limit for a job that came first, from its start on.
    """

    in_ms: int
    from_ms: int
    until_ms: int
    spare: int
    limit_kw: int


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool at the moment of the decision. `green_ppm` is the mean share over the expected run.

    So is `co2_mg_per_kwh`, location-based; `tdp_w` is the nameplate power of a card, 0 where it is unknown.
    So is `price_micro_per_kwh`, what the centre pays for electricity; -1 where it does not say.
    `wait_s` is the wait that the centre's own queue would add; `trouble` is why the centre could not start
    the last job that it was given, empty if it could. `offers` names the stores and shared folders of the
    centre, None where it has not said. `mtbf_s` is the node-seconds in which it is expected to break one run.
    `stock` are digests of large inputs that the centre has, `bits_per_s` the width of the way there from the
    platform's store, 0 where nobody knows, and `learnt` from how many transfers that is, 0 where it was
    declared. `strict`: a job that waited long waits for it, so that no guess of a length counts there.
    `levels` are its nodes by their free cards (at k, how many have k), empty where nobody says. `lacks` names
    what a job may need and the centre's engine cannot do.
    """

    site: str
    pool: str
    accelerator: str
    nodes: int
    cards_per_node: int
    cards_free: int
    cpus_per_node: int
    memory_bytes_per_node: int
    price_micro_per_card_hour: int
    pue_milli: int
    distance_km: int
    green_ppm: int
    wait_s: int
    admission: Admission
    reachable: bool
    closing: Closing | None = field(default=None, metadata=LATE)
    trouble: str = field(default="", metadata=LATE)
    kept: tuple[Kept, ...] = field(default=(), metadata=LATE)
    booked: tuple[Beside, ...] = field(default=(), metadata=LATE)
    offers: tuple[str, ...] | None = field(default=None, metadata=LATE)
    tdp_w: int = field(default=0, metadata=LATE)
    co2_mg_per_kwh: int = field(default=0, metadata=LATE)
    capped: tuple[Cap, ...] = field(default=(), metadata=LATE)
    mtbf_s: int = field(default=PRIOR_MTBF_S, metadata=LATE)
    stock: tuple[str, ...] = field(default=(), metadata=LATE)
    bits_per_s: int = field(default=0, metadata=LATE)
    domains: tuple[str, ...] = field(default=(), metadata=LATE)
    strict: bool = field(default=False, metadata=LATE)
    levels: Levels = field(default=(), metadata=LATE)
    price_micro_per_kwh: int = field(default=-1, metadata=LATE)
    learnt: int = field(default=0, metadata=LATE)
    lacks: tuple[str, ...] = field(default=(), metadata=LATE)


def length_ms(request: Request, *, strict: bool) -> int:
    """Return how long a run counts beside what is kept in a pool for others: its guess, or its walltime."""
    likely = 0 if strict else request.likely_ms
    return min(likely, request.run_ms) if likely else request.run_ms


def is_scattered(pool: PoolView, nodes: int, cards: int) -> bool:
    """True if the free cards of a pool are known to be on other nodes than a gang needs."""
    return bool(pool.levels) and not has_room(pool.levels, nodes, cards)


def is_kept(pool: PoolView, request: Request, need: int) -> bool:
    """True if a request may not have so many cards of a pool for what is kept there."""
    run_ms = length_ms(request, strict=pool.strict)
    return any(run_ms > each.in_ms and need > each.spare for each in pool.kept)


def is_booked(pool: PoolView, run_ms: int, need: int) -> bool:
    """True if a run of that length may not have so many cards of a pool for what is booked there."""
    return any(run_ms > each.in_ms and need > each.spare for each in pool.booked)


def is_capped(pool: PoolView, run_ms: int, need: int) -> bool:
    """True if a run of that length may not have so many cards of a pool for the power that they draw."""
    return any(run_ms > each.in_ms and need > each.spare for each in pool.capped)


def request_of(
    spec: JobSpec,
    service_horizon_ms: int = HORIZON_MS,
    avoid: tuple[str, ...] = (),
    runs: Sequence[Runs] = (),
    cargo: tuple[Cargo, ...] = (),
    avoid_domains: tuple[str, ...] = (),
    likely_ms: int = 0,
    paid: tuple[Paid, ...] = (),
) -> Request:
    """Return what a spec asks of a pool; `cargo` is what it needs by content.

    `runs` are those of its workload, `likely_ms` is how long it is expected to run by what those took before.

    A service without an end is judged over a day. `paid` are the prices of who pays.
    """
    run_ms = spec.max_duration_s * 1000
    if spec.type is JobType.SERVICE and not run_ms:
        run_ms = service_horizon_ms
    wish, needs = spec.wish, spec.resources
    return Request(
        nodes=spec.num_nodes,
        asks=needs.asks,
        ordered=needs.ordered,
        cpus=needs.cpus,
        memory_bytes=needs.memory_bytes,
        run_ms=run_ms,
        latency_class=wish.latency_class,
        allow=wish.allow,
        deny=wish.deny,
        max_hourly_cost_micro=wish.max_hourly_cost_micro,
        avoid=avoid,
        speeds=speeds_of(needs.asks, runs),
        data=tuple(sorted({name for each in spec.inputs if (name := each.offer)})),
        cargo=cargo,
        avoid_domains=avoid_domains,
        likely_ms=likely_ms,
        paid=paid,
        needs=_needs_of(spec),
    )


def _needs_of(spec: JobSpec) -> tuple[str, ...]:
    """Return what a spec needs of an engine, several nodes at once left aside."""
    serves = (SERVICES,) if spec.type.listens or spec.ports else ()
    return (*serves, ISOLATION) if spec.wish.isolation else serves


def paid_for(request: Request, views: Sequence[PoolView]) -> tuple[PoolView, ...]:
    """Return the pools at the prices that whoever asks pays."""
    if not request.paid:
        return tuple(views)
    price = {(each.site, each.pool): each.price_micro for each in request.paid}
    return tuple(
        replace(view, price_micro_per_card_hour=price[view.site, view.pool])
        if (view.site, view.pool) in price
        else view
        for view in views
    )


def policy_at(policy: Policy, sites: Iterable[Site]) -> Policy:
    """Return a policy as it counts at some sites: without `energy` where none says what electricity costs."""
    if not policy.energy or any(site.supply.price_micro_per_kwh for site in sites):
        return policy
    return replace(policy, energy=0)


def day_parts(start_ms: int, run_ms: int) -> tuple[int, ...]:
    """Return the ms of a run in each of the 24 hours of the day (UTC), looking at most a day ahead."""
    parts = [0] * 24
    for hour, part_ms in hour_slices(start_ms, start_ms + max(1, min(run_ms, HORIZON_MS))):
        parts[hour // HOUR_MS % 24] += part_ms
    return tuple(parts)


def mean_over(by_hour: Sequence[int], parts: Sequence[int]) -> int:
    """Return the mean of what is told by the hour of the day, by the time in each hour."""
    return sum(each * part for each, part in zip(by_hour, parts, strict=True)) // sum(parts)


def closing_of(site: Site, now_ms: int) -> Closing | None:
    """Return the maintenance of a site that goes on or comes next, as it looks now."""
    found = site.closing(now_ms)
    if found is None:
        return None
    return Closing(max(0, found.from_ms - now_ms), found.from_ms, found.until_ms, found.reason)


def cards_free(pool: Pool, cards_in_use: int, state: PoolState | None) -> int:
    """Return the free cards of a pool: as declared, less what its centre says is down or held by others."""
    there = min(pool.cards, state.cards_up) - state.cards_elsewhere if state else pool.cards
    return there - cards_in_use


def view_pool(
    site: Site,
    pool: Pool,
    free: int,
    green_ppm: int,
    wait_s: int = 0,
    closing: Closing | None = None,
    *,
    reachable: bool,
    trouble: str = "",
    kept: tuple[Kept, ...] = (),
    offers: tuple[str, ...] | None = None,
    tdp_w: int | None = None,
    co2_mg_per_kwh: int = 0,
    mtbf_s: int = PRIOR_MTBF_S,
    stock: tuple[str, ...] = (),
    bits_per_s: int = 0,
    strict: bool = False,
    levels: Levels = (),
    price_micro_per_kwh: int = -1,
    learnt: int = 0,
    lacks: tuple[str, ...] = (),
) -> PoolView:
    """Return a pool as it stands now; the power of its cards is that of the catalogue if it is not given."""
    return made(
        PoolView,
        site=site.id,
        pool=pool.id,
        accelerator=pool.accelerator,
        nodes=pool.nodes,
        cards_per_node=pool.cards_per_node,
        cards_free=free,
        cpus_per_node=pool.cpus_per_node,
        memory_bytes_per_node=pool.memory_bytes_per_node,
        price_micro_per_card_hour=pool.price_micro_per_card_hour,
        pue_milli=pool.pue_milli,
        distance_km=site.distance_km,
        green_ppm=green_ppm,
        wait_s=wait_s,
        admission=site.admission,
        reachable=reachable,
        closing=closing,
        trouble=trouble,
        kept=kept,
        offers=offers,
        tdp_w=tdp_w_of(pool.accelerator) if tdp_w is None else tdp_w,
        co2_mg_per_kwh=co2_mg_per_kwh,
        mtbf_s=mtbf_s,
        stock=stock,
        bits_per_s=bits_per_s,
        domains=site.domains_of(pool),
        strict=strict,
        levels=levels,
        price_micro_per_kwh=price_micro_per_kwh,
        learnt=learnt,
        lacks=lacks,
    )
