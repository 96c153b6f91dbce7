"""Applications: written by a project's owners, reviewed by people who are impartial, decided by officers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.core.accounts import applications as a
from hutong.core.accounts import calls as c
from hutong.core.accounts.eligibility import awaited, ineligible
from hutong.core.accounts.registry import Institution
from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import Conflict, NotFound, Refused
from hutong.core.kernel.ids import ProjectId
from hutong.server import applications as s
from hutong.server.api.access import (
    Allowed,
    Here,
    InProject,
    Signed,
    reading,
    require,
    sees_all,
    whole,
)
from hutong.server.api.accounts import PersonName, ProjectName, load_project
from hutong.server.api.calls import CallName, Pages
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.shapes.calls import application_shape, read_ask, read_money
from hutong.server.calls import load_call
from hutong.server.interests import demand_impartial
from hutong.server.registry import load, read
from hutong.server.services import Services
from hutong.wire import calls as w
from hutong.wire.base import Page, Slug

LOTS_AT_MOST = 1000

router = APIRouter(prefix="/v1", tags=["applications"])

Name = Annotated[Slug, Path(alias="application")]
Anyone = Annotated[Principal, Depends(Signed(reason="the application itself says who may read and do what"))]
Officer = Annotated[Principal, Depends(Allowed("application.decide"))]


@router.post("/projects/{project}/applications", status_code=201)
def create_application(
    here: Here,
    project: ProjectName,
    principal: Annotated[Principal, Depends(InProject("application.write"))],
    body: w.NewApplication,
    key: IdempotencyKey = "",
) -> w.Application:
    """Keep an application of a project to a call as a draft: it may be saved, withdrawn and handed in."""
    call = load_call(here.store, body.call)
    ask = read_ask(body)
    name = digest_of(project, principal.id, key)[:26] if key else here.new_id().lower()
    there = here.store.get(s.KIND, f"ap-{name}")
    if there is None:
        institution = load_project(here.store, project).institution
        draft = a.Application(f"ap-{name}", call.id, project, institution, principal.id, ask)
        s.store_draft(here.store, draft)
    else:
        draft = read(a.Application, there)
        if draft.state is a.State.DRAFT and (draft.ask, draft.call) != (ask, call.id):
            raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    return _shape(here, draft, principal)


@router.get("/projects/{project}/applications")
def list_of_project(
    here: Here,
    project: ProjectName,
    pages: Pages,
    principal: Annotated[Principal, Depends(InProject("application.read"))],
) -> Page[w.Application]:
    """List the applications of a project."""
    load_project(here.store, project)
    rows = here.store.records(s.OF_PROJECT, project, pages.after, pages.limit + 1)
    page = pages.page(rows, lambda row: row.id, lambda row: row.id.partition("/")[2])
    return Page(items=_shapes(here, page.items, principal), next=page.next)


@router.get("/calls/{call}/applications")
def list_of_call(here: Here, call: CallName, pages: Pages, principal: Officer) -> Page[w.Application]:
    """List the applications to a call, drafts left out."""
    load_call(here.store, call)
    rows = here.store.records(s.KIND, call, pages.after, pages.limit + 1)
    page = pages.page(rows, lambda row: row.id, lambda row: row.id)
    found = [s.load_application(here.store, name) for name in page.items]
    shown = [each for each in found if each.submitted_ms]
    return Page(items=tuple(_shape(here, each, principal) for each in shown), next=page.next)


@router.get("/reviews")
def list_to_review(here: Here, pages: Pages, principal: Anyone) -> Page[w.Application]:
    """List the applications that the caller is to review, or has reviewed."""
    reading(principal, "application.read")
    rows = here.store.records(s.OF_REVIEWER, principal.id, pages.after, pages.limit + 1)
    page = pages.page(rows, lambda row: row.id, lambda row: row.id.partition("/")[2])
    found = [s.load_application(here.store, name) for name in page.items]
    mine = [each for each in found if principal.id in each.reviewers]
    return Page(items=tuple(_shape(here, each, principal) for each in mine), next=page.next)


@router.get("/applications/{application}")
def get_application(here: Here, application: Name, principal: Anyone) -> w.Application:
    """Return an application as the caller may see it: its project, its reviewers, officers."""
    there = s.load_application(here.store, application)
    _may_read(there, principal)
    return _shape(here, there, principal)


@router.put("/applications/{application}")
def save_application(
    here: Here, application: Name, principal: Anyone, body: w.ApplicationAsk
) -> w.Application:
    """Save a draft, or a revision that was asked for."""
    _own(here, application, principal)
    ask = read_ask(body)
    now_ms = here.clock()
    saved = s.change_application(
        here.store, application, lambda there: a.save(there, ask, principal.id, now_ms)
    )
    return _shape(here, saved, principal)


@router.post("/applications/{application}/submit")
def submit_application(here: Here, application: Name, principal: Anyone) -> w.Application:
    """Hand in a draft or a revision: what is not eligible is refused, field by field, and stays a draft."""
    _own(here, application, principal)
    now_ms = here.clock()
    there = s.load_application(here.store, application)
    if a.may_step(there, a.Action.SUBMIT):
        _check_eligible(here, there, now_ms)
        s.enter(here.store, there)

        def submit(newest: a.Application) -> a.Application:
            if newest.ask != there.ask:
                raise Conflict("changed", "the draft was saved again meanwhile: look at it and hand it in")
            return a.submit(newest, principal.id, now_ms)

        s.change_application(here.store, application, submit)
    elif there.state not in {a.State.SUBMITTED, a.State.IN_REVIEW}:
        a.step(there, a.Action.SUBMIT, principal.id, now_ms)
    return _advanced(here, application, principal)


def _check_eligible(here: Services, application: a.Application, now_ms: int) -> None:
    call = load_call(here.store, application.call)
    institution = load(here.store, "institution", application.institution, Institution)
    first = application.state is a.State.DRAFT
    if problems := ineligible(call, institution, application.ask, now_ms, first=first):
        raise Refused("not_eligible", "this application cannot be handed in as it stands", problems)
    if len(here.store.lots(ProjectId(application.project))) >= LOTS_AT_MOST:
        raise Conflict("too_many", f"a project has at most {LOTS_AT_MOST} lots")


@router.post("/applications/{application}/withdraw")
def withdraw_application(
    here: Here, application: Name, principal: Anyone, body: w.WithReason
) -> w.Application:
    """Withdraw an application that has not been decided, or that waits for money."""
    _own(here, application, principal)
    now_ms = here.clock()
    _step(here, application, a.Action.WITHDRAW, a.State.WITHDRAWN, principal.id, body.reason, now_ms)
    return _advanced(here, application, principal)


@router.post("/applications/{application}/appeal")
def appeal_application(here: Here, application: Name, principal: Anyone, body: w.WithReason) -> w.Application:
    """Appeal against a rejection, once and in time; another officer than the one who decided answers."""
    _own(here, application, principal)
    now_ms = here.clock()
    policy = load_call(here.store, s.load_application(here.store, application).call).policy
    there = s.change_application(
        here.store,
        application,
        lambda newest: (
            newest
            if newest.state is a.State.APPEALED
            else a.appeal(newest, principal.id, body.reason, now_ms, policy)
        ),
    )
    return _shape(here, there, principal)


@router.put("/applications/{application}/reviewers/{person}")
def put_reviewer(here: Here, application: Name, person: PersonName, principal: Officer) -> w.Application:
    """Make somebody impartial a reviewer; a conflict of interest is refused with its reason."""
    there = _for_officer(here, application, principal)
    demand_impartial(here.store, person, there, here.clock())
    if person not in there.reviewers:
        a.assign(there, person, principal.id, here.clock())
    found = s.assign_reviewer(here.store, application, person, principal.id, here.clock())
    return _shape(here, found, principal)


@router.put("/applications/{application}/review")
def put_review(here: Here, application: Name, principal: Anyone, body: w.NewReview) -> w.Application:
    """Write one's review of an application; a second one takes the place of the first."""
    there = s.load_application(here.store, application)
    _may_read(there, principal)
    whole(principal)
    now_ms = here.clock()
    found = a.Review(principal.id, body.score, body.public, body.private, now_ms)
    a.review(there, found)
    demand_impartial(here.store, principal.id, there, now_ms)
    changed = s.change_application(here.store, application, lambda newest: a.review(newest, found))
    return _shape(here, changed, principal)


