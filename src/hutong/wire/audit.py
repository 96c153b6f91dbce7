"""The audit: JSON shapes."""

from typing import Annotated

from pydantic import Field, JsonValue

from hutong.wire.base import Shape

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AuditEvent(Shape):
    """One change, as it is sealed: `hash` is over the canonical JSON of all the rest, `prev` the one before.

    `at_ms` is in UTC milliseconds. `before` and `after` are what was there and what is; secrets are hidden.
    """

    seq: int
    at_ms: int
    actor: str
    on_behalf_of: str
    action: str
    object: str
    before: JsonValue
    after: JsonValue
    address: str
    reason: str
    mark: str
    prev: str
    hash: str


class AuditFault(Shape):
    """What is wrong, and at which event."""

    seq: int
    text: str


class AuditReport(Shape):
    """What a check of the audit found; note `head` elsewhere, and a cut tail is found as well."""

    ok: bool
    events: int
    head: str
    faults: tuple[AuditFault, ...]
