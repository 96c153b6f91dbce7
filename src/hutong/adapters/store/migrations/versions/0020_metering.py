"""What sources' accounting holds of a day, and the ways to compare it with records and with the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBERS = ("count", "card_ms", "uncounted", "others", "read_ms")


def upgrade() -> None:
    """Add a table and indexes."""
    op.create_table(
        "tallies",
        sa.Column("source", _Text, nullable=False),
        sa.Column("day", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _NUMBERS),
        sa.PrimaryKeyConstraint("source", "day", name="pk_tallies"),
    )
    op.create_index("ix_received_on", "received", ("source", "day", "record", "revision"))
    op.create_index("ix_received_key", "received", ("source", "key"))
    op.create_index("ix_usage_site", "usage", ("site", "unit", "upto_ms", "key"))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
