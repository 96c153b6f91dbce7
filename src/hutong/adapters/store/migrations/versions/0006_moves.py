"""How far long moves of bytes are at a centre: told with each observation, and overwritten by the next."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the moves; nothing is known of any until an agent speaks."""
    op.add_column("statuses", sa.Column("moves", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
