"""Sources beside the ledger, in SQL: tallies, records by day and attempt, and what was billed."""

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.db import Database, rows_in
from hutong.adapters.store.intake import kept_of
from hutong.adapters.store.ledger_tables import received, tallies, usage
from hutong.core.book.metered import NAMES_AT_ONCE
from hutong.core.book.received import Billed, Kept, Tally

_later = received.alias("later")
_IN_FORCE = sa.select(received).where(
    ~sa.exists().where(
        _later.c.source == received.c.source,
        _later.c.record == received.c.record,
        _later.c.revision > received.c.revision,
    )
)
_BILLED = (
    sa.select(
        usage.c.key,
        sa.func.min(usage.c.project).label("project"),
        sa.func.sum(usage.c.quantity).label("card_ms"),
        sa.func.min(usage.c.from_ms).label("from_ms"),
        sa.func.max(usage.c.upto_ms).label("upto_ms"),
    )
    .where(usage.c.unit == "card_ms")
    .group_by(usage.c.key)
)


class Metering:
    """The part of the store that reconciliation reads."""

    _db: Database

    def newest(self, source: str, record: str) -> Kept | None:
        """Return a record in force."""
        query = sa.select(received).where(received.c.source == source, received.c.record == record)
        query = query.order_by(received.c.revision.desc()).limit(1)
        with self._db.read() as connection:
            row = connection.execute(query).mappings().first()
        return kept_of(row) if row else None

    def records_on(self, source: str, day: int, after: str, limit: int) -> tuple[Kept, ...]:
        """Return the records in force that ended on a day, in order of their names above `after`."""
        query = _IN_FORCE.where(received.c.source == source, received.c.day == day, received.c.record > after)
        query = query.order_by(received.c.record).limit(rules.page(limit))
        with self._db.read() as connection:
            return tuple(kept_of(row) for row in connection.execute(query).mappings())

    def records_for(self, source: str, keys: Sequence[str]) -> tuple[Kept, ...]:
        """Return the records in force of some attempts (at most a thousand), in order of their names."""
        query, names = _IN_FORCE.where(received.c.source == source), sorted(set(keys))[:NAMES_AT_ONCE]
        with self._db.read() as connection:
            found = [kept_of(row) for row in rows_in(connection, query, received.c.key, names)]
        return tuple(sorted(found, key=lambda kept: kept.record.record))

    def tally(self, tally: Tally) -> None:
        """Keep what a source's accounting holds of a day, in place of what it was before."""
        row = asdict(tally)

        def work(connection: sa.Connection) -> None:
            insert = self._db.upsert(tallies).values(row)
            change = {name: insert.excluded[name] for name in row if name not in {"source", "day"}}
            connection.execute(insert.on_conflict_do_update(index_elements=["source", "day"], set_=change))

        self._db.write(work)

    def tallies(self, source: str, days: tuple[int, int]) -> tuple[Tally, ...]:
        """Return the tallies of a source for days in `[from, to)`, in order (at most 1,000)."""
        query = sa.select(tallies).where(tallies.c.source == source)
        query = query.where(tallies.c.day >= days[0], tallies.c.day < days[1]).order_by(tallies.c.day)
        with self._db.read() as connection:
            rows = connection.execute(query.limit(rules.PAGE_MAX)).mappings().all()
        return tuple(Tally(**row) for row in rows)

    def billed_keys(self, site: str, span: tuple[int, int], after: str, limit: int) -> tuple[str, ...]:
        """Return the attempts with use of cards at a site whose record ends in a time, in order."""
        query = sa.select(usage.c.key).distinct().where(usage.c.site == site, usage.c.unit == "card_ms")
        query = query.where(usage.c.upto_ms >= span[0], usage.c.upto_ms < span[1], usage.c.key > after)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(usage.c.key).limit(rules.page(limit)))
            return tuple(row.key for row in rows)

    def billed(self, keys: Sequence[str]) -> tuple[Billed, ...]:
        """Return what is booked for some attempts (at most a thousand) in all, in order of their keys."""
        names = sorted(set(keys))[:NAMES_AT_ONCE]
        with self._db.read() as connection:
            rows = list(rows_in(connection, _BILLED, usage.c.key, names))
        found = (Billed(**{**row, "card_ms": int(row["card_ms"])}) for row in rows)
        return tuple(sorted(found, key=lambda each: each.key))
