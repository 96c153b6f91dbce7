"""Institutions, people, projects and tokens as the wire shows them: never a hash."""

from hutong.core.accounts import registry as r
from hutong.core.accounts.institutions import kind_at
from hutong.core.accounts.roles import Role
from hutong.core.accounts.service_accounts import ServiceAccount
from hutong.wire import accounts as w
from hutong.wire.base import rfc3339


def institution_shape(institution: r.Institution, now_ms: int) -> w.Institution:
    """Return an institution as shown, with the kind that it has now."""
    return w.Institution(
        id=institution.id,
        kind=kind_at(institution, now_ms).value,
        name_zh=institution.name_zh,
        name_en=institution.name_en,
    )


def person_shape(person: r.Person, password: str | None = None) -> w.Person:
    """Return a person as shown; a password only in the answer that made it."""
    return w.Person(
        id=person.id,
        name=person.name,
        institution=person.institution,
        operator=person.operator,
        password=password,
    )


def project_shape(project: r.Project) -> w.Project:
    """Return a project as shown."""
    return w.Project(
        id=project.id,
        institution=project.institution,
        title=project.title,
        members=tuple(
            w.Member(person=person, role="owner" if role is Role.OWNER else "member")
            for person, role in project.members
        ),
        active=project.active,
    )


def token_shape(token: r.Token, secret: str | None = None, *, used_ms: int | None = None) -> w.Token:
    """Return a token as shown; its secret only in the answer that made it."""
    return w.Token.model_validate(
        {
            "id": token.id,
            "name": token.name,
            "kind": token.kind,
            "owner": token.owner,
            "project": token.project,
            "site": token.site,
            "scopes": token.scopes,
            "last_used": None if used_ms is None else rfc3339(used_ms),
            "created": rfc3339(token.created_ms),
            "expires": rfc3339(token.expires_ms),
            "secret": secret,
        }
    )


def service_account_shape(account: ServiceAccount) -> w.ServiceAccount:
    """Return a service account as shown."""
    return w.ServiceAccount(
        project=account.project,
        name=account.name,
        title=account.title,
        made_by=account.made_by,
        made=rfc3339(account.made_ms),
    )
