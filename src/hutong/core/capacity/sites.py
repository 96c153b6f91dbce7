"""Sites and pools: what a centre declares, and what is known of it right now."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from hutong.core.capacity.spread import Spread
from hutong.core.kernel.documents import LATE
from hutong.core.kernel.ids import AttemptKey, PoolId, SiteId

GANGS, SERVICES, ISOLATION = "gangs", "services", "isolation"
"""What a job may need of an engine: several nodes at once, ports that are reached, a sandbox."""


class Admission(StrEnum):
    """Whether a site takes new work."""

    ACTIVE = "active"
    DRAIN = "drain"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Supply:
    """A site's electricity by hour of day in UTC; its lists have 24 integers.

    `green_ppm` is the share of renewable supply, `grams_per_kwh` the location-based carbon intensity;
    `source` says where the figures come from, `synthetic` that they are invented for a demonstration.
    `price_micro_per_kwh` is what the centre pays, empty where it does not say.
    """

    green_ppm: tuple[int, ...]
    grams_per_kwh: tuple[int, ...]
    source: str
    synthetic: bool = False
    price_micro_per_kwh: tuple[int, ...] = field(default=(), metadata=LATE)

    @property
    def mg_per_kwh(self) -> tuple[int, ...]:
        """The carbon intensity in mg: means over hours are not cut to whole grams."""
        return tuple(1000 * grams for grams in self.grams_per_kwh)

    @property
    def kwh_micro(self) -> tuple[int, ...]:
        """The price of a kWh by hour, -1 where the centre does not say."""
        return self.price_micro_per_kwh or (-1,) * 24


@dataclass(frozen=True, slots=True)
class Pool:
    """Like nodes of a site: one accelerator model, one interconnect, one price class.

    `domains` are failure domains, `KIND/NAME`: what may fail as a whole, such as `power/feed-2`.
    """

    id: PoolId
    accelerator: str
    nodes: int
    cards_per_node: int
    price_micro_per_card_hour: int
    pue_milli: int
    stack: str
    memory_bytes_per_node: int = 0
    cpus_per_node: int = 0
    domains: tuple[str, ...] = field(default=(), metadata=LATE)

    @property
    def cards(self) -> int:
        """All cards of the pool."""
        return self.nodes * self.cards_per_node


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A span of UTC milliseconds, `[from_ms, until_ms)`, in which a centre is worked on.

    No job is placed that may still run when it begins. With `stop_jobs`, those that run all the same are
    stopped then and tried again elsewhere; without, they are left alone.
    """

    from_ms: int
    until_ms: int
    reason: str
    stop_jobs: bool = False

    def stops(self, now_ms: int) -> bool:
        """True if it goes on and jobs are stopped for it."""
        return self.stop_jobs and self.from_ms <= now_ms < self.until_ms


def next_of(maintenance: Iterable[Maintenance], now_ms: int) -> Maintenance | None:
    """Return the maintenance that goes on, or the next one."""
    left = (each for each in maintenance if each.until_ms > now_ms)
    return min(left, key=lambda each: (each.from_ms, each.until_ms), default=None)


@dataclass(frozen=True, slots=True)
class Booking:
    """Cards of a pool that are kept for a holder over a span of UTC milliseconds, `[from_ms, until_ms)`.

    `holder` is `project/NAME` or `institution/NAME`. No other job is placed on them that may still run when
    it begins; what runs all the same is left alone. Also called an advance reservation.
    """

    id: str
    pool: PoolId
    cards: int
    from_ms: int
    until_ms: int
    holder: str
    reason: str


