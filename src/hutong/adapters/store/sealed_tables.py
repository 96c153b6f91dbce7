"""The tables of sealed reports and of the hours of pools; nothing outside the store knows them."""

import sqlalchemy as sa

from hutong.adapters.store.schema import int_of, metadata, text_of

# Reports as sites' agents sealed them: one chain for each site, without gaps; rows are only ever added.
sealed = sa.Table(
    "sealed",
    metadata,
    text_of("site", key=True),
    int_of("seq", key=True),
    text_of("prev"),
    text_of("hash"),
    text_of("key"),
    text_of("signature"),
    text_of("text"),
    int_of("at_ms"),
)

# What agents saw of pools by the hour, as the newest sealed report says.
pool_hours = sa.Table(
    "pool_hours",
    metadata,
    text_of("site", key=True),
    int_of("hour", key=True),
    text_of("pool", key=True),
    int_of("cards"),
    int_of("seen_ms"),
    int_of("up_card_ms"),
    int_of("held_card_ms"),
    int_of("other_card_ms"),
    int_of("busy_card_ms", null=True),
    text_of("method"),
    int_of("seq"),
    int_of("planned_card_ms"),
    text_of("accelerator"),
    sqlite_with_rowid=False,
)
