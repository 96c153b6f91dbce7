"""Allocations with their changes, cuts and notices: JSON shapes."""

from typing import Literal

from hutong.wire.base import Money, Shape, Slug, Time
from hutong.wire.calls import Reason

ChangeKind = Literal["supplement", "extend", "transfer", "reduce", "suspend", "resume", "close"]
Phase = Literal["pending", "active", "expiring", "exhausted", "suspended", "ended", "closed"]


class NewChange(Shape):
    """A change wanted.

    `amount` is for supplement, transfer and reduce, `ends` for extend, `to_project` for transfer.
    """

    kind: ChangeKind
    reason: Reason
    amount: Money | None = None
    ends: Time | None = None
    to_project: Slug | None = None


class Change(Shape):
    """A change with its decision, and what it changed."""

    n: int
    kind: ChangeKind
    by: str
    at: Time
    reason: str
    amount: Money | None = None
    ends: Time | None = None
    to_project: str = ""
    before: str = ""
    after: str = ""
    state: Literal["asked", "granted", "refused", "done"]
    decided_by: str = ""
    decided: Time | None = None
    note: str = ""


class Cut(Shape):
    """Money that is taken back since use lags behind the plan, unless an appeal succeeds before."""

    n: int
    at: Time
    planned: Money
    used: Money
    amount: Money
    appeal_until: Time
    state: Literal["proposed", "appealed", "upheld", "waived", "taken"]
    taken: Money
    appeal: str = ""
    decided_by: str = ""
    note: str = ""


class AllocationNotice(Shape):
    """Something that the project should know."""

    at: Time
    text: str


class Allocation(Shape):
    """The right to use an amount for a time.

    `granted` is what was given less what was taken back; it is used, held by jobs, or free.
    """

    id: str
    project: Slug
    call: Slug
    lot: str
    phase: Phase
    starts: Time
    ends: Time
    closes: Time
    granted: Money
    used: Money
    held: Money
    free: Money
    plan: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    cuts: tuple[Cut, ...] = ()
    notices: tuple[AllocationNotice, ...] = ()
