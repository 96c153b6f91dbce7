"""Institutions, people, projects and their members."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.adapters.identity.passwords import hash_password, make_password, verify_password
from hutong.core.accounts import registry as r
from hutong.core.accounts.roles import PERMISSIONS, Principal, Role
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Denied, NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here, InProject, Somewhere, sees_all
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.accounts import institution_shape, person_shape, project_shape
from hutong.server.people import PROJECTS_OF_A_PERSON, index_member, projects_of
from hutong.server.registry import create, document, read
from hutong.wire import accounts as w
from hutong.wire.base import Page, Slug

MEMBERS_AT_MOST = 1000
_TRIES = 20

router = APIRouter(prefix="/v1", tags=["accounts"])

ProjectName = Annotated[Slug, Path(alias="project")]
PersonName = Annotated[Slug, Path(alias="person")]
Pages = Annotated[Paging, Depends(paging)]


@router.post("/institutions", status_code=201, dependencies=[Depends(Allowed("institution.write"))])
def create_institution(here: Here, body: w.Institution) -> w.Institution:
    """Register a tenant. A repeat with the same body changes nothing."""
    institution = r.Institution(body.id, r.InstitutionKind(body.kind), body.name_zh, body.name_en)
    create(here.store, Record("institution", body.id, document(institution)), "institution")
    return body


@router.get("/institutions")
def list_institutions(
    here: Here, pages: Pages, principal: Annotated[Principal, Depends(Somewhere("institution.read"))]
) -> Page[w.Institution]:
    """List the tenants that the caller may see in order of their ids."""
    if sees_all(principal, "institution.read"):
        rows = here.store.records("institution", "", pages.after, pages.limit + 1)
    else:
        mine = sorted(principal.institutions_with("institution.read"))
        rows = _named(here.store, "institution", mine, pages)
    now_ms = here.clock()
    return pages.page(
        rows, lambda row: row.id, lambda row: institution_shape(read(r.Institution, row), now_ms)
    )


@router.get("/institutions/{institution}")
def get_institution(
    here: Here,
    institution: Slug,
    principal: Annotated[Principal, Depends(Somewhere("institution.read"))],
) -> w.Institution:
    """Return one tenant."""
    record = here.store.get("institution", institution)
    if record is None or not principal.may("institution.read", institution=institution):
        raise NotFound("not_found", f"there is no institution {institution!r}")
    return institution_shape(read(r.Institution, record), here.clock())


@router.post("/people", status_code=201)
def create_person(
    here: Here, body: w.NewPerson, principal: Annotated[Principal, Depends(Somewhere("person.write"))]
) -> w.Person:
    """Register somebody who may sign in. A password that we make is shown in this answer only."""
    _must_manage(principal, "person.write", body.institution)
    if body.operator and principal.lacks(PERMISSIONS[Role.OPERATOR]):
        raise Denied("not_yours_to_give", "only an operator makes another operator")
    _must_exist(here.store, "institution", body.institution, "/institution")
    password = body.password or make_password()
    person = r.Person(body.id, body.name, body.institution, body.operator, hash_password(password))
    try:
        here.store.put(Record("person", person.id, document(person), person.institution), expect=0)
    except Conflict:
        there = _person(here.store, body.id)
        same = there is not None and replace(there, password="") == replace(person, password="")
        if there is None or not same or not verify_password(there.password, body.password or ""):
            raise Conflict("exists", f"there is a person {body.id!r} already") from None
    return person_shape(person, None if body.password else password)


@router.get("/people")
def list_people(
    here: Here, pages: Pages, principal: Annotated[Principal, Depends(Somewhere("person.read"))]
) -> Page[w.Person]:
    """List the people that the caller may see in order of their ids: all, or those of an institution."""
    if sees_all(principal, "person.read"):
        rows = here.store.records("person", "", pages.after, pages.limit + 1)
    else:
        of_each = (
            here.store.records("person", institution, pages.after, pages.limit + 1)
            for institution in sorted(principal.institutions_with("person.read"))
        )
        found = sorted((row for rows in of_each for row in rows), key=lambda row: row.id)
        rows = tuple(found[: pages.limit + 1])
    return pages.page(rows, lambda row: row.id, lambda row: person_shape(read(r.Person, row)))


@router.post("/projects", status_code=201)
def create_project(
    here: Here, body: w.NewProject, principal: Annotated[Principal, Depends(Somewhere("project.write"))]
) -> w.Project:
    """Open a project; its owner is the first member. A repeat with the same body changes nothing."""
    _must_manage(principal, "project.write", body.institution)
    _must_exist(here.store, "institution", body.institution, "/institution")
    _must_exist(here.store, "person", body.owner, "/owner")
    project = r.Project(body.id, body.institution, body.title, ((body.owner, Role.OWNER),))
    create(here.store, Record("project", body.id, document(project), body.institution), "project")
    index_member(here.store, body.owner, body.id)
    here.principals.forget()
    return project_shape(project)


@router.get("/projects")
def list_projects(
    here: Here, pages: Pages, principal: Annotated[Principal, Depends(Somewhere("project.read"))]
) -> Page[w.Project]:
    """List the projects that the caller may see: all, those of an institution, or one's own."""
    if sees_all(principal, "project.read"):
        rows = here.store.records("project", "", pages.after, pages.limit + 1)
    else:
        rows = _named(here.store, "project", sorted(principal.projects_with("project.read")), pages)
    return pages.page(rows, lambda row: row.id, lambda row: project_shape(read(r.Project, row)))


