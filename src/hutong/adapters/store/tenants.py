"""Whose projects are, with what those institutions were at each time, in SQL."""

from collections.abc import Iterable

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.asking import Asking, Rows, asking
from hutong.adapters.store.codec import decode_institution
from hutong.adapters.store.tables import registry
from hutong.core.accounts.registry import Institution
from hutong.core.kernel.ids import ProjectId

PROJECTS = sa.select(registry.c.id, registry.c.doc).where(registry.c.kind == rules.PROJECT)
INSTITUTIONS = sa.select(registry.c.id, registry.c.doc).where(registry.c.kind == rules.INSTITUTION)


class Tenants:
    """Whose projects are. It asks for the projects at once; for the institutions when these are known."""

    def __init__(self, ask: Asking, projects: Iterable[str]) -> None:
        self._projects = ask.among(PROJECTS, registry.c.id, sorted(set(projects)))
        self._institutions: Rows = []

    def ask_institutions(self, ask: Asking) -> None:
        """Ask for what the institutions are."""
        names = sorted({name for name in self.owners().values() if name})
        self._institutions = ask.among(INSTITUTIONS, registry.c.id, names)

    def owners(self) -> dict[ProjectId, str]:
        """Return whose each project is, empty where its document does not say; of those in the registry."""
        return {ProjectId(row["id"]): rules.institution_of(row["doc"]) for row in self._projects}

    def found(self) -> dict[str, Institution]:
        """Return the institutions of projects, of those that the registry knows."""
        found = {row["id"]: decode_institution(row["doc"]) for row in self._institutions}
        return {project: found[owner] for project, owner in self.owners().items() if owner in found}


def tenants_of(connection: sa.Connection, projects: Iterable[str]) -> dict[str, Institution]:
    """Return the institutions of projects, of those that the registry knows."""
    with asking(connection) as ask:
        tenants = Tenants(ask, projects)
    with asking(connection) as ask:
        tenants.ask_institutions(ask)
    return tenants.found()
