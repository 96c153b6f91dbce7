"""Pages: what the placements of one turn rest on, kept once, by digest, instead of in every receipt."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the pages; receipts from before hold everything themselves."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "pages",
        sa.Column("digest", text, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
