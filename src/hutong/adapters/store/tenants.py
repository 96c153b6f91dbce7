"""Whose projects are, with what those institutions were at each time, in SQL."""

from collections.abc import Sequence

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.codec import decode_institution
from hutong.adapters.store.db import rows_in
from hutong.adapters.store.tables import registry
from hutong.core.accounts.registry import Institution

PROJECTS = sa.select(registry.c.id, registry.c.doc).where(registry.c.kind == rules.PROJECT)
INSTITUTIONS = sa.select(registry.c.id, registry.c.doc).where(registry.c.kind == rules.INSTITUTION)


def tenants_of(connection: sa.Connection, projects: Sequence[str]) -> dict[str, Institution]:
    """Return the institutions of projects, of those that the registry knows."""
    owners = {
        row["id"]: rules.institution_of(row["doc"])
        for row in rows_in(connection, PROJECTS, registry.c.id, projects)
    }
    names = sorted({name for name in owners.values() if name})
    docs = rows_in(connection, INSTITUTIONS, registry.c.id, names)
    found = {row["id"]: decode_institution(row["doc"]) for row in docs}
    return {project: found[owner] for project, owner in owners.items() if owner in found}
