"""Institutions, people and projects: who asks for public computing, and on whose budget."""

from dataclasses import dataclass, field
from enum import StrEnum

from hutong.core.accounts.roles import Role
from hutong.core.kernel.documents import LATE


class InstitutionKind(StrEnum):
    """What sort of tenant an institution is; prices and vouchers depend on it."""

    UNIVERSITY = "university"
    RESEARCH = "research"
    SME = "sme"
    STARTUP = "startup"
    ENTERPRISE = "enterprise"
    GOVERNMENT = "government"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Institution:
    """A tenant."""

    id: str
    kind: InstitutionKind
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in. `password` is an argon2id hash; empty means no local password."""

    id: str
    name: str
    institution: str
    operator: bool = False
    password: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """People, work and money of an institution under one budget."""

    id: str
    institution: str
    title: str
    members: tuple[tuple[str, Role], ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token as stored: the digest of the secret, never the secret.

    `behind` is who looks at the platform as the owner with it, and may write nothing.
    """

    id: str
    digest: str
    owner: str
    name: str
    kind: str  # person | session | site | key
    project: str = ""
    site: str = ""
    scopes: tuple[str, ...] = ()
    created_ms: int = 0
    expires_ms: int = 0
    behind: str = field(default="", metadata=LATE)
