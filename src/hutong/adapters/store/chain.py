"""The audit in SQL: events are appended in the transaction of the change they tell of, and never changed."""

from collections.abc import Mapping
from dataclasses import asdict

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.db import Database
from hutong.adapters.store.tables import audit
from hutong.core.book.audit import AuditEvent, AuditQuery, Author, make_event
from hutong.core.kernel.chain import START, Head

_LAST = sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)


def append(
    db: Database,
    connection: sa.Connection,
    author: Author,
    action: str,
    name: str,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> None:
    """Write an event at the end of the chain, in the caller's transaction.

    To be called last: it waits for every other writer of the audit, and lets go on commit.
    """
    db.lock_audit(connection)
    last = connection.execute(_LAST).first()
    event = make_event(Head(last[0], last[1]) if last else START, author, action, name, before, after)
    connection.execute(audit.insert(), asdict(event))


class Chain:
    """The audit's part of the store."""

    _db: Database

    def audit(self, query: AuditQuery) -> tuple[AuditEvent, ...]:
        """Return events by number, the oldest or the newest first."""
        rows = sa.select(audit).where(audit.c.seq > query.after)
        if query.before:
            rows = rows.where(audit.c.seq < query.before)
        if query.actor:
            rows = rows.where(audit.c.actor == query.actor)
        if query.object:
            rows = rows.where(audit.c.object == query.object)
        order = audit.c.seq.desc() if query.newest_first else audit.c.seq
        with self._db.read() as connection:
            found = connection.execute(rows.order_by(order).limit(rules.page(query.limit))).mappings().all()
        return tuple(AuditEvent(**row) for row in found)
