"""Statements of a period, and the same as papers, as FOCUS rows and as a journal."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.responses import StreamingResponse

from hutong.adapters.papers.paper import PDF, XLSX, Paper
from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.registry import Institution, Project
from hutong.core.accounts.roles import Principal
from hutong.core.book.periods import Period as BookPeriod
from hutong.core.book.store import Store
from hutong.core.kernel.errors import NotFound
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.invoices import check_split
from hutong.server.api.access import Allowed, Here, InProject, Somewhere
from hutong.server.api.accounts import ProjectName, load_project
from hutong.server.api.shapes.statements import percent_of, percent_parts, statement_shape
from hutong.server.exports import every_project, focus_csv, journal
from hutong.server.invoicing import SPLIT, CostCentreSplit, put_split
from hutong.server.papers import statement_paper
from hutong.server.people import FIRST_INSTITUTION
from hutong.server.registry import load, read
from hutong.server.statements import find_period, projects_of_institution, statement_of
from hutong.wire import statements as w

router = APIRouter(prefix="/v1", tags=["statements"])

PeriodName = Annotated[w.Period, Path(alias="period")]
InstitutionName = Annotated[str, Path(alias="institution", max_length=63)]
Form = Annotated[Literal["pdf", "xlsx"], Query(alias="form")]
_CSV = "text/csv"
_CSV_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"content": {_CSV: {"schema": {"type": "string"}}}}}
PAPERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            PDF: {"schema": {"type": "string", "format": "binary"}},
            XLSX: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


@router.get("/projects/{project}/statements/{period}", dependencies=[Depends(InProject("bill.read"))])
def read_statement(here: Here, project: ProjectName, period: PeriodName) -> w.Statement:
    """Return what a project had, was given, used and owes in a period; final once the period is closed."""
    return _statement(here.store, load_project(here.store, project), find_period(here.store, period))


@router.get(
    "/projects/{project}/statements/{period}/paper",
    response_class=Response,
    responses=PAPERS,
    dependencies=[Depends(InProject("bill.read"))],
)
def read_statement_paper(
    here: Here, project: ProjectName, period: PeriodName, form: Form = "pdf"
) -> Response:
    """Return a statement as PDF or spreadsheet, in Chinese and English."""
    found = load_project(here.store, project)
    shape = _statement(here.store, found, find_period(here.store, period))
    paper = statement_paper(
        shape, issuer_name(here.store), _name(_institution(here.store, found.institution))
    )
    return draw(paper, form, f"statement-{project}-{period}")


@router.get(
    "/projects/{project}/focus/{period}",
    response_class=Response,
    responses=_CSV_RESPONSE,
    dependencies=[Depends(InProject("bill.read"))],
)
def read_project_focus(here: Here, project: ProjectName, period: PeriodName) -> Response:
    """Return the charges of a project in a period as FOCUS 1.2 rows in CSV."""
    found = load_project(here.store, project)
    return _focus(here.store, [found], find_period(here.store, period), project)


@router.get("/institutions/{institution}/focus/{period}", response_class=Response, responses=_CSV_RESPONSE)
def read_institution_focus(
    here: Here,
    institution: InstitutionName,
    period: PeriodName,
    principal: Annotated[Principal, Depends(Somewhere("bill.read"))],
) -> Response:
    """Return the charges of all projects of an institution in a period as FOCUS 1.2 rows in CSV."""
    if not principal.may("bill.read", institution=institution):
        raise NotFound("not_found", f"there is no institution {institution!r}")
    _institution(here.store, institution)
    projects = projects_of_institution(here.store, institution)
    return _focus(here.store, projects, find_period(here.store, period), institution)


@router.get(
    "/ledger/focus/{period}",
    response_class=Response,
    responses=_CSV_RESPONSE,
    dependencies=[Depends(Allowed("bill.read"))],
)
def read_focus(here: Here, period: PeriodName) -> Response:
    """Return the charges of everybody in a period as FOCUS 1.2 rows in CSV."""
    return _focus(here.store, every_project(here.store), find_period(here.store, period), "all")


@router.get(
    "/ledger/journal/{period}",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[Depends(Allowed("ledger.verify"))],
)
def read_journal(here: Here, period: PeriodName) -> Response:
    """Return every transaction that was booked in a period as a Beancount journal."""
    found = find_period(here.store, period)
    return _stream(journal(here.store, found), "text/plain", f"journal-{period}.beancount")


@router.get("/projects/{project}/cost-centres", dependencies=[Depends(InProject("bill.read"))])
def read_cost_centres(here: Here, project: ProjectName) -> w.CostCentres:
    """Return how a project's amounts are split on invoices; no parts where they are not."""
    load_project(here.store, project)
    there = here.store.get(SPLIT, project)
    parts = read(CostCentreSplit, there).parts if there else ()
    return w.CostCentres(
        parts=tuple(w.CostCentrePart(name=name, percent=percent_of(ppm)) for name, ppm in parts)
    )


@router.put("/projects/{project}/cost-centres", dependencies=[Depends(InProject("cost_centre.write"))])
def put_cost_centres(here: Here, project: ProjectName, body: w.CostCentres) -> w.CostCentres:
    """Say how a project's amounts are split on later invoices; with no parts, they are not split."""
    load_project(here.store, project)
    parts = percent_parts(body.parts)
    if parts:
        check_split(parts)
    put_split(here.store, project, parts)
    return body


def _statement(store: Store, project: Project, period: BookPeriod) -> w.Statement:
    institution = _institution(store, project.institution)
    statement = statement_of(store, ProjectId(project.id), period)
    kind = kind_at(institution, period.from_ms).value
    return statement_shape(statement, institution.id, kind, period.id, final=period.closed)


def _institution(store: Store, name: str) -> Institution:
    return load(store, "institution", name, Institution)


def _name(institution: Institution) -> str:
    return f"{institution.name_zh} {institution.name_en}"


def issuer_name(store: Store) -> str:
    """Return the name of who issues statements and invoices: the platform's operator."""
    return _name(_institution(store, FIRST_INSTITUTION))


def draw(paper: Paper, form: str, name: str) -> Response:
    """Return a paper as a download. What draws is loaded when it is first needed: it is large."""
    if form == "pdf":
        from hutong.adapters.papers.pdf import as_pdf as as_form
    else:
        from hutong.adapters.papers.xlsx import as_xlsx as as_form
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(as_form(paper), media_type=PDF if form == "pdf" else XLSX, headers=headers)


def _focus(store: Store, projects: Iterable[Project], period: BookPeriod, name: str) -> Response:
    return _stream(focus_csv(store, projects, period), _CSV, f"focus-{name}-{period.id}.csv")


def _stream(pieces: Iterator[str], media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=media_type, headers=headers)
