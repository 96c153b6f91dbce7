"""On how many nodes a live attempt is: for how the cards of a pool are spread over its nodes."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0036"
branch_labels = None
depends_on = None

_LIVE = ("site", "pool", "until_ms", "cards", "nodes")


def upgrade() -> None:
    """Add the column, fill it for what is live, and let the index of that tell it too."""
    op.add_column("jobs", sa.Column("nodes", sa.BigInteger, nullable=False, server_default="0"))
    jobs = sa.table("jobs", *(sa.column(name) for name in ("id", "site", "attempt", "nodes", "job")))
    connection = op.get_bind()
    query = sa.select(jobs.c.id, jobs.c.attempt, jobs.c.job).where(jobs.c.site.is_not(None))
    for name, attempt, job in connection.execute(query).all():
        nodes = json.loads(job)["attempts"][attempt - 1]["nodes"]
        connection.execute(jobs.update().where(jobs.c.id == name).values(nodes=nodes))
    where = sa.text("site IS NOT NULL")
    op.drop_index("ix_jobs_live", "jobs")
    op.create_index("ix_jobs_live", "jobs", list(_LIVE), sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
