"""Reports that sites seal, one chain for each, and what their agents saw of pools by the hour."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NEVER = "what a site sealed is never changed or removed"
_NUMBERS = ("cards", "seen_ms", "up_card_ms", "held_card_ms", "other_card_ms")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, _Text, nullable=False)


def _int(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def upgrade() -> None:
    """Add two tables; what is sealed is never changed, whoever writes."""
    op.create_table(
        "sealed",
        _text("site"),
        _int("seq"),
        *(_text(name) for name in ("prev", "hash", "key", "signature", "text")),
        _int("at_ms"),
        sa.PrimaryKeyConstraint("site", "seq", name="pk_sealed"),
    )
    op.create_table(
        "pool_hours",
        _text("site"),
        _int("hour"),
        _text("pool"),
        *(_int(name) for name in _NUMBERS),
        _int("busy_card_ms", null=True),
        _text("method"),
        _int("seq"),
        sa.PrimaryKeyConstraint("site", "hour", "pool", name="pk_pool_hours"),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER sealed_no_{verb.lower()} BEFORE {verb} ON sealed "
                f"BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION sealed_keep() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_NEVER}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER sealed_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON sealed "
        "FOR EACH STATEMENT EXECUTE FUNCTION sealed_keep()"
    )


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")