@router.post("/applications/{application}/conflict")
def declare_conflict(here: Here, application: Name, principal: Anyone, body: w.WithReason) -> w.Application:
    """Name one's own conflict of interest, and cease to be a reviewer."""
    there = s.load_application(here.store, application)
    _may_read(there, principal)
    whole(principal)
    now_ms = here.clock()
    changed = s.change_application(
        here.store, application, lambda newest: a.declare(newest, principal.id, body.reason, now_ms)
    )
    return _shape(here, changed, principal)


@router.post("/applications/{application}/revision")
def ask_revision(here: Here, application: Name, principal: Officer, body: w.WithReason) -> w.Application:
    """Give an application back for revision; the clock of the decision stands still meanwhile."""
    now_ms = here.clock()
    _for_officer(here, application, principal)
    _step(here, application, a.Action.ASK_REVISION, a.State.REVISION, principal.id, body.reason, now_ms)
    return _advanced(here, application, principal)


@router.put("/applications/{application}/decision")
def put_decision(here: Here, application: Name, principal: Officer, body: w.NewDecision) -> w.Application:
    """Decide on an application; what is accepted becomes an allocation with its money at once.

    A repeat of the decision that stands changes nothing.
    """
    _for_officer(here, application, principal)
    there = s.advance(here.store, application, here.clock())
    outcome = a.Outcome(body.outcome)
    rejects = outcome is a.Outcome.REJECTED
    amount = read_money(body.amount, "/amount") if body.amount else there.ask.amount_micro
    amount = 0 if rejects else amount
    stands = (there.decided_by, there.outcome, there.amount_micro) == (principal.id, outcome, amount)
    if stands and there.state in {a.State.DECIDED, a.State.AWARDED}:
        return _shape(here, there, principal)
    policy = load_call(here.store, there.call).policy
    a.check_decision(there, outcome, amount, policy)
    part = c.Part(there.id, there.number, amount, body.outcome, principal.id, body.reason, here.clock())
    if rejects:
        s.reject(here.store, part)
    else:
        s.decide(here.store, there, part)
    return _advanced(here, application, principal)


