"""Identity providers, sign-in through them, and identities of people: JSON shapes."""

from typing import Annotated

from pydantic import Field

from hutong.wire.accounts import Name, Token
from hutong.wire.base import Shape, Slug, Time

Url = Annotated[
    str, Field(max_length=500, pattern=r"^https?://[^\s?#]+$", examples=["https://id.example.edu"])
]
Opaque = Annotated[str, Field(min_length=1, max_length=4000)]


class NewIssuer(Shape):
    """An OpenID Connect provider. Without `secret` the stored one is kept; an empty one is forgotten."""

    url: Url
    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    secret: Annotated[str | None, Field(max_length=2000, repr=False)] = None
    institution: Slug
    name_zh: Name
    name_en: Name
    name_claim: Annotated[str, Field(min_length=1, max_length=100)] = "name"
    creates: bool = False
    multi_factor: bool = False
    scim: bool = False


class Issuer(Shape):
    """An OpenID Connect provider as its operator sees it; the secret never comes out."""

    id: Slug
    url: str
    client_id: str
    has_secret: bool
    institution: Slug
    name_zh: Name
    name_en: Name
    name_claim: str
    creates: bool
    multi_factor: bool
    scim: bool
    redirect: str
    logout: str


class IssuerName(Shape):
    """A provider as the sign-in page offers it."""

    id: Slug
    name_zh: Name
    name_en: Name


class BeginSignIn(Shape):
    """Where to go on afterwards: a path of the portal."""

    back: Annotated[str, Field(max_length=1000)] = "/jobs"


class Begun(Shape):
    """A sign-in that began: send the browser to `address`; `flow` is to be kept and given back at its end."""

    address: str
    flow: Annotated[str, Field(repr=False)]


class FinishSignIn(Shape):
    """What the provider's redirect brought, with the flow of the browser that it came to."""

    flow: Annotated[str, Field(min_length=1, max_length=8000, repr=False)]
    state: Opaque
    code: Annotated[str, Field(min_length=1, max_length=4000, repr=False)]
    iss: Annotated[str, Field(max_length=500)] = ""


class SignedIn(Shape):
    """A session that began, and where the person wanted to be."""

    token: Token
    back: str


class Identity(Shape):
    """An identity that signs in as the caller."""

    id: str
    issuer: str
    subject: str
    label: str
    created: Time


class Linked(Shape):
    """An identity that was joined to the caller, and where the person wanted to be."""

    identity: Identity
    back: str
