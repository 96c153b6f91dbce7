"""Commitments: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Money, Shape, Slug, Time
from hutong.wire.budgets import Numbers
from hutong.wire.prices import Text

Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2027-03"])]
Hours = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?$", examples=["1000"])]


class NewCommitment(Shape):
    """Card-hours of an accelerator that an institution or a project promises to use each month.

    `amount` is for a card-hour. It holds from the month `starts` to the one before `ends`, by the platform's
    zone. With `take_or_pay` what was not used of a month is charged at the same price, to the project `pays`,
    which an institution has to name.
    """

    id: Slug
    scope: Literal["institution", "project"]
    name: Slug
    pays: Slug | None = None
    accelerator: Annotated[str, Field(min_length=1, max_length=64)]
    card_hours: Hours
    amount: Money
    take_or_pay: bool = True
    starts: Month
    ends: Month
    reason: Text


class Commitment(Shape):
    """A commitment. `numbers` are card-hours of the running UTC month; it is booked when that is closed."""

    id: Slug
    scope: Literal["institution", "project"]
    name: Slug
    pays: Slug
    accelerator: str
    card_hours: str
    amount: Money
    take_or_pay: bool
    starts: Month
    ends: Month
    state: Literal["future", "in-force", "ended"]
    reason: str
    by: str
    made: Time
    numbers: Numbers | None = None


class EndCommitment(Shape):
    """The month that a commitment does not hold for any more: after the one that runs."""

    ends: Month
