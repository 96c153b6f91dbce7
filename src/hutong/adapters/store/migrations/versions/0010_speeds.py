"""How runs of the same work came out on each accelerator: for expected speeds."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, empty: until something has run, speeds are those of nameplates."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "speeds",
        sa.Column("workload", text, primary_key=True),
        sa.Column("accelerator", text, primary_key=True),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("sum_mn", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_speeds_at_ms", "speeds", ["at_ms"])


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
