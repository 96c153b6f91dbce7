"""Quotas in SQL, and who holds what of them: read from live jobs only."""

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.asking import Rows
from hutong.adapters.store.codec import decode_quota
from hutong.adapters.store.tables import jobs, registry
from hutong.core.accounts.quotas import Quota
from hutong.core.book.snapshot import GangUse, Holding, PersonHolding
from hutong.core.kernel.ids import ProjectId

QUOTAS = (
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
OF_PROJECT = jobs.c.project.concat("")
HELD = (
    sa.select(OF_PROJECT.label("project"), jobs.c.site, jobs.c.pool)
    .add_columns(sa.func.sum(jobs.c.cards).label("cards"))
    .where(jobs.c.site.is_not(None))
    .group_by(OF_PROJECT, jobs.c.site, jobs.c.pool)
    .order_by(sa.text("project"), jobs.c.site, jobs.c.pool)
)
BY_PERSON = (
    sa.select(OF_PROJECT.label("project"), jobs.c.person, jobs.c.site, jobs.c.pool)
    .add_columns(sa.func.sum(jobs.c.cards).label("cards"))
    .where(jobs.c.site.is_not(None))
    .group_by(OF_PROJECT, jobs.c.person, jobs.c.site, jobs.c.pool)
    .order_by(sa.text("project"), jobs.c.person, jobs.c.site, jobs.c.pool)
)


def quotas_of(rows: Rows) -> tuple[Quota, ...]:
    """Return the quotas of the rows of `QUOTAS`."""
    return tuple(decode_quota(row["doc"]) for row in rows)


def gangs_of(rows: Rows) -> tuple[GangUse, ...]:
    """Return what live attempts hold, of the rows of `GANGS`, in the order of pools and shapes."""
    return tuple(GangUse(**row) for row in rows)


def holdings_of(rows: Rows) -> tuple[Holding, ...]:
    """Return what each project holds of each pool, of the rows of `HELD`, in the order of their names."""
    return tuple(
        Holding(ProjectId(row["project"]), row["site"], row["pool"], int(row["cards"])) for row in rows
    )


def person_holdings_of(rows: Rows) -> tuple[PersonHolding, ...]:
    """Return what each person holds of each pool, of the rows of `BY_PERSON`."""
    return tuple(
        PersonHolding(ProjectId(row["project"]), row["person"], row["site"], row["pool"], int(row["cards"]))
        for row in rows
    )
