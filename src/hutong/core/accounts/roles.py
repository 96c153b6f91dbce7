"""Who may do what: permissions as `object.verb`, roles as sets of them; nothing is allowed by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """Roles that the platform itself gives: by a person's record, a project's members, a token's kind."""

    OPERATOR = "operator"  # runs the platform: institutions, projects, awards, sites
    OWNER = "owner"  # of a project: members, secrets, keys, everything a member may
    MEMBER = "member"  # of a project: jobs, models, deployments
    SITE = "site"  # an agent, bound to its one site
    DIRECTORY = "directory"  # of an institution: provisions its people, nothing else
    CALLER = "caller"  # a gateway key of a project: may ask its models, nothing else


class ScopeKind(StrEnum):
    """How far a role reaches."""

    PLATFORM = "platform"
    INSTITUTION = "institution"  # the institution, its people and its projects
    PROJECT = "project"


_MEMBER = frozenset(
    {
        "job.submit", "job.read", "job.cancel", "job.open", "model.write", "model.read", "deployment.write",
        "deployment.read", "bill.read", "secret.list", "object.write", "object.read", "site.read",
        "project.read", "model.call", "voucher.read", "application.read", "allocation.read", "dispute.read",
        "dispute.write", "capacity.read", "budget.read",
    }
)  # fmt: skip
_LOOK = frozenset(
    {
        "institution.read", "person.read", "project.read", "quota.read", "site.read", "job.read",
        "model.read", "deployment.read", "application.read", "allocation.read", "capacity.read",
    }
)  # fmt: skip
# The roles that come with the platform. An operator may define more; none is ever changed, see ADR 32.
PERMISSIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        Role.OPERATOR: frozenset(
            {
                "institution.write", "institution.read", "person.write", "person.read",
                "project.write", "project.read", "quota.write", "quota.read",
                "award.write", "voucher.write", "voucher.read", "topup.write", "site.write", "site.read",
                "capacity.write", "capacity.read", "ledger.verify", "bill.read", "ledger.close",
                "refund.write", "usage.write", "payout.write", "invoice.read", "invoice.write",
                "dispute.read", "dispute.decide", "price.read", "price.write",
                "job.read", "job.cancel", "model.read", "deployment.read",
                "access.write", "access.read", "role.write", "audit.read", "person.impersonate",
                "proposal.read", "proposal.break", "threshold.write", "call.write", "application.read",
                "application.decide", "allocation.read", "allocation.decide", "budget.write", "budget.read",
                "energy.read", "energy.write",
                "report.read", "report.publish", "finding.write",
            }
        ),
        Role.OWNER: _MEMBER
        | {
            "member.write", "secret.write", "key.write", "voucher.claim", "access.read", "access.write",
            "application.write", "allocation.ask", "cost_centre.write", "budget.write",
        },
        Role.MEMBER: _MEMBER,
        Role.SITE: frozenset({"agent.call"}),
        Role.DIRECTORY: frozenset({"scim.call"}),
        Role.CALLER: frozenset({"model.call"}),
        "auditor": _LOOK
        | {
            "bill.read", "ledger.verify", "audit.read", "access.read", "proposal.read", "invoice.read",
            "dispute.read", "price.read", "budget.read", "energy.read", "report.read",
        },
        "finance": frozenset(
            {
                "institution.read", "project.read", "bill.read", "ledger.verify", "award.write",
                "voucher.write", "topup.write", "proposal.read", "ledger.close", "refund.write",
                "usage.write", "payout.write", "invoice.read", "invoice.write", "dispute.read",
                "dispute.decide", "price.read", "price.write",
                "budget.read", "budget.write",
            }
        ),
        "programme-officer": frozenset(
            {
                "institution.read", "project.read", "bill.read", "quota.read", "quota.write",
                "voucher.write", "proposal.read", "call.write", "application.read",
                "application.decide", "allocation.read", "allocation.decide", "budget.read", "report.read",
            }
        ),
        "institution-admin": frozenset(
            {
                "institution.read", "person.read", "person.write", "project.read", "project.write",
                "job.read", "bill.read", "site.read", "access.read", "access.write", "invoice.read",
                "budget.write", "budget.read",
            }
        ),
        "support": _LOOK | {"person.impersonate"},
    }
)  # fmt: skip
GRANTABLE = frozenset(PERMISSIONS) - {Role.SITE, Role.CALLER, Role.DIRECTORY}
"""Shipped roles that a person may be granted; the others come with a token's kind."""
KNOWN = frozenset().union(*PERMISSIONS.values())
"""Every permission there is."""
READING = frozenset(each for each in KNOWN if each.endswith((".read", ".list"))) | {"ledger.verify"}
"""What may be asked without changing anything."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one grant lets somebody do, and where. `projects` are those of an institution."""

    permissions: frozenset[str]
    kind: ScopeKind
    name: str = ""
    projects: frozenset[str] = frozenset()

    def covers(self, project: str | None, institution: str | None) -> bool:
        """True if the grant reaches there; with neither named, if it reaches anywhere."""
        if self.kind is ScopeKind.PLATFORM or (project is None and institution is None):
            return True
        if project is not None:
            return project == self.name if self.kind is ScopeKind.PROJECT else project in self.projects
        return self.kind is ScopeKind.INSTITUTION and institution == self.name


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. `projects` maps the projects it belongs to onto its role there, `grants` come on top.

    `site` binds an agent's token to one site; `scopes`, where not empty, narrows every role to them.
    `behind` is who really asks, where somebody looks at the platform as this person: they may write nothing.
    """

    id: str
    operator: bool = False
    projects: tuple[tuple[str, Role], ...] = ()
    site: str = ""
    scopes: frozenset[str] = frozenset()
    grants: tuple[Reach, ...] = ()
    behind: str = ""

    def may(self, permission: str, project: str | None = None, institution: str | None = None) -> bool:
        """True if the principal holds the permission: there, where a place is named, else anywhere."""
        if self.everywhere(permission):
            return True
        if self.scopes and permission not in self.scopes:
            return False
        if institution is None and any(
            permission in PERMISSIONS[role] and project in {None, mine} for mine, role in self.projects
        ):
            return True
        return any(
            permission in each.permissions and each.covers(project, institution) for each in self.grants
        )

    def everywhere(self, permission: str) -> bool:
        """True if the principal holds the permission on the whole platform."""
        if self.scopes and permission not in self.scopes:
            return False
        if self.site:
            return permission in PERMISSIONS[Role.SITE]
        if self.operator and permission in PERMISSIONS[Role.OPERATOR]:
            return True
        return any(each.kind is ScopeKind.PLATFORM and permission in each.permissions for each in self.grants)

    def projects_with(self, permission: str) -> frozenset[str]:
        """Return the projects by name in which it holds the permission; for lists, ask `everywhere` first."""
        named = {name for name, _ in self.projects}
        for each in self.grants:
            named |= each.projects | ({each.name} if each.kind is ScopeKind.PROJECT else frozenset())
        return frozenset(name for name in named if self.may(permission, name))

    def institutions_with(self, permission: str) -> frozenset[str]:
        """Return the institutions in which it holds the permission by name."""
        named = {each.name for each in self.grants if each.kind is ScopeKind.INSTITUTION}
        return frozenset(name for name in named if self.may(permission, institution=name))

    def lacks(
        self, permissions: frozenset[str], project: str | None = None, institution: str | None = None
    ) -> frozenset[str]:
        """Return those permissions that it does not hold there; with no place named, on the platform."""
        if project is None and institution is None:
            return frozenset(each for each in permissions if not self.everywhere(each))
        return frozenset(each for each in permissions if not self.may(each, project, institution))
