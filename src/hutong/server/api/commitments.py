"""Commitments: made, shown with what is used of them, and ended."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.adapters.store.months import month_of
from hutong.core.accounts.approvals import Change
from hutong.core.accounts.budgets import Scope
from hutong.core.accounts.registry import Project
from hutong.core.accounts.roles import Principal
from hutong.core.book.commitments import COMMITMENT, Commitment
from hutong.core.book.store import Record
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.core.kernel.money import MICRO, parse_micro
from hutong.core.kernel.rating import CARD_HOUR_MS
from hutong.core.ledger.commitments import check, end, require_room, worth_micro
from hutong.server.api.access import Allowed, Here, InProject
from hutong.server.api.accounts import ProjectName, load_project
from hutong.server.api.once import digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.api.shapes.commitments import as_budget, commitment_shape
from hutong.server.api.shapes.sites import PRICE_AT_MOST_MICRO
from hutong.server.approvals import Wanted, require_second
from hutong.server.budgets import standings
from hutong.server.reckoning import commitments
from hutong.server.registry import amend, create, document, load, read, shape_of
from hutong.server.services import Services
from hutong.wire import commitments as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1", tags=["prices"])

Pages = Annotated[Paging, Depends(paging)]
Setter = Annotated[Principal, Depends(Allowed("price.write"))]
Named = Annotated[Slug, Path(alias="commitment")]
SHOWN_MOST = 50
"""How many commitments a balance or a quote shows."""


@router.get("/commitments", dependencies=[Depends(Allowed("price.read"))])
def list_commitments(here: Here, pages: Pages) -> Page[w.Commitment]:
    """List all commitments in order of their ids."""
    rows = here.store.records(COMMITMENT, "", pages.after, pages.limit + 1)
    shapes = _shapes(here, [read(Commitment, row) for row in rows[: pages.limit]])
    return pages.page(rows, lambda row: row.id, lambda row: shapes[row.id])


@router.get("/projects/{project}/commitments", dependencies=[Depends(InProject("bill.read"))])
def list_of_project(here: Here, project: ProjectName, pages: Pages) -> Page[w.Commitment]:
    """List the commitments that the project's use draws on: its own, and its institution's."""
    load_project(here.store, project)
    mine = _drawn_on(here, project)
    rows = sorted((each for each in mine if each.id > pages.after), key=lambda each: each.id)
    shapes = _shapes(here, rows[: pages.limit])
    return pages.page(rows[: pages.limit + 1], lambda row: row.id, lambda row: shapes[row.id])


def in_force(here: Services, project: str) -> tuple[w.Commitment, ...]:
    """Return the commitments that the project's use draws on this month, in the order in which they do."""
    month = _this_month(here)
    mine = [each for each in _drawn_on(here, project) if each.binds(month)][:SHOWN_MOST]
    return tuple(_shapes(here, mine).values())


def _drawn_on(here: Services, project: str) -> list[Commitment]:
    owner = load(here.store, "project", project, Project).institution
    whose = {(Scope.PROJECT, project), (Scope.INSTITUTION, owner)}
    return [each for each in commitments(here.store) if (each.scope, each.name) in whose]


@router.post("/commitments", status_code=201, responses=TWO_PEOPLE)
def create_commitment(here: Here, principal: Setter, body: w.NewCommitment) -> w.Commitment:
    """Make a commitment for months to come, the running one too. The same again changes nothing."""
    made = _read(here, body, principal.id)
    record = here.store.get(COMMITMENT, made.id)
    if record is not None:
        return _same(here, read(Commitment, record), made)
    check(made, _this_month(here))
    require_room(commitments(here.store))
    request = {**document(made), "at_ms": 0}
    id_ = digest_of("commitment", request, principal.id)[:26]
    size = worth_micro(made)
    require_second(here, principal, Wanted(Change.COMMITMENT, "price.write", size, request), id_, anew=True)
    return _make(here, made)


