"""Calls of the API about programmes, rounds, applications and allocations; institutions' history."""

from hutong.clients.sdk.accounts import InstitutionVerbs
from hutong.clients.sdk.call import Call, Listing, document, path_of, post, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import allocations as al
from hutong.wire import calls as c
from hutong.wire import institutions as i
from hutong.wire.base import Page


def create_programme(programme: c.Programme) -> Call[c.Programme]:
    """Open a programme (operators)."""
    return post(path_of("programmes"), shape(c.Programme), programme)


def list_programmes(*, limit: int | None = None) -> Listing[c.Programme]:
    """List the programmes."""
    return Listing(path_of("programmes"), shape(Page[c.Programme]), most=limit)


def create_call(call: c.NewCall) -> Call[c.Call]:
    """Make a call of a programme (operators)."""
    return post(path_of("calls"), shape(c.Call), call)


def get_call(call: str) -> Call[c.Call]:
    """Return a call with its rules and what is left of its money."""
    return Call("GET", path_of("calls", call), shape(c.Call))


def list_calls(*, limit: int | None = None) -> Listing[c.Call]:
    """List the calls."""
    return Listing(path_of("calls"), shape(Page[c.Call]), most=limit)


def settle_call(call: str, *, cursor: str = "") -> Call[c.Swept]:
    """Take every step that is due for one page of a call's applications (operators)."""
    return Call("POST", path_of("calls", call, "settle"), shape(c.Swept), query_of(cursor=cursor), keyed=True)


def create_application(project: str, application: c.NewApplication) -> Call[c.Application]:
    """Keep an application of a project as a draft."""
    return post(path_of("projects", project, "applications"), shape(c.Application), application)


def save_application(application: str, ask: c.ApplicationAsk) -> Call[c.Application]:
    """Save a draft or a revision."""
    return Call("PUT", path_of("applications", application), shape(c.Application), body=document(ask))


def get_application(application: str) -> Call[c.Application]:
    """Return an application as one may see it."""
    return Call("GET", path_of("applications", application), shape(c.Application))


def list_applications(
    *, project: str = "", call: str = "", limit: int | None = None
) -> Listing[c.Application]:
    """List the applications of a project, or to a call (operators)."""
    place = ("projects", project) if project else ("calls", call)
    return Listing(path_of(*place, "applications"), shape(Page[c.Application]), most=limit)


def list_to_review(*, limit: int | None = None) -> Listing[c.Application]:
    """List the applications that one is to review."""
    return Listing(path_of("reviews"), shape(Page[c.Application]), most=limit)


def submit_application(application: str) -> Call[c.Application]:
    """Hand in a draft or a revision."""
    return post(path_of("applications", application, "submit"), shape(c.Application))


def withdraw_application(application: str, reason: str) -> Call[c.Application]:
    """Withdraw an application."""
    return _because("POST", application, "withdraw", reason)


def appeal_application(application: str, reason: str) -> Call[c.Application]:
    """Appeal against a rejection."""
    return _because("POST", application, "appeal", reason)


def declare_conflict(application: str, reason: str) -> Call[c.Application]:
    """Name one's own conflict of interest with an application."""
    return _because("POST", application, "conflict", reason)


def ask_revision(application: str, reason: str) -> Call[c.Application]:
    """Give an application back for revision (operators)."""
    return _because("POST", application, "revision", reason)


def _because(method: str, application: str, verb: str, reason: str) -> Call[c.Application]:
    body = document(c.WithReason(reason=reason))
    return Call(method, path_of("applications", application, verb), shape(c.Application), body=body)


def assign_reviewer(application: str, person: str) -> Call[c.Application]:
    """Make a person a reviewer of an application (operators)."""
    return Call("PUT", path_of("applications", application, "reviewers", person), shape(c.Application))


def review_application(application: str, review: c.NewReview) -> Call[c.Application]:
    """Write one's review of an application."""
    place = path_of("applications", application, "review")
    return Call("PUT", place, shape(c.Application), body=document(review))


def decide_application(application: str, decision: c.NewDecision) -> Call[c.Application]:
    """Decide on an application (operators)."""
    place = path_of("applications", application, "decision")
    return Call("PUT", place, shape(c.Application), body=document(decision))


def answer_appeal(application: str, answer: c.Answer) -> Call[c.Application]:
    """Answer an appeal (operators)."""
    place = path_of("applications", application, "appeal", "answer")
    return Call("POST", place, shape(c.Application), body=document(answer))


def list_allocations(*, project: str = "", limit: int | None = None) -> Listing[al.Allocation]:
    """List the allocations of a project, or all (operators)."""
    place = ("projects", project, "allocations") if project else ("allocations",)
    return Listing(path_of(*place), shape(Page[al.Allocation]), most=limit)


def get_allocation(allocation: str) -> Call[al.Allocation]:
    """Return an allocation as it stands."""
    return Call("GET", path_of("allocations", allocation), shape(al.Allocation))


def ask_change(allocation: str, change: al.NewChange) -> Call[al.Allocation]:
    """Ask for a change of an allocation."""
    return post(path_of("allocations", allocation, "changes"), shape(al.Allocation), change)


