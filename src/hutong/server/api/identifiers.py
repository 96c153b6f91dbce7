"""Identifiers of resources: register, resolve, transfer, retire."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.roles import Principal
from hutong.core.capacity.identifiers import Event, Identifier, kind_of, retire, transfer
from hutong.core.kernel.errors import NotFound
from hutong.server import identifiers as ids
from hutong.server.api.access import Allowed, Here, Public, Somewhere
from hutong.server.api.paging import Paging, paging
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.wire import centres as w
from hutong.wire.base import Page, rfc3339

router = APIRouter(prefix="/v1/identifiers", tags=["identifiers"])

Name = Annotated[str, Path(alias="identifier", min_length=1, max_length=200)]
Writer = Annotated[Principal, Depends(Allowed("capacity.write"))]
_RESOLVES = "identifiers are there to be resolved by anybody; who recorded them is not told"


@router.post("", status_code=201)
def create_identifier(here: Here, principal: Writer, body: w.NewIdentifier) -> w.Identifier:
    """Register an identifier for a centre, a site or a pool; the one that it has already is returned."""
    scheme = ids.scheme_of(body.scheme)
    event = Event("registered", here.clock(), principal.id, body.holder)
    return _shape(here, ids.register(here.store, body.subject, scheme, body.code, event))


@router.get("", dependencies=[Depends(Somewhere("capacity.read"))])
def list_identifiers(
    here: Here,
    pages: Annotated[Paging, Depends(paging)],
    subject: Annotated[str, Query(max_length=200)] = "",
) -> Page[w.Identifier]:
    """List identifiers in order, those that are retired too; of one subject if it is named."""
    rows = here.store.records(ids.KIND, subject, pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: _shape(here, read(Identifier, row)))


@router.get("/schemes", dependencies=[Depends(Somewhere("capacity.read"))])
def list_schemes() -> Page[w.IdentifierScheme]:
    """List the schemes that are installed."""
    found = (each for _, each in sorted(ids.schemes().items()))
    return Page(
        items=tuple(
            w.IdentifierScheme(name=each.name, issues=each.issues, about=each.about) for each in found
        )
    )


@router.get("/{identifier}", dependencies=[Depends(Public(reason=_RESOLVES))])
def resolve(here: Here, identifier: Name) -> w.Identifier:
    """Say what an identifier stands for, who holds it, and what took its place if it is retired."""
    return _shape(here, ids.find(here.store, identifier))


@router.post("/{identifier}/transfer")
def transfer_identifier(here: Here, principal: Writer, identifier: Name, body: w.Transfer) -> w.Identifier:
    """Give an identifier to another holder; a repeat changes nothing."""
    event = Event("transferred", here.clock(), principal.id, body.holder, body.reason)
    return _shape(here, ids.amend_identifier(here.store, identifier, lambda there: transfer(there, event)))


@router.post("/{identifier}/retirement")
def retire_identifier(here: Here, principal: Writer, identifier: Name, body: w.Retirement) -> w.Identifier:
    """Put an identifier out of use for ever; it still resolves, and is never given again."""
    successor = ids.find(here.store, body.successor).id if body.successor else ""
    now_ms = here.clock()

    def change(there: Identifier) -> Identifier:
        event = Event("retired", now_ms, principal.id, there.holder, body.reason)
        return retire(there, event, successor)

    return _shape(here, ids.amend_identifier(here.store, identifier, change))


def _shape(here: Services, found: Identifier) -> w.Identifier:
    try:
        name, region = ids.name_of(here.store, found.subject)
    except NotFound:
        name, region = "", ""
    events = [
        {"what": each.what, "at": rfc3339(each.at_ms), "holder": each.holder, "reason": each.reason}
        for each in found.events
    ]
    return w.Identifier.model_validate(
        {
            "id": found.id, "scheme": found.scheme, "code": found.code, "kind": kind_of(found.subject),
            "subject": found.subject, "name": name, "region": region, "holder": found.holder,
            "state": "retired" if found.retired else "active", "successor": found.successor,
            "events": tuple(events),
        }
    )  # fmt: skip
