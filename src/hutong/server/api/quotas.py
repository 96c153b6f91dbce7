"""Quotas: what institutions and projects are promised of the city's cards, and the most they may hold.

A project's may also say what each of its people may hold.
"""

from collections import Counter
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path

from hutong.core.accounts import quotas as q
from hutong.core.book.store import Record
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here
from hutong.server.api.paging import Paging, paging
from hutong.server.registry import document, read
from hutong.wire import quotas as w
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1/quotas", tags=["accounts"])

Kind = Literal["institution", "project"]
Pages = Annotated[Paging, Depends(paging)]


@router.get("", dependencies=[Depends(Allowed("quota.read"))])
def list_quotas(here: Here, pages: Pages) -> Page[w.Quota]:
    """List the quotas, institutions first."""
    rows = here.store.records("quota", "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: _shape(read(q.Quota, row)))


@router.get("/{kind}/{name}", dependencies=[Depends(Allowed("quota.read"))])
def get_quota(here: Here, kind: Kind, name: Annotated[Slug, Path()]) -> w.Quota:
    """Return the quota of one institution or project."""
    record = here.store.get("quota", f"{kind}/{name}")
    if record is None:
        raise NotFound("not_found", f"{kind} {name!r} has no quota")
    return _shape(read(q.Quota, record))


@router.put("/{kind}/{name}", dependencies=[Depends(Allowed("quota.write"))])
def put_quota(here: Here, kind: Kind, name: Annotated[Slug, Path()], body: w.NewQuota) -> w.Quota:
    """Set the quota of an institution or a project; the next turn goes by it."""
    if here.store.get(kind, name) is None:
        problem = Problem("/name", f"there is no {kind} {name!r}", f"create the {kind} first")
        raise Refused("unknown_reference", f"there is no {kind} {name!r}", (problem,))
    problems = tuple(_problems(kind, body))
    if problems:
        raise Refused("bad_quota", "that quota cannot be set", problems)
    allotments = (
        q.Allotment(each.accelerator, each.nominal, each.borrow, each.lend, each.each_person)
        for each in body.allotments
    )
    quota = q.Quota(kind, name, body.share_milli, tuple(allotments))
    here.store.put(Record("quota", quota.id, document(quota)))
    here.bell.ring()
    return _shape(quota)


@router.delete("/{kind}/{name}", status_code=204, dependencies=[Depends(Allowed("quota.write"))])
def delete_quota(here: Here, kind: Kind, name: Annotated[Slug, Path()]) -> None:
    """Take a quota away: equal shares, nothing promised and no limit."""
    if not here.store.remove("quota", f"{kind}/{name}"):
        raise NotFound("not_found", f"{kind} {name!r} has no quota")
    here.bell.ring()


def _problems(kind: Kind, body: w.NewQuota) -> list[Problem]:
    found = []
    times = Counter(each.accelerator for each in body.allotments)
    for at, each in enumerate(body.allotments):
        place = f"/allotments/{at}/accelerator"
        if each.accelerator != q.ANY and each.accelerator not in ACCELERATORS:
            known = ", ".join(sorted(ACCELERATORS))
            found.append(Problem(place, f"no accelerator {each.accelerator!r}", f"one of {known}, or *"))
        if times[each.accelerator] > 1:
            found.append(Problem(place, f"{each.accelerator} is named more than once", "name it once"))
        if each.lend is not None and each.lend > each.nominal:
            found.append(
                Problem(f"/allotments/{at}/lend", "more is lent than is nominal", f"{each.nominal} or less")
            )
        if each.each_person is not None and kind != q.PROJECT:
            text = "only a project says what each person may hold"
            found.append(
                Problem(f"/allotments/{at}/each_person", text, "leave it out, or set it for its projects")
            )
    return found


def _shape(quota: q.Quota) -> w.Quota:
    kind: Kind = "institution" if quota.kind == q.INSTITUTION else "project"
    return w.Quota(
        kind=kind,
        name=quota.name,
        share_milli=quota.share_milli,
        allotments=tuple(
            w.Allotment(
                accelerator=each.accelerator,
                nominal=each.nominal,
                borrow=each.borrow,
                lend=each.lend,
                each_person=each.each_person,
            )
            for each in quota.allotments
        ),
    )