def decide_change(allocation: str, n: int, answer: c.Answer) -> Call[al.Allocation]:
    """Grant or refuse a change (operators)."""
    place = path_of("allocations", allocation, "changes", n)
    return Call("PUT", place, shape(al.Allocation), body=document(answer))


def appeal_cut(allocation: str, n: int, reason: str) -> Call[al.Allocation]:
    """Appeal against a cut."""
    place = path_of("allocations", allocation, "cuts", n, "appeal")
    return Call("POST", place, shape(al.Allocation), body=document(c.WithReason(reason=reason)))


def answer_cut(allocation: str, n: int, answer: c.Answer) -> Call[al.Allocation]:
    """Answer an appeal against a cut, or waive one (operators)."""
    place = path_of("allocations", allocation, "cuts", n)
    return Call("PUT", place, shape(al.Allocation), body=document(answer))


def review_allocations(*, cursor: str = "") -> Call[c.Swept]:
    """Take every step that is due for one page of all allocations (operators)."""
    place = path_of("allocations", "review")
    return Call("POST", place, shape(c.Swept), query_of(cursor=cursor), keyed=True)


def institution_history(institution: str) -> Call[i.InstitutionHistory]:
    """Return the kinds of an institution, its identifiers and its verification (operators)."""
    return Call("GET", path_of("institutions", institution, "history"), shape(i.InstitutionHistory))


def change_kind(institution: str, kind: i.NewKind) -> Call[i.InstitutionHistory]:
    """Give an institution another kind from a time on (operators)."""
    return post(path_of("institutions", institution, "kinds"), shape(i.InstitutionHistory), kind)


def set_identifiers(institution: str, identifiers: i.Identifiers) -> Call[i.InstitutionHistory]:
    """Set the identifiers of an institution (operators)."""
    place = path_of("institutions", institution, "identifiers")
    return Call("PUT", place, shape(i.InstitutionHistory), body=document(identifiers))


def verify_institution(institution: str, found: i.NewVerification) -> Call[i.InstitutionHistory]:
    """Say whether an institution is who it says (operators)."""
    place = path_of("institutions", institution, "verification")
    return Call("PUT", place, shape(i.InstitutionHistory), body=document(found))


def relate(institution: str, other: str, relation: i.NewRelation) -> Call[i.Relation]:
    """Note that two institutions are related parties (operators)."""
    place = path_of("institutions", institution, "related", other)
    return Call("PUT", place, shape(i.Relation), body=document(relation))


def list_related(institution: str, *, limit: int | None = None) -> Listing[i.Relation]:
    """List the related parties of an institution (operators)."""
    return Listing(path_of("institutions", institution, "related"), shape(Page[i.Relation]), most=limit)


class HistoryVerbs:
    """Who an institution is, and was."""

    history = Verb(institution_history)
    change_kind = Verb(change_kind)
    set_identifiers = Verb(set_identifiers)
    verify = Verb(verify_institution)
    relate = Verb(relate)
    related = ListVerb(list_related)


class CallVerbs:
    """Programmes and their calls."""

    create_programme = Verb(create_programme)
    programmes = ListVerb(list_programmes)
    create = Verb(create_call)
    get = Verb(get_call)
    list = ListVerb(list_calls)
    settle = Verb(settle_call)


class ApplicationVerbs:
    """Applications, their reviews and decisions."""

    create = Verb(create_application)
    save = Verb(save_application)
    get = Verb(get_application)
    list = ListVerb(list_applications)
    to_review = ListVerb(list_to_review)
    submit = Verb(submit_application)
    withdraw = Verb(withdraw_application)
    appeal = Verb(appeal_application)
    declare_conflict = Verb(declare_conflict)
    ask_revision = Verb(ask_revision)
    assign = Verb(assign_reviewer)
    review = Verb(review_application)
    decide = Verb(decide_application)
    answer_appeal = Verb(answer_appeal)


class AllocationVerbs:
    """Allocations, their changes and cuts."""

    get = Verb(get_allocation)
    list = ListVerb(list_allocations)
    ask_change = Verb(ask_change)
    decide_change = Verb(decide_change)
    appeal_cut = Verb(appeal_cut)
    answer_cut = Verb(answer_cut)
    review = Verb(review_allocations)


class Institutions(InstitutionVerbs, HistoryVerbs, Group):
    """Institutions."""


class AsyncInstitutions(InstitutionVerbs, HistoryVerbs, AsyncGroup):
    """Institutions."""


class Calls(CallVerbs, Group):
    """Programmes and their calls."""


class AsyncCalls(CallVerbs, AsyncGroup):
    """Programmes and their calls."""


class Applications(ApplicationVerbs, Group):
    """Applications, their reviews and decisions."""


class AsyncApplications(ApplicationVerbs, AsyncGroup):
    """Applications, their reviews and decisions."""


class Allocations(AllocationVerbs, Group):
    """Allocations, their changes and cuts."""


class AsyncAllocations(AllocationVerbs, AsyncGroup):
    """Allocations, their changes and cuts."""
