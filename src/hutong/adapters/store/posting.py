"""Postings in SQL: transactions, holds and usage, written together or not at all."""

from collections.abc import Iterable, Sequence
from dataclasses import fields

import sqlalchemy as sa

from hutong.adapters.store import accounting
from hutong.adapters.store.accounting import Balance, HoldState, Plan
from hutong.adapters.store.combining import PostAlone
from hutong.adapters.store.db import Database, many, rows_in
from hutong.adapters.store.ledger_rows import read_holds, with_entries
from hutong.adapters.store.ledger_tables import accounts, entries, hold_parts, holds, lots, txns, usage
from hutong.adapters.store.periods import book_in
from hutong.adapters.store.rollups import count_money, count_records
from hutong.adapters.store.uses import count_uses
from hutong.core.book.money import (
    Posting,
    Txn,
    UsageRecord,
)
from hutong.core.kernel.errors import HutongError

_MOVE = (
    accounts.update()
    .where(accounts.c.id == sa.bindparam("name"))
    .values(
        posted_micro=accounts.c.posted_micro + sa.bindparam("posted"),
        held_micro=accounts.c.held_micro + sa.bindparam("held"),
    )
)
_REARM = (
    lots.update()
    .where(lots.c.account == sa.bindparam("name"), lots.c.due_ms.is_(None))
    .values(due_ms=lots.c.ends_ms)
)
_USAGE = tuple(each.name for each in fields(UsageRecord))
_CLOSE = holds.update().where(holds.c.key == sa.bindparam("name")).values(closed=True)
_DROP_PARTS = hold_parts.delete().where(hold_parts.c.key == sa.bindparam("name"))


def post_all(
    db: Database, connection: sa.Connection, postings: Sequence[Posting], *, guarded: bool
) -> tuple[bool, ...]:
    """Write postings in the caller's transaction; say of each whether it was news."""
    known = known_txns(connection, postings)
    states = _lock_holds(connection, postings)
    out = accounting.plan(postings, known, states, guarded=guarded)
    if out.reversed_txns:
        _check_reversals(connection, out)
    guards = [*out.lot_accounts, *out.repaid_accounts, *out.paid_out_accounts]
    booked = book_in(db, connection, [txn.effective_ms for txn in out.txns])
    accounting.check_funds(out, _lock_balances(connection, guards))
    _write(db, connection, out, booked)
    return tuple(out.fresh)


def post_each(
    db: Database, connection: sa.Connection, postings: Sequence[Posting]
) -> Sequence[bool | HutongError]:
    """Write those postings that may be; say of each whether it was news, or why it may not be."""
    if any(txn.reverses for posting in postings for txn in posting.txns):
        if len(postings) > 1:
            raise PostAlone
        return [post_all(db, connection, postings, guarded=False)[0]]
    known = known_txns(connection, postings)
    states = _lock_holds(connection, postings)
    moments = [txn.effective_ms for posting in postings for txn in posting.txns if txn.id not in known]
    book_in(db, connection, moments)
    balances = _lock_balances(connection, accounting.guarded_accounts(postings))
    out, verdicts = accounting.plan_each(postings, known, states, balances)
    _write(db, connection, out, book_in(db, connection, [txn.effective_ms for txn in out.txns]))
    return verdicts


def _lock_holds(connection: sa.Connection, postings: Sequence[Posting]) -> dict[str, HoldState]:
    keys = {change.key for posting in postings for change in posting.holds}
    query = sa.select(holds).order_by(holds.c.key).with_for_update()
    return read_holds(connection, list(rows_in(connection, query, holds.c.key, sorted(keys))))


def _write(db: Database, connection: sa.Connection, out: Plan, booked: Sequence[str]) -> None:
    _write_txns(db, connection, out, booked)
    _write_holds(db, connection, out)
    rows = [{name: getattr(record, name) for name in _USAGE} for record in out.usage]
    many(connection, usage.insert(), rows)
    count_uses(db, connection, out.usage)
    count_records(db, connection, out.usage)
    count_money(db, connection, out.txns)


