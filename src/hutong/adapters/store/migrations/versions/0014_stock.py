"""What large inputs centres have already: for placement."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty: until its agent says, a centre is taken to have nothing."""
    op.add_column("statuses", sa.Column("stock", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
