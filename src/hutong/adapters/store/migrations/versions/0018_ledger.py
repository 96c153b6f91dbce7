"""Periods that close for good, what reverses what, claims, waivers, and received records of use."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, _Text, nullable=False, server_default=default)


def _int(name: str, default: str | None = None, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=default)


def _index(name: str, table: str, *columns: str, where: str = "", unique: bool = False) -> None:
    clause = sa.text(where) if where else None
    op.create_index(name, table, columns, unique=unique, sqlite_where=clause, postgresql_where=clause)


def upgrade() -> None:
    """Add columns and tables. What was booked before belongs to no period: its rows never change."""
    for column in (_text("period", ""), _text("reverses", ""), _int("reverses_from", "0")):
        op.add_column("txns", column)
    for column in (_text("site", ""), _text("reason", "")):
        op.add_column("txns", column)
    _index("ix_txns_period", "txns", "period", "project", "id")
    _index("uq_txns_reverses", "txns", "reverses", "reverses_from", where="reverses <> ''", unique=True)
    op.add_column("usage", _int("revision", "1"))
    op.add_column("usage", _text("reverses", ""))
    _index("uq_usage_reverses", "usage", "reverses", where="reverses <> ''", unique=True)
    op.add_column("lots", _int("due_ms", null=True))
    op.add_column("lots", sa.Column("clawed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("UPDATE lots SET due_ms = ends_ms")
    _index("ix_lots_due", "lots", "due_ms", "id", where="due_ms IS NOT NULL")
    _create_tables()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")


def _create_tables() -> None:
    op.create_table(
        "periods",
        _text("id"),
        _int("from_ms"),
        _int("until_ms"),
        _text("state"),
        _text("person"),
        _text("note"),
        sa.PrimaryKeyConstraint("id", name="pk_periods"),
    )
    op.create_table(
        "waivers",
        _text("key"),
        _text("project"),
        _int("from_ms"),
        _text("reason"),
        sa.PrimaryKeyConstraint("key", name="pk_waivers"),
    )
    op.create_table(
        "received",
        _text("source"),
        _text("record"),
        _int("revision"),
        _text("key"),
        _text("unit"),
        _int("quantity"),
        _int("from_ms"),
        _int("upto_ms"),
        _int("day"),
        _text("fate"),
        _text("reason"),
        _text("person"),
        _int("at_ms"),
        sa.PrimaryKeyConstraint("source", "record", "revision", name="pk_received"),
    )
    _index("ix_received_day", "received", "source", "day", "fate")
    open_ = "fate = 'suspended'"
    _index("ix_received_open", "received", "source", "record", "revision", "upto_ms", where=open_)


def _guard_sqlite() -> None:
    op.execute(
        "CREATE TRIGGER open_period BEFORE INSERT ON txns "
        "WHEN EXISTS (SELECT 1 FROM periods WHERE id = NEW.period AND state = 'closed') "
        "BEGIN SELECT RAISE(ABORT, 'this period is closed'); END"
    )
    op.execute(
        "CREATE TRIGGER closed_period BEFORE UPDATE ON periods WHEN OLD.state = 'closed' "
        "BEGIN SELECT RAISE(ABORT, 'a closed period never changes'); END"
    )
    op.execute(
        "CREATE TRIGGER kept_period BEFORE DELETE ON periods "
        "BEGIN SELECT RAISE(ABORT, 'a period never goes'); END"
    )


def _guard_postgresql() -> None:
    # The lock is taken before the look: whoever closes a period waits for it, and keeps others waiting.
    op.execute(
        "CREATE FUNCTION hutong_open_period() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN PERFORM pg_advisory_xact_lock_shared(79531323904069); "  # `dialect.PERIOD_LOCK`
        "IF EXISTS (SELECT 1 FROM periods WHERE id = NEW.period AND state = 'closed') THEN "
        "RAISE EXCEPTION 'period % is closed', NEW.period USING ERRCODE = '23000'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER open_period BEFORE INSERT ON txns FOR EACH ROW EXECUTE FUNCTION hutong_open_period()"
    )
    op.execute(
        "CREATE FUNCTION hutong_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'a closed period never changes'; END $$"
    )
    op.execute(
        "CREATE TRIGGER closed_period BEFORE UPDATE ON periods FOR EACH ROW "
        "WHEN (OLD.state = 'closed') EXECUTE FUNCTION hutong_closed_period()"
    )
    op.execute(
        "CREATE TRIGGER kept_period BEFORE DELETE ON periods FOR EACH ROW "
        "EXECUTE FUNCTION hutong_closed_period()"
    )
