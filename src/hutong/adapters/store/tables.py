"""The tables of the book; nothing outside the store knows them.

Each JSON column holds a core dataclass as text, see `codec`. Wide columns come last, so that a scan of the
narrow ones does not read them. Partial indexes keep the cost of a turn free of finished jobs.
"""

import sqlalchemy as sa

from hutong.adapters.store.schema import BigId, Text, index_of, int_of, metadata, text_of

_priority: sa.Column[int] = int_of("priority")

# What stands in the queue (the same as `rules.in_queue`). A job that waits out a back-off is due when that
# ends: until then no turn sees it, however many there are. The concatenation keeps SQLite, which has no
# statistics here, from reading every queued job by `ix_jobs_state` instead of stepping through this index.
IN_QUEUE = "state || '' = 'QUEUED' AND (due_ms IS NULL OR due_ms > queued_ms)"

# `job` is a cache of the fold of the job's facts; the columns before it repeat what queries need.
# site, pool, cards, attempt, dispatched_ms and until_ms are those of the live attempt, else null; gives_way
# is 1 while that may be stopped to make room, 2 while it is being stopped for it. nodes is 0 without one, and
# where a server of an older version wrote the row. person is who submitted the job; empty where it was over
# before that was noted. likely_ms is how long the live attempt is expected to
# run from began_ms on, 0 where only its walltime is known. ahead_* is what the last attempt may still use
# beyond what is settled, and where; see `core.book.ahead`.
jobs = sa.Table(
    "jobs",
    metadata,
    text_of("id", key=True),
    text_of("project"),
    int_of("seq"),
    text_of("state"),
    _priority,
    int_of("submitted_ms"),
    int_of("queued_ms"),
    int_of("finished_ms"),
    int_of("due_ms", null=True),
    text_of("site", null=True),
    text_of("pool", null=True),
    int_of("cards", null=True),
    int_of("attempt", null=True),
    int_of("dispatched_ms", null=True),
    int_of("until_ms", null=True),
    sa.Column("gives_way", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("person", Text, nullable=False, server_default=""),
    sa.Column("began_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("likely_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("nodes", sa.BigInteger, nullable=False, server_default="0"),
    text_of("ahead_site", default=""),
    text_of("ahead_sku", default=""),
    *(
        sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        for name in ("ahead_card_ms", "ahead_micro", "ahead_j")
    ),
    text_of("idempotency_key"),
    text_of("request_digest"),
    text_of("spec_digest"),
    text_of("job"),
    text_of("spec"),
    index_of("ix_jobs_due", "due_ms", "id", where="due_ms IS NOT NULL"),
    index_of("ix_jobs_queue", "project", _priority.desc(), "queued_ms", "id", where=IN_QUEUE),
    index_of("ix_jobs_people", "project", "person", _priority.desc(), "queued_ms", "id", where=IN_QUEUE),
    index_of("ix_jobs_live", "site", "pool", "until_ms", "cards", "nodes", where="site IS NOT NULL"),
    index_of("ix_jobs_way", "gives_way", "site", "pool", "dispatched_ms", "cards", where="gives_way > 0"),
    index_of("ix_jobs_ahead", "project", "person", where="ahead_card_ms > 0"),
    index_of("ix_jobs_project", "project", "id"),
    index_of("ix_jobs_project_state", "project", "state", "id"),
    index_of("ix_jobs_state", "state", "id"),
    index_of("uq_jobs_wish", "project", "idempotency_key", where="idempotency_key <> ''", unique=True),
)

facts = sa.Table(
    "facts",
    metadata,
    text_of("job", sa.ForeignKey("jobs.id"), key=True),
    int_of("seq", key=True),
    int_of("at_ms"),
    text_of("source"),
    text_of("kind"),
    text_of("event"),
    sqlite_with_rowid=False,
)

receipts = sa.Table(
    "receipts",
    metadata,
    text_of("key", key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# What projects and institutions have used lately, as of `at_ms`; see `core.book.shares`.
shares = sa.Table(
    "shares",
    metadata,
    text_of("name", key=True),
    int_of("card_ms"),
    int_of("at_ms"),
)

# How runs of the same work came out on each accelerator; see `core.book.runs`.
speeds = sa.Table(
    "speeds",
    metadata,
    text_of("workload", key=True),
    text_of("accelerator", key=True),
    int_of("runs"),
    int_of("sum_mn"),
    int_of("at_ms"),
    index_of("ix_speeds_at_ms", "at_ms"),
)

# What sites did to the attempts that ran there, as of `at_ms`; see `core.book.stays`.
stays = sa.Table(
    "stays",
    metadata,
    text_of("site", key=True),
    int_of("node_ms"),
    int_of("breaks_ppm"),
    int_of("at_ms"),
)

# How long, in seconds, the last runs of the same work took, as of `at_ms`; see `core.book.lengths`.
lengths = sa.Table(
    "lengths",
    metadata,
    text_of("work", key=True),
    text_of("ran_s"),
    int_of("at_ms"),
    index_of("ix_lengths_at_ms", "at_ms"),
)

pages = sa.Table(
    "pages",
    metadata,
    text_of("digest", key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("id", BigId, sa.Identity(always=True), primary_key=True, autoincrement=True),
    text_of("site"),
    text_of("key"),
    text_of("kind"),
    int_of("taken_ms", null=True),
    sa.UniqueConstraint("key", "kind"),
    index_of("ix_commands_site", "site", "id"),
    sqlite_autoincrement=True,
)

lease = sa.Table(
    "lease",
    metadata,
    text_of("name", key=True),
    text_of("holder"),
    int_of("epoch"),
    int_of("until_ms"),
)

statuses = sa.Table(
    "statuses",
    metadata,
    text_of("site", key=True),
    int_of("seen_ms"),
    int_of("observed_ms"),
    text_of("agent"),
    text_of("isolation"),
    sa.Column("trouble", Text, nullable=False, server_default=""),
    sa.Column("pools", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("moves", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("offers", sa.JSON(none_as_null=True)),
    sa.Column("stock", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("transfers", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("can", sa.JSON(none_as_null=True)),
)

absences = sa.Table(
    "absences",
    metadata,
    text_of("key", key=True),
    text_of("site"),
    int_of("since_ms"),
    int_of("polls"),
    index_of("ix_absences_site", "site"),
)

watches = sa.Table(
    "watches",
    metadata,
    text_of("key", key=True),
    text_of("site"),
    int_of("until_ms"),
    index_of("ix_watches_site", "site", "until_ms"),
)

# Calls for tunnels: each lives for seconds.
dials = sa.Table(
    "dials",
    metadata,
    text_of("id", key=True),
    text_of("site"),
    text_of("key"),
    int_of("rank"),
    int_of("port"),
    text_of("url"),
    int_of("expires_ms"),
    index_of("ix_dials_site", "site", "expires_ms"),
    index_of("ix_dials_expires", "expires_ms"),
)

# Rows are only ever added: triggers refuse everything else, see the migration. `seq` has no gaps.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    int_of("at_ms"),
    text_of("actor"),
    text_of("on_behalf_of"),
    text_of("action"),
    text_of("object"),
    text_of("before"),
    text_of("after"),
    text_of("address"),
    text_of("reason"),
    text_of("mark"),
    text_of("prev"),
    text_of("hash"),
    index_of("ix_audit_actor", "actor", "seq"),
    index_of("ix_audit_object", "object", "seq"),
)

registry = sa.Table(
    "registry",
    metadata,
    text_of("kind", key=True),
    text_of("id", key=True),
    text_of("parent"),
    text_of("lookup"),
    int_of("version"),
    text_of("doc"),
    index_of("ix_registry_parent", "kind", "parent", "id"),
    index_of("uq_registry_lookup", "kind", "lookup", where="lookup <> ''", unique=True),
)
