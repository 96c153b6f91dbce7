"""Grants: somebody holds a role somewhere for a time, given by somebody for a reason."""

from dataclasses import dataclass

from hutong.core.accounts.roles import ScopeKind

GRANTS_OF_A_PERSON = 500
PROJECTS_OF_AN_INSTITUTION = 10_000
WHOLE = "all"
"""The name of the one scope of the kind `platform`."""


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """A role in a scope for `[from_ms, upto_ms)`, UTC; `upto_ms` 0 is without end.

    `id` is `<kind>.<name>.<unique part>`: the grants of a scope stand beside each other.
    """

    id: str
    subject: str
    role: str
    kind: ScopeKind
    name: str
    from_ms: int
    upto_ms: int
    by: str
    reason: str
    given_ms: int

    def in_force(self, now_ms: int) -> bool:
        """True if it holds at that moment."""
        return self.from_ms <= now_ms and (not self.upto_ms or now_ms < self.upto_ms)


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role that operators defined. It never changes: what was granted stays what it was."""

    name: str
    permissions: tuple[str, ...]
    title: str = ""


def scope_prefix(kind: ScopeKind, name: str) -> str:
    """Return what the ids of a scope's grants begin with. No name has a dot, so no prefix begins another.

    >>> scope_prefix(ScopeKind.INSTITUTION, "cau")
    'institution.cau.'
    """
    return f"{kind.value}.{name or WHOLE}."
