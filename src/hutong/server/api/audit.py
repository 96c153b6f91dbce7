"""The audit: read it, and check that nothing in it was changed, removed, moved or put in."""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from hutong.core.book.audit import AuditEvent, AuditQuery, event_document
from hutong.core.book.store import Store
from hutong.core.kernel.chain import ChainCheck, parse_head, verify
from hutong.server.api.access import Allowed, Here
from hutong.server.api.paging import Paging, paging
from hutong.wire import audit as w
from hutong.wire.base import Page

PAGE = 1000

router = APIRouter(prefix="/v1/audit", tags=["audit"], dependencies=[Depends(Allowed("audit.read"))])

Name = Annotated[str, Query(max_length=300)]


@router.get("")
def list_events(
    here: Here,
    pages: Annotated[Paging, Depends(paging)],
    actor: Name = "",
    object_: Annotated[str, Query(alias="object", max_length=300, examples=["project/vision"])] = "",
    order: Literal["newest", "oldest"] = "newest",
    after: Annotated[int, Query(ge=0, le=2**53, description="numbers above this one")] = 0,
) -> Page[w.AuditEvent]:
    """List what was changed, by whom; by number, the newest first."""
    at = pages.number
    newest = order == "newest"
    rows = here.store.audit(
        AuditQuery(
            after=after if newest else max(after, at),
            before=at if newest else 0,
            actor=actor,
            object=object_,
            newest_first=newest,
            limit=pages.limit + 1,
        )
    )
    return pages.page(rows, lambda event: str(event.seq), _shape)


@router.get("/check")
def check_audit(
    here: Here,
    head: Annotated[str, Query(max_length=100, description="SEQ:HASH that was noted before")] = "",
) -> w.AuditReport:
    """Recompute the whole chain and say what does not fit; it reads everything, a page at a time."""
    return report(verify_store(here.store, head))


def verify_store(store: Store, head: str = "") -> ChainCheck:
    """Check the audit of a store; raises Refused for a head that is none."""
    noted = parse_head(head, "?head") if head else None
    return verify((event_document(event) for event in _all(store)), noted=noted)


def report(found: ChainCheck) -> w.AuditReport:
    """Return what a check found as shown."""
    faults = tuple(w.AuditFault(seq=each.seq, text=each.text) for each in found.faults)
    return w.AuditReport(ok=not faults, events=found.events, head=found.head.text, faults=faults)


def _all(store: Store) -> Iterator[AuditEvent]:
    after = 0
    while page := store.audit(AuditQuery(after=after, limit=PAGE)):
        yield from page
        after = page[-1].seq


def _shape(event: AuditEvent) -> w.AuditEvent:
    return w.AuditEvent.model_validate(event_document(event))
