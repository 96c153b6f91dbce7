"""Institutions, people and projects: who asks for public computing, and on whose budget."""

from dataclasses import dataclass, field
from enum import StrEnum

from hutong.core.accounts.roles import Role
from hutong.core.kernel.documents import LATE

FOREVER_MS = 1 << 47
"""The end of what has no end yet: later than any time that the platform takes."""


class InstitutionKind(StrEnum):
    """What sort of tenant an institution is; prices and vouchers depend on it."""

    UNIVERSITY = "university"
    RESEARCH = "research"
    SME = "sme"
    STARTUP = "startup"
    ENTERPRISE = "enterprise"
    GOVERNMENT = "government"
    OPERATOR = "operator"


class Verification(StrEnum):
    """What an operator found about who an institution says it is."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class KindPeriod:
    """An institution was of this kind in `[from, upto)`."""

    kind: InstitutionKind
    from_ms: int
    upto_ms: int = FOREVER_MS


@dataclass(frozen=True, slots=True)
class Institution:
    """A tenant. `kind` is the newest; `kinds` are its periods, empty while it never changed.

    `uscc` and `ror` are checked identifiers; `verified_by` and `verified_note` say who looked, and at what.
    """

    id: str
    kind: InstitutionKind
    name_zh: str
    name_en: str
    uscc: str = field(default="", metadata=LATE)
    ror: str = field(default="", metadata=LATE)
    kinds: tuple[KindPeriod, ...] = field(default=(), metadata=LATE)
    verification: Verification = field(default=Verification.UNVERIFIED, metadata=LATE)
    verified_by: str = field(default="", metadata=LATE)
    verified_note: str = field(default="", metadata=LATE)


@dataclass(frozen=True, slots=True)
class Relation:
    """Two institutions are related parties in `[from, upto)`; `one` is the lesser id, so it is symmetric."""

    one: str
    other: str
    reason: str
    from_ms: int
    upto_ms: int = FOREVER_MS

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.one}/{self.other}"


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
    kind: str  # person | session | site | key | service | scim
    project: str = ""
    site: str = ""
    scopes: tuple[str, ...] = ()
    created_ms: int = 0
    expires_ms: int = 0
    behind: str = field(default="", metadata=LATE)
