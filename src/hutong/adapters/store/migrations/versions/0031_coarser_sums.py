"""Sums of use by site, and by project, alone: reports that need no more read these, a small part of the rest.

What is kept by project and site already is added up by days and months.
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0024"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SUMS = ("quantity", "charge_micro", "energy_j", "green_j", "co2_mg")
_TABLES = {"site_use_rollups": ("site", "sku", "unit"), "project_use_rollups": ("project", "unit")}
_DAY = 1


def upgrade() -> None:
    """Make the tables and fill them."""
    for table, names in _TABLES.items():
        key = ("grain", "at", *names)
        columns = [sa.Column(name, sa.BigInteger, nullable=False) for name in ("grain", "at")]
        texts = [sa.Column(name, _Text, nullable=False) for name in names]
        sums = [sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS]
        primary = sa.PrimaryKeyConstraint(*key, name=f"pk_{table}")
        made = op.create_table(table, *columns, *texts, *sums, primary, sqlite_with_rowid=False)
        use = sa.table("use_rollups", *(sa.column(name) for name in (*key, *_SUMS)))
        parts = [use.c[name] for name in key]
        whole = sa.select(*parts, *(sa.func.sum(use.c[name]) for name in _SUMS))
        whole = whole.where(use.c.grain >= _DAY).group_by(*parts)
        op.execute(made.insert().from_select([*key, *_SUMS], whole))


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
