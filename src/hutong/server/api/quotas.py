"""Quotas: what institutions and projects are promised of the city's cards, and the most they may hold.

A project's may also say what each of its people may hold.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path

from hutong.core.accounts import quotas as q
from hutong.core.accounts.approvals import Change
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here
from hutong.server.api.once import digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.problems import TWO_PEOPLE
from hutong.server.approvals import Wanted, require_second
from hutong.server.registry import document, read, shape_of
from hutong.server.services import Services
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


@router.put("/{kind}/{name}", responses=TWO_PEOPLE)
def put_quota(
    here: Here,
    kind: Kind,
    name: Annotated[Slug, Path()],
    body: w.NewQuota,
    principal: Annotated[Principal, Depends(Allowed("quota.write"))],
) -> w.Quota:
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
    there = here.store.get("quota", quota.id)
    if there is not None and there.doc == document(quota):
        return _shape(quota)
    order = QuotaOrder(quota, there.version if there is not None else 0)
    most = max((each.nominal for each in quota.allotments), default=0)
    wanted = Wanted(Change.QUOTA, "quota.write", most, document(order))
    unique = digest_of("quota", wanted.request, principal.id)[:26]
    require_second(here, principal, wanted, unique, anew=True)
    here.store.put(Record("quota", quota.id, document(quota)))
    here.bell.ring()
    return _shape(quota)


@dataclass(frozen=True, slots=True)
class QuotaOrder:
    """A quota to set over the one of that version (0: none)."""

    quota: q.Quota
    version: int


def write_quota(here: Services, request: Mapping[str, object], _proposal: str) -> None:
    """Set the quota that an approved request describes, unless another was set since it was proposed."""
    order = shape_of(QuotaOrder, request)
    doc = document(order.quota)
    there = here.store.get("quota", order.quota.id)
    if there is not None and there.version == order.version + 1 and there.doc == doc:
        return  # a repeat after a crash
    here.store.put(Record("quota", order.quota.id, doc), expect=order.version)
    here.bell.ring()


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