@router.post("/commitments/{commitment}/end", responses=TWO_PEOPLE)
def end_commitment(here: Here, commitment: Named, principal: Setter, body: w.EndCommitment) -> w.Commitment:
    """End a commitment sooner, from the month after the running one on; an end is never put off."""
    there = load(here.store, COMMITMENT, commitment, Commitment)
    after = end(there, body.ends, _this_month(here))
    if after != there:
        request: dict[str, object] = {"end": commitment, "ends": body.ends}
        id_ = digest_of("commitment", request, principal.id)[:26]
        size = worth_micro(there, body.ends)
        wanted = Wanted(Change.COMMITMENT, "price.write", size, request)
        require_second(here, principal, wanted, id_, anew=True)
    return _end(here, commitment, body.ends)


def write_commitment(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """Make, or end, the commitment that an approved request describes."""
    if "end" in request:
        _end(here, str(request["end"]), str(request["ends"]))
        return
    made = shape_of(Commitment, request)
    record = here.store.get(COMMITMENT, made.id)
    if record is not None:
        _same(here, read(Commitment, record), made)
        return
    check(made, _this_month(here))
    require_room(commitments(here.store))
    _make(here, made)


def _make(here: Services, wanted: Commitment) -> w.Commitment:
    made = replace(wanted, at_ms=here.clock())
    create(here.store, Record(COMMITMENT, made.id, document(made), f"{made.scope}/{made.name}"), COMMITMENT)
    return _shapes(here, [made])[made.id]


def _end(here: Services, name: str, ends: str) -> w.Commitment:
    month = _this_month(here)
    after, _ = amend(here.store, COMMITMENT, name, Commitment, lambda before: end(before, ends, month))
    return _shapes(here, [after])[name]


def _same(here: Services, there: Commitment, asked: Commitment) -> w.Commitment:
    """Return what is there; raises Conflict where something else was asked for under its id."""
    if replace(asked, at_ms=0, by="", upto_month="") != replace(there, at_ms=0, by="", upto_month=""):
        raise Conflict("exists", f"there is another commitment {asked.id!r} already")
    return _shapes(here, [there])[there.id]


def _this_month(here: Services) -> str:
    return month_of(here.clock(), here.settings.zone).id


def _shapes(here: Services, found: Iterable[Commitment]) -> dict[str, w.Commitment]:
    found, month = list(found), _this_month(here)
    standing = standings(here.store, [as_budget(each) for each in found if each.binds(month)], here.clock())
    return {each.id: commitment_shape(each, standing.get(each.id), month) for each in found}


def _read(here: Services, body: w.NewCommitment, by: str) -> Commitment:
    scope = Scope(body.scope)
    micro = parse_micro(body.amount.amount, "/amount/amount")
    problems = []
    if here.store.get(scope.value, body.name) is None:
        problems.append(Problem("/name", f"there is no {scope} {body.name!r}", f"create the {scope} first"))
    if scope is Scope.INSTITUTION and body.pays is None:
        problems.append(Problem("/pays", "an institution names who pays", "one of its projects"))
    pays = body.pays or body.name
    record = here.store.get("project", pays)
    owner = read(Project, record).institution if record else ""
    if body.pays and (pays != body.name if scope is Scope.PROJECT else owner != body.name):
        problems.append(
            Problem("/pays", f"{pays!r} is no project of {body.name!r}", "the project, or one of its own")
        )
    if body.accelerator not in ACCELERATORS:
        known = ", ".join(sorted(ACCELERATORS))
        problems.append(Problem("/accelerator", f"no accelerator {body.accelerator!r}", f"one of {known}"))
    if not 0 <= micro <= PRICE_AT_MOST_MICRO:
        problems.append(Problem("/amount/amount", "this is no price", "0 to 1000000"))
    if problems:
        raise Refused("bad_commitment", problems[0].message, tuple(problems))
    return Commitment(
        id=body.id,
        scope=scope,
        name=body.name,
        pays=pays,
        accelerator=body.accelerator,
        card_ms=parse_micro(body.card_hours, "/card_hours") * CARD_HOUR_MS // MICRO,
        micro=micro,
        take_or_pay=body.take_or_pay,
        from_month=body.starts,
        upto_month=body.ends,
        reason=body.reason,
        by=by,
        at_ms=0,
    )
