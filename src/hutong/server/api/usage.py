"""Use by day: a cost explorer over what is kept by day, never over the records themselves."""

import json
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from hutong.core.accounts.roles import Principal
from hutong.core.book.uses import GROUPED_MOST, Amounts, Key, UseQuery
from hutong.core.kernel.days import day_of, day_text, utc_day
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here, Somewhere
from hutong.server.api.paging import decode_cursor, encode_cursor
from hutong.server.api.shapes.budgets import UNITS, usage_row
from hutong.server.registry import every
from hutong.server.services import Services
from hutong.wire import budgets as w
from hutong.wire.base import Slug

DAYS_MOST = 800
PROJECTS_MOST = 10_000
_USUAL_DAYS = 30

router = APIRouter(prefix="/v1", tags=["money"])

Part = Literal["project", "person", "site", "accelerator", "unit", "day", "month"]
Reader = Annotated[Principal, Depends(Somewhere("bill.read"))]
Names = Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=50)]
Day = Annotated[str, Query(max_length=20, description="a UTC day such as 2026-11-01")]


@router.get("/usage")
def read_usage(
    here: Here,
    principal: Reader,
    by: Annotated[list[Part], Query(max_length=GROUPED_MOST)] = [],  # noqa: B006 - never changed
    start: Annotated[Day, Query(alias="from")] = "",
    end: Annotated[Day, Query(alias="to")] = "",
    project: Annotated[Slug | None, Query()] = None,
    institution: Annotated[Slug | None, Query()] = None,
    person: Names = [],  # noqa: B006
    site: Names = [],  # noqa: B006
    accelerator: Names = [],  # noqa: B006
    unit: Annotated[list[Literal["card-hour", "token in", "token out"]], Query(max_length=3)] = [],  # noqa: B006
    compare: Annotated[bool, Query(description="with the time before, of equal length")] = False,
    cursor: Annotated[str, Query(max_length=600)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> w.Usage:
    """Return use of UTC days `[from, to)`, by default of the last 30, in groups by up to two things."""
    days = _days(here, start, end)
    if compare and {"day", "month"} & set(by):
        problem = Problem("?compare", "a day or a month has no time before to stand beside", "leave one out")
        raise Refused("bad_query", "groups by time are not compared", (problem,))
    query = UseQuery(
        projects=_projects(here, principal, project, institution),
        days=days,
        by=tuple(dict.fromkeys("sku" if each == "accelerator" else each for each in by)),
        people=frozenset(person),
        sites=frozenset(site),
        skus=frozenset(accelerator),
        units=frozenset(UNITS[each] for each in unit),
        limit=limit + 1,
    )
    query = replace(query, after=_after(query, cursor))
    found = here.store.uses(query)
    shown = found[:limit]
    before = _before(here, query, [use.key for use in shown]) if compare and shown else None
    rows = (
        usage_row(use, query.parts, None if before is None else before.get(use.key, Amounts()))
        for use in shown
    )
    rest = encode_cursor(json.dumps(shown[-1].key)) if len(found) > limit else ""
    return w.Usage(start=day_text(days[0]), end=day_text(days[1]), rows=tuple(rows), next=rest)


@router.post("/ledger/usage/days/rebuild", dependencies=[Depends(Allowed("usage.write"))])
def rebuild_usage(here: Here) -> w.Rebuilt:
    """Make use by day anew from the usage records, where a check found it wrong; it reads them all."""
    return w.Rebuilt(groups=here.store.rebuild_uses())


def _before(here: Services, query: UseQuery, keys: list[Key]) -> dict[Key, Amounts]:
    """Return what the groups of a page used in the time before; what was used only then is not shown."""
    length = query.days[1] - query.days[0]
    earlier = replace(query, days=(max(0, query.days[0] - length), query.days[0]), limit=1000)
    found: dict[Key, Amounts] = {}
    while page := here.store.uses(earlier):
        found |= {use.key: use.amounts for use in page if use.key <= keys[-1]}
        if len(page) < earlier.limit or page[-1].key >= keys[-1]:
            break
        earlier = replace(earlier, after=page[-1].key)
    return found


def _projects(
    here: Services, principal: Principal, project: str | None, institution: str | None
) -> frozenset[str] | None:
    """Return the projects whose use the caller may see and asks for; None for all there are."""
    if project is not None:
        if not principal.may("bill.read", project):
            raise NotFound("not_found", f"there is no project {project!r}")
        return frozenset({project})
    mine = None if principal.everywhere("bill.read") else principal.projects_with("bill.read")
    if institution is None:
        return mine
    if mine is None and here.store.get("institution", institution) is None:
        raise NotFound("not_found", f"there is no institution {institution!r}")
    theirs = frozenset(row.id for row in every(here.store, "project", institution, PROJECTS_MOST))
    return theirs if mine is None else theirs & mine


def _days(here: Services, start: str, end: str) -> tuple[int, int]:
    tomorrow = day_of(here.clock()) + 1
    until = utc_day(end) if end else tomorrow
    first = utc_day(start) if start else None if until is None else max(0, until - _USUAL_DAYS)
    problems = [
        Problem(f"?{name}", f"{text!r} is no day", "such as 2026-11-01")
        for name, text, day in (("from", start, first if start else 0), ("to", end, until))
        if day is None or day < 0
    ]
    if first is None or until is None or problems:
        raise Refused("bad_day", "that is not a span of days", tuple(problems))
    if not 0 < until - first <= DAYS_MOST:
        problem = Problem("?to", "it must be after ?from, and not too far", f"at most {DAYS_MOST} days later")
        raise Refused("bad_span", "that is not a span of days", (problem,))
    return first, until


def _after(query: UseQuery, cursor: str) -> Key:
    """Return the key that a cursor names; Refused if it is not of this question."""
    if not cursor:
        return ()
    try:
        key = json.loads(decode_cursor(cursor))
    except (ValueError, RecursionError):
        key = None
    kinds = [int if part in {"day", "month"} else str for part in query.parts]
    if not isinstance(key, list) or [type(each) for each in key] != kinds or not all(map(_fits, key)):
        problem = Problem("?cursor", "this cursor is of another question", "take `next` of the answer before")
        raise Refused("bad_cursor", "this cursor is of another question", (problem,))
    return tuple(key)


def _fits(value: str | int) -> bool:
    """True if the store can look for a value."""
    return 0 <= value < 10**9 if isinstance(value, int) else value.isprintable()
