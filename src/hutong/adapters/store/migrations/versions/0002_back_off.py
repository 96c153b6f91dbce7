"""Jobs that wait out a back-off are not in the queue's index."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index of the queue anew, with fewer rows."""
    op.drop_index("ix_jobs_queue", "jobs")
    clause = sa.text("state || '' = 'QUEUED' AND (due_ms IS NULL OR due_ms > queued_ms)")
    columns: list[str | sa.TextClause] = ["project", sa.text("priority DESC"), "queued_ms", "id"]
    op.create_index("ix_jobs_queue", "jobs", columns, sqlite_where=clause, postgresql_where=clause)


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
