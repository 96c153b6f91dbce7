"""An index of use that costs nothing, so that a statement need not read all that a project ever used."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    clause = sa.text("charge_micro = 0 AND reverses = ''")
    columns = ["project", "upto_ms", "id"]
    op.create_index("ix_usage_free", "usage", columns, sqlite_where=clause, postgresql_where=clause)


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
