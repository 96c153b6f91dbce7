"""Who may do what: permissions as `object.verb`, roles as sets of them; nothing is allowed by default."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a principal is to the platform, or to one project."""

    OPERATOR = "operator"  # runs the platform: institutions, projects, awards, sites
    OWNER = "owner"  # of a project: members, secrets, keys, everything a member may
    MEMBER = "member"  # of a project: jobs, models, deployments
    SITE = "site"  # an agent, bound to its one site
    CALLER = "caller"  # a gateway key of a project: may ask its models, nothing else


_MEMBER = frozenset(
    {
        "job.submit", "job.read", "job.cancel", "job.open", "model.write", "model.read", "deployment.write",
        "deployment.read", "bill.read", "secret.list", "object.write", "object.read", "site.read",
        "capacity.read", "project.read", "model.call",
    }
)  # fmt: skip
PERMISSIONS = MappingProxyType(
    {
        Role.OPERATOR: frozenset(
            {
                "institution.write", "institution.read", "person.write", "person.read",
                "project.write", "project.read", "quota.write", "quota.read",
                "award.write", "voucher.write", "site.write", "site.read",
                "capacity.write", "capacity.read", "ledger.verify", "bill.read",
                "job.read", "job.cancel", "model.read", "deployment.read",
            }
        ),
        Role.OWNER: _MEMBER | {"member.write", "secret.write", "key.write"},
        Role.MEMBER: _MEMBER,
        Role.SITE: frozenset({"agent.call"}),
        Role.CALLER: frozenset({"model.call"}),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. `projects` maps the projects it belongs to onto its role there.

    `site` binds an agent's token to one site; `scopes`, where not empty, narrows every role to them.
    """

    id: str
    operator: bool = False
    projects: tuple[tuple[str, Role], ...] = ()
    site: str = ""
    scopes: frozenset[str] = frozenset()

    def may(self, permission: str, project: str | None = None) -> bool:
        """True if the principal holds the permission, in that project where one is named."""
        if self.scopes and permission not in self.scopes:
            return False
        if self.operator and permission in PERMISSIONS[Role.OPERATOR]:
            return True
        if self.site:
            return permission in PERMISSIONS[Role.SITE]
        return any(
            permission in PERMISSIONS[role] and project in {None, mine} for mine, role in self.projects
        )
