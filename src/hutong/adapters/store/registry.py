"""The registry in SQL: small versioned documents, found by id or by one unique lookup value."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.batches import check_records
from hutong.adapters.store.chain import append
from hutong.adapters.store.codec import decode_doc
from hutong.adapters.store.db import Database
from hutong.adapters.store.tables import registry
from hutong.core.book.audit import Author, told
from hutong.core.book.store import Record


def _record(row: sa.RowMapping) -> Record:
    return Record(
        row["kind"], row["id"], decode_doc(row["doc"]), row["parent"], row["lookup"], row["version"]
    )


@dataclass(frozen=True, slots=True)
class _Written:
    """A document as it was written, with what stood there before."""

    record: Record
    before: dict[str, object] | None


def _put(connection: sa.Connection, record: Record, text: str, expect: int | None) -> _Written:
    here = sa.and_(registry.c.kind == record.kind, registry.c.id == record.id)
    query = sa.select(registry.c.version, registry.c.doc).where(here).with_for_update()
    there = connection.execute(query).first()
    version = rules.check_version(record, there[0] if there else None, expect)
    if record.lookup:
        same = sa.select(registry.c.id).where(
            registry.c.kind == record.kind, registry.c.lookup == record.lookup, _SOUGHT
        )
        if connection.execute(same.where(registry.c.id != record.id)).first():
            raise rules.lookup_taken(record)
    values = {"parent": record.parent, "lookup": record.lookup, "version": version, "doc": text}
    if there is None:
        connection.execute(registry.insert().values(kind=record.kind, id=record.id, **values))
    else:
        connection.execute(registry.update().where(here).values(**values))
    after = Record(record.kind, record.id, decode_doc(text), record.parent, record.lookup, version)
    return _Written(after, decode_doc(there[1]) if there else None)


class Registry:
    """The registry's part of the store."""

    _db: Database

    def put(self, record: Record, expect: int | None = None, author: Author | None = None) -> Record:
        """Write a document. `expect` 0: must be new; n: must be at version n; None: whatever is there.

        Raises Conflict. Returns it with its new version.
        """
        return self.put_all([(record, expect)], author)[0]

    def put_all(
        self, writes: Sequence[tuple[Record, int | None]], author: Author | None = None
    ) -> tuple[Record, ...]:
        """Write several documents, each guarded as in `put`, all of them or none.

        Raises Conflict, also for a document that is named twice. Returns them in the order given.
        """
        texts = check_records([record for record, _ in writes])
        # in order of their names, so that two writers of the same documents cannot wait for each other
        order = sorted(range(len(writes)), key=lambda at: (writes[at][0].kind, writes[at][0].id))

        def work(connection: sa.Connection) -> tuple[Record, ...]:
            written = {at: _put(connection, writes[at][0], texts[at], writes[at][1]) for at in order}
            if author is not None:
                for at in range(len(writes)):
                    self._tell(connection, author, written[at])
            return tuple(written[at].record for at in range(len(writes)))

        return self._db.write(work)

    def _tell(self, connection: sa.Connection, author: Author, written: _Written) -> None:
        record, was = written.record, told(written.record.kind, written.before)
        verb, name = ("create" if was is None else "change"), f"{record.kind}/{record.id}"
        append(
            self._db, connection, author, f"{record.kind}.{verb}", name, was, told(record.kind, record.doc)
        )

    def get(self, kind: str, id: str) -> Record | None:
        """Return a document."""
        return self._first(sa.select(registry).where(registry.c.kind == kind, registry.c.id == id))

    def find(self, kind: str, lookup: str) -> Record | None:
        """Return the document of that kind with that lookup value."""
        return self._first(
            sa.select(registry).where(registry.c.kind == kind, registry.c.lookup == lookup, _SOUGHT)
        )

    def records(self, kind: str, parent: str, after: str, limit: int) -> tuple[Record, ...]:
        """Return documents by id above `after`; of every parent where `parent` is empty."""
        query = sa.select(registry).where(registry.c.kind == kind, registry.c.id > after)
        if parent:
            query = query.where(registry.c.parent == parent)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(registry.c.id).limit(rules.page(limit))).mappings().all()
        return tuple(_record(row) for row in rows)

    def remove(self, kind: str, id: str, author: Author | None = None) -> bool:
        """Delete a document; False if there was none."""
        here = sa.and_(registry.c.kind == kind, registry.c.id == id)

        def work(connection: sa.Connection) -> bool:
            there = connection.execute(sa.select(registry.c.doc).where(here).with_for_update()).first()
            if there is None:
                return False
            connection.execute(registry.delete().where(here))
            if author is not None:
                was = told(kind, decode_doc(there[0]))
                append(self._db, connection, author, f"{kind}.remove", f"{kind}/{id}", was, None)
            return True

        return self._db.write(work)

    def _first(self, query: sa.Select[*tuple[object, ...]]) -> Record | None:
        with self._db.read() as connection:
            row = connection.execute(query).mappings().first()
        return _record(row) if row else None


_SOUGHT = registry.c.lookup != sa.literal_column("''")
