"""What statements are made of, in SQL: what was booked in a period, and the records behind it."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.behind import by_txn, wanted
from hutong.adapters.store.db import Database, rows_in
from hutong.adapters.store.ledger_rows import record_of, with_entries
from hutong.adapters.store.ledger_tables import entries, txns, usage
from hutong.core.book.money import Txn, UsageRecord, charging_txn
from hutong.core.book.store import Span
from hutong.core.kernel.ids import ProjectId


class Statements:
    """The part of the store that exports read."""

    _db: Database

    def booked(self, project: ProjectId, period: str, after: str, limit: int) -> tuple[Txn, ...]:
        """Return transactions of a project that were booked in a period, in order of id above `after`."""
        query = sa.select(txns).where(txns.c.period == period, txns.c.project == project, txns.c.id > after)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(txns.c.id).limit(rules.page(limit))).mappings().all()
            return with_entries(connection, rows)

    def records_of(self, booked: Sequence[Txn]) -> Mapping[str, tuple[UsageRecord, ...]]:
        """Return the records of use that these transactions charged, or took back, by transaction."""
        look = wanted(booked)
        places = ((usage.c.id, look.ids), (usage.c.key, look.keys), (usage.c.reverses, look.reversed))
        records: dict[str, UsageRecord] = {}
        with self._db.read() as connection:
            for column, names in places:
                rows = rows_in(connection, sa.select(usage).order_by(usage.c.id), column, sorted(names))
                records |= {row["id"]: record_of(row) for row in rows}
        return by_txn(look, records.values())

    def unpriced(self, project: ProjectId, span: Span, after: str, limit: int) -> tuple[UsageRecord, ...]:
        """Return records of use in a time that no transaction charges, in order of id above `after`.

        A page may have fewer than `limit` though more follow, but is empty only behind the last.
        """
        query = sa.select(usage).where(usage.c.project == project, usage.c.id > after)
        query = query.where(usage.c.upto_ms >= span[0], usage.c.upto_ms < span[1], usage.c.reverses == "")
        query = query.where(usage.c.charge_micro == 0).order_by(usage.c.id).limit(rules.page(limit))
        with self._db.read() as connection:
            while True:
                records = [record_of(row) for row in connection.execute(query).mappings()]
                names = sorted({charging_txn(record) for record in records})
                known = {row["id"] for row in rows_in(connection, sa.select(txns.c.id), txns.c.id, names)}
                free = tuple(record for record in records if charging_txn(record) not in known)
                if free or not records:
                    return free
                query = query.where(usage.c.id > records[-1].id)

    def moved(self, project: ProjectId, periods: Sequence[str]) -> Mapping[str, int]:
        """Return by how much each account of a project changed over all of these periods together."""
        total = sa.func.sum(entries.c.amount_micro).label("total")
        query = (
            sa.select(entries.c.account, total)
            .join_from(txns, entries, entries.c.txn == txns.c.id)
            .where(txns.c.project == project, txns.c.period.in_(periods))
            .group_by(entries.c.account)
        )
        with self._db.read() as connection:
            return {row["account"]: int(row["total"]) for row in connection.execute(query).mappings()}
