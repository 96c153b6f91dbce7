"""Meters and their readings, as agents know them too: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time

Value = Annotated[str, Field(pattern=r"^[0-9]{1,17}(\.[0-9]{1,9})?$", examples=["1250.5"])]
Unit = Literal["J", "Wh", "kWh", "MWh", "mL", "L", "m3"]


class Meter(Shape):
    """A meter; `most_per_hour` and `wraps_at` in joules, of water in millilitres."""

    id: Slug
    measures: str
    counts: str
    region: str
    site: str
    contract: str
    most_per_hour: int
    wraps_at: int
    category: int
    source: str
    synthetic: bool
    by_agent: bool
    starts: Time | None
    ends: Time | None


class SiteMeters(Shape):
    """The meters of a site that its agent reads."""

    items: tuple[Meter, ...]


class NewReading(Shape):
    """What went through a meter from `start` to `end`, or (without `start`) what its register showed.

    A value of null takes back what was there.
    """

    start: Time | None = None
    end: Time
    value: Value | None


class NewReadings(Shape):
    """Readings of a meter in any order, all of them or none. With `correct` they may differ from before."""

    unit: Unit = "kWh"
    readings: Annotated[tuple[NewReading, ...], Field(min_length=1, max_length=1000)]
    correct: bool = False
    reason: Annotated[str, Field(max_length=300)] = ""


class Taken(Shape):
    """What became of readings: news, repeats that changed nothing, and how many hours changed."""

    news: int
    repeats: int
    hours: int
