"""What the engines of centres can do: for placement."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty: until its agent says, an engine may do anything."""
    op.add_column("statuses", sa.Column("can", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
