"""The registry in SQL: small versioned documents, found by id or by one unique lookup value."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.batches import check_records
from hutong.adapters.store.codec import decode_doc
from hutong.adapters.store.db import Database, many, rows_in
from hutong.adapters.store.tables import registry
from hutong.core.book.store import Record


def _record(row: sa.RowMapping) -> Record:
    return Record(
        row["kind"], row["id"], decode_doc(row["doc"]), row["parent"], row["lookup"], row["version"]
    )


def _put_all(
    connection: sa.Connection, writes: Sequence[tuple[Record, int | None]], texts: Sequence[str]
) -> tuple[Record, ...]:
    before = _versions(connection, [record for record, _ in writes])
    made = []
    for (record, expect), text in zip(writes, texts, strict=True):
        version = rules.check_version(record, before.get((record.kind, record.id)), expect)
        if record.lookup:
            same = sa.select(registry.c.id).where(
                registry.c.kind == record.kind, registry.c.lookup == record.lookup, _SOUGHT
            )
            if connection.execute(same.where(registry.c.id != record.id)).first():
                raise rules.lookup_taken(record)
        made.append(replace(record, doc=decode_doc(text), version=version))
    rows = [
        {
            "kind": each.kind,
            "id": each.id,
            "parent": each.parent,
            "lookup": each.lookup,
            "version": each.version,
        }
        | {"doc": text}
        for each, text in zip(made, texts, strict=True)
    ]
    # In order of their names, so that two writers of the same documents do not wait for each other.
    rows.sort(key=lambda row: (row["kind"], row["id"]))
    many(connection, registry.insert(), [row for row in rows if row["version"] == 1])
    changed = [{f"new_{name}": value for name, value in row.items()} for row in rows if row["version"] != 1]
    many(connection, _CHANGE, changed)
    return tuple(made)


def _versions(connection: sa.Connection, records: Sequence[Record]) -> dict[tuple[str, str], int]:
    """Return the versions of those documents that are there, which nobody else changes until the end."""
    names: dict[str, list[str]] = {}
    for record in records:
        names.setdefault(record.kind, []).append(record.id)
    found = {}
    for kind in sorted(names):
        query = sa.select(registry.c.id, registry.c.version).where(registry.c.kind == kind)
        query = query.order_by(registry.c.id).with_for_update()
        for row in rows_in(connection, query, registry.c.id, sorted(names[kind])):
            found[kind, str(row["id"])] = int(row["version"])
    return found


class Registry:
    """The registry's part of the store."""

    _db: Database

    def put(self, record: Record, expect: int | None = None) -> Record:
        """Write a document. `expect` 0: must be new; n: must be at version n; None: whatever is there.

        Raises Conflict. Returns it with its new version.
        """
        return self.put_all([(record, expect)])[0]

    def put_all(self, writes: Sequence[tuple[Record, int | None]]) -> tuple[Record, ...]:
        """Write several documents, each guarded as in `put`, all of them or none.

        Raises Conflict, also for a document that is named twice. Returns them in the order given.
        """
        texts = check_records([record for record, _ in writes])
        return self._db.write(lambda connection: _put_all(connection, writes, texts))

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

    def remove(self, kind: str, id: str) -> bool:
        """Delete a document; False if there was none."""
        gone = registry.delete().where(registry.c.kind == kind, registry.c.id == id)
        return self._db.write(lambda connection: connection.execute(gone).rowcount > 0)

    def _first(self, query: sa.Select[*tuple[object, ...]]) -> Record | None:
        with self._db.read() as connection:
            row = connection.execute(query).mappings().first()
        return _record(row) if row else None


_SOUGHT = registry.c.lookup != sa.literal_column("''")
_CHANGE = (
    registry.update()
    .where(registry.c.kind == sa.bindparam("new_kind"), registry.c.id == sa.bindparam("new_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("parent", "lookup", "version", "doc")})
)
