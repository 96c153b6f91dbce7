"""Institutions, people, projects, members, tokens, secrets: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time

Name = Annotated[str, Field(min_length=1, max_length=200)]
Scope = Annotated[str, Field(pattern=r"^[a-z][a-z_-]*\.[a-z_]+$", examples=["job.read"])]
Scopes = Annotated[tuple[Scope, ...], Field(max_length=50)]
Code = Annotated[str, Field(pattern=r"^[0-9A-Za-z -]{6,20}$")]
Kind = Literal["university", "research", "sme", "startup", "enterprise", "government", "operator"]


class Institution(Shape):
    """A tenant."""

    id: Slug
    kind: Kind
    name_zh: Name
    name_en: Name


class NewPerson(Shape):
    """Somebody who may sign in. Without a password one is made and shown once in the answer."""

    id: Slug
    name: Name
    institution: Slug
    password: Annotated[str | None, Field(min_length=10, max_length=200, repr=False)] = None
    operator: bool = False


class Person(Shape):
    """A person; `password` is there only in the answer that made it."""

    id: Slug
    name: Name
    institution: Slug
    operator: bool = False
    password: Annotated[str | None, Field(repr=False)] = None


class NewProject(Shape):
    """A project of an institution; its owner is the first member."""

    id: Slug
    institution: Slug
    title: Name
    owner: Slug


class Member(Shape):
    """One person's part in a project."""

    person: Slug
    role: Literal["owner", "member"]


class Project(Shape):
    """People, work and money under one budget."""

    id: Slug
    institution: Slug
    title: Name
    members: tuple[Member, ...]
    active: bool


class Login(Shape):
    """What one signs in with."""

    person: Slug
    password: Annotated[str, Field(min_length=1, max_length=200, repr=False)]
    code: Annotated[Code | None, Field(repr=False)] = None


class NewToken(Shape):
    """A token wanted: `key` is a gateway key of a project, `person` acts as its owner.

    `scopes` are the permissions that it is narrowed to; none: all that its owner has.
    """

    name: Name
    kind: Literal["person", "key"] = "person"
    project: Slug | None = None
    days: Annotated[int, Field(ge=1, le=366)] = 90
    scopes: Scopes = ()


class NewServiceAccount(Shape):
    """What a service account is for."""

    title: Name


class ServiceAccount(Shape):
    """A program that acts in its project as a member may."""

    project: Slug
    name: Slug
    title: Name
    made_by: str
    made: Time


class NewServiceToken(Shape):
    """A token of a service account; without `scopes` it may do what a member may."""

    name: Name
    days: Annotated[int, Field(ge=1, le=366)] = 90
    scopes: Scopes = ()


class Token(Shape):
    """A token; `secret` is there only in the answer that made it."""

    id: str
    name: str
    kind: Literal["person", "session", "site", "key", "service", "scim"]
    owner: str
    project: str = ""
    site: str = ""
    scopes: tuple[str, ...] = ()
    created: Time
    expires: Time
    last_used: Time | None = None
    secret: Annotated[str | None, Field(repr=False)] = None


class Me(Shape):
    """Who is asking, and what is theirs; `viewed_by` is who looks as them, and may change nothing."""

    id: str
    name: str
    operator: bool
    projects: tuple[Project, ...]
    viewed_by: str = ""


class SecretValue(Shape):
    """A secret's value, on its way in; it never comes out again."""

    value: Annotated[str, Field(min_length=1, max_length=65_536, repr=False)]


class SecretName(Shape):
    """A stored secret."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
    updated: Time
