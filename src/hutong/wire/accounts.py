"""Institutions, people, projects, members, tokens, secrets: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time

Name = Annotated[str, Field(min_length=1, max_length=200)]
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


class NewToken(Shape):
    """A token wanted: `key` is a gateway key of a project, `person` acts as its owner."""

    name: Name
    kind: Literal["person", "key"] = "person"
    project: Slug | None = None
    days: Annotated[int, Field(ge=1, le=366)] = 90


class Token(Shape):
    """A token; `secret` is there only in the answer that made it."""

    id: str
    name: str
    kind: Literal["person", "session", "site", "key"]
    owner: str
    project: str = ""
    site: str = ""
    created: Time
    expires: Time
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
