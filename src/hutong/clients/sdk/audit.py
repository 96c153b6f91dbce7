"""Calls about the audit."""

from hutong.clients.sdk.call import Call, Listing, path_of, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import audit as a
from hutong.wire.base import Page


def list_events(
    *,
    actor: str | None = None,
    object: str | None = None,
    oldest_first: bool = False,
    after: int = 0,
    limit: int | None = None,
) -> Listing[a.AuditEvent]:
    """List what was changed, the newest first unless `oldest_first`; `after` is an event's number."""
    order = "oldest" if oldest_first else None
    query = query_of(actor=actor, object=object, order=order, after=after or None)
    return Listing(path_of("audit"), shape(Page[a.AuditEvent]), query, limit)


def check(head: str = "") -> Call[a.AuditReport]:
    """Check the whole chain; `head` is `SEQ:HASH` as an earlier check said it."""
    return Call("GET", path_of("audit", "check"), shape(a.AuditReport), query_of(head=head))


class AuditVerbs:
    """Who changed what."""

    list = ListVerb(list_events)
    check = Verb(check)


class Audit(AuditVerbs, Group):
    """Who changed what."""


class AsyncAudit(AuditVerbs, AsyncGroup):
    """Who changed what."""
