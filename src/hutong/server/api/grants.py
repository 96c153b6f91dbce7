"""Access as data: roles, who holds them where and until when, and the review of all of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from hutong.core.accounts.grants import GRANTS_OF_A_PERSON, RoleDefinition, RoleGrant, scope_prefix
from hutong.core.accounts.registry import Person
from hutong.core.accounts.roles import GRANTABLE, KNOWN, PERMISSIONS, Principal, Role
from hutong.core.book.audit import AuditQuery
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, Denied, NotFound, Problem, Refused
from hutong.server import grants
from hutong.server.api.access import Allowed, Here, Signed, Somewhere
from hutong.server.api.once import IdempotencyKey, digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.accounts import token_shape
from hutong.server.api.shapes.grants import grant_shape, read_scope, reviewed, standing
from hutong.server.api.shapes.times import read_time
from hutong.server.audited import marked
from hutong.server.people import grant_token, may_view, principal_of_person, projects_of
from hutong.server.registry import create, document, every, read
from hutong.server.services import Services
from hutong.wire import accounts as a
from hutong.wire import grants as w
from hutong.wire.base import Page, Slug

ROLES_AT_MOST = 500
MINUTE_MS = 60_000

router = APIRouter(prefix="/v1/access", tags=["access"])

Pages = Annotated[Paging, Depends(paging)]
Giver = Annotated[Principal, Depends(Somewhere("access.write"))]
OfScope = Annotated[w.Scope, Query(description="platform, institution/NAME or project/NAME")]


@router.get("/roles", dependencies=[Depends(Signed(reason="what roles there are is no secret"))])
def list_roles(here: Here, pages: Pages) -> Page[w.RoleShape]:
    """List the roles that can be granted, in order of their names."""
    rows = here.store.records(grants.ROLE, "", pages.after, pages.limit + 1)
    defined = [_role(read(RoleDefinition, row)) for row in rows]
    shipped = [
        w.RoleShape(name=str(name), permissions=tuple(sorted(PERMISSIONS[name])), shipped=True)
        for name in GRANTABLE
        if str(name) > pages.after
    ]
    return pages.page(sorted([*defined, *shipped], key=_name)[: pages.limit + 1], _name, lambda role: role)


@router.post("/roles", status_code=201, dependencies=[Depends(Allowed("role.write"))])
def create_role(here: Here, body: w.NewRole) -> w.RoleShape:
    """Define a role. A repeat with the same body changes nothing; a role is never changed."""
    if body.name in PERMISSIONS:
        raise Conflict("exists", f"{body.name!r} comes with the platform")
    unknown = [
        Problem(f"/permissions/{at}", f"there is no permission {each!r}", "see the roles that there are")
        for at, each in enumerate(body.permissions)
        if each not in KNOWN or each in PERMISSIONS[Role.SITE]
    ]
    if unknown:
        raise Refused("unknown_permission", "a role has permissions that there are", tuple(unknown))
    if len(here.store.records(grants.ROLE, "", "", ROLES_AT_MOST)) >= ROLES_AT_MOST:
        raise Conflict("too_many", f"there are {ROLES_AT_MOST} roles already")
    role = RoleDefinition(body.name, tuple(sorted(set(body.permissions))), body.title)
    create(here.store, Record(grants.ROLE, role.name, document(role)), "role")
    return _role(role)


@router.get("/grants")
def list_grants(
    here: Here,
    pages: Pages,
    principal: Annotated[Principal, Depends(Signed(reason="one's own grants; others need access.read"))],
    scope: OfScope | None = None,
    person: Annotated[Slug | None, Query()] = None,
) -> Page[w.Grant]:
    """List grants: of a scope, of a person (one's own, or all that an operator sees), or all of them.

    Memberships of projects and the mark of an operator are not among them: see the review.
    """
    if scope is not None:
        rows = _of_scope(here, pages, principal, scope, person)
    elif person == principal.id or (person is not None and principal.everywhere("access.read")):
        rows = here.store.records(grants.GRANT, person, pages.after, pages.limit + 1)
    elif principal.everywhere("access.read"):
        rows = here.store.records(grants.GRANT, "", pages.after, pages.limit + 1)
    else:
        raise Denied("forbidden", "name a ?scope= whose access you may read, or yourself as ?person=")
    now_ms = here.clock()
    return pages.page(rows, lambda row: row.id, lambda row: grant_shape(read(RoleGrant, row), now_ms))


def _of_scope(
    here: Services, pages: Paging, principal: Principal, scope: str, person: str | None
) -> tuple[Record, ...]:
    kind, name = read_scope(scope)
    if not grants.holds_in(principal, "access.read", kind, name):
        raise NotFound("not_found", f"there is no scope {scope!r}")
    if person is None:
        return tuple(grants.of_scope(here.store, kind, name, pages.after, pages.limit + 1))
    prefix = scope_prefix(kind, name)
    found = every(here.store, grants.GRANT, person, GRANTS_OF_A_PERSON)
    there = [each for each in found if each.id.startswith(prefix) and each.id > pages.after]
    return tuple(there[: pages.limit + 1])


@router.post("/grants", status_code=201)
def create_grant(here: Here, principal: Giver, body: w.NewGrant, key: IdempotencyKey = "") -> w.Grant:
    """Give somebody a role in a scope for a time; nobody gives what they do not hold there."""
    kind, name = read_scope(body.scope)
    now_ms = here.clock()
    from_ms = read_time(body.starts, "/starts") if body.starts else now_ms
    upto_ms = read_time(body.ends, "/ends") if body.ends else 0
    if upto_ms and upto_ms <= max(from_ms, now_ms):
        problem = Problem("/ends", "it would be over before it begins", "a later time, or leave it out")
        raise Refused("bad_span", "a grant ends after it begins, and not in the past", (problem,))
    unique = digest_of(principal.id, key)[:26] if key else here.new_id().lower()
    grant = RoleGrant(
        id=scope_prefix(kind, name) + unique,
        subject=body.person,
        role=body.role,
        kind=kind,
        name=name,
        from_ms=from_ms,
        upto_ms=upto_ms,
        by=principal.id,
        reason=body.reason,
        given_ms=now_ms,
    )
    given = grants.give(here.store, principal, grant)
    here.principals.forget()
    return grant_shape(given, now_ms)


@router.delete("/grants/{grant}", status_code=204)
def delete_grant(
    here: Here,
    principal: Annotated[Principal, Depends(Signed(reason="one may lay down a role; else access.write"))],
    grant: Annotated[w.GrantId, Path()],
) -> Response:
    """Take a grant away: at once in this process, within five seconds everywhere.

    `person.NAME.operator` is the mark of an operator, which another operator takes; so one always stays.
    """
    if grant.startswith("person."):
        grants.take_mark(here.store, principal, grant.split(".")[1])
    else:
        grants.take(here.store, principal, grant)
    here.principals.forget()
    return Response(status_code=204)


@router.post("/views", status_code=201)
def create_view(
    here: Here, body: w.NewView, principal: Annotated[Principal, Depends(Allowed("person.impersonate"))]
) -> a.Token:
    """Return a short-lived token that reads as somebody and writes nothing; the audit tells of it.

    The person sees it among their own tokens. It ends early with the right to look, or by signing out.
    """
    record, now_ms = here.store.get("person", body.person), here.clock()
    if record is None:
        raise NotFound("not_found", f"there is no person {body.person!r}")
    denied = may_view(principal, principal_of_person(here.store, read(Person, record), now_ms))
    if denied is not None:
        raise Denied("forbidden", denied)
    made = grant_token(
        marked(here.store, "impersonation", body.reason),
        here.new_id(),
        kind="session",
        owner=body.person,
        name=f"read-only view by {principal.id}",
        now_ms=now_ms,
        lives_ms=body.minutes * MINUTE_MS,
        behind=principal.id,
    )
    return token_shape(made.token, made.secret)


@router.get("/review")
def review_access(
    here: Here,
    pages: Pages,
    principal: Annotated[Principal, Depends(Somewhere("access.read"))],
    institution: Annotated[Slug | None, Query()] = None,
) -> Page[w.Reviewed]:
    """List what every person holds, with its age, its end, and when they last did anything.

    A page takes `limit` people, each with all that they hold. `institution` narrows to its people; whoever
    reads access there alone must name it.
    """
    if not principal.everywhere("access.read") and (
        institution is None or not principal.may("access.read", institution=institution)
    ):
        raise Denied("forbidden", "name an ?institution= whose access you may read")
    rows = here.store.records("person", institution or "", pages.after, pages.limit + 1)
    people = pages.page(rows, lambda row: row.id, lambda row: row)
    lines = [line for row in people.items for line in _lines(here, read(Person, row))]
    return Page(items=tuple(lines), next=people.next)


def _lines(here: Services, person: Person) -> list[w.Reviewed]:
    now_ms = here.clock()
    latest = here.store.audit(AuditQuery(actor=person.id, newest_first=True, limit=1))
    active_ms = latest[0].at_ms if latest else 0
    lines = [
        reviewed(each, None, person, active_ms, now_ms)
        for each in standing(person, projects_of(here.store, person.id))
    ]
    for record in every(here.store, grants.GRANT, person.id, GRANTS_OF_A_PERSON):
        grant = read(RoleGrant, record)
        lines.append(reviewed(grant_shape(grant, now_ms), grant.given_ms, person, active_ms, now_ms))
    return lines


def _role(role: RoleDefinition) -> w.RoleShape:
    return w.RoleShape(name=role.name, permissions=role.permissions, title=role.title, shipped=False)


def _name(role: w.RoleShape) -> str:
    return role.name