@dataclass(frozen=True, slots=True)
class PowerLimit:
    """The most power that the platform's jobs may draw at a site from `from_ms` to before `until_ms`, UTC.

    0 stands for no end. No job is placed that may still run when it begins, unless what is expected
    to run then leaves room for it. With `stop_jobs`, preemptible jobs are stopped when it begins, until it
    holds; without, what runs all the same is left alone.
    """

    id: str
    limit_kw: int
    from_ms: int
    until_ms: int
    reason: str
    stop_jobs: bool = False

    def stops(self, now_ms: int) -> bool:
        """True if it holds and jobs are stopped for it."""
        return self.stop_jobs and self.from_ms <= now_ms and not self.is_over(now_ms)

    def is_over(self, now_ms: int) -> bool:
        """True if it holds no more."""
        return 0 < self.until_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Site:
    """One computing centre as its operator declared it. `maintenance` is in order of its begin.

    `domains` are failure domains in which all of its pools are; that of its region it has without a word.
    """

    id: SiteId
    name_zh: str
    name_en: str
    region: str
    distance_km: int
    engine: str
    pools: tuple[Pool, ...]
    supply: Supply
    admission: Admission = Admission.ACTIVE
    declared_only: bool = False
    service_host: str = ""
    maintenance: tuple[Maintenance, ...] = field(default=(), metadata=LATE)
    bookings: tuple[Booking, ...] = field(default=(), metadata=LATE)
    power_limits: tuple[PowerLimit, ...] = field(default=(), metadata=LATE)
    domains: tuple[str, ...] = field(default=(), metadata=LATE)

    def closing(self, now_ms: int) -> Maintenance | None:
        """Return the maintenance that goes on, or the next one."""
        return next_of(self.maintenance, now_ms)

    def stops_for_power(self, now_ms: int) -> bool:
        """True if a limit of its power holds for which jobs are stopped."""
        return any(each.stops(now_ms) for each in self.power_limits)

    def domains_of(self, pool: Pool) -> tuple[str, ...]:
        """Return every failure domain in which a pool of the site is."""
        return (*pool.domains, *self.domains, f"region/{self.region}")

    def pool(self, pool: str) -> Pool | None:
        """Return the pool of that id, if the site has it."""
        return next((each for each in self.pools if each.id == pool), None)


@dataclass(frozen=True, slots=True)
class PoolState:
    """What a centre's own scheduler says of a pool now, beside what its operator declared.

    `cards_up` are on nodes that take work, `cards_elsewhere` are held by jobs that are not the platform's.
    `wait_s` is how long the pool's own queue would hold up a job that found no free cards, 0 if it is empty.
    `spread` is how the free cards are spread over its nodes, None where the scheduler does not say.
    """

    pool: str
    cards_up: int
    cards_elsewhere: int
    wait_s: int = 0
    spread: Spread | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """How far the bytes of an attempt are: its `inputs` on the way to the site, or its `results` from there.

    Told while it goes on, and never a fact.
    """

    key: AttemptKey
    what: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that came to a site from the platform's store, and how long they took, until `at_ms`.

    What comes at one time is one transfer, so that it tells of the way and not of how it was shared.
    """

    at_ms: int
    size_bytes: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """What is known of a site from its agent's last calls; conditions, never a job's state.

    `seen_ms`: last call of any kind. `observed_ms`: engine time up to which its last full observation
    speaks; a running attempt that is not absent is known to have run until then. `trouble` is why its last
    start failed, empty once one went well. `offers` are the stores and shared folders that jobs may read
    there, `store/NAME` and `shared/NAME`; None where its agent has not said. `stock` are digests of large
    inputs that it has, `transfers` the last large ones of what came there. `can` names what its engine can
    do, None where its agent has not said.
    """

    site: SiteId
    seen_ms: int
    observed_ms: int
    agent: str = ""
    isolation: str = ""
    trouble: str = ""
    pools: tuple[PoolState, ...] = ()
    moves: tuple[Move, ...] = ()
    offers: tuple[str, ...] | None = None
    stock: tuple[str, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    can: tuple[str, ...] | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """What a job may need and its engine cannot do; where its agent has not said, it can."""
        told = () if self.can is None else tuple(each for each in (GANGS, SERVICES) if each not in self.can)
        return (*told, ISOLATION) if self.isolation == "none" else told

    def move(self, key: AttemptKey) -> Move | None:
        """Return how far the bytes of an attempt are, or None where none are on their way."""
        return next((each for each in self.moves if each.key == key), None)

    def pool(self, pool: str) -> PoolState | None:
        """Return what the centre says of a pool, or None where it says nothing."""
        return next((each for each in self.pools if each.pool == pool), None)
