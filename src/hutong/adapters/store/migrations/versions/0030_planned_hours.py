"""Card-time of pools that lay in announced maintenance, by the hour."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; of hours from before nothing is known to have been planned."""
    op.add_column(
        "pool_hours", sa.Column("planned_card_ms", sa.BigInteger, nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
