"""Energy by the hour: JSON shapes. Energy is in joules, carbon in milligrams of CO2e, hours are UTC."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time
from hutong.wire.meters import Meter as Meter
from hutong.wire.meters import NewReading as NewReading
from hutong.wire.meters import NewReadings as NewReadings
from hutong.wire.meters import SiteMeters as SiteMeters
from hutong.wire.meters import Taken as Taken
from hutong.wire.meters import Unit, Value

Text = Annotated[str, Field(min_length=1, max_length=300)]
Region = Annotated[str, Field(min_length=1, max_length=100)]
Milli = Annotated[int, Field(ge=1000, le=10_000)]
Whole = Annotated[int, Field(ge=0, lt=1 << 53)]
Source = Literal["wind", "solar", "hydro", "biomass", "geothermal"]


class NewMeter(Shape):
    """A meter of a site, or of what a contract delivers.

    `facility` counts all that a site takes; with several, they are summed. `most_per_hour` is the most that
    can go through it in an hour, in `unit`; a register returns to 0 at `wraps_at`. `source` says who reads
    it. Of an IT meter, `category` is that of ISO/IEC 30134-2 (1 UPS, 2 distribution, 3 equipment). With
    `by_agent` the site's agent may send what its register shows.
    """

    id: Slug
    measures: Literal["facility", "it", "reused", "water", "delivered"]
    counts: Literal["interval", "register"] = "interval"
    site: Slug | None = None
    contract: Slug | None = None
    unit: Unit = "kWh"
    most_per_hour: Value
    wraps_at: Value | None = None
    category: Annotated[int, Field(ge=0, le=3)] = 0
    source: Text
    synthetic: bool = False
    by_agent: bool = False
    starts: Time | None = None


class End(Shape):
    """From when on something counts no more."""

    ends: Time


class Reading(Shape):
    """A reading as kept: of the same end, the highest revision counts; one without a value takes it back."""

    start: Time
    end: Time
    value: int | None
    revision: int
    reason: str
    by: str
    at: Time


class SiteHour(Shape):
    """An hour of a site: `jobs_j + idle_j + overhead_j = metered_j`, to the joule. `basis` says by what."""

    hour: Time
    metered_j: int
    it_j: int
    jobs_j: int
    idle_j: int
    overhead_j: int
    modelled_j: int
    green_j: int
    grid_green_j: int
    location_mg: int
    market_mg: int
    reused_j: int
    water_ml: int
    covered_ms: int
    spread_ms: int
    basis: str
    settled: Time


class EnergyBalance(Shape):
    """Settled hours of a site in a time, and their sums. `hours` is how many there are in it."""

    site: Slug
    start: Time
    end: Time
    hours: int
    settled_hours: int
    metered_j: int
    jobs_j: int
    idle_j: int
    overhead_j: int
    green_j: int
    location_mg: int
    market_mg: int
    items: tuple[SiteHour, ...]


class MonthProgress(Shape):
    """How green a site's use of a month was: by the hour, and by volume with certificates, in millionths.

    Null where nothing was used. `hours_known` of `hours` have a whole reading.
    """

    month: str
    hours: int
    hours_known: int
    used_j: int
    by_hour_j: int
    by_hour_ppm: int | None
    retired_j: int
    by_volume_j: int
    by_volume_ppm: int | None
    grid_green_j: int
    location_mg: int
    market_mg: int


class Indicator(Shape):
    """A figure of ISO/IEC 30134 in thousandths (WUE: of a litre per kWh), or why there is none."""

    name: Literal["PUE", "REF", "ERF", "WUE"]
    value_milli: int | None
    why: str
    interim: bool


class Progress(Shape):
    """A site's way to wholly green electricity in a year (UTC), month by month and in all."""

    site: Slug
    year: int
    used_j: int
    by_hour_ppm: int | None
    by_volume_ppm: int | None
    location_mg: int
    market_mg: int
    months: tuple[MonthProgress, ...]
    indicators: tuple[Indicator, ...]


