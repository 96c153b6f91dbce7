"""Proposals that wait for a second person, and the thresholds above which they do: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from hutong.wire.base import Money, Shape, Time

Bounded = Literal[
    "award",
    "voucher",
    "refund",
    "claim",
    "payout",
    "quota",
    "price",
    "price-end",
    "commitment",
    "correction",
    "redemption",
]
"""What a threshold can bound."""
ChangeName = Bounded | Literal["threshold"]
ProposalId = Annotated[str, Field(pattern=r"^[0-9a-z]{26}$")]


class Proposal(Shape):
    """A change that waits, or waited: who wants what, and who decided. `request` is what is to be done."""

    id: str
    change: ChangeName
    permission: str
    project: str = ""
    institution: str = ""
    by: str
    at: Time
    expires: Time
    state: Literal["open", "approved", "done", "failed", "refused", "expired"]
    decided_by: str = ""
    decided: Time | None = None
    note: str = ""
    broke_glass: bool = False
    request: JsonValue


class ProposalVerdict(Shape):
    """Why it is approved or refused."""

    note: Annotated[str, Field(max_length=500)] = ""


class BreakGlass(Shape):
    """Why one person goes on alone."""

    reason: Annotated[str, Field(min_length=10, max_length=500)]


class NewThreshold(Shape):
    """Above this a change takes two people: `cards` of a quota, `amount` of everything else.

    `hours` is how long a proposal waits. With neither amount nor cards, one person suffices again.
    """

    amount: Money | None = None
    cards: Annotated[int | None, Field(ge=0, le=10_000_000)] = None
    hours: Annotated[int, Field(ge=1, le=8_784)] = 168


class Threshold(NewThreshold):
    """A threshold that holds."""

    change: Bounded
