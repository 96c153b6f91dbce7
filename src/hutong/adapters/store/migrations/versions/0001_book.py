"""The book as first laid out: jobs and facts, commands, the ledger with its guards, the registry."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FROZEN = ("facts", "receipts", "txns", "entries", "usage")


def _text(name: str, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, _Text, nullable=null)


def _int(name: str, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _index(name: str, table: str, *columns: str, where: str = "", unique: bool = False) -> None:
    clause = sa.text(where) if where else None
    parts = [sa.text(column) if " " in column else column for column in columns]
    op.create_index(name, table, parts, unique=unique, sqlite_where=clause, postgresql_where=clause)


def upgrade() -> None:
    """Create everything."""
    _create_jobs()
    _create_sites()
    _create_ledger()
    _create_holds()
    _create_usage()
    _create_registry()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    """Refuse: a book is never thrown away by a migration."""
    raise NotImplementedError("restore a backup instead")


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        _text("id"),
        _text("project"),
        _int("seq"),
        _text("state"),
        _int("priority"),
        _int("submitted_ms"),
        _int("queued_ms"),
        _int("finished_ms"),
        _int("due_ms", null=True),
        _text("site", null=True),
        _text("pool", null=True),
        _int("cards", null=True),
        _int("attempt", null=True),
        _int("dispatched_ms", null=True),
        _text("idempotency_key"),
        _text("request_digest"),
        _text("spec_digest"),
        _text("job"),
        _text("spec"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    _index("ix_jobs_due", "jobs", "due_ms", "id", where="due_ms IS NOT NULL")
    _index("ix_jobs_queue", "jobs", "project", "priority DESC", "queued_ms", "id", where="state = 'QUEUED'")
    _index("ix_jobs_live", "jobs", "site", "pool", "cards", where="site IS NOT NULL")
    _index("ix_jobs_project", "jobs", "project", "id")
    _index("ix_jobs_project_state", "jobs", "project", "state", "id")
    _index("ix_jobs_state", "jobs", "state", "id")
    _index("uq_jobs_wish", "jobs", "project", "idempotency_key", where="idempotency_key <> ''", unique=True)
    op.create_table(
        "facts",
        _text("job"),
        _int("seq"),
        _int("at_ms"),
        _text("source"),
        _text("kind"),
        _text("event"),
        sa.PrimaryKeyConstraint("job", "seq", name="pk_facts"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_facts_job"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipts",
        _text("key"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_receipts"),
    )


def _create_sites() -> None:
    op.create_table(
        "commands",
        sa.Column("id", _BigId, sa.Identity(always=True), autoincrement=True, nullable=False),
        _text("site"),
        _text("key"),
        _text("kind"),
        _int("taken_ms", null=True),
        sa.PrimaryKeyConstraint("id", name="pk_commands"),
        sa.UniqueConstraint("key", "kind", name="uq_commands_key_kind"),
        sqlite_autoincrement=True,
    )
    _index("ix_commands_site", "commands", "site", "id")
    op.create_table(
        "lease",
        _text("name"),
        _text("holder"),
        _int("epoch"),
        _int("until_ms"),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    op.create_table(
        "statuses",
        _text("site"),
        _int("seen_ms"),
        _int("observed_ms"),
        _text("agent"),
        _text("isolation"),
        sa.PrimaryKeyConstraint("site", name="pk_statuses"),
    )
    op.create_table(
        "absences",
        _text("key"),
        _text("site"),
        _int("since_ms"),
        _int("polls"),
        sa.PrimaryKeyConstraint("key", name="pk_absences"),
    )
    _index("ix_absences_site", "absences", "site")
    op.create_table(
        "watches",
        _text("key"),
        _text("site"),
        _int("until_ms"),
        sa.PrimaryKeyConstraint("key", name="pk_watches"),
    )
    _index("ix_watches_site", "watches", "site", "until_ms")


def _create_ledger() -> None:
    op.create_table(
        "accounts",
        _text("id"),
        _int("posted_micro"),
        _int("held_micro"),
        _int("floor_micro", null=True),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.CheckConstraint("posted_micro - held_micro >= floor_micro", name=op.f("ck_accounts_floor")),
        sa.CheckConstraint("held_micro >= 0", name=op.f("ck_accounts_held")),
    )
    op.create_table(
        "lots",
        _text("id"),
        _text("account"),
        _text("project"),
        _text("kind"),
        _int("rate_ppm"),
        _int("starts_ms"),
        _int("ends_ms"),
        sa.PrimaryKeyConstraint("id", name="pk_lots"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_lots_account"),
    )
    _index("ix_lots_project", "lots", "project")
    op.create_table(
        "txns",
        _text("id"),
        _text("kind"),
        _text("project"),
        _int("effective_ms"),
        _text("cause"),
        sa.PrimaryKeyConstraint("id", name="pk_txns"),
    )
    _index("ix_txns_project", "txns", "project", "id")
    _index("ix_txns_time", "txns", "project", "effective_ms")
    _index("ix_txns_cause", "txns", "cause", "id")
    op.create_table(
        "entries",
        _text("txn"),
        _int("n"),
        _text("account"),
        _int("amount_micro"),
        sa.PrimaryKeyConstraint("txn", "n", name="pk_entries"),
        sa.ForeignKeyConstraint(["txn"], ["txns.id"], name="fk_entries_txn"),
        sqlite_with_rowid=False,
    )
    _index("ix_entries_account", "entries", "account", "amount_micro")


def _create_holds() -> None:
    op.create_table(
        "holds",
        _text("key"),
        _text("project"),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_holds"),
    )
    _index("ix_holds_open", "holds", "project", "key", where="NOT closed")
    op.create_table(
        "hold_parts",
        _text("key"),
        _text("lot"),
        _int("n"),
        _int("amount_micro"),
        sa.PrimaryKeyConstraint("key", "lot", name="pk_hold_parts"),
        sa.ForeignKeyConstraint(["key"], ["holds.key"], name="fk_hold_parts_key"),
        sa.CheckConstraint("amount_micro >= 0", name=op.f("ck_hold_parts_amount")),
    )


def _create_usage() -> None:
    op.create_table(
        "usage",
        _text("id"),
        _text("project"),
        _text("key"),
        _text("site"),
        _text("sku"),
        _text("unit"),
        _int("quantity"),
        _int("price_micro"),
        _int("per"),
        _int("charge_micro"),
        _int("from_ms"),
        _int("upto_ms"),
        _int("energy_j"),
        _int("green_j"),
        _int("co2_mg"),
        _text("method"),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
    )
    _index("ix_usage_project", "usage", "project", "id")
    _index("ix_usage_time", "usage", "project", "upto_ms")
    _index("ix_usage_key", "usage", "key", "id")


def _create_registry() -> None:
    op.create_table(
        "registry",
        _text("kind"),
        _text("id"),
        _text("parent"),
        _text("lookup"),
        _int("version"),
        _text("doc"),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_registry"),
    )
    _index("ix_registry_parent", "registry", "kind", "parent", "id")
    _index("uq_registry_lookup", "registry", "kind", "lookup", where="lookup <> ''", unique=True)


def _guard_sqlite() -> None:
    for table in _FROZEN:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER frozen_{table}_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
            )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION hutong_frozen() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME; END $$"
    )
    for table in _FROZEN:
        op.execute(
            f"CREATE TRIGGER frozen_{table} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION hutong_frozen()"
        )
    op.execute(
        "CREATE FUNCTION hutong_balanced() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE total numeric; BEGIN "
        "SELECT sum(amount_micro) INTO total FROM entries WHERE txn = NEW.txn; "
        "IF total <> 0 THEN RAISE EXCEPTION 'the entries of % sum to %', NEW.txn, total; END IF; "
        "RETURN NULL; END $$"
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER balanced_entries AFTER INSERT ON entries "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hutong_balanced()"
    )
