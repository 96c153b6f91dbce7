"""How long attempts ran at each site, and how many it broke: for reliability."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, empty: of what ended before nothing is counted, every site starts alike."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "stays",
        sa.Column("site", text, primary_key=True),
        sa.Column("node_ms", sa.BigInteger, nullable=False),
        sa.Column("breaks_ppm", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
