"""Programmes and calls: made by operators, read by everybody who may apply."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts import calls as c
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Problem, Refused
from hutong.server.api.access import Allowed, Here, Signed
from hutong.server.api.paging import Paging, decode_cursor, encode_cursor, paging
from hutong.server.api.shapes.calls import call_shape, programme_shape, read_call
from hutong.server.applications import settle_call
from hutong.server.calls import KIND, load_call
from hutong.server.registry import create, document, read
from hutong.wire import calls as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1", tags=["calls"])

Pages = Annotated[Paging, Depends(paging)]
CallName = Annotated[Slug, Path(alias="call")]
Anybody = Depends(Signed(reason="calls are public to all who may apply"))


@router.post("/programmes", status_code=201, dependencies=[Depends(Allowed("call.write"))])
def create_programme(here: Here, body: w.Programme) -> w.Programme:
    """Open a programme. A repeat with the same body changes nothing."""
    programme = c.Programme(body.id, body.name_zh, body.name_en, body.about)
    create(here.store, Record("programme", body.id, document(programme)), "programme")
    return programme_shape(programme)


@router.get("/programmes", dependencies=[Anybody])
def list_programmes(here: Here, pages: Pages) -> Page[w.Programme]:
    """List the programmes in order of their ids."""
    rows = here.store.records("programme", "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: programme_shape(read(c.Programme, row)))


@router.post("/calls", status_code=201, dependencies=[Depends(Allowed("call.write"))])
def create_call(here: Here, body: w.NewCall) -> w.Call:
    """Make a call of a programme. Its rules do not change once it is made; a repeat changes nothing."""
    if here.store.get("programme", body.programme) is None:
        problem = Problem("/programme", f"there is no programme {body.programme!r}", "open it first")
        raise Refused("unknown_reference", f"there is no programme {body.programme!r}", (problem,))
    call = read_call(body)
    create(here.store, Record(KIND, call.id, document(call), call.programme), KIND)
    return call_shape(call)


@router.get("/calls", dependencies=[Anybody])
def list_calls(here: Here, pages: Pages) -> Page[w.Call]:
    """List the calls in order of their ids."""
    rows = here.store.records(KIND, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: call_shape(read(c.Call, row)))


@router.get("/calls/{call}", dependencies=[Anybody])
def get_call(here: Here, call: CallName) -> w.Call:
    """Return a call with its rules and what is left of its money."""
    return call_shape(load_call(here.store, call))


@router.post("/calls/{call}/settle", dependencies=[Depends(Allowed("application.decide"))])
def settle(
    here: Here,
    call: CallName,
    cursor: Annotated[str, Query(max_length=600, description="`next` of the page before")] = "",
) -> w.Swept:
    """Serve the waiting list and take every step that is due, for one page of the call's applications."""
    load_call(here.store, call)
    changed, after, faults = settle_call(here.store, call, decode_cursor(cursor), here.clock())
    here.bell.ring()
    return w.Swept(changed=changed, next=encode_cursor(after) if after else "", faults=faults)
