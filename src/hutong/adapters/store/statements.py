"""What statements are made of, in SQL: what was booked in a period, and the records behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.behind import by_txn, wanted
from hutong.adapters.store.db import Database, chunks, rows_in
from hutong.adapters.store.ledger_rows import USAGE, record_of, with_entries
from hutong.adapters.store.ledger_tables import FREE_USE, entries, txns, usage
from hutong.core.book.money import Txn, UsageRecord, charging_txn
from hutong.core.book.store import Span
from hutong.core.kernel.ids import ProjectId


def free_use(project: str, after: tuple[int, str], until_ms: int) -> sa.Select[*tuple[Any, ...]]:
    """Return the query for records of use that cost nothing, by end and id beyond `after`."""
    place = sa.tuple_(usage.c.upto_ms, usage.c.id)
    query = USAGE.where(usage.c.project == project, usage.c.upto_ms < until_ms, sa.text(FREE_USE))
    return query.where(place > after).order_by(usage.c.upto_ms, usage.c.id)


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
                for some in chunks(sorted(names)):
                    found = map(record_of, connection.execute(USAGE.where(column.in_(some))).all())
                    records |= {record.id: record for record in found}
        return by_txn(look, records.values())

    def unpriced(
        self, project: ProjectId, span: Span, after: tuple[int, str], limit: int
    ) -> tuple[UsageRecord, ...]:
        """Return records of use that ended in a time and that no transaction charges, by end and id.

        A page with fewer than `limit` is the last.
        """
        after, limit = max(after, (span[0], "")), rules.page(limit)
        free: list[UsageRecord] = []
        with self._db.read() as connection:
            while len(free) < limit:
                query = free_use(project, after, span[1]).limit(limit)
                records = [record_of(row) for row in connection.execute(query).all()]
                names = sorted({charging_txn(record) for record in records})
                known = {row["id"] for row in rows_in(connection, sa.select(txns.c.id), txns.c.id, names)}
                free += [record for record in records if charging_txn(record) not in known]
                if len(records) < limit:
                    break
                after = (records[-1].upto_ms, records[-1].id)
        return tuple(free[:limit])

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
