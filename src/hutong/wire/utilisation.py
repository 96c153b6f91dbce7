"""Utilisation in four levels, with the definitions of the levels: JSON shapes."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time

FINDING = r"^[a-z0-9-]{1,63}\.\d{4}-\d\d-\d\d\.[0-9a-f]{16}$"
Text = Annotated[str, Field(min_length=1, max_length=4000)]


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
    up_card_ms: int
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


class FindingMessage(Shape):
    """What somebody wrote of a finding; `evidence` is the digest of an uploaded file, or empty."""

    by: str
    at: Time
    text: str
    evidence: str


class KeptFinding(Finding):
    """A finding that is kept. `open` and `explained` ones wait; `gone`: later data no longer shows it."""

    id: str
    state: Literal["open", "explained", "gone", "settled", "confirmed"]
    first: Time
    changed: Time
    messages: tuple[FindingMessage, ...]


class NewExplanation(Shape):
    """What a centre says of a finding."""

    text: Text
    evidence: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""


class NewFindingDecision(Shape):
    """What the operator holds of it: `settled` if the explanation holds, `confirmed` if it was so."""

    outcome: Literal["settled", "confirmed"]
    text: Text
