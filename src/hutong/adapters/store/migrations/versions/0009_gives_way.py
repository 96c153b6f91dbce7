"""Which running work may be stopped to make room for other work, and which is being stopped for it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: nothing that runs already may be stopped."""
    op.add_column("jobs", sa.Column("gives_way", sa.BigInteger, nullable=False, server_default="0"))
    where = sa.text("gives_way > 0")
    op.create_index(
        "ix_jobs_way",
        "jobs",
        ["gives_way", "site", "pool", "dispatched_ms", "cards"],
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
