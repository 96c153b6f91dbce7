"""What vouchers rest on: programmes, contracts, institutions' standing; and what-if under other rules."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.core.accounts.registry import Institution, InstitutionKind, Project
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.money import parse_micro
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.subsidies import parties as s
from hutong.core.ledger.subsidies.what_if import Used, compare
from hutong.server.api.access import Allowed, Here, Somewhere, require
from hutong.server.api.shapes.times import read_time
from hutong.server.api.shapes.vouchers import comparison_shape, contract_shape
from hutong.server.api.vouchers import desk_of
from hutong.server.registry import create, document, read
from hutong.server.services import Services
from hutong.server.subsidies import shelf
from hutong.server.subsidies.programmes import make_rules
from hutong.wire import subsidies as ws
from hutong.wire import vouchers as w
from hutong.wire.base import Page, Slug, rfc3339

router = APIRouter(prefix="/v1", tags=["vouchers"])

RECORDS_AT_MOST = 500_000
YEAR_MS = 366 * DAY_MS
_COMPUTE = {"card_ms": "compute"}
_OTHER_LINE = "model-service"


@router.get("/subsidies", dependencies=[Depends(Somewhere("voucher.read"))])
def list_subsidies(here: Here) -> Page[ws.SubsidyProgramme]:
    """List the programmes of `policies/subsidies`, with the source of every clause."""
    found = sorted(here.programmes.values(), key=lambda rules: rules.programme.id)
    return Page(items=tuple(rules.document for rules in found[:200]))


@router.get("/subsidies/{programme}", dependencies=[Depends(Somewhere("voucher.read"))])
def get_programme(here: Here, programme: Annotated[Slug, Path()]) -> ws.SubsidyProgramme:
    """Return one programme."""
    return desk_of(here).rules(programme).document


@router.post("/subsidies/compare", dependencies=[Depends(Allowed("voucher.write"))])
def compare_programmes(here: Here, body: ws.Compare) -> ws.SubsidyComparison:
    """Replay use under two sets of rules: budget, who gains, who loses, which clauses keep back what.

    Without `use` it is the book's, of a year at most. Nothing is changed.
    """
    before = make_rules(body.programme, at="programme/").programme
    after = make_rules(body.changed, at="changed/").programme
    if body.use is not None:
        return comparison_shape(compare(before, after, [_used(at, each) for at, each in enumerate(body.use)]))
    end_ms = here.clock() if body.end is None else read_time(body.end, "/end")
    start_ms = end_ms - YEAR_MS if body.start is None else read_time(body.start, "/start")
    if not 0 < end_ms - start_ms <= YEAR_MS:
        problem = Problem(
            "/start", "the time is not between nothing and a year", "at most 366 days before `end`"
        )
        raise Refused("bad_span", "the use of at most one year is replayed", (problem,))
    return comparison_shape(compare(before, after, _booked(here.store, start_ms, end_ms)))


@router.post("/contracts", status_code=201, dependencies=[Depends(Allowed("voucher.write"))])
def create_contract(here: Here, body: w.NewContract) -> w.Contract:
    """Enter a contract; a repeat with the same body changes nothing, and nothing changes a contract."""
    contract = _contract(here, body)
    create(here.store, Record(shelf.CONTRACT, contract.id, document(contract), contract.project), "contract")
    return contract_shape(contract)


@router.get("/contracts/{contract}")
def get_contract(
    here: Here,
    contract: Annotated[Slug, Path()],
    principal: Annotated[Principal, Depends(Somewhere("voucher.read"))],
) -> w.Contract:
    """Return a contract."""
    found = shelf.load_contract(here.store, contract)
    require(principal, "voucher.read", found.project, f"contract {contract!r}")
    return contract_shape(found)


@router.put("/institutions/{institution}/standing", dependencies=[Depends(Allowed("voucher.write"))])
def put_standing(here: Here, institution: Annotated[Slug, Path()], body: w.Standing) -> w.InstitutionStanding:
    """Say who an institution's related parties are, and when it was entered with bad credit."""
    _institution(here, institution)
    bad_ms = None if body.bad_credit is None else read_time(f"{body.bad_credit}T00:00:00Z", "/bad_credit")
    standing = shelf.Standing(institution, body.related, bad_ms)
    here.store.put(Record(shelf.STANDING, institution, document(standing)))
    return _standing_shape(standing)


