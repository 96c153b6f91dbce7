"""Sites and pools: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.core.kernel.money import CURRENCY
from hutong.wire.base import Money, Shape, Slug, Time

Ppm = Annotated[int, Field(ge=0, le=1_000_000)]
Domain = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        examples=["power/feed-2"],
    ),
]
Domains = Annotated[tuple[Domain, ...], Field(max_length=32)]
Grams = Annotated[int, Field(ge=0, le=5_000)]
KwhPrice = Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,6})?$", examples=["0.635000"])]


class Pool(Shape):
    """Like nodes of a site: one accelerator model, one price class.

    `domains`: what may fail as a whole, `KIND/NAME`, with the pool in it.
    """

    id: Slug
    accelerator: Annotated[str, Field(min_length=1, max_length=64)]
    nodes: Annotated[int, Field(ge=1, le=100_000)]
    cards_per_node: Annotated[int, Field(ge=1, le=1024)]
    price_per_card_hour: Money
    pue: Annotated[str, Field(pattern=r"^[1-3](\.[0-9]{1,3})?$", examples=["1.15"])]
    memory_bytes_per_node: Annotated[int, Field(ge=0)] = 0
    cpus_per_node: Annotated[int, Field(ge=0, le=100_000)] = 0
    domains: Domains = ()


class HourlyPrices(Shape):
    """Prices by hour of day in UTC: 24 decimal strings, and ISO 4217."""

    amounts: Annotated[tuple[KwhPrice, ...], Field(min_length=24, max_length=24)]
    currency: Annotated[str, Field(pattern=r"^CNY$")] = CURRENCY


class Supply(Shape):
    """Electricity by hour of day in UTC: 24 values each.

    `price_per_kwh`: what the centre pays for it, which may be left out; placement can weigh it, and no user
    pays it.
    """

    green_ppm: Annotated[tuple[Ppm, ...], Field(min_length=24, max_length=24)]
    grams_per_kwh: Annotated[tuple[Grams, ...], Field(min_length=24, max_length=24)]
    source: Annotated[str, Field(min_length=1, max_length=500)]
    synthetic: bool = False
    price_per_kwh: HourlyPrices | None = None


class NewSite(Shape):
    """A centre as its operator declares it. `declared_only`: its cards are declared, not seen.

    `admission`: `inactive` for a centre that is planned and takes no work yet. `domains`: what may fail as a
    whole, `KIND/NAME`, with all of its pools in it; its region is one without a word.
    """

    id: Slug
    name_zh: Annotated[str, Field(min_length=1, max_length=200)]
    name_en: Annotated[str, Field(min_length=1, max_length=200)]
    region: Annotated[str, Field(min_length=1, max_length=100)]
    distance_km: Annotated[int, Field(ge=0, le=20_000)]
    engine: Literal["local", "slurm", "ray", "kubernetes"] = "local"
    pools: Annotated[tuple[Pool, ...], Field(min_length=1, max_length=100)]
    supply: Supply
    declared_only: bool = False
    service_host: Annotated[str, Field(max_length=255)] = "127.0.0.1"
    admission: Literal["active", "drain", "inactive"] = "active"
    domains: Domains = ()


class PoolUse(Shape):
    """A pool with what is in use now.

    `cards_up`: cards on nodes that take work, null where the centre says nothing; `cards_elsewhere`: cards
    held by jobs that are not the platform's; `wait_s`: how long the centre's own queue would hold a job up.
    `nodes_by_free_cards`: at k, how many nodes that take work had k cards free, null where it does not say.
    """

    id: Slug
    accelerator: str
    nodes: int
    cards_per_node: int
    cards: int
    cards_in_use: int
    cards_up: int | None
    cards_elsewhere: int
    wait_s: int
    price_per_card_hour: Money
    pue: str
    domains: Domains = ()
    nodes_by_free_cards: tuple[int, ...] | None = None


class Maintenance(Shape):
    """A span in which a centre is worked on; no job is placed there that may still run when it begins.

    `stop_jobs`: what runs all the same when it begins is stopped and tried again elsewhere.
    """

    start: Time
    end: Time
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    stop_jobs: bool = False


class NewBooking(Shape):
    """Cards of a pool that are kept for a project or an institution from `start` to `end`.

    Until then others use them for what ends before. `holder` is `project/NAME` or `institution/NAME`.
    """

    pool: Slug
    cards: Annotated[int, Field(ge=1, le=10_000_000)]
    start: Time
    end: Time
    holder: Annotated[str, Field(pattern=r"^(project|institution)/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    reason: Annotated[str, Field(max_length=200)] = ""


class Booking(NewBooking):
    """A booking that goes on or is to come."""

    id: str


class NewPowerLimit(Shape):
    """The most power that jobs may draw at a centre from `start` to `end`, both of which may be left out.

    A card draws its model's nameplate power times the PUE of its pool, as in metering. No job is placed that
    may still run when it begins unless that leaves room for it. `stop_jobs`: preemptible jobs are stopped
    when it begins until it holds.
    """

    limit_kw: Annotated[int, Field(ge=1, le=10_000_000)]
    start: Time | None = None
    end: Time | None = None
    reason: Annotated[str, Field(max_length=200)] = ""
    stop_jobs: bool = False


class PowerLimit(NewPowerLimit):
    """A limit that holds or is to come."""

    id: str


class Learnt(Shape):
    """How fast inputs came to a centre from the platform's store: the median of some transfers, until `at`.

    `counts`: it does in place of the declared width, within a sixteenth and sixteen times that.
    """

    bits_per_s: int
    transfers: int
    at: Time
    counts: bool


class Site(Shape):
    """A centre with its present condition; `maintenance`, `bookings`, `power_limits` go on or are to come.

    `trouble`: why its last start failed, empty once one went well. `offers`: the stores and shared folders
    that job files may name there, `store/NAME` and `shared/NAME`; null where its agent has not said.
    `can`: what its engine can do, null where its agent has not said; `lacks`: what jobs may need and it
    cannot do: `gangs` (several nodes), `services` (ports that are reached), `isolation`.
    `power_kw`: what its jobs are taken to draw now. `price_per_kwh_now`: what it pays for electricity, null
    where it does not say.
    `node_hours_to_break`: in how many it is expected to break one run; null while it has broken none lately.
    `learnt`: null while no large inputs came there lately.
    """

    id: Slug
    name_zh: str
    name_en: str
    region: str
    distance_km: int
    engine: str
    admission: Literal["active", "drain", "inactive"]
    declared_only: bool
    reachable: bool
    last_seen: Time | None
    isolation: str
    trouble: str = ""
    offers: tuple[str, ...] | None = None
    can: tuple[str, ...] | None = None
    lacks: tuple[str, ...] = ()
    node_hours_to_break: int | None = None
    learnt: Learnt | None = None
    green_percent_now: str
    price_per_kwh_now: Money | None = None
    supply_source: str
    supply_synthetic: bool
    maintenance: tuple[Maintenance, ...]
    bookings: tuple[Booking, ...] = ()
    power_limits: tuple[PowerLimit, ...] = ()
    power_kw: str = "0"
    domains: Domains = ()
    pools: tuple[PoolUse, ...]


class DomainsChange(Shape):
    """The failure domains of a site, or of one of its pools, in place of those that it had."""

    domains: Domains
    pool: Slug | None = None


class ElectricityChange(Shape):
    """What a centre pays for electricity, in place of what was said; null: it does not say any more."""

    price_per_kwh: HourlyPrices | None


class AdmissionChange(Shape):
    """Whether the site takes new work."""

    admission: Literal["active", "drain", "inactive"]
