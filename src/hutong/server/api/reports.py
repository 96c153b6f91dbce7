"""Reports over sums that the book keeps, as JSON and as papers; published ones are for everybody."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response

from hutong.adapters.papers.csv import as_csv
from hutong.adapters.papers.html import HTML, as_html
from hutong.adapters.papers.paper import PDF, XLSX, Paper
from hutong.core.accounts.roles import Principal
from hutong.server.api.access import Allowed, Here, Public
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.statements import draw, issuer_name
from hutong.server.reports.making import make, month_to_date, paper_of, report_in
from hutong.server.reports.publishing import (
    EDITION,
    edition,
    public_key_of,
    publication,
    publish,
    repeated,
    signer_of,
)
from hutong.server.services import Services
from hutong.wire import reports as w
from hutong.wire.base import Page

router = APIRouter(prefix="/v1", tags=["reports"])

CSV = "text/csv; charset=utf-8"
Form = Annotated[Literal["html", "csv", "xlsx", "pdf"], Query(alias="form")]
Day = Annotated[str, Query(max_length=20, description="a day of the platform's zone, such as 2026-11-01")]
By = Annotated[list[w.Part], Query(max_length=2)]
Kind = Annotated[w.Kind, Path(alias="report")]
Number = Annotated[w.Number, Path(alias="number")]
_PAPERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {name: {"schema": {"type": "string"}} for name in ("text/html", "text/csv", PDF, XLSX)}}
}
Pages = Annotated[Paging, Depends(paging)]
_OPEN = Public(reason="what is published is for everybody: it names no people")


@router.get("/reports/{report}", dependencies=[Depends(Allowed("report.read"))])
def read_report(
    here: Here,
    kind: Kind,
    start: Annotated[Day, Query(alias="from")] = "",
    end: Annotated[Day, Query(alias="to")] = "",
    by: By = [],  # noqa: B006 - never changed
) -> w.Report:
    """Return a report of days `[from, to)` of the platform's zone, by default of this month so far."""
    return _make(here, kind, start, end, tuple(by))


@router.get(
    "/reports/{report}/paper",
    response_class=Response,
    responses=_PAPERS,
    dependencies=[Depends(Allowed("report.read"))],
)
def read_report_paper(
    here: Here,
    kind: Kind,
    start: Annotated[Day, Query(alias="from")] = "",
    end: Annotated[Day, Query(alias="to")] = "",
    by: By = [],  # noqa: B006
    form: Form = "html",
) -> Response:
    """Return a report as a page with charts, CSV, a spreadsheet or PDF, in Chinese and English."""
    report = _make(here, kind, start, end, tuple(by))
    return _drawn(paper_of(report), form, f"report-{kind}-{report.start}-{report.end}")


@router.post("/reports/{report}/publications", status_code=201)
def publish_report(
    here: Here,
    kind: Kind,
    body: w.NewPublication,
    principal: Annotated[Principal, Depends(Allowed("report.publish"))],
    key: IdempotencyKey = "",
) -> w.Publication:
    """Freeze and sign a report. It never changes: what is wrong with it, a later edition corrects."""
    request = digest_of(principal.id, key) if key else ""
    before = repeated(here.store, request, body, kind)
    if before is not None:
        return before
    report = _make(here, kind, body.start, body.end, tuple(body.by))
    return publish(here.store, here.vault, report, body, request, here.clock())


@router.get("/published-reports", dependencies=[Depends(_OPEN)])
def list_published(here: Here, pages: Pages) -> Page[w.Edition]:
    """List what is published, in order of the numbers."""
    rows = here.store.records(EDITION, "", pages.after, pages.limit + 1)
    return pages.page(rows, lambda row: row.id, lambda row: w.Edition.model_validate(row.doc))


@router.get("/published-reports/{number}", dependencies=[Depends(_OPEN)])
def read_published(here: Here, number: Number) -> w.Publication:
    """Return a published report with its signature."""
    return publication(here.store, number)


@router.get(
    "/published-reports/{number}/paper",
    response_class=Response,
    responses=_PAPERS,
    dependencies=[Depends(_OPEN)],
)
def read_published_paper(here: Here, number: Number, form: Form = "html") -> Response:
    """Return a published report as a page with charts, CSV, a spreadsheet or PDF."""
    found = publication(here.store, number)
    paper = paper_of(report_in(found.body), edition(here.store, number))
    return _drawn(paper, form, f"report-{number}")


@router.get("/reports-key", dependencies=[Depends(Public(reason="a public key, to check reports with"))])
def read_reports_key(here: Here) -> w.ReportsKey:
    """Return the key that signs reports."""
    return w.ReportsKey(public_key=public_key_of(signer_of(here.vault)))


@router.post("/ledger/rollups/rebuild", dependencies=[Depends(Allowed("usage.write"))])
def rebuild_rollups(here: Here) -> w.RolledUp:
    """Make the sums of reports anew from records, transactions and jobs; it reads them all."""
    return w.RolledUp(records=here.store.rebuild_rollups())


def _make(here: Services, kind: w.Kind, start: str, end: str, by: tuple[str, ...]) -> w.Report:
    zone, now_ms = here.settings.zone, here.clock()
    usual = month_to_date(now_ms, zone)
    days = (start or usual[0], end or usual[1])
    issuer = issuer_name(here.store)
    return make(here.store, kind, days, by, zone=zone, issuer=issuer, now_ms=now_ms)


def _drawn(paper: Paper, form: str, name: str) -> Response:
    if form in {"pdf", "xlsx"}:
        return draw(paper, form, name)
    if form == "csv":
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return Response(as_csv(paper), media_type=CSV, headers=headers)
    # The page has styles of its own and nothing else: no script, no picture, no form.
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(as_html(paper), media_type=HTML, headers=headers)
