"""How long the last runs of the same work took, in SQL: one row a work, a bounded list."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from hutong.adapters.store.bulk import merge_rows, streaming
from hutong.adapters.store.db import rows_in
from hutong.adapters.store.tables import lengths
from hutong.core.book.lengths import KEPT_MS, after

_LENGTHS = sa.select(lengths)
_FORGET = lengths.delete().where(lengths.c.at_ms < sa.bindparam("before_ms"))


def read_lengths(connection: sa.Connection, works: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return what is known of those of some works of which anything is, seconds, the oldest first."""
    return {
        row["work"]: tuple(map(int, row["ran_s"].split()))
        for row in rows_in(connection, _LENGTHS, lengths.c.work, works)
    }


def note_lengths(connection: sa.Connection, told: Mapping[str, Sequence[int]], now_ms: int) -> None:
    """Add lengths by work, and forget work that ran long ago; only the loop's leader writes them."""
    before = read_lengths(connection, sorted(told))
    rows = [
        {"work": work, "ran_s": " ".join(map(str, after(before.get(work, ()), some))), "at_ms": now_ms}
        for work, some in sorted(told.items())
    ]
    with streaming(connection):
        merge_rows(connection, lengths, rows, ("work",), put=("ran_s", "at_ms"))
        connection.execute(_FORGET, {"before_ms": now_ms - KEPT_MS})