def _check_reversals(connection: sa.Connection, out: Plan) -> None:
    names = out.reversed_txns
    # Their rows are locked: what is given back of one is given back by one at a time.
    query = sa.select(txns).order_by(txns.c.id).with_for_update()
    originals = {
        txn.id: txn for txn in with_entries(connection, list(rows_in(connection, query, txns.c.id, names)))
    }
    query = sa.select(txns).where(txns.c.reverses != "")
    earlier = with_entries(connection, list(rows_in(connection, query, txns.c.reverses, names)))
    accounting.check_reversals(out, originals, earlier)


def known_txns(connection: sa.Connection, postings: Sequence[Posting]) -> set[str]:
    """Return the ids of those transactions that are in the book."""
    ids = sorted({txn.id for posting in postings for txn in posting.txns})
    return {str(row["id"]) for row in rows_in(connection, sa.select(txns.c.id), txns.c.id, ids)}


def _lock_balances(connection: sa.Connection, names: Sequence[str]) -> dict[str, Balance]:
    query = sa.select(accounts).order_by(accounts.c.id).with_for_update()
    return {
        row["id"]: Balance(row["posted_micro"], row["held_micro"], row["floor_micro"])
        for row in rows_in(connection, query, accounts.c.id, names)
    }


def _write_txns(db: Database, connection: sa.Connection, out: Plan, booked: Sequence[str]) -> None:
    rows = [_txn_row(txn, period) for txn, period in zip(out.txns, booked, strict=True)]
    many(connection, txns.insert(), rows)
    many(connection, entries.insert(), [row for txn in out.txns for row in _entry_rows(txn)])
    lot_moves = [
        {"name": name, "posted": out.posted.get(name, 0), "held": out.held.get(name, 0)}
        for name in out.lot_accounts
    ]
    many(connection, _MOVE, lot_moves)
    # What comes back to a lot that has ended must be found by who lets it expire.
    many(connection, _REARM, [{"name": name} for name in out.refilled_accounts])
    others = sorted(name for name in out.posted if not accounting.is_lot(name))
    if others:
        insert = db.upsert(accounts)
        total = accounts.c.posted_micro + insert.excluded.posted_micro
        upsert = insert.on_conflict_do_update(index_elements=["id"], set_={"posted_micro": total})
        many(
            connection,
            upsert,
            [
                {"id": name, "posted_micro": out.posted[name], "held_micro": 0, "floor_micro": None}
                for name in others
            ],
        )


def _txn_row(txn: Txn, period: str) -> dict[str, object]:
    return {
        "id": txn.id,
        "kind": txn.kind,
        "project": txn.project,
        "effective_ms": txn.effective_ms,
        "cause": txn.cause,
        "period": period,
        "reverses": txn.reverses,
        "reverses_from": txn.reverses_from,
        "site": txn.site,
        "reason": txn.reason,
    }


def _entry_rows(txn: Txn) -> Iterable[dict[str, object]]:
    for n, entry in enumerate(txn.entries):
        yield {"txn": txn.id, "n": n, "account": entry.account, "amount_micro": entry.amount_micro}


def _write_holds(db: Database, connection: sa.Connection, out: Plan) -> None:
    opened = sorted(out.opened)
    many(
        connection,
        holds.insert(),
        [{"key": key, "project": out.holds[key].project, "closed": out.holds[key].closed} for key in opened],
    )
    closed = [{"name": key} for key, state in out.holds.items() if state.closed and key not in out.opened]
    many(connection, _CLOSE, closed)
    many(connection, _DROP_PARTS, closed)
    parts = [
        {"key": key, "lot": lot, "n": n, "amount_micro": amount}
        for key, state in out.holds.items()
        if not state.closed
        for n, (lot, amount) in enumerate(state.parts.items())
    ]
    insert = db.upsert(hold_parts)
    amount = insert.excluded.amount_micro
    many(
        connection,
        insert.on_conflict_do_update(index_elements=["key", "lot"], set_={"amount_micro": amount}),
        parts,
    )
