"""Allocations: read by their project, changed on request, reviewed for use; cuts with an appeal."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts import allocations as al
from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import Denied, NotFound, Problem, Refused
from hutong.server import allocations as s
from hutong.server.api.access import Allowed, Here, InProject, Signed, require, sees_all
from hutong.server.api.accounts import ProjectName, load_project
from hutong.server.api.calls import Pages
from hutong.server.api.paging import decode_cursor, encode_cursor
from hutong.server.api.shapes.allocations import allocation_shape, read_change
from hutong.server.interests import demand_impartial_to
from hutong.server.policies import load_reclaim
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.wire import allocations as w
from hutong.wire.base import Page, Slug
from hutong.wire.calls import Answer, Swept, WithReason

router = APIRouter(prefix="/v1", tags=["allocations"])

Name = Annotated[Slug, Path(alias="allocation")]
Number = Annotated[int, Path(ge=1, le=10_000)]
Anyone = Annotated[Principal, Depends(Signed(reason="the allocation's project says who may read and ask"))]
Officer = Annotated[Principal, Depends(Allowed("allocation.decide"))]


@router.get("/projects/{project}/allocations", dependencies=[Depends(InProject("allocation.read"))])
def list_of_project(here: Here, project: ProjectName, pages: Pages) -> Page[w.Allocation]:
    """List the allocations of a project, as they stand."""
    load_project(here.store, project)
    rows = here.store.records(s.KIND, project, pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: _shape(here, read(al.Allocation, row)))


@router.get("/allocations", dependencies=[Depends(Allowed("allocation.decide"))])
def list_allocations(here: Here, pages: Pages) -> Page[w.Allocation]:
    """List all allocations in order of their ids."""
    rows = here.store.records(s.KIND, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: _shape(here, read(al.Allocation, row)))


@router.get("/allocations/{allocation}")
def get_allocation(here: Here, allocation: Name, principal: Anyone) -> w.Allocation:
    """Return an allocation with its money, changes, cuts and notices."""
    there = s.load_allocation(here.store, allocation)
    _may_read(there, principal)
    return _shape(here, there)


@router.post("/allocations/{allocation}/changes", status_code=201)
def ask_change(here: Here, allocation: Name, principal: Anyone, body: w.NewChange) -> w.Allocation:
    """Ask for a change. What an officer wants and what gives nobody anything is done at once."""
    there = s.load_allocation(here.store, allocation)
    _may_read(there, principal)
    officer = sees_all(principal, "allocation.decide") and there.project not in dict(principal.projects)
    kind = al.ChangeKind(body.kind)
    if not officer:
        require(principal, "allocation.ask", there.project, f"allocation {allocation!r}")
        if kind in al.BY_OFFICERS:
            raise Denied("forbidden", f"{body.kind} is for officers")
    elif kind not in al.GIVING:
        demand_impartial_to(here.store, principal.id, there.project, here.clock())
    wanted = read_change(body, principal.id, here.clock())
    if wanted.to_project:
        _check_target(here, there, wanted.to_project)
    asked = s.change_allocation(here.store, allocation, lambda newest: al.ask_change(newest, wanted))
    if officer and kind not in al.GIVING:
        mine = [each for each in asked.changes if each.state is al.Decided.ASKED and each.by == principal.id]
        for change in mine:
            if change.kind is kind:
                _decide(here, allocation, change.n, principal, body.reason, granted=True)
    return _shape(here, s.load_allocation(here.store, allocation))


def _check_target(here: Services, allocation: al.Allocation, target: str) -> None:
    owner = load_project(here.store, allocation.project).institution
    record = here.store.get("project", target)
    if record is None or load_project(here.store, target).institution != owner:
        problem = Problem("/to_project", f"no project {target!r} of {owner}", "one of the same institution")
        raise Refused("unknown_reference", f"{owner} has no project {target!r}", (problem,))


@router.put("/allocations/{allocation}/changes/{n}")
def decide_change(here: Here, allocation: Name, n: Number, principal: Officer, body: Answer) -> w.Allocation:
    """Grant or refuse a change; who asked for it, or has an interest in it, does not decide."""
    there = s.load_allocation(here.store, allocation)
    change = al.find_change(there, n)
    if change is None:
        raise NotFound("not_found", f"allocation {allocation!r} has no change {n}")
    demand_impartial_to(here.store, principal.id, there.project, here.clock(), change.by)
    return _decide(here, allocation, n, principal, body.reason, granted=body.granted)


@router.post("/allocations/{allocation}/cuts/{n}/appeal")
def appeal_cut(here: Here, allocation: Name, n: Number, principal: Anyone, body: WithReason) -> w.Allocation:
    """Appeal against a cut; nothing is taken until an officer has answered."""
    there = s.load_allocation(here.store, allocation)
    _may_read(there, principal)
    require(principal, "allocation.ask", there.project, f"allocation {allocation!r}")
    _check_cut(there, n)
    now_ms = here.clock()
    changed = s.change_allocation(
        here.store, allocation, lambda newest: al.appeal_cut(newest, n, body.reason, now_ms)
    )
    return _shape(here, changed)


@router.put("/allocations/{allocation}/cuts/{n}")
def answer_cut(here: Here, allocation: Name, n: Number, principal: Officer, body: Answer) -> w.Allocation:
    """Answer an appeal against a cut: granted, it is waived; else it is taken. One may be waived unasked."""
    there = s.load_allocation(here.store, allocation)
    _check_cut(there, n)
    demand_impartial_to(here.store, principal.id, there.project, here.clock())
    s.change_allocation(
        here.store,
        allocation,
        lambda newest: al.answer_cut(newest, n, principal.id, body.reason, waived=body.granted),
    )
    changed = s.advance(here.store, allocation, here.clock(), None)
    here.bell.ring()
    return _shape(here, changed)


@router.post("/allocations/review", dependencies=[Depends(Allowed("allocation.decide"))])
def review_allocations(
    here: Here,
    cursor: Annotated[str, Query(max_length=600, description="`next` of the page before")] = "",
) -> Swept:
    """Judge the use of one page of allocations, give notices, take cuts that are due, close what is over."""
    policy = load_reclaim(here.settings.policies)
    changed, after, faults = s.review_page(here.store, decode_cursor(cursor), here.clock(), policy)
    here.bell.ring()
    return Swept(changed=changed, next=encode_cursor(after) if after else "", faults=faults)


def _decide(
    here: Services, allocation: str, n: int, principal: Principal, note: str, *, granted: bool
) -> w.Allocation:
    now_ms = here.clock()
    changed = s.decide_change(here.store, allocation, n, principal.id, note, now_ms, granted=granted)
    here.bell.ring()
    return _shape(here, changed)


def _check_cut(allocation: al.Allocation, n: int) -> None:
    if not any(each.n == n for each in allocation.cuts):
        raise NotFound("not_found", f"allocation {allocation.id!r} has no cut {n}")


def _may_read(allocation: al.Allocation, principal: Principal) -> None:
    if not principal.may("allocation.read", allocation.project):
        raise NotFound("not_found", f"there is no allocation {allocation.id!r}")


def _shape(here: Services, allocation: al.Allocation) -> w.Allocation:
    return allocation_shape(allocation, s.standing(here.store, allocation, here.clock()))
