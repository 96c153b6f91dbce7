"""Use by day, made from the usage records there are, and whose work a record is; what jobs may still use."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NAMES = ("project", "person", "site", "sku", "unit")
_SUMS = ("quantity", "charge_micro", "energy_j", "green_j", "co2_mg")


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, _Text, nullable=False, server_default=default)


def _int(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=default)


def upgrade() -> None:
    """Add up what is there. Of records written before this, nobody knows whose work they were."""
    op.add_column("usage", _text("person", ""))
    op.create_table(
        "uses",
        *(_text(name) if name != "day" else _int(name) for name in ("project", "day", *_NAMES[1:])),
        _int("month"),
        *(_int(name) for name in _SUMS),
        sa.PrimaryKeyConstraint("project", "day", *_NAMES[1:], name="pk_uses"),
        sqlite_with_rowid=False,
    )
    # Rows of jobs that run now say what they may still use when they are metered next, within minutes.
    for name in ("ahead_site", "ahead_sku"):
        op.add_column("jobs", _text(name, ""))
    for name in ("ahead_card_ms", "ahead_micro", "ahead_j"):
        op.add_column("jobs", _int(name, "0"))
    some = sa.text("ahead_card_ms > 0")
    op.create_index("ix_jobs_ahead", "jobs", ["project", "person"], sqlite_where=some, postgresql_where=some)
    op.create_index("ix_uses_day", "uses", ["day", "project"])
    names, sums = ", ".join(_NAMES), ", ".join(f"SUM({name})" for name in _SUMS)
    sqlite = op.get_bind().dialect.name == "sqlite"
    when = "upto_ms / 1000, 'unixepoch'" if sqlite else "to_timestamp(upto_ms / 1000) AT TIME ZONE 'UTC'"
    month = (
        f"(CAST(strftime('%Y', {when}) AS INTEGER) - 1970) * 12 + CAST(strftime('%m', {when}) AS INTEGER) - 1"
        if sqlite
        else f"(EXTRACT(YEAR FROM {when})::bigint - 1970) * 12 + EXTRACT(MONTH FROM {when})::bigint - 1"
    )
    columns = (names, "day", "month", *_SUMS)
    into = ("INSERT INTO uses (", ", ".join(columns), ")")
    what = ("SELECT", f"{names}, upto_ms / 86400000, {month}, {sums}", "FROM usage GROUP BY", names, ", 6, 7")
    op.execute(" ".join((*into, *what)))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
