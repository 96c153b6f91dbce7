"""The tables of the book; nothing outside the store knows them.

Each JSON column holds a core dataclass as text, see `codec`. Wide columns come last, so that a scan of the
narrow ones does not read them. Partial indexes keep the cost of a turn free of finished jobs.
"""

import sqlalchemy as sa

# Ids sort by bytes everywhere: a keyset cursor must mean the same on every database.
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *rest: sa.schema.SchemaItem, key: bool = False, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, Text, *rest, primary_key=key, nullable=null)


def _int(name: str, *, key: bool = False, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=null)


def _index(
    name: str, *columns: str | sa.ColumnElement[int], where: str = "", unique: bool = False
) -> sa.Index:
    clause = sa.text(where) if where else None
    return sa.Index(name, *columns, unique=unique, sqlite_where=clause, postgresql_where=clause)


_priority: sa.Column[int] = _int("priority")

# What stands in the queue (the same as `rules.in_queue`). A job that waits out a back-off is due when that
# ends: until then no turn sees it, however many there are. The concatenation keeps SQLite, which has no
# statistics here, from reading every queued job by `ix_jobs_state` instead of stepping through this index.
IN_QUEUE = "state || '' = 'QUEUED' AND (due_ms IS NULL OR due_ms > queued_ms)"

