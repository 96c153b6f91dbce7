"""Quotas of institutions and projects: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug

Cards = Annotated[int, Field(ge=0, le=10_000_000)]


class Allotment(Shape):
    """Cards of one accelerator (`*`: of all together) that an account may hold at once.

    `nominal` are promised; `borrow` may be held beyond them while others leave them idle; of the nominal
    cards that it leaves idle, others may hold `lend`. Left out, both are without limit. `each_person`, of a
    project only, is the most that the jobs of any one person may hold in it; left out, it is without limit.
    """

    accelerator: Annotated[str, Field(min_length=1, max_length=64)]
    nominal: Cards = 0
    borrow: Cards | None = None
    lend: Cards | None = None
    each_person: Cards | None = None


class NewQuota(Shape):
    """A share among others of the kind, in thousandths, and allotments: one for each accelerator."""

    share_milli: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    allotments: Annotated[tuple[Allotment, ...], Field(max_length=40)] = ()


class Quota(NewQuota):
    """The quota of an institution or a project."""

    kind: Literal["institution", "project"]
    name: Slug
