"""Budgets: set, shown with their four numbers, ended; and the notices of thresholds that were reached."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts import budgets as b
from hutong.core.accounts.registry import Project
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.kernel.days import day_of, utc_day
from hutong.core.kernel.errors import Denied, NotFound, Problem, Refused
from hutong.core.kernel.money import MICRO, parse_micro
from hutong.server import budgets as desk
from hutong.server.api.access import Here, Somewhere
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.budgets import budget_shape, notice_shape
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.wire import budgets as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1", tags=["money"])

_ONE_BY_ONE = 20
_AT_ONCE = 500

Pages = Annotated[Paging, Depends(paging)]
Name = Annotated[Slug, Path(alias="budget")]
Of = Annotated[Slug | None, Query()]
Reader = Annotated[Principal, Depends(Somewhere("budget.read"))]
Writer = Annotated[Principal, Depends(Somewhere("budget.write"))]


@router.put("/budgets/{budget}")
def put_budget(here: Here, budget: Name, body: w.NewBudget, principal: Writer) -> w.Budget:
    """Set a budget, whole; the next turn goes by it. What it counted before, it counts on."""
    institution = _institution(here, body)
    above = _may_write(principal, body.scope, body.name, institution)
    there = here.store.get(desk.KIND, budget)
    if there is not None:
        _may_change(here, principal, read(b.Budget, there))
    made = _read(body, budget, principal.id, day_of(here.clock()), above=above)
    desk.put(here.store, made)
    here.bell.ring()
    return _shapes(here, (made,))[0]


@router.get("/budgets")
def list_budgets(
    here: Here, pages: Pages, principal: Reader, project: Of = None, institution: Of = None
) -> Page[w.Budget]:
    """List the budgets that one may see, in order of their names; of one project or institution."""
    rows = _visible(here, principal, desk.KIND, project, institution, pages)
    shown = _shapes(here, [read(b.Budget, row) for row in rows[: pages.limit]])
    shapes = {each.id: each for each in shown}
    return pages.page(rows, lambda row: row.id, lambda row: shapes[row.id])


@router.get("/budgets/{budget}")
def get_budget(here: Here, budget: Name, principal: Reader) -> w.Budget:
    """Return a budget and what is spent of it."""
    return _shapes(here, (_load(here, principal, budget),))[0]


@router.delete("/budgets/{budget}")
def end_budget(here: Here, budget: Name, principal: Writer) -> w.Budget:
    """End a budget: it bounds nothing any more. Ending what has ended changes nothing."""
    there = _load(here, principal, budget)
    _may_change(here, principal, there)
    ended = desk.put(here.store, replace(there, ended=True))
    here.bell.ring()
    return _shapes(here, (ended,))[0]


@router.get("/notices")
def list_notices(
    here: Here, pages: Pages, principal: Reader, project: Of = None, institution: Of = None
) -> Page[w.Notice]:
    """List the notices that one may see, by budget and period."""
    rows = _visible(here, principal, desk.NOTICE, project, institution, pages)
    return pages.page(rows, lambda row: row.id, lambda row: notice_shape(row.id, read(desk.Notice, row)))


def _shapes(here: Services, budgets: Sequence[b.Budget]) -> list[w.Budget]:
    standing = desk.standings(here.store, budgets, here.clock())
    return [budget_shape(each, standing.get(each.id)) for each in budgets]


def _visible(
    here: Services,
    principal: Principal,
    kind: str,
    project: str | None,
    institution: str | None,
    pages: Paging,
) -> tuple[Record, ...]:
    """Return records that the caller may see, one more than the page takes, in order of their ids."""
    asked = [("project", project), ("institution", institution)]
    parents = [f"{kind_}/{name}" for kind_, name in asked if name is not None]
    for kind_, name in asked:
        if name is not None:
            seen = {"project": name} if kind_ == "project" else {"institution": name}
            if not principal.may("budget.read", **seen):
                raise NotFound("not_found", f"there is no {kind_} {name!r}")
    if not parents and principal.everywhere("budget.read"):
        return here.store.records(kind, "", pages.after, pages.limit + 1)
    if not parents:
        parents = [f"project/{each}" for each in principal.projects_with("budget.read")]
        parents += [f"institution/{each}" for each in principal.institutions_with("budget.read")]
    if len(parents) > _ONE_BY_ONE:
        return _among(here, kind, frozenset(parents), pages)
    found = [row for each in parents for row in here.store.records(kind, each, pages.after, pages.limit + 1)]
    return tuple(sorted(found, key=lambda row: row.id)[: pages.limit + 1])


def _among(here: Services, kind: str, parents: frozenset[str], pages: Paging) -> tuple[Record, ...]:
    """Return records of many parents, out of all there are, rather than of each of thousands."""
    found: list[Record] = []
    after = pages.after
    while len(found) <= pages.limit:
        rows = here.store.records(kind, "", after, _AT_ONCE)
        found += [row for row in rows if row.parent in parents]
        if len(rows) < _AT_ONCE:
            break
        after = rows[-1].id
    return tuple(found[: pages.limit + 1])


def _load(here: Services, principal: Principal, name: str) -> b.Budget:
    record = here.store.get(desk.KIND, name)
    budget = read(b.Budget, record) if record is not None else None
    if budget is not None:
        of_institution = budget.scope is b.Scope.INSTITUTION
        seen = {"institution": budget.name} if of_institution else {"project": budget.name}
        if principal.may("budget.read", **seen):
            return budget
    raise NotFound("not_found", f"there is no budget {name!r}")


def _institution(here: Services, body: w.NewBudget) -> str:
    """Return whose the budget's account is; Refused if there is no such account."""
    if body.scope == "institution":
        known, institution = here.store.get("institution", body.name) is not None, body.name
    else:
        record = here.store.get("project", body.name)
        known, institution = record is not None, read(Project, record).institution if record else ""
    if not known:
        what = "institution" if body.scope == "institution" else "project"
        problem = Problem("/name", f"there is no {what} {body.name!r}", f"create the {what} first")
        raise Refused("unknown_reference", f"there is no {what} {body.name!r}", (problem,))
    return institution


