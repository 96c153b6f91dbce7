"""Records of use as sources tell them, and what became of each: none is ever dropped (L7)."""

from dataclasses import dataclass
from enum import StrEnum

from hutong.core.kernel.quantities import HOUR_MS


class Fate(StrEnum):
    """What became of a record. Only `suspended` is open; all others are final."""

    CONFIRMED = "confirmed"  # the book says the same
    CORRECTED = "corrected"  # the book was corrected to it
    SUPERSEDED = "superseded"  # a later revision of it was known already
    SUSPENDED = "suspended"  # it could not be matched: a person decides
    DISMISSED = "dismissed"  # a person decided that it counts for nothing, and why


@dataclass(frozen=True, slots=True)
class Received:
    """A record of a source: `(source, record, revision)` names it. Use of `key` in `[from, upto)`.

    `quantity` is in the unit's base (card-milliseconds). `day` is the UTC day of its end, as days since 1970.
    `energy_j` is what the source's counters of energy say that it took, by `energy_basis`; None where they do
    not count it, and `energy_basis` why.
    """

    source: str
    record: str
    revision: int
    key: str
    unit: str
    quantity: int
    from_ms: int
    upto_ms: int
    energy_j: int | None = None
    energy_basis: str = ""

    @property
    def id(self) -> str:
        """One name for the three."""
        return f"{self.source}/{self.record}/{self.revision}"

    @property
    def hours(self) -> tuple[int, int]:
        """Hours since 1970 in which it may change what meters are shared by, `[from, to)`: often none."""
        told = self.energy_j is not None or self.revision > 1
        return (self.from_ms // HOUR_MS, -(-self.upto_ms // HOUR_MS)) if told else (0, 0)

    @property
    def day(self) -> int:
        """Days since 1970."""
        return self.upto_ms // 86_400_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that was received, what became of it, why and by whom."""

    record: Received
    fate: Fate
    reason: str = ""
    by: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many records of a source and a day had one fate; the sum over fates is what was received."""

    source: str
    day: int
    fate: Fate
    count: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What a source's own accounting holds of a UTC day, as last read: starts that ended in it.

    `count` and `card_ms` are of the platform's jobs; `uncounted` of them had no count of cards, and `others`
    are starts of other jobs of the same user. It was read at `read_ms`, by the clock of the site.
    """

    source: str
    day: int
    count: int
    card_ms: int
    uncounted: int
    others: int
    read_ms: int


@dataclass(frozen=True, slots=True)
class Billed:
    """What is booked for an attempt in all: card-milliseconds net of corrections, in `[from, upto)`."""

    key: str
    project: str
    card_ms: int
    from_ms: int
    upto_ms: int


def superseded_by(revision: int) -> str:
    """Return why an earlier revision of a record counts no more."""
    return f"revision {revision} came"
