"""Use by day, made from the usage records there are, and whose work a record is."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0018"
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
    op.create_index("ix_uses_day", "uses", ["day", "project"])
    names, sums = ", ".join(_NAMES), ", ".join(f"SUM({name})" for name in _SUMS)
    sqlite = op.get_bind().dialect.name == "sqlite"
    when = "upto_ms / 1000, 'unixepoch'" if sqlite else "to_timestamp(upto_ms / 1000) AT TIME ZONE 'UTC'"
    month = (
        f"(CAST(strftime('%Y', {when}) AS INTEGER) - 1970) * 12 + CAST(strftime('%m', {when}) AS INTEGER) - 1"
        if sqlite
        else f"(EXTRACT(YEAR FROM {when})::bigint - 1970) * 12 + EXTRACT(MONTH FROM {when})::bigint - 1"
    )
    op.execute(
        f"INSERT INTO uses ({names}, day, month, {', '.join(_SUMS)}) "
        f"SELECT {names}, upto_ms / 86400000, {month}, {sums} FROM usage GROUP BY {names}, 6, 7"
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
