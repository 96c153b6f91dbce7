"""Whose jobs wait and run: for limits by person."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and fill it for jobs that are not over: a first fact's source is `user:` and a name."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("jobs", sa.Column("person", text, nullable=False, server_default=""))
    op.execute(
        "UPDATE jobs SET person ="
        " (SELECT substr(source, 6) FROM facts WHERE facts.job = jobs.id AND facts.seq = 1)"
        " WHERE finished_ms = 0"
    )
    where = sa.text("state || '' = 'QUEUED' AND (due_ms IS NULL OR due_ms > queued_ms)")
    op.create_index(
        "ix_jobs_people",
        "jobs",
        ["project", "person", sa.text("priority DESC"), "queued_ms", "id"],
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
