"""Periods, suspense, settlements, refunds, corrections and claims: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Money, Shape, Slug, Time

Reason = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Revision = Annotated[int, Field(ge=1, le=1_000_000)]
Amount = Annotated[int, Field(ge=0, le=10**15)]


class Period(Shape):
    """A billing period `[start, end)`. `closing` takes its own late facts, `closed` takes nothing."""

    id: str
    start: Time
    end: Time
    state: Literal["open", "closing", "closed"]
    by: str
    note: str


class Periods(Shape):
    """All billing periods in which anything was booked."""

    items: tuple[Period, ...]


class ClosePeriod(Shape):
    """Begin to close a period, or (`final`) close it for good; with suspended use in it a note is needed."""

    final: bool = False
    note: Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")] = ""


class NewShare(Shape):
    """A centre's part of what its work earns, in parts per million, from a moment on."""

    starts: Time
    ppm: Annotated[int, Field(ge=0, le=1_000_000)]


class Settlement(Shape):
    """What the platform owes a centre now, and the dated shares it goes by."""

    site: Slug
    owed: Money
    shares: tuple[NewShare, ...]


class Settlements(Shape):
    """Every centre that has a share."""

    items: tuple[Settlement, ...]


class NewPayout(Shape):
    """A payment to a centre under the reference of its bank transfer: a repeat is the same payment."""

    amount: Money
    reference: Name


class NewUse(Shape):
    """What a source says was used by an attempt (`key`) in `[start, end)`: card-milliseconds.

    `source`, `record` and `revision` name it; a later revision supersedes an earlier one.
    """

    source: Name
    record: Name
    revision: Revision = 1
    key: Name
    unit: Name = "card_ms"
    quantity: Amount
    start: Time
    end: Time


class NewUses(Shape):
    """Records of use, at most 200 at once."""

    records: Annotated[tuple[NewUse, ...], Field(min_length=1, max_length=200)]


class Use(Shape):
    """A record that was received, and what became of it."""

    source: str
    record: str
    revision: int
    key: str
    unit: str
    quantity: int
    start: Time
    end: Time
    fate: Literal["confirmed", "corrected", "superseded", "suspended", "dismissed"]
    reason: str
    by: str


class Uses(Shape):
    """What became of the records of a request, in their order."""

    items: tuple[Use, ...]


class Resolve(Shape):
    """What a person decides about a suspended record: match it with a key, or dismiss it, and why."""

    source: Name
    record: Name
    revision: Revision = 1
    action: Literal["match", "dismiss"]
    key: Annotated[str, Field(max_length=200, pattern=r"^[\x21-\x7e]*$")] = ""
    reason: Reason


class DayCount(Shape):
    """How many records of a source and a UTC day had which fate; `received` is their sum (L7)."""

    day: str
    received: int
    confirmed: int = 0
    corrected: int = 0
    superseded: int = 0
    suspended: int = 0
    dismissed: int = 0


class DayCounts(Shape):
    """The counts of a source, by day."""

    source: str
    items: tuple[DayCount, ...]


class NewRefund(Shape):
    """Give back what an attempt or a request (`subject`) was charged: an amount, or all that is left."""

    subject: Name
    amount: Money | None = None
    reason: Reason


class Refund(Shape):
    """What was given back, to the lots that paid."""

    project: Slug
    subject: str
    amount: Money
    txns: tuple[str, ...]


class NewCorrection(Shape):
    """Correct one record of use (its id) of a subject to another quantity, at the price it had."""

    subject: Name
    record: Name
    quantity: Amount
    reason: Reason


class Correction(Shape):
    """Whether the book was changed: false where it said the same already."""

    project: Slug
    subject: str
    changed: bool


class NewLotClaim(Shape):
    """Why a lot is claimed back: what is left of it returns, what was spent of it is owed."""

    reason: Reason
