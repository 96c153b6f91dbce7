"""Roles and grants as the wire shows them, and scopes as it names them."""

from typing import Literal

from hutong.core.accounts.grants import WHOLE, RoleGrant
from hutong.core.accounts.registry import Person, Project
from hutong.core.accounts.roles import ScopeKind
from hutong.core.kernel.quantities import DAY_MS
from hutong.wire import grants as w
from hutong.wire.base import rfc3339

State = Literal["coming", "in force", "over"]


def read_scope(text: str) -> tuple[ScopeKind, str]:
    """Return the kind and the name of a scope that the wire's pattern let through."""
    kind, _, name = text.partition("/")
    return ScopeKind(kind), name or WHOLE


def scope_text(kind: ScopeKind, name: str) -> str:
    """Return a scope as the wire names it."""
    return kind.value if kind is ScopeKind.PLATFORM else f"{kind.value}/{name}"


def _state(grant: RoleGrant, now_ms: int) -> State:
    if grant.in_force(now_ms):
        return "in force"
    return "coming" if now_ms < grant.from_ms else "over"


def grant_shape(grant: RoleGrant, now_ms: int) -> w.Grant:
    """Return a stored grant as shown."""
    return w.Grant(
        id=grant.id,
        person=grant.subject,
        role=grant.role,
        scope=scope_text(grant.kind, grant.name),
        starts=rfc3339(grant.from_ms),
        ends=rfc3339(grant.upto_ms) if grant.upto_ms else None,
        by=grant.by,
        reason=grant.reason,
        given=rfc3339(grant.given_ms),
        state=_state(grant, now_ms),
    )


def standing(person: Person, projects: tuple[Project, ...]) -> tuple[w.Grant, ...]:
    """Return what a person holds without a grant: by their own record, and as a member of projects."""
    found = []
    if person.operator:
        name = f"person.{person.id}.operator"
        found.append(w.Grant(id=name, person=person.id, role="operator", scope="platform", source="person"))
    for project in projects:
        role = dict(project.members)[person.id].value
        name, scope = f"member.{project.id}.{person.id}", f"project/{project.id}"
        found.append(w.Grant(id=name, person=person.id, role=role, scope=scope, source="member"))
    return tuple(found)


def reviewed(grant: w.Grant, given_ms: int | None, person: Person, active_ms: int, now_ms: int) -> w.Reviewed:
    """Return a grant as a line of the access review."""
    return w.Reviewed(
        **grant.model_dump(),
        name=person.name,
        institution=person.institution,
        age_days=None if given_ms is None else max(0, now_ms - given_ms) // DAY_MS,
        active=rfc3339(active_ms) if active_ms else None,
    )
