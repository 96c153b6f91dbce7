"""Received records of use, lots that have ended and waivers that are due, in SQL."""

from collections.abc import Sequence
from dataclasses import fields, replace

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.chain import append
from hutong.adapters.store.db import Database
from hutong.adapters.store.ledger_rows import LOTS, lot_in, lot_of
from hutong.adapters.store.ledger_tables import accounts, lots, received, waivers
from hutong.adapters.store.readings import mark_site
from hutong.core.book.audit import Author, told_of_kept, told_of_terms
from hutong.core.book.money import Lot, Waiver
from hutong.core.book.received import DayCount, Fate, Kept, Received, superseded_by
from hutong.core.kernel.errors import Conflict, NotFound
from hutong.core.kernel.ids import AttemptKey, LotId, ProjectId


class Intake:
    """The part of the store that remembers what is still to be done about money."""

    _db: Database

    def receive(self, kept: Kept) -> Kept:
        """Keep a record with its fate, unless it is there: then return what is there."""

        def work(connection: sa.Connection) -> Kept:
            record = kept.record
            known = _read(connection, record.source, record.record, record.revision)
            if known is not None:
                return known
            fate, reason = kept.fate, kept.reason
            of_record = sa.and_(received.c.source == record.source, received.c.record == record.record)
            latest = connection.execute(sa.select(sa.func.max(received.c.revision)).where(of_record)).scalar()
            if latest is not None and latest > record.revision:
                fate, reason = Fate.SUPERSEDED, superseded_by(latest)
            row = {
                "source": record.source,
                "record": record.record,
                "revision": record.revision,
                "key": record.key,
                "unit": record.unit,
                "quantity": record.quantity,
                "from_ms": record.from_ms,
                "upto_ms": record.upto_ms,
                "day": record.day,
                "fate": fate.value,
                "reason": reason,
                "person": kept.by,
                "at_ms": kept.at_ms,
                "energy_j": record.energy_j,
                "energy_basis": record.energy_basis,
            }
            connection.execute(received.insert(), row)
            older = received.update().where(of_record, received.c.revision < record.revision)
            older = older.where(received.c.fate == Fate.SUSPENDED.value)
            superseded = {"fate": Fate.SUPERSEDED.value, "reason": superseded_by(record.revision)}
            connection.execute(older.values(superseded))
            return Kept(record, fate, reason, kept.by, kept.at_ms)

        return self._db.write(work)

    def received(self, source: str, record: str, revision: int) -> Kept | None:
        """Return a record that was received."""
        with self._db.read() as connection:
            return _read(connection, source, record, revision)

    def suspended(self, after: tuple[str, str, int], limit: int) -> tuple[Kept, ...]:
        """Return records in suspense in order of source, record and revision, beyond `after`."""
        name = sa.tuple_(received.c.source, received.c.record, received.c.revision)
        query = sa.select(received).where(received.c.fate == sa.literal_column(f"'{Fate.SUSPENDED.value}'"))
        query = query.where(name > sa.tuple_(*after))
        query = query.order_by(received.c.source, received.c.record, received.c.revision)
        with self._db.read() as connection:
            rows = connection.execute(query.limit(rules.page(limit))).mappings().all()
        return tuple(kept_of(row) for row in rows)

    def resolve(
        self,
        record: Received,
        fate: Fate,
        reason: str,
        by: str,
        now_ms: int,
        *,
        author: Author | None = None,
    ) -> Kept:
        """Give a suspended record its final fate. Raises NotFound, or Conflict if it has another one."""

        def work(connection: sa.Connection) -> Kept:
            found = _read(connection, record.source, record.record, record.revision, lock=True)
            if found is None:
                raise NotFound("not_found", f"no record {record.id} was received")
            if found.fate is not Fate.SUSPENDED:
                if found.fate is fate:
                    return found
                raise Conflict("resolved", f"record {record.id} is {found.fate.value} already")
            values = {"fate": fate.value, "reason": reason, "person": by, "at_ms": now_ms}
            connection.execute(received.update().where(_named(record)).values(values))
            kept = Kept(found.record, fate, reason, by, now_ms)
            if fate is not Fate.SUSPENDED and found.record.hours[1]:
                mark_site(self._db, connection, record.source, found.record.hours, now_ms)
            if author is not None:
                name, told = f"use/{record.id}", told_of_kept(kept)
                append(self._db, connection, author, f"use.{fate.value}", name, told_of_kept(found), told)
            return kept

        return self._db.write(work)

    def day_counts(self, source: str, days: tuple[int, int]) -> tuple[DayCount, ...]:
        """Return how many records of a source had which fate, by day in `[from, to)`."""
        query = sa.select(received.c.day, received.c.fate, sa.func.count().label("count"))
        query = query.where(received.c.source == source, received.c.day >= days[0], received.c.day < days[1])
        query = query.group_by(received.c.day, received.c.fate).order_by(received.c.day, received.c.fate)
        with self._db.read() as connection:
            rows = connection.execute(query.limit(rules.PAGE_MAX)).mappings().all()
        return tuple(DayCount(source, row["day"], Fate(row["fate"]), row["count"]) for row in rows)

    def due_lots(self, now_ms: int, limit: int) -> tuple[Lot, ...]:
        """Return lots that have ended and of which something may be left, longest due first."""
        query = LOTS.where(lots.c.due_ms.is_not(None), lots.c.due_ms <= now_ms)
        query = query.order_by(lots.c.due_ms, lots.c.id).limit(rules.page(limit))
        with self._db.read() as connection:
            return tuple(lot_of(row) for row in connection.execute(query).mappings())

    def rest_lots(self, names: Sequence[LotId], again_ms: int, *, empty: bool) -> None:
        """Look at ended lots again at `again_ms`; with `empty`, only where something is left or returns."""

        def work(connection: sa.Connection) -> None:
            # Locked, so that nothing comes back between the look and the rest: what comes back wakes the lot.
            query = sa.select(accounts.c.id, accounts.c.posted_micro).with_for_update()
            accounts_of = sa.select(lots.c.account).where(lots.c.id.in_(list(names[: rules.PAGE_MAX])))
            ordered = query.where(accounts.c.id.in_(accounts_of)).order_by(accounts.c.id)
            for row in connection.execute(ordered).mappings().all():
                due_ms = again_ms if row["posted_micro"] or not empty else None
                connection.execute(lots.update().where(lots.c.account == row["id"]).values(due_ms=due_ms))

        if names:
            self._db.write(work)

    def claim_lot(self, name: LotId, now_ms: int, *, author: Author | None = None) -> Lot:
        """Claim a lot back: it ends now for whoever would hold of it, and is due at once. Raises NotFound."""

        def work(connection: sa.Connection) -> Lot:
            before = lot_in(connection, name)
            ends_ms = min(before.ends_ms, now_ms)
            values = {"ends_ms": ends_ms, "due_ms": now_ms, "clawed": True}
            connection.execute(lots.update().where(lots.c.id == name).values(values))
            after = replace(before, ends_ms=ends_ms, clawed=True)
            if author is not None and after != before:
                action, was, told = f"{before.kind.value}.claim", told_of_terms(before), told_of_terms(after)
                append(self._db, connection, author, action, f"lot/{name}", was, told)
            return after

        return self._db.write(work)

    def waivers(self, limit: int) -> tuple[Waiver, ...]:
        """Return waivers that are still to be booked, in order of their keys."""
        query = sa.select(waivers).order_by(waivers.c.key).limit(rules.page(limit))
        with self._db.read() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(
            Waiver(AttemptKey(row["key"]), ProjectId(row["project"]), row["from_ms"], row["reason"])
            for row in rows
        )

    def drop_waiver(self, key: AttemptKey) -> None:
        """Forget a waiver whose transactions are in the book."""
        self._db.write(lambda connection: connection.execute(waivers.delete().where(waivers.c.key == key)))


def _named(record: Received) -> sa.ColumnElement[bool]:
    return sa.and_(
        received.c.source == record.source,
        received.c.record == record.record,
        received.c.revision == record.revision,
    )


def _read(
    connection: sa.Connection, source: str, record: str, revision: int, *, lock: bool = False
) -> Kept | None:
    query = sa.select(received).where(received.c.source == source, received.c.record == record)
    query = query.where(received.c.revision == revision)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return kept_of(row) if row else None


def kept_of(row: sa.RowMapping) -> Kept:
    """Return the record of a row."""
    record = Received(**{each.name: row[each.name] for each in fields(Received)})
    return Kept(record, Fate(row["fate"]), row["reason"], row["person"], row["at_ms"])
