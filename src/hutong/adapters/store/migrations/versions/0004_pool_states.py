"""What a centre's own scheduler says of its pools, beside what its operator declared."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the pools' states; nothing is known of them until an agent speaks."""
    op.add_column("statuses", sa.Column("pools", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
