"""The tables of energy by the hour; nothing outside the store knows them."""

import sqlalchemy as sa

from hutong.adapters.store.schema import index_of, int_of, metadata, text_of

# What meters said, in revisions; a value that is null takes one of before back.
readings = sa.Table(
    "readings",
    metadata,
    text_of("meter", key=True),
    int_of("upto_ms", key=True),
    int_of("revision", key=True),
    int_of("from_ms"),
    int_of("value", null=True),
    text_of("reason"),
    text_of("person"),
    int_of("at_ms"),
    sqlite_with_rowid=False,
)

# Readings in force by the hour, kept by whoever writes them; see `core.book.meters`.
meter_hours = sa.Table(
    "meter_hours",
    metadata,
    text_of("meter", key=True),
    int_of("hour", key=True),
    text_of("site"),
    text_of("contract"),
    text_of("region"),
    text_of("measures"),
    int_of("value"),
    int_of("covered_ms"),
    int_of("spread_ms"),
    index_of("ix_meter_hours_site", "site", "hour", "meter"),
    index_of("ix_meter_hours_region", "region", "hour", "meter"),
    sqlite_with_rowid=False,
)

# Hours of a region that are to be settled (again); `mark` counts what has made them so.
energy_due = sa.Table(
    "energy_due",
    metadata,
    text_of("region", key=True),
    int_of("hour", key=True),
    int_of("due_ms", null=True),
    int_of("mark"),
    index_of("ix_energy_due", "due_ms", "hour", "region", where="due_ms IS NOT NULL"),
    sqlite_with_rowid=False,
)

# What an hour of a site came to: job, idle and overhead sum to the meter.
site_hours = sa.Table(
    "site_hours",
    metadata,
    text_of("site", key=True),
    int_of("hour", key=True),
    text_of("region"),
    int_of("metered_j"),
    int_of("it_j"),
    int_of("jobs_j"),
    int_of("idle_j"),
    int_of("overhead_j"),
    int_of("modelled_j"),
    int_of("green_j"),
    int_of("grid_green_j"),
    int_of("location_mg"),
    int_of("market_mg"),
    int_of("reused_j"),
    int_of("water_ml"),
    int_of("covered_ms"),
    int_of("spread_ms"),
    text_of("basis"),
    int_of("settled_ms"),
    sa.CheckConstraint("jobs_j + idle_j + overhead_j = metered_j", name="sum"),
    sa.CheckConstraint("green_j <= metered_j", name="green"),
    sqlite_with_rowid=False,
)

# What of it fell to each attempt.
job_hours = sa.Table(
    "job_hours",
    metadata,
    text_of("key", key=True),
    int_of("hour", key=True),
    text_of("site"),
    text_of("project"),
    int_of("it_j"),
    int_of("overhead_j"),
    int_of("green_j"),
    int_of("location_mg"),
    int_of("market_mg"),
    text_of("method"),
    index_of("ix_job_hours_site", "site", "hour", "key"),
    sqlite_with_rowid=False,
)

# What of a contract's deliveries was matched with what a site used in the same hour.
matches = sa.Table(
    "matches",
    metadata,
    text_of("contract", key=True),
    int_of("hour", key=True),
    text_of("site", key=True),
    int_of("energy_j"),
    index_of("ix_matches_site", "site", "hour", "contract"),
    sa.CheckConstraint("energy_j > 0", name="energy"),
    sqlite_with_rowid=False,
)
