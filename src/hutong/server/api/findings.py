"""Findings at the door: looked for now, listed as the desk kept them, explained by centres, decided."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.kernel.days import day_of, day_text, utc_day
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.kernel.ids import SiteId
from hutong.core.ledger.disputes import Message
from hutong.core.witnesses.life import FindingState, KeptFinding, decide, explain
from hutong.core.witnesses.shapes import Bounds, Finding
from hutong.server import findings as desk
from hutong.server.api.access import Allowed, Here, OfSite
from hutong.server.api.paging import Paging, paging
from hutong.server.api.utilisation import Day, hours_of, sites_of
from hutong.server.metering import limits_of
from hutong.server.registry import load, read
from hutong.server.sealing import check_noted
from hutong.server.services import Services
from hutong.server.witnessing import find_on
from hutong.wire import utilisation as w
from hutong.wire.base import Page, rfc3339

SHOWN_AT_MOST = 500

router = APIRouter(prefix="/v1", tags=["sites"])

Pages = Annotated[Paging, Depends(paging)]
Mine = Annotated[SiteId, Depends(OfSite())]
Writer = Annotated[Principal, Depends(Allowed("finding.write"))]
Name = Annotated[str, Path(alias="finding", pattern=w.FINDING, max_length=100)]
READ = [Depends(Allowed("ledger.verify"))]


@router.get("/findings/look", dependencies=READ)
def look_for_findings(
    here: Here,
    day: Day = "",
    site: Annotated[str, Query(max_length=63, description="a site; else all of them")] = "",
) -> w.Findings:
    """Look now at each site's UTC day (else yesterday) for what witnesses contradict each other in.

    Nothing is kept: the desk does that for days that have ended.
    """
    now_ms = here.clock()
    number = utc_day(day) if day else day_of(now_ms) - 1
    if number is None or not 0 <= number <= day_of(now_ms):
        problem = Problem("?day", f"{day!r} is no day that has begun", "such as 2026-11-28")
        raise Refused("bad_day", "that day cannot be looked at", (problem,))
    items: list[w.Finding] = []
    judged = []
    for each in sites_of(here.store, site):
        if any(hours_of(here.store, each.id, (number * 24, number * 24 + 24))):
            judged.append(each.id)
        faults = check_noted(here.store, each.id).faults
        found = find_on(here.store, each, number, limits_of(here.settings), Bounds(), now_ms, faults)
        items += (_shown(each.id, number, one) for one in found)
    return w.Findings(
        day=day_text(number), judged=tuple(judged), found=len(items), items=tuple(items[:SHOWN_AT_MOST])
    )


@router.get("/findings", dependencies=READ)
def list_findings(
    here: Here,
    pages: Pages,
    site: Annotated[str, Query(max_length=63, description="a site; else all of them")] = "",
    waiting: Annotated[bool, Query(description="only those that wait to be explained or decided")] = True,
) -> Page[w.KeptFinding]:
    """List findings by site and day. A page of those that wait may have fewer items than it was asked for."""
    if site:
        sites_of(here.store, site)
    return _page(here, pages, site, waiting=waiting)


@router.get("/findings/{finding}", dependencies=READ)
def read_finding(here: Here, finding: Name) -> w.KeptFinding:
    """Return a finding with all that was written about it."""
    return _shape(load(here.store, desk.KIND, finding, KeptFinding))


@router.post("/findings/{finding}/explanation")
def explain_finding(here: Here, finding: Name, writer: Writer, body: w.NewExplanation) -> w.KeptFinding:
    """Write down what a centre said of a finding, where it did not do so itself."""
    return _explain(here, finding, writer.id, body)


@router.post("/findings/{finding}/decision")
def decide_finding(here: Here, finding: Name, writer: Writer, body: w.NewFindingDecision) -> w.KeptFinding:
    """Settle a finding, or confirm it: then its day is no measure for later days. Both are final."""
    reasons = Message(writer.id, here.clock(), body.text)
    outcome = FindingState(body.outcome)
    return _shape(desk.change(here.store, finding, lambda kept: decide(kept, outcome, reasons)))


@router.get("/agent/findings")
def list_own_findings(here: Here, site: Mine, pages: Pages) -> Page[w.KeptFinding]:
    """List the findings at the caller's own site that wait to be explained or decided."""
    return _page(here, pages, site, waiting=True)


@router.post("/agent/findings/{finding}/explanation")
def explain_own_finding(here: Here, finding: Name, site: Mine, body: w.NewExplanation) -> w.KeptFinding:
    """Say as the centre why witnesses contradicted each other, with the digest of a file as evidence."""
    if finding.partition(".")[0] != site:
        raise NotFound("not_found", f"there is no finding {finding!r}")
    return _explain(here, finding, f"site:{site}", body)


def _explain(here: Services, name: str, by: str, body: w.NewExplanation) -> w.KeptFinding:
    message = Message(by, here.clock(), body.text, body.evidence)
    return _shape(desk.change(here.store, name, lambda kept: explain(kept, message)))


def _page(here: Services, pages: Paging, site: str, *, waiting: bool) -> Page[w.KeptFinding]:
    kind = desk.WAITS if waiting else desk.KIND
    rows: Sequence[Record] = here.store.records(kind, site, pages.after, pages.limit + 1)
    if not waiting:
        return pages.page(rows, lambda row: row.id, lambda row: _shape(read(KeptFinding, row)))
    found = desk.waiting(here.store, rows[: pages.limit])
    shown = pages.page(rows, lambda row: row.id, lambda row: found.get(row.id))
    return Page(items=tuple(_shape(each) for each in shown.items if each is not None), next=shown.next)


def _shown(site: str, day: int, found: Finding) -> w.Finding:
    return w.Finding(site=site, day=day_text(day), **{**asdict(found), "kind": found.kind.value})


def _shape(kept: KeptFinding) -> w.KeptFinding:
    return w.KeptFinding(
        **_shown(kept.site, kept.day, kept.finding).model_dump(),
        id=kept.id,
        state=kept.state.value,
        first=rfc3339(kept.first_ms),
        changed=rfc3339(kept.changed_ms),
        messages=tuple(
            w.FindingMessage(by=each.by, at=rfc3339(each.at_ms), text=each.text, evidence=each.evidence)
            for each in kept.messages
        ),
    )
