"""Grants in the store: what each lets its holder do now, and who may give or take them."""

from collections.abc import Iterator
from dataclasses import replace

from hutong.core.accounts.grants import (
    GRANTS_OF_A_PERSON,
    PROJECTS_OF_AN_INSTITUTION,
    RoleDefinition,
    RoleGrant,
    scope_prefix,
)
from hutong.core.accounts.registry import Person
from hutong.core.accounts.roles import GRANTABLE, PERMISSIONS, Principal, Reach, ScopeKind
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Denied, NotFound, Problem, Refused
from hutong.server.registry import document, every, read

GRANT, ROLE = "grant", "role"


def permissions_of(store: Store, role: str) -> frozenset[str] | None:
    """Return what a role that can be granted allows, None if there is none of that name."""
    if role in PERMISSIONS:
        return PERMISSIONS[role] if role in GRANTABLE else None
    record = store.get(ROLE, role)
    return None if record is None else frozenset(read(RoleDefinition, record).permissions)


def reaches_of(store: Store, person: str, now_ms: int) -> tuple[Reach, ...]:
    """Return what a person's grants allow at that moment."""
    records = every(store, GRANT, person, GRANTS_OF_A_PERSON)
    found = (read(RoleGrant, record) for record in records)
    return tuple(_reach(store, grant) for grant in found if grant.in_force(now_ms))


def _reach(store: Store, grant: RoleGrant) -> Reach:
    name = "" if grant.kind is ScopeKind.PLATFORM else grant.name
    projects: frozenset[str] = frozenset()
    if grant.kind is ScopeKind.INSTITUTION:
        rows = every(store, "project", grant.name, PROJECTS_OF_AN_INSTITUTION)
        projects = frozenset(record.id for record in rows)
    return Reach(permissions_of(store, grant.role) or frozenset(), grant.kind, name, projects)


def holds_in(principal: Principal, permission: str, kind: ScopeKind, name: str) -> bool:
    """True if the principal holds the permission in exactly that scope."""
    return not _lacks(principal, frozenset({permission}), kind, name)


def _lacks(principal: Principal, permissions: frozenset[str], kind: ScopeKind, name: str) -> frozenset[str]:
    match kind:
        case ScopeKind.PLATFORM:
            return principal.lacks(permissions)
        case ScopeKind.INSTITUTION:
            return principal.lacks(permissions, institution=name)
        case ScopeKind.PROJECT:
            return principal.lacks(permissions, project=name)


def give(store: Store, principal: Principal, grant: RoleGrant) -> RoleGrant:
    """Write a grant; a repeat under the same id changes nothing.

    Raises Refused for a role, person or scope that there is not, Denied where the principal does not hold
    what it would give, Conflict for a person with too many grants.
    """
    permissions = permissions_of(store, grant.role)
    if permissions is None:
        known = ", ".join(sorted(GRANTABLE))
        raise _refused("/role", f"there is no role {grant.role!r}", f"one of {known}, or one you defined")
    if store.get("person", grant.subject) is None:
        raise _refused("/person", f"there is no person {grant.subject!r}", "create the person first")
    if grant.kind is not ScopeKind.PLATFORM and store.get(grant.kind.value, grant.name) is None:
        message = f"there is no {grant.kind.value} {grant.name!r}"
        raise _refused("/scope", message, f"create the {grant.kind.value} first")
    require_may_give(principal, permissions, grant.kind, grant.name)
    there = store.get(GRANT, grant.id)
    if there is None:
        if len(every(store, GRANT, grant.subject, GRANTS_OF_A_PERSON)) >= GRANTS_OF_A_PERSON:
            raise Conflict("too_many", f"{grant.subject!r} has {GRANTS_OF_A_PERSON} grants already")
        try:
            store.put(Record(GRANT, grant.id, document(grant), parent=grant.subject), expect=0)
        except Conflict:
            there = store.get(GRANT, grant.id)
    if there is None:
        return grant
    before = read(RoleGrant, there)
    if (before.subject, before.role, before.reason) != (grant.subject, grant.role, grant.reason):
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    return before


def require_may_give(
    principal: Principal, permissions: frozenset[str], kind: ScopeKind, name: str = ""
) -> None:
    """Raise Denied unless the principal may manage access there and holds each of these permissions."""
    where = f"{kind.value} {name}".strip()
    if not holds_in(principal, "access.write", kind, name):
        raise Denied("forbidden", f"access.write in {where} is not among your permissions")
    lacking = _lacks(principal, permissions, kind, name)
    if lacking:
        text = ", ".join(sorted(lacking))
        raise Denied("not_yours_to_give", f"nobody gives what they do not hold: {text} in {where}")


def take(store: Store, principal: Principal, grant_id: str) -> None:
    """Remove a grant; NotFound if there is none, or it is not the principal's to know of."""
    record = store.get(GRANT, grant_id)
    grant = None if record is None else read(RoleGrant, record)
    if grant is None or not (
        holds_in(principal, "access.read", grant.kind, grant.name) or grant.subject == principal.id
    ):
        raise NotFound("not_found", f"there is no grant {grant_id!r}")
    own = grant.subject == principal.id and not principal.scopes  # whoever holds a role may lay it down
    if not own and not principal.everywhere("access.write"):
        require_may_give(principal, permissions_of(store, grant.role) or frozenset(), grant.kind, grant.name)
    store.remove(GRANT, grant_id)


def take_mark(store: Store, principal: Principal, person: str) -> None:
    """Make an operator an ordinary person again: another operator may, nobody does it to themselves."""
    if not principal.operator or not principal.everywhere("access.write"):
        raise Denied("forbidden", "only an operator takes an operator's mark away")
    record = store.get("person", person)
    found = None if record is None else read(Person, record)
    if record is None or found is None or not found.operator:
        raise NotFound("not_found", f"there is no operator {person!r}")
    if person == principal.id:
        raise Denied("own_mark", "nobody takes their own mark: the platform would be without an operator")
    store.put(replace(record, doc=document(replace(found, operator=False))), expect=record.version)


def of_scope(store: Store, kind: ScopeKind, name: str, after: str, limit: int) -> Iterator[Record]:
    """Yield the grants of one scope in order of their ids, at most `limit` above `after`."""
    prefix = scope_prefix(kind, name)
    for record in store.records(GRANT, "", max(after, prefix), limit):
        if not record.id.startswith(prefix):
            return
        yield record


def _refused(path: str, message: str, hint: str) -> Refused:
    return Refused("unknown_reference", message, (Problem(path, message, hint),))
