"""The tables of the ledger; nothing outside the store knows them."""

import sqlalchemy as sa

from hutong.adapters.store.schema import index_of, int_of, metadata, text_of

# L4: what is held never exceeds what is there; `floor_micro` is null for accounts that may go anywhere.
accounts = sa.Table(
    "accounts",
    metadata,
    text_of("id", key=True),
    int_of("posted_micro"),
    int_of("held_micro"),
    int_of("floor_micro", null=True),
    sa.CheckConstraint("posted_micro - held_micro >= floor_micro", name="floor"),
    sa.CheckConstraint("held_micro >= 0", name="held"),
)

# due_ms is when what is left of a lot may have to expire; null while there is nothing to look for.
lots = sa.Table(
    "lots",
    metadata,
    text_of("id", key=True),
    text_of("account", sa.ForeignKey("accounts.id")),
    text_of("project"),
    text_of("kind"),
    int_of("rate_ppm"),
    int_of("starts_ms"),
    int_of("ends_ms"),
    int_of("due_ms", null=True),
    sa.Column("clawed", sa.Boolean, nullable=False, server_default=sa.false()),
    index_of("ix_lots_project", "project"),
    index_of("ix_lots_due", "due_ms", "id", where="due_ms IS NOT NULL"),
)

txns = sa.Table(
    "txns",
    metadata,
    text_of("id", key=True),
    text_of("kind"),
    text_of("project"),
    int_of("effective_ms"),
    text_of("cause"),
    text_of("period", default=""),
    text_of("reverses", default=""),
    sa.Column("reverses_from", sa.BigInteger, nullable=False, server_default="0"),
    text_of("site", default=""),
    text_of("reason", default=""),
    index_of("ix_txns_project", "project", "id"),
    index_of("ix_txns_time", "project", "effective_ms"),
    index_of("ix_txns_cause", "cause", "id"),
    index_of("ix_txns_period", "period", "project", "id"),
    index_of("uq_txns_reverses", "reverses", "reverses_from", where="reverses <> ''", unique=True),
)

# Months of the operator's zone as they were when something was first booked in them.
periods = sa.Table(
    "periods",
    metadata,
    text_of("id", key=True),
    int_of("from_ms"),
    int_of("until_ms"),
    text_of("state"),
    text_of("person"),
    text_of("note"),
)

# How often money of a project was given back or rerated: two that do so at the same time know of each other.
turns = sa.Table("turns", metadata, text_of("project", key=True), int_of("number"))

# Attempts that a site broke, whose charges are still to be given back.
waivers = sa.Table(
    "waivers",
    metadata,
    text_of("key", key=True),
    text_of("project"),
    int_of("from_ms"),
    text_of("reason"),
)

# Records of use as sources told them, and what became of each.
received = sa.Table(
    "received",
    metadata,
    text_of("source", key=True),
    text_of("record", key=True),
    int_of("revision", key=True),
    text_of("key"),
    text_of("unit"),
    int_of("quantity"),
    int_of("from_ms"),
    int_of("upto_ms"),
    int_of("day"),
    text_of("fate"),
    text_of("reason"),
    text_of("person"),
    int_of("at_ms"),
    int_of("energy_j", null=True),
    text_of("energy_basis", default=""),
    index_of("ix_received_day", "source", "day", "fate"),
    index_of("ix_received_open", "source", "record", "revision", "upto_ms", where="fate = 'suspended'"),
    index_of("ix_received_on", "source", "day", "record", "revision"),
    index_of("ix_received_key", "source", "key"),
)

# What a source's own accounting holds of a day, as last read.
tallies = sa.Table(
    "tallies",
    metadata,
    text_of("source", key=True),
    int_of("day", key=True),
    int_of("count"),
    int_of("card_ms"),
    int_of("uncounted"),
    int_of("others"),
    int_of("read_ms"),
)

entries = sa.Table(
    "entries",
    metadata,
    text_of("txn", sa.ForeignKey("txns.id"), key=True),
    int_of("n", key=True),
    text_of("account"),
    int_of("amount_micro"),
    index_of("ix_entries_account", "account", "amount_micro"),
    sqlite_with_rowid=False,
)

holds = sa.Table(
    "holds",
    metadata,
    text_of("key", key=True),
    text_of("project"),
    sa.Column("closed", sa.Boolean, nullable=False),
    index_of("ix_holds_open", "project", "key", where="NOT closed"),
)

# Only open holds have parts.
hold_parts = sa.Table(
    "hold_parts",
    metadata,
    text_of("key", sa.ForeignKey("holds.key"), key=True),
    text_of("lot", key=True),
    int_of("n"),
    int_of("amount_micro"),
    sa.CheckConstraint("amount_micro >= 0", name="amount"),
)

# Records of use that are longer than a day. In the very words of the queries.
LONG_USE = "upto_ms - from_ms > 86400000"

# Use that costs nothing, for which no transaction tells the period. In the very words of the queries.
FREE_USE = "charge_micro = 0 AND reverses = ''"

usage = sa.Table(
    "usage",
    metadata,
    text_of("id", key=True),
    text_of("project"),
    text_of("key"),
    text_of("site"),
    text_of("sku"),
    text_of("unit"),
    int_of("quantity"),
    int_of("price_micro"),
    int_of("per"),
    int_of("charge_micro"),
    int_of("from_ms"),
    int_of("upto_ms"),
    int_of("energy_j"),
    int_of("green_j"),
    int_of("co2_mg"),
    text_of("method"),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
    text_of("reverses", default=""),
    text_of("person", default=""),
    index_of("ix_usage_project", "project", "id"),
    index_of("ix_usage_time", "project", "upto_ms"),
    index_of("ix_usage_key", "key", "id"),
    index_of("ix_usage_site", "site", "unit", "upto_ms", "key"),
    index_of("ix_usage_long", "site", "unit", "upto_ms", where=LONG_USE),
    index_of("ix_usage_free", "project", "upto_ms", "id", where=FREE_USE),
    index_of("uq_usage_reverses", "reverses", where="reverses <> ''", unique=True),
)

# Usage records added up by UTC day, kept by whoever writes them; see `core.book.uses`.
uses = sa.Table(
    "uses",
    metadata,
    text_of("project", key=True),
    int_of("day", key=True),
    text_of("person", key=True),
    text_of("site", key=True),
    text_of("sku", key=True),
    text_of("unit", key=True),
    int_of("month"),
    int_of("quantity"),
    int_of("charge_micro"),
    int_of("energy_j"),
    int_of("green_j"),
    int_of("co2_mg"),
    index_of("ix_uses_day", "day", "project"),
    sqlite_with_rowid=False,
)
