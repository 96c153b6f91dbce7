"""The registry of centres: facts, phases with their history, bulk import, sums and plans."""

from calendar import monthrange
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.accounts.roles import Principal
from hutong.core.capacity.agreement import agreements, unnamed
from hutong.core.capacity.centres import (
    Centre,
    PhaseState,
    Withdrawal,
    add_change,
    add_phase,
    add_plan,
    check_plans,
    last_day,
    withdraw,
)
from hutong.core.capacity.figures import Figure
from hutong.core.capacity.holdings import models_of
from hutong.core.capacity.rollups import delays, plan_against_actual, roll_up
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here, Somewhere
from hutong.server.api.capacity import imported_figures
from hutong.server.api.once import digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes import centres as shapes
from hutong.server.api.shapes.agreement import agreement_shape
from hutong.server.centres import (
    KIND,
    all_centres,
    check_references,
    day_of,
    declared_cards,
    draft_import,
    enter,
    record_of,
    store_import,
)
from hutong.server.registry import amend, load, read
from hutong.server.services import Services
from hutong.wire import centres as w
from hutong.wire.agreement import Agreements
from hutong.wire.base import Page, Slug

router = APIRouter(prefix="/v1/centres", tags=["centres"])
sums = APIRouter(prefix="/v1/capacity", tags=["capacity"])

Pages = Annotated[Paging, Depends(paging)]
Name = Annotated[Slug, Path(alias="centre")]
PhaseName = Annotated[Slug, Path(alias="phase")]
Reader = Annotated[Principal, Depends(Somewhere("capacity.read"))]
Writer = Annotated[Principal, Depends(Allowed("capacity.write"))]
AsOf = Annotated[str, Query(max_length=10, description="a day, month or year; empty: today")]
Region = Annotated[str, Query(max_length=100, description="of one region only")]
DELAYS_SHOWN = 200
UNNAMED_SHOWN = 200
POINTS_MAX = 60


@router.post("", status_code=201)
def create_centre(here: Here, principal: Writer, body: w.NewCentre) -> w.Centre:
    """Register a centre with its phases. A repeat with the same body changes nothing."""
    now_ms = here.clock()
    made = shapes.read_centre(body, digest_of(body), now_ms, principal.id)
    return shapes.centre_shape(enter(here.store, made, now_ms), day_of(now_ms), whole=True)


@router.get("")
def list_centres(
    here: Here, principal: Reader, pages: Pages, as_of: AsOf = "", region: Region = ""
) -> Page[w.Centre]:
    """List the centres in order of their ids, as of a day."""
    day = _day(here, as_of)
    whole = principal.everywhere("capacity.write")
    rows = here.store.records(KIND, region, pages.after, pages.limit + 1)
    return pages.page(
        rows, lambda row: row.id, lambda row: shapes.centre_shape(read(Centre, row), day, whole=whole)
    )


@router.post("/import")
def import_centres(here: Here, principal: Writer, body: w.NewCentres) -> w.ImportedCentres:
    """Read centres from CSV: a verdict for each row; all good ones are entered in one transaction, or none.

    The same file again enters nothing twice.
    """
    signed = (here.clock(), principal.id)
    drafts, unchanged = draft_import(
        here.store, body.csv, body.source, signed, keep_duplicates=body.keep_duplicates
    )
    wanted = not body.dry_run and (body.skip_bad or not drafts.refused)
    if wanted:
        store_import(here.store, drafts)
    outcomes = [each.outcome for each in drafts.verdicts]
    return w.ImportedCentres(
        file=drafts.file,
        taken=outcomes.count("taken"),
        flagged=outcomes.count("flagged"),
        refused=drafts.refused,
        stored=len(drafts.centres) if wanted else 0,
        unchanged=unchanged,
        verdicts=tuple(map(shapes.verdict_shape, drafts.verdicts)),
    )


@router.get("/{centre}")
def get_centre(here: Here, principal: Reader, centre: Name, as_of: AsOf = "") -> w.Centre:
    """Return a centre as of a day, with the whole history of its phases."""
    found = load(here.store, KIND, centre, Centre)
    whole = principal.everywhere("capacity.write")
    return shapes.centre_shape(found, _day(here, as_of), whole=whole)


@router.put("/{centre}/facts", dependencies=[Depends(Allowed("capacity.write"))])
def put_facts(here: Here, centre: Name, body: w.CentreFacts) -> w.Centre:
    """Set names, region, owner, operator, contract, place, sites and note of a centre."""
    record = here.store.get(KIND, centre)
    there = load(here.store, KIND, centre, Centre)
    changed = shapes.read_facts(there, body)
    check_references(here.store, changed)
    if record is not None and changed != there:
        here.store.put(record_of(changed), expect=record.version)
    return shapes.centre_shape(changed, day_of(here.clock()), whole=True)


@router.post("/{centre}/phases", status_code=201)
def create_phase(here: Here, principal: Writer, centre: Name, body: w.NewPhase) -> w.Centre:
    """Add a phase. A repeat changes nothing."""
    now_ms = here.clock()
    phase = shapes.read_phase(body, now_ms, principal.id)
    check_plans(phase.plans, day_of(now_ms))
    return _change(here, centre, lambda there: add_phase(there, phase, day_of(now_ms)))


@router.post("/{centre}/phases/{phase}/changes", status_code=201)
def create_change(
    here: Here, principal: Writer, centre: Name, phase: PhaseName, body: w.NewPhaseChange
) -> w.Centre:
    """Say that a phase came into its next state; what was said before stays. A repeat changes nothing."""
    now_ms = here.clock()
    change = shapes.read_change(body, now_ms, principal.id)
    return _change(here, centre, lambda there: add_change(there, phase, change, day_of(now_ms)))