@router.post("/applications/{application}/appeal/answer")
def answer_appeal(here: Here, application: Name, principal: Officer, body: w.Answer) -> w.Application:
    """Answer an appeal: granted, the application comes before the reviewers again; else it stays rejected."""
    now_ms = here.clock()
    _for_officer(here, application, principal)
    s.change_application(
        here.store,
        application,
        lambda newest: a.answer_appeal(newest, principal.id, body.reason, now_ms, granted=body.granted),
    )
    return _advanced(here, application, principal)


def _step(
    here: Services, application: str, action: a.Action, goal: a.State, by: str, note: str, now_ms: int
) -> None:
    s.change_application(
        here.store,
        application,
        lambda there: there if there.state is goal else a.step(there, action, by, now_ms, note),
    )


def _own(here: Services, application: str, principal: Principal) -> None:
    there = s.load_application(here.store, application)
    if there.project not in dict(principal.projects):
        _may_read(there, principal)
    require(principal, "application.write", there.project, f"application {application!r}")


def _for_officer(here: Services, application: str, principal: Principal) -> a.Application:
    """Return an application that an impartial officer may handle; raises NotFound or Denied."""
    there = s.load_application(here.store, application)
    _may_read(there, principal)
    demand_impartial(here.store, principal.id, there, here.clock())
    return there


def _may_read(application: a.Application, principal: Principal) -> None:
    officer = sees_all(principal, "application.decide") and application.submitted_ms > 0
    mine = application.project in dict(principal.projects) and principal.may(
        "application.read", application.project
    )
    reviews = principal.id in application.reviewers
    if reviews and not (officer or mine):
        reading(principal, "application.read")
    if not (officer or mine or reviews):
        raise NotFound("not_found", f"there is no application {application.id!r}")


def _advanced(here: Services, application: str, principal: Principal) -> w.Application:
    there = s.advance(here.store, application, here.clock())
    here.bell.ring()
    return _shape(here, there, principal)


def _shapes(here: Services, names: tuple[str, ...], principal: Principal) -> tuple[w.Application, ...]:
    """Return the applications of an index, which may name one that was never written."""
    records = [here.store.get(s.KIND, name) for name in names]
    return tuple(_shape(here, read(a.Application, each), principal) for each in records if each is not None)


def _shape(here: Services, application: a.Application, principal: Principal) -> w.Application:
    call = load_call(here.store, application.call)
    awaits = ""
    if application.state is a.State.SUBMITTED:
        awaits = awaited(call, load(here.store, "institution", application.institution, Institution))
    mine = application.project in dict(principal.projects)
    officer = sees_all(principal, "application.decide") and not mine
    return application_shape(application, call, here.clock(), awaits, principal.id, officer=officer)