@router.get("/institutions/{institution}/standing", dependencies=[Depends(Allowed("voucher.write"))])
def get_standing(here: Here, institution: Annotated[Slug, Path()]) -> w.InstitutionStanding:
    """Return what programmes ask of an institution."""
    _institution(here, institution)
    return _standing_shape(shelf.load_standing(here.store, institution))


def _standing_shape(standing: shelf.Standing) -> w.InstitutionStanding:
    bad_ms = standing.bad_credit_ms
    return w.InstitutionStanding(
        institution=standing.institution,
        related=standing.related,
        bad_credit=None if bad_ms is None else rfc3339(bad_ms)[:10],
    )


def _institution(here: Services, name: str) -> Institution:
    record = here.store.get("institution", name)
    if record is None:
        raise NotFound("not_found", f"there is no institution {name!r}")
    return read(Institution, record)


def _contract(here: Services, body: w.NewContract) -> s.Contract:
    project = desk_of(here).project(body.project)
    signed, starts, ends = (
        read_time(text, path)
        for text, path in ((body.signed, "/signed"), (body.starts, "/starts"), (body.ends, "/ends"))
    )
    amount = parse_micro(body.amount.amount, "/amount/amount")
    problems = []
    if amount <= 0:
        problems.append(Problem("/amount/amount", "it must be more than nothing", "such as 500000"))
    if ends <= starts:
        problems.append(Problem("/ends", "it ends before it starts", "a time after `starts`"))
    for at, site in enumerate(body.sites):
        if here.store.get("site", site) is None:
            problems.append(Problem(f"/sites/{at}", f"there is no site {site!r}", "a site of the provider"))
    if problems:
        raise Refused("bad_contract", "that contract cannot be entered", tuple(problems))
    capacity = None
    if body.capacity is not None:
        milli_p = parse_micro(body.capacity.petaflops, "/capacity/petaflops") // 1000
        capacity = s.Capacity(milli_p, body.capacity.precision, body.capacity.sparse)
    return s.Contract(
        id=body.id,
        number=body.number,
        project=body.project,
        demander=project.institution,
        provider=body.provider,
        sites=body.sites,
        amount_micro=amount,
        signed_ms=signed,
        starts_ms=starts,
        ends_ms=ends,
        capacity=capacity,
        subsidised_by=body.subsidised_by,
    )


def _used(at: int, each: ws.ComparedUse) -> Used:
    return Used(
        institution=each.institution,
        kind=InstitutionKind(each.kind),
        contract=each.contract,
        provider=each.provider,
        line=each.line,
        charge_micro=parse_micro(each.charge.amount, f"/use/{at}/charge/amount"),
        at_ms=read_time(each.at, f"/use/{at}/at"),
        related=each.related,
    )


def _booked(store: Store, start_ms: int, end_ms: int) -> Iterator[Used]:
    """Yield what all projects were charged for use that ended in a time; Refused if that is too much."""
    read_so_far = 0
    kinds: dict[str, InstitutionKind] = {}
    for project in _projects(store):
        if project.institution not in kinds:
            record = store.get("institution", project.institution)
            if record is None:
                continue
            kinds[project.institution] = read(Institution, record).kind
        after = ""
        while page := store.usage(ProjectId(project.id), "", after, 1000, (start_ms, end_ms)):
            read_so_far += len(page)
            if read_so_far > RECORDS_AT_MOST:
                text = f"more than {RECORDS_AT_MOST} records were booked in this time"
                hint = "a shorter time, or sums of months as `use`"
                raise Refused("too_much_use", text, (Problem("/start", text, hint),))
            for each in page:
                line = _COMPUTE.get(each.unit, _OTHER_LINE)
                kind = kinds[project.institution]
                yield Used(project.institution, kind, "", each.site, line, each.charge_micro, each.upto_ms)
            after = page[-1].id


def _projects(store: Store) -> Iterator[Project]:
    after = ""
    while page := store.records("project", "", after, 500):
        yield from (read(Project, record) for record in page)
        after = page[-1].id
