"""Sums by hour, day and month for reports, with who waits, who came first, and what pools were.

Opening a store that has records and no sums makes these from the records, in the same transaction.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_WHOLE = frozenset(
    {
        "grain", "at", "size", "bucket", "quantity", "charge_micro", "energy_j", "green_j", "co2_mg",
        "amount_micro", "jobs", "wait_ms", "card_ms", "since_ms", "at_ms", "from_ms", "installed",
        "available",
    }
)  # fmt: skip
_TABLES = {
    "use_rollups": ("grain at project site sku unit", "quantity charge_micro energy_j green_j co2_mg"),
    "people_rollups": ("grain at project person unit", "quantity"),
    "money_rollups": ("grain at project txn lot", "amount_micro"),
    "work_rollups": ("grain at kind asked size what why bucket", "jobs wait_ms card_ms"),
    "waits": ("job", "project since_ms asked size card_ms code"),
    "first_uses": ("scope name", "at_ms"),
    "pool_notes": ("site pool from_ms", "accelerator installed available"),
}


def _column(name: str) -> sa.Column[int] | sa.Column[str]:
    if name in _WHOLE:
        return sa.Column(name, sa.BigInteger, nullable=False)
    return sa.Column(name, _Text, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    for table, (key, rest) in _TABLES.items():
        columns = (_column(name) for name in (*key.split(), *rest.split()))
        primary = sa.PrimaryKeyConstraint(*key.split(), name=f"pk_{table}")
        op.create_table(table, *columns, primary, sqlite_with_rowid=False)
    op.create_index("ix_first_uses_at", "first_uses", ["scope", "at_ms", "name"])


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
