"""Identities: who an identity provider says somebody is, and which person of ours that is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OpenID Connect provider of an institution. `sealed` is our client secret; empty: a public client.

    `creates`: somebody unknown becomes a person of the institution when they sign in first. `multi_factor`:
    the operator vouches that this provider asks everybody for a second factor.
    """

    id: str
    url: str
    client_id: str
    institution: str
    name_zh: str
    name_en: str
    sealed: str = ""
    name_claim: str = "name"
    creates: bool = False
    multi_factor: bool = False
    scim: bool = False  # its subjects are the external ids of its institution's directory


@dataclass(frozen=True, slots=True)
class Identity:
    """A pair of issuer and subject that signs in as a person. Nothing else joins them: no e-mail, no name."""

    issuer: str  # the provider's URL, which is part of who this is
    subject: str
    person: str
    label: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Through which identity a session began, and which session it is at the provider (`sid`, if it says)."""

    token: str
    issuer: str
    subject: str
    sid: str
    began_ms: int


@dataclass(frozen=True, slots=True)
class Device:
    """A sign-in that waits for a browser's consent (RFC 8628). `digest` is of the device's own code."""

    id: str
    digest: str
    client: str
    expires_ms: int
    interval_s: int
    state: str = "pending"  # pending | approved | denied | taken
    person: str = ""
    by_token: str = ""
    polled_ms: int = 0
