"""Readings of meters, and energy by the hour: what sites, jobs and contracts came to."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, _Text, nullable=False) for name in names)


def _int(*names: str, null: bool = False) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger, nullable=null) for name in names)


def _create(table: str, key: tuple[str, ...], *items: sa.schema.SchemaItem) -> None:
    op.create_table(table, *items, sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"), sqlite_with_rowid=False)


def upgrade() -> None:
    """Add tables, and what finds the few usage records that are longer than a day."""
    _create(
        "readings", ("meter", "upto_ms", "revision"),
        *_text("meter"), *_int("upto_ms", "revision", "from_ms"), *_int("value", null=True),
        *_text("reason", "person"), *_int("at_ms"),
    )  # fmt: skip
    _create(
        "meter_hours", ("meter", "hour"),
        *_text("meter"), *_int("hour"), *_text("site", "contract", "region", "measures"),
        *_int("value", "covered_ms", "spread_ms"),
    )  # fmt: skip
    op.create_index("ix_meter_hours_site", "meter_hours", ["site", "hour", "meter"])
    op.create_index("ix_meter_hours_region", "meter_hours", ["region", "hour", "meter"])
    _create(
        "energy_due", ("region", "hour"),
        *_text("region"), *_int("hour"), *_int("due_ms", null=True), *_int("mark"),
    )  # fmt: skip
    some = sa.text("due_ms IS NOT NULL")
    op.create_index(
        "ix_energy_due", "energy_due", ["due_ms", "hour", "region"], sqlite_where=some, postgresql_where=some
    )
    _create(
        "site_hours", ("site", "hour"),
        *_text("site"), *_int("hour"), *_text("region"),
        *_int(
            "metered_j", "it_j", "jobs_j", "idle_j", "overhead_j", "modelled_j", "green_j", "grid_green_j",
            "location_mg", "market_mg", "reused_j", "water_ml", "covered_ms", "spread_ms",
        ),
        *_text("basis"), *_int("settled_ms"),
        sa.CheckConstraint("jobs_j + idle_j + overhead_j = metered_j", name="sum"),
        sa.CheckConstraint("green_j <= metered_j", name="green"),
    )  # fmt: skip
    _create(
        "job_hours", ("key", "hour"),
        *_text("key"), *_int("hour"), *_text("site", "project"),
        *_int("it_j", "overhead_j", "green_j", "location_mg", "market_mg"), *_text("method"),
    )  # fmt: skip
    op.create_index("ix_job_hours_site", "job_hours", ["site", "hour", "key"])
    _create(
        "matches", ("contract", "hour", "site"),
        *_text("contract"), *_int("hour"), *_text("site"), *_int("energy_j"),
        sa.CheckConstraint("energy_j > 0", name="energy"),
    )  # fmt: skip
    op.create_index("ix_matches_site", "matches", ["site", "hour", "contract"])
    long = sa.text("upto_ms - from_ms > 86400000")
    op.create_index(
        "ix_usage_long", "usage", ["site", "unit", "upto_ms"], sqlite_where=long, postgresql_where=long
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
