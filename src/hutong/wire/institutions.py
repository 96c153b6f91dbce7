"""What an institution was at a time: kinds by period, identifiers, verification, related parties."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.accounts import Kind
from hutong.wire.base import Shape, Slug, Time

Reason = Annotated[str, Field(min_length=1, max_length=2000)]
VerificationState = Literal["unverified", "verified", "refused"]


class KindPeriod(Shape):
    """A kind and when it held; `end` is left out for the newest."""

    kind: Kind
    start: Time
    end: Time | None = None


class NewKind(Shape):
    """Another kind from a time on (RFC 3339); left out, from now on."""

    kind: Kind
    start: Time | None = None


class Identifiers(Shape):
    """Identifiers with check digits: the unified social credit code (GB 32100-2015) and ROR."""

    uscc: Annotated[str, Field(max_length=40)] = ""
    ror: Annotated[str, Field(max_length=60)] = ""


class NewVerification(Shape):
    """What an operator found, and at what they looked."""

    state: VerificationState
    note: Reason


class InstitutionHistory(Shape):
    """All that is known of who an institution is."""

    id: Slug
    kinds: tuple[KindPeriod, ...]
    identifiers: Identifiers
    verification: VerificationState
    verified_by: str = ""
    verified_note: str = ""


class NewRelation(Shape):
    """Why two institutions are related parties, and when; without `end` it has none yet."""

    reason: Reason
    start: Time | None = None
    end: Time | None = None


class Relation(Shape):
    """Two institutions are related parties in `[start, end)`."""

    institution: Slug
    other: Slug
    reason: str
    start: Time
    end: Time | None = None
