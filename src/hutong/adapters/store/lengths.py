"""How long the last runs of the same work took, in SQL: one row a work, a bounded list."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from hutong.adapters.store.db import Database, many, rows_in
from hutong.adapters.store.tables import lengths
from hutong.core.book.lengths import KEPT_MS, after


def read_lengths(connection: sa.Connection, works: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return what is known of those of some works of which anything is, seconds, the oldest first."""
    return {
        row["work"]: tuple(map(int, row["ran_s"].split()))
        for row in rows_in(connection, sa.select(lengths), lengths.c.work, works)
    }


def note_lengths(
    db: Database, connection: sa.Connection, told: Mapping[str, Sequence[int]], now_ms: int
) -> None:
    """Add lengths by work, and forget work that ran long ago; only the loop's leader writes them."""
    before = read_lengths(connection, sorted(told))
    rows = [
        {"work": work, "ran_s": " ".join(map(str, after(before.get(work, ()), some))), "at_ms": now_ms}
        for work, some in sorted(told.items())
    ]
    insert = db.upsert(lengths)
    values = {name: insert.excluded[name] for name in ("ran_s", "at_ms")}
    many(connection, insert.on_conflict_do_update(index_elements=["work"], set_=values), rows)
    connection.execute(lengths.delete().where(lengths.c.at_ms < now_ms - KEPT_MS))
