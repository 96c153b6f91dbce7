"""Budgets in SQL: which bind some projects, and what is spent of each, from days' use and live jobs only."""

from collections.abc import Callable, Sequence
from functools import cache

import sqlalchemy as sa

from hutong.adapters.store import budget_rules, rules
from hutong.adapters.store.codec import decode_doc, decode_site
from hutong.adapters.store.db import Database, chunks, rows_in
from hutong.adapters.store.tables import jobs, registry
from hutong.adapters.store.uses import read_uses
from hutong.core.accounts.budgets import Budget
from hutong.core.book.ahead import Ahead
from hutong.core.book.spending import Spending, projects_of, query_of, spending_of, stop_notice
from hutong.core.book.uses import Amounts
from hutong.core.kernel.days import day_of

_SITES = sa.select(registry.c.doc).where(registry.c.kind == rules.SITE).order_by(registry.c.id)
_SUMS = tuple(sa.func.sum(jobs.c[name]).label(name) for name in ("ahead_card_ms", "ahead_micro", "ahead_j"))
_WHERE = (jobs.c.person, jobs.c.ahead_site, jobs.c.ahead_sku)
OF_PARENT = sa.select(registry.c.doc).where(registry.c.kind == rules.BUDGET)
# A literal, as the condition of the index: else no database uses a partial one.
AHEAD = (
    sa.select(jobs.c.project, *_WHERE, *_SUMS)
    .where(sa.text("ahead_card_ms > 0"))
    .group_by(jobs.c.project, *_WHERE)
    .order_by(jobs.c.project, *_WHERE)
)


class Budgets:
    """The part of the store that knows what is spent."""

    _db: Database

    def spendings(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spending, ...]:
        """Return what is spent of those of some budgets that have a period now, in their order."""
        with self._db.read() as connection:
            return read_spendings(connection, budgets, now_ms)


def read_spendings(connection: sa.Connection, budgets: Sequence[Budget], now_ms: int) -> tuple[Spending, ...]:
    """Return what is spent of those of some budgets that have a period now; nothing is read twice."""
    if not budgets:
        return ()
    supplies = {str(site.id): site.supply for site in map(decode_site, connection.execute(_SITES).scalars())}
    names = [name for each in budgets if (name := stop_notice(each, now_ms))]
    query = sa.select(registry.c.id, registry.c.doc).where(registry.c.kind == rules.NOTICE)
    notices = {row["id"]: decode_doc(row["doc"]) for row in rows_in(connection, query, registry.c.id, names)}
    mine: Callable[[str], frozenset[str]] = cache(lambda name: _projects(connection, name))
    ahead = cache(lambda projects: _ahead(connection, projects))
    uses = cache(lambda asked: read_uses(connection, asked))
    found = []
    for each in budgets:
        days = each.days_at(day_of(now_ms))
        if days is None:
            continue
        projects = projects_of(each, mine)
        told_ms = budget_rules.told_ms(notices.get(stop_notice(each, now_ms)))
        used = uses(query_of(each, projects, days))
        spending = spending_of(each, now_ms, used, ahead(projects), supplies, told_ms)
        found += [spending] if spending else []
    return tuple(found)


def _projects(connection: sa.Connection, institution: str) -> frozenset[str]:
    query = sa.select(registry.c.id).where(registry.c.kind == rules.PROJECT, registry.c.parent == institution)
    return frozenset(str(each) for each in connection.execute(query.order_by(registry.c.id)).scalars())


def _ahead(connection: sa.Connection, projects: frozenset[str]) -> tuple[Ahead, ...]:
    return tuple(
        Ahead(
            row["project"],
            row["person"],
            row["ahead_site"],
            row["ahead_sku"],
            Amounts(int(row["ahead_card_ms"]), int(row["ahead_micro"]), int(row["ahead_j"])),
        )
        for some in chunks(sorted(projects))
        for row in connection.execute(AHEAD.where(jobs.c.project.in_(some))).mappings()
    )
