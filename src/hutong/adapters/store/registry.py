"""The registry in SQL: small versioned documents, found by id or by one unique lookup value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.batches import check_records
from hutong.adapters.store.chain import append
from hutong.adapters.store.codec import decode_doc
from hutong.adapters.store.db import Database, many, rows_in
from hutong.adapters.store.tables import registry
from hutong.core.book.audit import UNTOLD, Author, told
from hutong.core.book.store import Record


def _record(row: sa.RowMapping) -> Record:
    return Record(
        row["kind"], row["id"], decode_doc(row["doc"]), row["parent"], row["lookup"], row["version"]
    )


@dataclass(frozen=True, slots=True)
class _There:
    """What stands under a name before it is written."""

    version: int
    text: str


def _write_all(
    connection: sa.Connection,
    writes: Sequence[tuple[Record, int | None]],
    texts: Sequence[str],
    before: Mapping[tuple[str, str], _There],
) -> tuple[Record, ...]:
    made = []
    for (record, expect), text in zip(writes, texts, strict=True):
        there = before.get((record.kind, record.id))
        version = rules.check_version(record, there.version if there else None, expect)
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


def _there(connection: sa.Connection, records: Sequence[Record]) -> dict[tuple[str, str], _There]:
    """Return those of these documents that are there, which nobody else changes until the end."""
    names: dict[str, list[str]] = {}
    for record in records:
        names.setdefault(record.kind, []).append(record.id)
    found = {}
    for kind in sorted(names):
        query = sa.select(registry.c.id, registry.c.version, registry.c.doc).where(registry.c.kind == kind)
        query = query.order_by(registry.c.id).with_for_update()
        for row in rows_in(connection, query, registry.c.id, sorted(names[kind])):
            found[kind, str(row["id"])] = _There(int(row["version"]), row["doc"])
    return found


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

        def work(connection: sa.Connection) -> tuple[Record, ...]:
            before = _there(connection, [record for record, _ in writes])
            written = _write_all(connection, writes, texts, before)
            if author is not None:
                for record in written:
                    self._tell(connection, author, record, before.get((record.kind, record.id)))
            return written

        return self._db.write(work)

    def _tell(self, connection: sa.Connection, author: Author, record: Record, before: _There | None) -> None:
        there = decode_doc(before.text) if before else None
        if record.kind in UNTOLD or there == record.doc:
            return
        verb, name = ("change" if before else "create"), f"{record.kind}/{record.id}"
        was, after = told(record.kind, there), told(record.kind, record.doc)
        append(self._db, connection, author, f"{record.kind}.{verb}", name, was, after)

    def get(self, kind: str, id: str) -> Record | None:
        """Return a document."""
        return self._first(_BY_ID, kind, id)

    def find(self, kind: str, lookup: str) -> Record | None:
        """Return the document of that kind with that lookup value."""
        return self._first(_BY_LOOKUP, kind, lookup)

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

    def _first(self, query: sa.Select[*tuple[object, ...]], kind: str, name: str) -> Record | None:
        with self._db.read() as connection:
            row = connection.execute(query, {"of_kind": kind, "named": name}).mappings().first()
        return _record(row) if row else None


_SOUGHT = registry.c.lookup != sa.literal_column("''")
_OF_KIND = sa.select(registry).where(registry.c.kind == sa.bindparam("of_kind"))
_BY_ID = _OF_KIND.where(registry.c.id == sa.bindparam("named"))
_BY_LOOKUP = _OF_KIND.where(registry.c.lookup == sa.bindparam("named"), _SOUGHT)
_CHANGE = (
    registry.update()
    .where(registry.c.kind == sa.bindparam("new_kind"), registry.c.id == sa.bindparam("new_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("parent", "lookup", "version", "doc")})
)