# `job` is a cache of the fold of the job's facts; the columns before it repeat what queries need.
# site, pool, cards, attempt, dispatched_ms and until_ms are those of the live attempt, else null; gives_way
# is 1 while that may be stopped to make room, 2 while it is being stopped for it. person is who submitted the
# job; empty where it was over before that was noted. likely_ms is how long the live attempt is expected to
# run from began_ms on, 0 where only its walltime is known.
jobs = sa.Table(
    "jobs",
    metadata,
    _text("id", key=True),
    _text("project"),
    _int("seq"),
    _text("state"),
    _priority,
    _int("submitted_ms"),
    _int("queued_ms"),
    _int("finished_ms"),
    _int("due_ms", null=True),
    _text("site", null=True),
    _text("pool", null=True),
    _int("cards", null=True),
    _int("attempt", null=True),
    _int("dispatched_ms", null=True),
    _int("until_ms", null=True),
    sa.Column("gives_way", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("person", Text, nullable=False, server_default=""),
    sa.Column("began_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("likely_ms", sa.BigInteger, nullable=False, server_default="0"),
    _text("idempotency_key"),
    _text("request_digest"),
    _text("spec_digest"),
    _text("job"),
    _text("spec"),
    _index("ix_jobs_due", "due_ms", "id", where="due_ms IS NOT NULL"),
    _index("ix_jobs_queue", "project", _priority.desc(), "queued_ms", "id", where=IN_QUEUE),
    _index("ix_jobs_people", "project", "person", _priority.desc(), "queued_ms", "id", where=IN_QUEUE),
    _index("ix_jobs_live", "site", "pool", "until_ms", "cards", where="site IS NOT NULL"),
    _index("ix_jobs_way", "gives_way", "site", "pool", "dispatched_ms", "cards", where="gives_way > 0"),
    _index("ix_jobs_project", "project", "id"),
    _index("ix_jobs_project_state", "project", "state", "id"),
    _index("ix_jobs_state", "state", "id"),
    _index("uq_jobs_wish", "project", "idempotency_key", where="idempotency_key <> ''", unique=True),
)

facts = sa.Table(
    "facts",
    metadata,
    _text("job", sa.ForeignKey("jobs.id"), key=True),
    _int("seq", key=True),
    _int("at_ms"),
    _text("source"),
    _text("kind"),
    _text("event"),
    sqlite_with_rowid=False,
)

receipts = sa.Table(
    "receipts",
    metadata,
    _text("key", key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# What projects and institutions have used lately, as of `at_ms`; see `core.book.shares`.
shares = sa.Table(
    "shares",
    metadata,
    _text("name", key=True),
    _int("card_ms"),
    _int("at_ms"),
)

# How runs of the same work came out on each accelerator; see `core.book.runs`.
speeds = sa.Table(
    "speeds",
    metadata,
    _text("workload", key=True),
    _text("accelerator", key=True),
    _int("runs"),
    _int("sum_mn"),
    _int("at_ms"),
    _index("ix_speeds_at_ms", "at_ms"),
)

# What sites did to the attempts that ran there, as of `at_ms`; see `core.book.stays`.
stays = sa.Table(
    "stays",
    metadata,
    _text("site", key=True),
    _int("node_ms"),
    _int("breaks_ppm"),
    _int("at_ms"),
)

# How long, in seconds, the last runs of the same work took, as of `at_ms`; see `core.book.lengths`.
lengths = sa.Table(
    "lengths",
    metadata,
    _text("work", key=True),
    _text("ran_s"),
    _int("at_ms"),
    _index("ix_lengths_at_ms", "at_ms"),
)

pages = sa.Table(
    "pages",
    metadata,
    _text("digest", key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("id", BigId, sa.Identity(always=True), primary_key=True, autoincrement=True),
    _text("site"),
    _text("key"),
    _text("kind"),
    _int("taken_ms", null=True),
    sa.UniqueConstraint("key", "kind"),
    _index("ix_commands_site", "site", "id"),
    sqlite_autoincrement=True,
)

lease = sa.Table(
    "lease",
    metadata,
    _text("name", key=True),
    _text("holder"),
    _int("epoch"),
    _int("until_ms"),
)

statuses = sa.Table(
    "statuses",
    metadata,
    _text("site", key=True),
    _int("seen_ms"),
    _int("observed_ms"),
    _text("agent"),
    _text("isolation"),
    sa.Column("trouble", Text, nullable=False, server_default=""),
    sa.Column("pools", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("moves", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("offers", sa.JSON(none_as_null=True)),
)

absences = sa.Table(
    "absences",
    metadata,
    _text("key", key=True),
    _text("site"),
    _int("since_ms"),
    _int("polls"),
    _index("ix_absences_site", "site"),
)

watches = sa.Table(
    "watches",
    metadata,
    _text("key", key=True),
    _text("site"),
    _int("until_ms"),
    _index("ix_watches_site", "site", "until_ms"),
)

# Calls for tunnels: each lives for seconds.
dials = sa.Table(
    "dials",
    metadata,
    _text("id", key=True),
    _text("site"),
    _text("key"),
    _int("rank"),
    _int("port"),
    _text("url"),
    _int("expires_ms"),
    _index("ix_dials_site", "site", "expires_ms"),
    _index("ix_dials_expires", "expires_ms"),
)

# L4: what is held never exceeds what is there; `floor_micro` is null for accounts that may go anywhere.
accounts = sa.Table(
    "accounts",
    metadata,
    _text("id", key=True),
    _int("posted_micro"),
    _int("held_micro"),
    _int("floor_micro", null=True),
    sa.CheckConstraint("posted_micro - held_micro >= floor_micro", name="floor"),
    sa.CheckConstraint("held_micro >= 0", name="held"),
)

lots = sa.Table(
    "lots",
    metadata,
    _text("id", key=True),
    _text("account", sa.ForeignKey("accounts.id")),
    _text("project"),
    _text("kind"),
    _int("rate_ppm"),
    _int("starts_ms"),
    _int("ends_ms"),
    _index("ix_lots_project", "project"),
)

txns = sa.Table(
    "txns",
    metadata,
    _text("id", key=True),
    _text("kind"),
    _text("project"),
    _int("effective_ms"),
    _text("cause"),
    _index("ix_txns_project", "project", "id"),
    _index("ix_txns_time", "project", "effective_ms"),
    _index("ix_txns_cause", "cause", "id"),
)

entries = sa.Table(
    "entries",
    metadata,
    _text("txn", sa.ForeignKey("txns.id"), key=True),
    _int("n", key=True),
    _text("account"),
    _int("amount_micro"),
    _index("ix_entries_account", "account", "amount_micro"),
    sqlite_with_rowid=False,
)

holds = sa.Table(
    "holds",
    metadata,
    _text("key", key=True),
    _text("project"),
    sa.Column("closed", sa.Boolean, nullable=False),
    _index("ix_holds_open", "project", "key", where="NOT closed"),
)

# Only open holds have parts.
hold_parts = sa.Table(
    "hold_parts",
    metadata,
    _text("key", sa.ForeignKey("holds.key"), key=True),
    _text("lot", key=True),
    _int("n"),
    _int("amount_micro"),
    sa.CheckConstraint("amount_micro >= 0", name="amount"),
)

usage = sa.Table(
    "usage",
    metadata,
    _text("id", key=True),
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
    _index("ix_usage_project", "project", "id"),
    _index("ix_usage_time", "project", "upto_ms"),
    _index("ix_usage_key", "key", "id"),
)

registry = sa.Table(
    "registry",
    metadata,
    _text("kind", key=True),
    _text("id", key=True),
    _text("parent"),
    _text("lookup"),
    _int("version"),
    _text("doc"),
    _index("ix_registry_parent", "kind", "parent", "id"),
    _index("uq_registry_lookup", "kind", "lookup", where="lookup <> ''", unique=True),
)