def _may_write(principal: Principal, scope: str, name: str, institution: str) -> bool:
    """Return whether the caller may write budgets of the whole institution; Denied if not this one."""
    above = principal.may("budget.write", institution=institution)
    if not above and (scope == "institution" or not principal.may("budget.write", name)):
        raise Denied("forbidden", f"budget.write of {scope} {name} is not among your permissions")
    return above


def _may_change(here: Services, principal: Principal, there: b.Budget) -> None:
    institution = there.name
    if there.scope is not b.Scope.INSTITUTION:
        record = here.store.get("project", there.name)
        institution = read(Project, record).institution if record else ""
    above = _may_write(principal, there.scope.value, there.name, institution)
    if there.above and not above:
        raise Denied("forbidden", f"{there.by} set budget {there.id} for the institution: ask there")


def _read(body: w.NewBudget, name: str, by: str, today: int, *, above: bool) -> b.Budget:
    problems = []
    if (body.scope == "person") != bool(body.person):
        problems.append(
            Problem("/person", "a person is named where the scope is person", "name them, or not")
        )
    if body.accelerator != b.ALL and body.unit != "card-hours":
        problems.append(Problem("/accelerator", "only card-hours are of an accelerator", "leave it out"))
    elif body.accelerator != b.ALL and body.accelerator not in ACCELERATORS:
        known = ", ".join(sorted(ACCELERATORS))
        problems.append(
            Problem("/accelerator", f"no accelerator {body.accelerator!r}", f"one of {known}, or *")
        )
    if body.unit == "tokens" and any(each.action != "notify" for each in body.thresholds):
        problems.append(Problem("/thresholds", "no request is held back for tokens", "notify, or CNY"))
    from_day = today if body.start is None else utc_day(body.start)
    until = None if body.end is None else utc_day(body.end)
    if from_day is None:
        problems.append(Problem("/start", f"{body.start} is no day", "such as 2026-12-01"))
    if body.end is not None and (until is None or (from_day is not None and until <= from_day)):
        problems.append(Problem("/end", f"{body.end} is no day after the start", "a later day, or none"))
    unit = b.Unit(body.unit)
    micro = parse_micro(body.amount, "/amount")
    amount, rest = divmod(micro * b.BASE[unit], MICRO)
    if rest:
        problems.append(Problem("/amount", f"{body.amount} {unit} cannot be counted", "fewer decimals"))
    if problems or from_day is None:
        raise Refused("bad_budget", "that budget cannot be set", tuple(problems))
    thresholds = {(each.percent, each.action) for each in body.thresholds}
    return b.Budget(
        id=name,
        scope=b.Scope(body.scope),
        name=body.name,
        unit=unit,
        amount=amount,
        from_day=from_day,
        until_day=until,
        thresholds=tuple(b.Threshold(percent, b.Action(action)) for percent, action in sorted(thresholds)),
        by=by,
        person=body.person,
        accelerator=body.accelerator,
        monthly=body.monthly,
        note=body.note,
        above=above,
    )
