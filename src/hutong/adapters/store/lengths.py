"""How long the last runs of the same work took, in SQL: one row a work, a bounded list."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from hutong.adapters.store.asking import Rows
from hutong.adapters.store.bulk import merge_rows, run
from hutong.adapters.store.tables import lengths
from hutong.core.book.lengths import KEPT_MS, after

LENGTHS = sa.select(lengths)
_FORGET = lengths.delete().where(lengths.c.at_ms < sa.bindparam("before_ms"))


def lengths_of(rows: Rows) -> dict[str, tuple[int, ...]]:
    """Return what is known of works, of the rows of `LENGTHS`, seconds, the oldest first."""
    return {row["work"]: tuple(map(int, row["ran_s"].split())) for row in rows}


def note_lengths(
    connection: sa.Connection, known: Rows, told: Mapping[str, Sequence[int]], now_ms: int
) -> None:
    """Add lengths by work to those known, and forget work that ran long ago; only the leader writes them."""
    if not told:
        return
    before = lengths_of(known)
    rows = [
        {"work": work, "ran_s": " ".join(map(str, after(before.get(work, ()), some))), "at_ms": now_ms}
        for work, some in sorted(told.items())
    ]
    merge_rows(connection, lengths, rows, ("work",), put=("ran_s", "at_ms"))
    run(connection, _FORGET, {"before_ms": now_ms - KEPT_MS})
