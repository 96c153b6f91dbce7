"""Sums of what agents' sealed hours say, and what accelerator the pools of these hours had.

Opening a store that has hours and no such sums makes these from the hours, in the same transaction. Hours
from before get the accelerator that their pool was last noted with.
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = ("grain", "at", "site", "sku", "method")
_SUMS = ("seen_card_ms", "held_card_ms", "counted_card_ms", "busy_card_ms")
_WHOLE = frozenset({"grain", "at"})


def upgrade() -> None:
    """Make the table, and name the accelerators."""
    op.add_column("pool_hours", sa.Column("accelerator", _Text, nullable=False, server_default=""))
    hours = sa.table("pool_hours", *(sa.column(name) for name in ("site", "pool", "accelerator")))
    notes = sa.table("pool_notes", *(sa.column(n) for n in ("site", "pool", "from_ms", "accelerator")))
    last = sa.select(notes.c.accelerator)
    last = last.where(notes.c.site == hours.c.site, notes.c.pool == hours.c.pool)
    last = last.order_by(notes.c.from_ms.desc()).limit(1)
    op.execute(hours.update().values(accelerator=sa.func.coalesce(last.scalar_subquery(), "")))
    columns = (sa.Column(n, sa.BigInteger if n in _WHOLE else _Text, nullable=False) for n in _KEY)
    sums = (sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS)
    primary = sa.PrimaryKeyConstraint(*_KEY, name="pk_seen_rollups")
    op.create_table("seen_rollups", *columns, *sums, primary, sqlite_with_rowid=False)


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
