"""Quotas in SQL, and who holds what of them: read from live jobs only."""

from collections.abc import Sequence

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.codec import decode_quota
from hutong.adapters.store.db import chunks
from hutong.adapters.store.tables import jobs, registry
from hutong.core.accounts.quotas import Quota
from hutong.core.book.snapshot import GangUse, Holding, PersonHolding
from hutong.core.kernel.ids import ProjectId

_QUOTAS = (
    sa.select(registry.c.doc)
    .where(registry.c.kind == rules.QUOTA)
    .order_by(registry.c.id)
    .limit(rules.QUOTAS_MAX)
)
GANGS = (
    sa.select(jobs.c.site, jobs.c.pool, jobs.c.nodes, jobs.c.cards, sa.func.count().label("count"))
    .where(jobs.c.site.is_not(None))
    .group_by(jobs.c.site, jobs.c.pool, jobs.c.nodes, jobs.c.cards)
    .order_by(jobs.c.site, jobs.c.pool, jobs.c.nodes, jobs.c.cards)
)
# The concatenation keeps databases from walking an index of all jobs that there ever were.
_OF_PROJECT = jobs.c.project.concat("")
HELD = (
    sa.select(_OF_PROJECT.label("project"), jobs.c.site, jobs.c.pool)
    .add_columns(sa.func.sum(jobs.c.cards).label("cards"))
    .where(jobs.c.site.is_not(None))
    .group_by(_OF_PROJECT, jobs.c.site, jobs.c.pool)
    .order_by(sa.text("project"), jobs.c.site, jobs.c.pool)
)
_BY_PERSON = (
    sa.select(_OF_PROJECT.label("project"), jobs.c.person, jobs.c.site, jobs.c.pool)
    .add_columns(sa.func.sum(jobs.c.cards).label("cards"))
    .where(jobs.c.site.is_not(None))
    .group_by(_OF_PROJECT, jobs.c.person, jobs.c.site, jobs.c.pool)
    .order_by(sa.text("project"), jobs.c.person, jobs.c.site, jobs.c.pool)
)


def held_by_people(projects: Sequence[str]) -> sa.Select[*tuple[object, ...]]:
    """Return the query for what each person of some projects holds."""
    return _BY_PERSON.where(_OF_PROJECT.in_(projects))


def read_quotas(connection: sa.Connection) -> tuple[Quota, ...]:
    """Return all quotas."""
    return tuple(decode_quota(doc) for doc in connection.execute(_QUOTAS).scalars())


def read_gangs(connection: sa.Connection) -> tuple[GangUse, ...]:
    """Return what live attempts hold, in the order of pools and shapes."""
    return tuple(GangUse(**row) for row in connection.execute(GANGS).mappings())


def read_holdings(connection: sa.Connection) -> tuple[Holding, ...]:
    """Return what each project holds of each pool, in the order of their names."""
    return tuple(
        Holding(ProjectId(row["project"]), row["site"], row["pool"], int(row["cards"]))
        for row in connection.execute(HELD).mappings()
    )


def read_person_holdings(
    connection: sa.Connection, projects: Sequence[ProjectId]
) -> tuple[PersonHolding, ...]:
    """Return what each person of these projects, which come in order, holds of each pool."""
    return tuple(
        PersonHolding(ProjectId(row["project"]), row["person"], row["site"], row["pool"], int(row["cards"]))
        for some in chunks(projects)
        for row in connection.execute(held_by_people(some)).mappings()
    )
