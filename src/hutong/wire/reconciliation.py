"""Scheduler, records of use and ledger beside each other: JSON shapes."""

from typing import Literal

from hutong.wire.base import Shape, Slug


class Column(Shape):
    """How many starts (in the ledger: attempts), and their card-milliseconds."""

    count: int
    card_ms: int


class Difference(Shape):
    """One thing that is not the same everywhere, why, and what to do about it.

    With `waits` it may still come right by itself. `card_ms` is by how much the ledger should change, where
    that is known.
    """

    kind: Literal["unread", "suspended", "unrecorded", "differs"]
    reason: str
    to_do: str
    key: str
    record: str
    revision: int
    card_ms: int
    waits: bool


class SourceDay(Shape):
    """A site's UTC day: what its scheduler's accounting holds (null: not read), what came, what was booked.

    `unbilled_card_ms` were held for preparation and clean-up, which are not billed. `others` are starts of
    jobs that are not the platform's. `drifts` counts all differences that will stay, `differences` are the
    first 200.
    """

    source: Slug
    day: str
    scheduler: Column | None
    usage: Column
    ledger: Column
    unbilled_card_ms: int
    others: int
    drifts: int
    found: int
    differences: tuple[Difference, ...]


class Reconciliation(Shape):
    """The sites of a day, in order."""

    items: tuple[SourceDay, ...]
