"""Roles, grants and the access review: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time

Scope = Annotated[
    str,
    Field(
        pattern=r"^(platform|(institution|project)/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$",
        examples=["platform", "institution/cau", "project/vision"],
    ),
]
GrantId = Annotated[
    str,
    Field(
        pattern=r"^((platform|institution|project)\.[a-z0-9-]{1,63}\.[0-9a-z]{26}|person\.[a-z0-9-]{1,63}\.operator)$",
        max_length=110,
    ),
]
Reason = Annotated[str, Field(min_length=3, max_length=500)]
Permission = Annotated[str, Field(pattern=r"^[a-z]+(_[a-z]+)*\.[a-z]+$")]


class NewRole(Shape):
    """A role to define. It cannot be changed later: what was granted stays what it was."""

    name: Slug
    permissions: Annotated[tuple[Permission, ...], Field(min_length=1, max_length=100)]
    title: Annotated[str, Field(max_length=200)] = ""


class RoleShape(NewRole):
    """A role; `shipped` ones come with the platform."""

    shipped: bool


class NewGrant(Shape):
    """A role for a person in a scope, from a moment (now) until another (without end)."""

    person: Slug
    role: Slug
    scope: Scope
    starts: Time | None = None
    ends: Time | None = None
    reason: Reason


class NewView(Shape):
    """Look at the platform as somebody, for at most an hour, and say why; nothing can be changed."""

    person: Slug
    reason: Reason
    minutes: Annotated[int, Field(ge=1, le=60)] = 30


class Grant(Shape):
    """A grant. `source` says where it comes from: a grant, the person's record, a project's members."""

    id: str
    person: str
    role: str
    scope: Scope
    source: Literal["grant", "person", "member"] = "grant"
    starts: Time | None = None
    ends: Time | None = None
    by: str = ""
    reason: str = ""
    given: Time | None = None
    state: Literal["coming", "in force", "over"] = "in force"


class Reviewed(Grant):
    """A grant as a reviewer needs it: `active` is when its holder last changed anything, or signed in."""

    name: str
    institution: str
    age_days: int | None = None
    active: Time | None = None
