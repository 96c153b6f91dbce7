"""How long the last runs of the same work took, and how long what runs is expected to."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both, empty: of what ended before nothing is learnt, and what runs is expected to its walltime."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("jobs", sa.Column("began_ms", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("likely_ms", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "lengths",
        sa.Column("work", text, primary_key=True),
        sa.Column("ran_s", text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_lengths_at_ms", "lengths", ["at_ms"])


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
