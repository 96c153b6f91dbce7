"""Utilisation in four levels, with the definitions of the levels: JSON shapes."""

from collections.abc import Mapping
from typing import Literal

from hutong.wire.base import Shape, Slug


class PoolLevels(Shape):
    """Card-milliseconds of a pool; null is not measured. Shares are millionths.

    `busy_of_allocated_ppm` is of the allocated time in which something counted.
    """

    site: Slug
    pool: Slug
    accelerator: str
    cards: int
    signed: bool
    installed_card_ms: int
    seen_card_ms: int
    available_card_ms: int
    allocated_card_ms: int
    other_card_ms: int
    busy_card_ms: int | None
    effective_card_ms: int | None
    methods: tuple[str, ...]
    allocated_of_seen_ppm: int | None
    allocated_of_available_ppm: int | None
    busy_of_allocated_ppm: int | None


class Utilisation(Shape):
    """The pools of UTC days `[start, end)`, by site and pool, and what each level means."""

    start: str
    end: str
    definitions: Mapping[str, str]
    items: tuple[PoolLevels, ...]


class Finding(Shape):
    """What witnesses of a site's day contradict each other in. `size` is card-ms, of `clock_skew` ms."""

    site: Slug
    day: str
    kind: Literal["ghost", "over_reported", "side_use", "clock_skew", "replayed", "broken_chain"]
    about: str
    size: int
    sure: Literal["certain", "likely"]
    evidence: str
    to_do: str


class Findings(Shape):
    """The findings of a day, by site; `found` counts all, `items` are the first 500.

    At `judged` sites the agent reported enough hours to compare them.
    """

    day: str
    judged: tuple[str, ...]
    found: int
    items: tuple[Finding, ...]
