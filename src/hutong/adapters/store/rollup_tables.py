"""The tables of sums by hour, day and month, and of what reports need beside them."""

import sqlalchemy as sa

from hutong.adapters.store.schema import index_of, int_of, metadata, text_of
from hutong.core.book.rollups import KEPT, WHOLE_NAMES, Family


def _table(family: Family) -> sa.Table:
    """Return the table of a family: `at` counts hours, days or months since 1970, as `grain` says."""
    names = (
        int_of(each, key=True) if each in WHOLE_NAMES else text_of(each, key=True) for each in family.names
    )
    sums = (int_of(each) for each in family.sums)
    return sa.Table(
        family.id,
        metadata,
        int_of("grain", key=True),
        int_of("at", key=True),
        *names,
        *sums,
        sqlite_with_rowid=False,
    )


rollups = {family.id: _table(family) for family in KEPT}

# Jobs that wait for their first start, one row each; see `core.book.waits`.
waits = sa.Table(
    "waits",
    metadata,
    text_of("job", key=True),
    text_of("project"),
    int_of("since_ms"),
    text_of("asked"),
    int_of("size"),
    int_of("card_ms"),
    text_of("code"),
    sqlite_with_rowid=False,
)

first_uses = sa.Table(
    "first_uses",
    metadata,
    text_of("scope", key=True),
    text_of("name", key=True),
    int_of("at_ms"),
    index_of("ix_first_uses_at", "scope", "at_ms", "name"),
    sqlite_with_rowid=False,
)

# What a pool was from a time on, written when it is another than before.
pool_notes = sa.Table(
    "pool_notes",
    metadata,
    text_of("site", key=True),
    text_of("pool", key=True),
    int_of("from_ms", key=True),
    text_of("accelerator"),
    int_of("installed"),
    int_of("available"),
    sqlite_with_rowid=False,
)