class JobHour(Shape):
    """What of a settled hour fell to an attempt of a job."""

    hour: Time
    attempt: int
    site: Slug
    it_j: int
    overhead_j: int
    green_j: int
    location_mg: int
    market_mg: int
    method: str


class JobEnergy(Shape):
    """A job's energy twice: as booked on its bill, and as its share of its sites' meters, if they have any.

    The bill keeps its figure. `metered_hours` is how many hours of attempts have a share.
    `counted_j` is what counters of the sites' engines say that all of its attempts took, without what a PUE
    adds; `counted_by` says by which, or why not, and is empty where there are none.
    `sci_mg_per_card_hour` is ISO/IEC 21031 by location, with `embodied_mg` where it is stated for every pool
    that the job used; else that is none, and left out.
    """

    job: str
    card_ms: int
    booked_j: int
    booked_green_j: int
    booked_mg: int
    booked_method: str
    counted_j: int | None
    counted_by: str
    metered_hours: int
    it_j: int
    overhead_j: int
    green_j: int
    location_mg: int
    market_mg: int
    sci_mg_per_card_hour: int | None
    embodied_mg: int | None = None
    items: tuple[JobHour, ...]


class PowerContract(Shape):
    """A contract for renewable electricity in a region, for sites there in the order they are met in."""

    id: Slug
    kind: Literal["direct", "ppa", "tariff"]
    source: Source
    region: Region
    sites: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=100)]
    supplier: Text
    starts: Time
    ends: Time | None = None
    evidence: Annotated[str, Field(max_length=300)] = ""
    synthetic: bool = False


class NewCertificates(Shape):
    """Certificates with serial numbers in a row, one MWh each, of energy made from `starts` to `ends`.

    With `contract`, they came with its deliveries: they prove those and add nothing.
    """

    id: Slug
    scheme: Slug
    series: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    first: Whole
    last: Whole
    source: Source
    region: Region
    starts: Time
    ends: Time
    expires: Time
    bought_from: Text
    contract: Slug | None = None
    synthetic: bool = False


class NewPortion(Shape):
    """Give certificates to a site's use of a month."""

    id: Slug
    site: Slug
    month: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}$", examples=["2026-11"])]
    mwh: Annotated[int, Field(ge=1, lt=1 << 53)]


class NewRetirement(Shape):
    """Retire a portion; `reference` is its number in the scheme's own register."""

    reference: Text


class Portion(Shape):
    """Certificates given to a site's use of a month; retired, or not yet (null)."""

    id: Slug
    site: Slug
    month: str
    mwh: int
    retired: Time | None
    reference: str
    by: str


class Certificates(Shape):
    """Certificates, and what became of them."""

    id: Slug
    scheme: str
    series: str
    first: int
    last: int
    mwh: int
    free_mwh: int
    retired_mwh: int
    source: str
    region: str
    starts: Time
    ends: Time
    expires: Time
    bought_from: str
    contract: str
    synthetic: bool
    portions: tuple[Portion, ...]


class NewFactor(Shape):
    """The residual mix of a region in a year: what the grid has without what others have bought."""

    residual_mg_per_kwh: Annotated[int, Field(ge=0, le=5_000_000)]
    source: Text


class Factor(NewFactor):
    """A residual mix."""

    region: Region
    year: int


class NewPue(Shape):
    """A pool's PUE at full load in each month, in thousandths; `fixed_ppm` of the overhead has no load."""

    cooling: Literal["air", "free-air", "cold-plate", "immersion"]
    month_milli: Annotated[tuple[Milli, ...], Field(min_length=12, max_length=12)]
    fixed_ppm: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    source: Text


class Pue(NewPue):
    """A pool's table."""

    site: Slug
    pool: Slug


class NewEmbodied(Shape):
    """What was emitted to make a card of a pool, in grams of CO2e, to be spread over its lifetime.

    `covers` says whether its share of the host is in it.
    """

    grams_per_card: Annotated[int, Field(ge=0, le=10**9)]
    lifetime_hours: Annotated[int, Field(ge=1, le=1_000_000)]
    covers: Literal["card", "card and host"]
    source: Text


class Embodied(NewEmbodied):
    """A pool's figure."""

    site: Slug
    pool: Slug
