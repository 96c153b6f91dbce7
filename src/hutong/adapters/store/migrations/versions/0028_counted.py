"""What a site's counters of energy say, with the records of its accounting."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0024"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add columns; of what came before nothing was counted."""
    op.add_column("received", sa.Column("energy_j", sa.BigInteger, nullable=True))
    op.add_column("received", sa.Column("energy_basis", _Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
