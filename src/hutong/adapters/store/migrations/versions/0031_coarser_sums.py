"""Sums of use by site alone and by project alone, and of waits by accelerator: a small part of all rows.

Reports that need no more read these. They are added up here from the days and months that are kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_USED = ("quantity", "charge_micro", "energy_j", "green_j", "co2_mg")
_TOLD = ("jobs", "wait_ms", "card_ms")
_TABLES = {
    "site_use_rollups": ("use_rollups", ("site", "sku", "unit"), _USED),
    "project_use_rollups": ("use_rollups", ("project", "unit"), _USED),
    "asked_work_rollups": ("work_rollups", ("asked", "what", "why", "bucket"), _TOLD),
}
_WHOLE = frozenset({"grain", "at", "bucket"})
_DAY = 1


def upgrade() -> None:
    """Make the tables and fill them."""
    for table, (source, names, sums) in _TABLES.items():
        key = ("grain", "at", *names)
        columns = (sa.Column(n, sa.BigInteger if n in _WHOLE else _Text, nullable=False) for n in key)
        amounts = (sa.Column(name, sa.BigInteger, nullable=False) for name in sums)
        primary = sa.PrimaryKeyConstraint(*key, name=f"pk_{table}")
        made = op.create_table(table, *columns, *amounts, primary, sqlite_with_rowid=False)
        kept = sa.table(source, *(sa.column(name) for name in (*key, *sums)))
        parts = [kept.c[name] for name in key]
        whole = sa.select(*parts, *(sa.func.sum(kept.c[name]) for name in sums))
        whole = whole.where(kept.c.grain >= _DAY).group_by(*parts)
        op.execute(made.insert().from_select([*key, *sums], whole))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
