"""When running work is expected to end, and what was used lately: for fair shares."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both, empty: work that runs already has no expected end, and every project starts alike."""
    op.add_column("jobs", sa.Column("until_ms", sa.BigInteger, nullable=True))
    op.drop_index("ix_jobs_live", "jobs")
    where = sa.text("site IS NOT NULL")
    op.create_index(
        "ix_jobs_live",
        "jobs",
        ["site", "pool", "until_ms", "cards"],
        sqlite_where=where,
        postgresql_where=where,
    )
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "shares",
        sa.Column("name", text, primary_key=True),
        sa.Column("card_ms", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
