"""The ledger in SQL: lots, transactions, holds and usage."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from hutong.adapters.store import rules
from hutong.adapters.store.chain import append
from hutong.adapters.store.combining import Combiner
from hutong.adapters.store.db import Database, rows_in
from hutong.adapters.store.ledger_rows import USAGE, lot_in, read_holds, read_lots, record_of, with_entries
from hutong.adapters.store.ledger_tables import accounts, holds, lots, turns, txns, usage
from hutong.adapters.store.posting import known_txns, post_all, post_each
from hutong.core.book.audit import Author, told_of_lot, told_of_terms, told_of_txn
from hutong.core.book.money import (
    Entry,
    HoldChange,
    Lot,
    Posting,
    Turn,
    Txn,
    UsageRecord,
    lot_account,
)
from hutong.core.book.store import Span
from hutong.core.kernel.errors import Conflict, HutongError
from hutong.core.kernel.ids import LotId, ProjectId


class Ledger:
    """The ledger's part of the store."""

    _db: Database
    _combiner: Combiner

    def open_lot(self, lot: Lot, *txns: Txn, author: Author | None = None) -> bool:
        """Create a lot with the transaction that fills it; False if that transaction is already there."""

        def work(connection: sa.Connection) -> bool:
            posting = Posting(txns)
            if txns[0].id in known_txns(connection, [posting]):
                return False
            if connection.execute(sa.select(lots.c.id).where(lots.c.id == lot.id)).first():
                raise Conflict("lot_exists", f"lot {lot.id} exists already")
            account = lot_account(lot.id)
            row = {"id": account, "posted_micro": 0, "held_micro": 0, "floor_micro": 0}
            connection.execute(accounts.insert(), row)
            row = {
                "id": lot.id,
                "account": account,
                "project": lot.project,
                "kind": lot.kind.value,
                "rate_ppm": lot.rate_ppm,
                "starts_ms": lot.starts_ms,
                "ends_ms": lot.ends_ms,
                "due_ms": lot.ends_ms,
                "clawed": False,
            }
            connection.execute(lots.insert(), row)
            fresh = post_all(self._db, connection, [posting], guarded=False)[0]
            if fresh and author is not None:
                told = told_of_lot(lot, txns[0])
                append(self._db, connection, author, f"{lot.kind.value}.create", f"lot/{lot.id}", None, told)
            return fresh

        return self._db.write(work)

    def span_lot(self, lot: LotId, starts_ms: int, ends_ms: int, *, author: Author | None = None) -> bool:
        """Set when a lot may be held against; False if it was so already. Raises NotFound."""

        def work(connection: sa.Connection) -> bool:
            before = lot_in(connection, lot)
            if (before.starts_ms, before.ends_ms) == (starts_ms, ends_ms):
                return False
            span = {"starts_ms": starts_ms, "ends_ms": ends_ms, "due_ms": ends_ms}
            connection.execute(lots.update().where(lots.c.id == lot).values(span))
            if author is not None:
                after = replace(before, starts_ms=starts_ms, ends_ms=ends_ms)
                action, was, told = f"{before.kind.value}.change", told_of_terms(before), told_of_terms(after)
                append(self._db, connection, author, action, f"lot/{lot}", was, told)
            return True

        return self._db.write(work)

    def post(self, posting: Posting, author: Author | None = None, turn: Turn | None = None) -> bool:
        """Write transactions, holds and usage together; False if the first transaction is already there.

        Raises Conflict("insufficient_funds") if a hold does not fit its lot, Conflict("turn") if others gave
        back or rerated since `turn`.
        """
        if author is None and turn is None:
            return self._combiner.post(posting)

        def work(connection: sa.Connection) -> bool:
            fresh = post_all(self._db, connection, [posting], guarded=False)[0]
            if fresh and turn is not None:
                self._take(connection, turn)
            if fresh and author is not None:
                for txn in posting.txns:
                    action, name = f"{txn.kind}.post", f"txn/{txn.id}"
                    append(self._db, connection, author, action, name, None, told_of_txn(txn))
            return fresh

        return self._db.write(work)

    def turn(self, project: ProjectId) -> Turn:
        """Return how often money of a project was given back or rerated until now."""
        with self._db.read() as connection:
            number = connection.execute(sa.select(turns.c.number).where(turns.c.project == project)).scalar()
        return Turn(project, number or 0)

    def _take(self, connection: sa.Connection, turn: Turn) -> None:
        after = {"number": turn.number + 1}
        take = self._db.upsert(turns).values(project=turn.project, **after)
        still = turns.c.number == turn.number
        take = take.on_conflict_do_update(index_elements=["project"], set_=after, where=still)
        if connection.execute(take.returning(turns.c.number)).first() is None:
            raise rules.out_of_turn(turn)

    def _post_each(self, postings: Sequence[Posting]) -> Sequence[bool | HutongError]:
        return self._db.write(lambda connection: post_each(self._db, connection, postings))

    def lots(self, project: ProjectId) -> tuple[Lot, ...]:
        """Return a project's lots with balances, in the order in which they pay."""
        with self._db.read() as connection:
            return read_lots(connection, [project])[project]

    def holds(self, project: ProjectId, limit: int) -> tuple[HoldChange, ...]:
        """Return open holds of a project, each as the change that would have opened it."""
        query = sa.select(holds).where(holds.c.project == project, sa.not_(holds.c.closed))
        query = query.order_by(holds.c.key).limit(rules.page(limit))
        with self._db.read() as connection:
            states = read_holds(connection, connection.execute(query).mappings().all())
        return tuple(state.as_change(key) for key, state in states.items())

    def hold(self, key: str) -> HoldChange | None:
        """Return one open hold."""
        query = sa.select(holds).where(holds.c.key == key, sa.not_(holds.c.closed))
        with self._db.read() as connection:
            states = read_holds(connection, connection.execute(query).mappings().all())
        return states[key].as_change(key) if states else None

    def usage(
        self, project: ProjectId, key: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[UsageRecord, ...]:
        """Return usage records in order of id above `after`; all of the project where `key` is empty."""
        query = USAGE.where(usage.c.project == project, usage.c.id > after)
        if key:
            query = query.where(usage.c.key == key)
        if span:
            query = query.where(usage.c.upto_ms >= span[0], usage.c.upto_ms < span[1])
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(usage.c.id).limit(rules.page(limit))).all()
        return tuple(record_of(row) for row in rows)

    def txns(
        self, project: ProjectId, cause: str, after: str, limit: int, span: Span | None = None
    ) -> tuple[Txn, ...]:
        """Return transactions in order of id above `after`; all of the project where `cause` is empty."""
        query = sa.select(txns).where(txns.c.project == project, txns.c.id > after)
        if cause:
            query = query.where(txns.c.cause == cause)
        if span:
            query = query.where(txns.c.effective_ms >= span[0], txns.c.effective_ms < span[1])
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(txns.c.id).limit(rules.page(limit))).mappings().all()
            return with_entries(connection, rows)

    def txn(self, name: str) -> Txn | None:
        """Return one transaction."""
        with self._db.read() as connection:
            rows = connection.execute(sa.select(txns).where(txns.c.id == name)).mappings().all()
            return next(iter(with_entries(connection, rows)), None)

    def reversals(self, names: Sequence[str]) -> tuple[Txn, ...]:
        """Return what was given back of some transactions (at most a thousand), in order of what and when."""
        query = sa.select(txns).where(txns.c.reverses != "").order_by(txns.c.reverses, txns.c.reverses_from)
        with self._db.read() as connection:
            found = list(rows_in(connection, query, txns.c.reverses, names[: rules.PAGE_MAX]))
            return with_entries(connection, found)

    def balances(self, accounts_: Sequence[str]) -> tuple[Entry, ...]:
        """Return the posted balance of each account (0 for one that never had an entry)."""
        query = sa.select(accounts.c.id, accounts.c.posted_micro)
        with self._db.read() as connection:
            rows = rows_in(connection, query, accounts.c.id, sorted(set(accounts_)))
            found = {row["id"]: row["posted_micro"] for row in rows}
        return tuple(Entry(name, found.get(name, 0)) for name in accounts_)