@router.get("/projects/{project}", dependencies=[Depends(InProject("project.read"))])
def get_project(here: Here, project: ProjectName) -> w.Project:
    """Return one project with its members."""
    return project_shape(load_project(here.store, project))


@router.put("/projects/{project}/members/{person}")
def put_member(
    here: Here,
    project: ProjectName,
    person: PersonName,
    body: w.Member,
    principal: Annotated[Principal, Depends(InProject("member.write"))],
) -> w.Project:
    """Add a person to a project, or change their role; nobody gives what they do not hold there."""
    lacking = principal.lacks(PERMISSIONS[Role(body.role)], project=project)
    if lacking:
        text = ", ".join(sorted(lacking))
        raise Denied("not_yours_to_give", f"nobody gives what they do not hold: {text} in project {project}")
    if body.person != person:
        problem = Problem("/person", f"the path names {person!r}", "the same person in both places")
        raise Refused("contradiction", f"the path names {person!r}, the body {body.person!r}", (problem,))
    if _person(here.store, person) is None:
        raise NotFound("not_found", f"there is no person {person!r}")
    if len(projects_of(here.store, person)) >= PROJECTS_OF_A_PERSON:
        raise Conflict("too_many", f"{person!r} belongs to {PROJECTS_OF_A_PERSON} projects already")
    changed = _change_members(here.store, project, lambda roles: {**roles, person: Role(body.role)})
    index_member(here.store, person, project)
    here.principals.forget()
    return project_shape(changed)


@router.delete("/projects/{project}/members/{person}", dependencies=[Depends(InProject("member.write"))])
def delete_member(here: Here, project: ProjectName, person: PersonName) -> w.Project:
    """Take a person out of a project; its last owner stays."""
    changed = _change_members(
        here.store, project, lambda roles: {name: role for name, role in roles.items() if name != person}
    )
    here.store.remove("member", f"{person}/{project}")
    here.principals.forget()
    return project_shape(changed)


def load_project(store: Store, project: str) -> r.Project:
    """Return a project; raises NotFound."""
    record = store.get("project", project)
    if record is None:
        raise NotFound("not_found", f"there is no project {project!r}")
    return read(r.Project, record)


def _named(store: Store, kind: str, names: list[str], pages: Paging) -> tuple[Record, ...]:
    """Return the documents of these names (sorted) that a page shows, and one more."""
    wanted = [name for name in names if name > pages.after][: pages.limit + 1]
    found = (store.get(kind, name) for name in wanted)
    return tuple(record for record in found if record is not None)


def _must_manage(principal: Principal, permission: str, institution: str) -> None:
    if not principal.may(permission, institution=institution):
        raise Denied("forbidden", f"{permission} in institution {institution} is not among your permissions")


def _person(store: Store, person: str) -> r.Person | None:
    record = store.get("person", person)
    return None if record is None else read(r.Person, record)


def _must_exist(store: Store, kind: str, id_: str, path: str) -> None:
    if store.get(kind, id_) is None:
        problem = Problem(path, f"there is no {kind} {id_!r}", f"create the {kind} first")
        raise Refused("unknown_reference", f"there is no {kind} {id_!r}", (problem,))


def _change_members(
    store: Store, project: str, change: Callable[[dict[str, Role]], dict[str, Role]]
) -> r.Project:
    for _ in range(_TRIES):
        record = store.get("project", project)
        if record is None:
            raise NotFound("not_found", f"there is no project {project!r}")
        before = read(r.Project, record)
        members = change(dict(before.members))
        if Role.OWNER not in members.values():
            raise Conflict("last_owner", f"{project!r} would be left without an owner")
        if len(members) > MEMBERS_AT_MOST:
            raise Conflict("too_many", f"a project has at most {MEMBERS_AT_MOST} members")
        after = replace(before, members=tuple(sorted(members.items())))
        try:
            store.put(replace(record, doc=document(after)), expect=record.version)
        except Conflict:
            continue
        return after
    raise Conflict("busy", f"{project!r} is being changed by others; try again")
