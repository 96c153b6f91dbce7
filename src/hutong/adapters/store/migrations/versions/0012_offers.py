"""What centres let jobs read, by name: for placement."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty: until its agent says, a centre may offer anything."""
    op.add_column("statuses", sa.Column("offers", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
