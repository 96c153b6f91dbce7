"""The registry in SQL: small versioned documents, found by id or by one unique lookup value."""

import sqlalchemy as sa

from hutong.adapters.store import rules
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


class Registry:
    """The registry's part of the store."""

    _db: Database

    def put(self, record: Record, expect: int | None = None, author: Author | None = None) -> Record:
        """Write a document. `expect` 0: must be new; n: must be at version n; None: whatever is there.

        Raises Conflict. Returns it with its new version.
        """
        text = rules.check_record(record)
        here = sa.and_(registry.c.kind == record.kind, registry.c.id == record.id)

        def work(connection: sa.Connection) -> Record:
            query = sa.select(registry.c.version, registry.c.doc).where(here).with_for_update()
            there = connection.execute(query).first()
            before = there[0] if there else None
            version = rules.check_version(record, before, expect)
            if record.lookup:
                same = sa.select(registry.c.id).where(
                    registry.c.kind == record.kind, registry.c.lookup == record.lookup, _SOUGHT
                )
                if connection.execute(same.where(registry.c.id != record.id)).first():
                    raise rules.lookup_taken(record)
            values = {"parent": record.parent, "lookup": record.lookup, "version": version, "doc": text}
            if before is None:
                connection.execute(registry.insert().values(kind=record.kind, id=record.id, **values))
            else:
                connection.execute(registry.update().where(here).values(**values))
            doc = decode_doc(text)
            if author is not None:
                verb, name = ("change" if there else "create"), f"{record.kind}/{record.id}"
                was = told(record.kind, decode_doc(there[1]) if there else None)
                append(
                    self._db, connection, author, f"{record.kind}.{verb}", name, was, told(record.kind, doc)
                )
            return Record(record.kind, record.id, doc, record.parent, record.lookup, version)

        return self._db.write(work)

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