@router.post("/{centre}/phases/{phase}/plans", status_code=201)
def create_plan(here: Here, principal: Writer, centre: Name, phase: PhaseName, body: w.NewPlan) -> w.Centre:
    """Say anew when a phase is to be in service; the plans before stay. A repeat changes nothing."""
    now_ms = here.clock()
    plan = shapes.read_plan(body, now_ms, principal.id)
    return _change(here, centre, lambda there: add_plan(there, phase, plan, day_of(now_ms)))


@router.post("/{centre}/phases/{phase}/withdrawal")
def withdraw_phase(here: Here, principal: Writer, centre: Name, phase: PhaseName, body: w.Reason) -> w.Centre:
    """Say that a phase should not have been entered: it counts nowhere, and stays to be seen."""
    gone = Withdrawal(body.reason, here.clock(), principal.id)
    return _change(here, centre, lambda there: withdraw(there, phase, gone))


@sums.get("/rollup", dependencies=[Depends(Somewhere("capacity.read"))])
def get_rollup(
    here: Here,
    by: w.By = "region",
    as_of: AsOf = "",
    state: Annotated[list[w.State], Query(max_length=5)] = ["in-service"],  # noqa: B006 - FastAPI copies it
    region: Region = "",
) -> w.RollUp:
    """Add up what centres have on a day, kind by kind: with evidence, and declared only."""
    day = _day(here, as_of)
    centres = all_centres(here.store, region)
    states = frozenset(PhaseState(each) for each in state)
    groups = roll_up(centres, day, by, states, _more(here, centres))
    return w.RollUp.model_validate(
        {
            "as_of": day,
            "by": by,
            "states": tuple(each.value for each in PhaseState if each in states),
            "region": region,
            "groups": tuple(map(shapes.group_shape, groups)),
        }
    )


@sums.get("/plan", dependencies=[Depends(Somewhere("capacity.read"))])
def get_plan(
    here: Here,
    start: Annotated[str, Query(alias="from", max_length=10)],
    until: Annotated[str, Query(max_length=10)],
    months: Annotated[int, Query(ge=1, le=12)] = 3,
    as_of: AsOf = "",
    region: Region = "",
) -> w.PlanAgainstActual:
    """Set plans beside what came of them at the end of every so many months; tell how late phases are."""
    day = _day(here, as_of)
    centres = all_centres(here.store, region)
    days = _month_ends(last_day(start, "?from"), last_day(until, "?until"), months)
    late = delays(centres, day)
    return w.PlanAgainstActual(
        as_of=day,
        region=region,
        points=tuple(map(shapes.point_shape, plan_against_actual(centres, days, day, _more(here, centres)))),
        delays=tuple(map(shapes.delay_shape, late[:DELAYS_SHOWN])),
        delays_in_all=len(late),
    )


@sums.get("/reconciliation", dependencies=[Depends(Somewhere("capacity.read"))])
def reconcile_centres(
    here: Here,
    pages: Pages,
    as_of: AsOf = "",
    region: Region = "",
    centre: Annotated[str, Query(max_length=63, description="of one centre only")] = "",
) -> Agreements:
    """Set what the registry says of connected centres beside what their sites declare.

    What sites declared on an earlier day is what the platform noted then.
    """
    day = _day(here, as_of)
    centres = all_centres(here.store)
    declared = declared_cards(here.store, day, here.clock())
    found = [
        each
        for each in agreements(centres, declared, day, _more(here, centres))
        if region in {"", each.centre.region} and centre in {"", each.centre.id}
    ]
    if centre and not found:
        raise NotFound("not_found", f"there is no connected centre {centre!r}")
    rows = [each for each in found if each.centre.id > pages.after][: pages.limit + 1]
    page = pages.page(rows, lambda row: row.centre.id, lambda row: agreement_shape(row, day))
    others = () if centre else unnamed(centres, declared)[:UNNAMED_SHOWN]
    return Agreements(items=page.items, next=page.next, unnamed=others)


def _change(here: Services, centre: str, change: Callable[[Centre], Centre]) -> w.Centre:
    found, _ = amend(here.store, KIND, centre, Centre, change)
    return shapes.centre_shape(found, day_of(here.clock()), whole=True)


def _day(here: Services, as_of: str) -> str:
    return last_day(as_of, "?as_of") if as_of else day_of(here.clock())


def _more(here: Services, centres: list[Centre]) -> dict[str, tuple[Figure, ...]]:
    return {model: imported_figures(here, model) for model in models_of(centres)}


def _month_ends(start: str, until: str, months: int) -> list[str]:
    """Return ends of months from the one of `start`, every so many, up to `until`; raises Refused."""
    if until < start:
        problem = Problem("?until", f"{until} is before {start}", "a later one")
        raise Refused("bad_span", problem.message, (problem,))
    found: list[str] = []
    first = int(start[:4]) * 12 + int(start[5:7]) - 1
    while len(found) <= POINTS_MAX:
        year, month = divmod(first + len(found) * months, 12)
        if year > 9999:
            break
        end = f"{year:04d}-{month + 1:02d}-{monthrange(year, month + 1)[1]:02d}"
        if end > until and found:
            break
        found.append(end)
    if len(found) > POINTS_MAX:
        problem = Problem(
            "?until", f"that is more than {POINTS_MAX} points", "a shorter span, or more months"
        )
        raise Refused("too_many", problem.message, (problem,))
    return found
