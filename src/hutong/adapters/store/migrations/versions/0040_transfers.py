"""How fast inputs came to centres: for placement."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty: until its agent says, declared widths count."""
    op.add_column("statuses", sa.Column("transfers", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
