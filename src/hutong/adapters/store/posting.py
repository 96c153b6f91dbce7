"""Postings in SQL: transactions, holds and usage, written together or not at all."""

from collections.abc import Iterable, Sequence
from dataclasses import fields

import sqlalchemy as sa

from hutong.adapters.store import accounting
from hutong.adapters.store.accounting import Balance, HoldState, Plan
from hutong.adapters.store.asking import Asking, asking
from hutong.adapters.store.bulk import change_of, change_rows, merge_rows, streaming
from hutong.adapters.store.combining import PostAlone
from hutong.adapters.store.db import Database, many, rows_in, run_among
from hutong.adapters.store.ledger_rows import PARTS, holds_of, with_entries
from hutong.adapters.store.ledger_tables import accounts, entries, hold_parts, holds, lots, txns, usage
from hutong.adapters.store.periods import book_in
from hutong.adapters.store.rollups import Booked
from hutong.adapters.store.uses import count_uses
from hutong.core.book.money import (
    Posting,
    Txn,
    UsageRecord,
)
from hutong.core.kernel.errors import HutongError

_MOVE = change_of(accounts, (), ("posted_micro", "held_micro"))
_REARM = lots.update().where(lots.c.due_ms.is_(None)).values(due_ms=lots.c.ends_ms)
_USAGE = tuple(each.name for each in fields(UsageRecord))
_CLOSE = holds.update().values(closed=True)
_DROP_PARTS = hold_parts.delete()
_HOLDS = sa.select(holds).order_by(holds.c.key).with_for_update()
_BALANCES = sa.select(accounts).order_by(accounts.c.id).with_for_update()
_TXNS = sa.select(txns.c.id)


class Booking:
    """Writes postings in the caller's transaction: asks for what they touch, plans, then writes."""

    def __init__(self, ask: Asking, postings: Sequence[Posting]) -> None:
        txns_ = [txn for posting in postings for txn in posting.txns]
        keys = sorted({change.key for posting in postings for change in posting.holds})
        self._known = ask.among(_TXNS, txns.c.id, sorted({txn.id for txn in txns_}))
        self._holds = ask.among(_HOLDS, holds.c.key, keys)
        self._parts = ask.among(PARTS, hold_parts.c.key, keys)
        self._balances = ask.among(_BALANCES, accounts.c.id, accounting.guarded_accounts(postings))
        self._sums = Booked(ask, [each for posting in postings for each in posting.usage], txns_)
        self._out = Plan()
        self._periods: list[str] = []

    def plan(
        self, db: Database, connection: sa.Connection, postings: Sequence[Posting], *, guarded: bool
    ) -> tuple[bool, ...]:
        """Work out what these of the postings change; say of each whether it is news."""
        known, states = self._there()
        out = accounting.plan(postings, known, states, guarded=guarded)
        if out.reversed_txns:
            _check_reversals(connection, out)
        self._periods = book_in(db, connection, [txn.effective_ms for txn in out.txns])
        accounting.check_funds(out, self._money())
        self._out = out
        return tuple(out.fresh)

    def plan_each(
        self, db: Database, connection: sa.Connection, postings: Sequence[Posting]
    ) -> Sequence[bool | HutongError]:
        """Work out what those change that may be; say of each whether it is news, or why it may not be."""
        known, states = self._there()
        out, verdicts = accounting.plan_each(postings, known, states, self._money())
        self._periods = book_in(db, connection, [txn.effective_ms for txn in out.txns])
        self._out = out
        return verdicts

    def _there(self) -> tuple[set[str], dict[str, HoldState]]:
        return {str(row["id"]) for row in self._known}, holds_of(self._holds, self._parts)

    def _money(self) -> dict[str, Balance]:
        return {
            row["id"]: Balance(row["posted_micro"], row["held_micro"], row["floor_micro"])
            for row in self._balances
        }

    def write(self, connection: sa.Connection) -> None:
        """Write what was planned."""
        out = self._out
        with streaming(connection):
            _write_txns(connection, out, self._periods)
            _write_holds(connection, out)
            rows = [{name: getattr(record, name) for name in _USAGE} for record in out.usage]
            many(connection, usage.insert(), rows)
            count_uses(connection, out.usage)
            self._sums.count(connection, out.usage, out.txns)


def post_all(
    db: Database, connection: sa.Connection, postings: Sequence[Posting], *, guarded: bool
) -> tuple[bool, ...]:
    """Write postings in the caller's transaction; say of each whether it was news."""
    with asking(connection) as ask:
        booking = Booking(ask, postings)
    fresh = booking.plan(db, connection, postings, guarded=guarded)
    booking.write(connection)
    return fresh


def post_each(
    db: Database, connection: sa.Connection, postings: Sequence[Posting]
) -> Sequence[bool | HutongError]:
    """Write those postings that may be; say of each whether it was news, or why it may not be."""
    if any(txn.reverses for posting in postings for txn in posting.txns):
        if len(postings) > 1:
            raise PostAlone
        return [post_all(db, connection, postings, guarded=False)[0]]
    with asking(connection) as ask:
        booking = Booking(ask, postings)
    verdicts = booking.plan_each(db, connection, postings)
    booking.write(connection)
    return verdicts


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
    return {str(row["id"]) for row in rows_in(connection, _TXNS, txns.c.id, ids)}


def _write_txns(connection: sa.Connection, out: Plan, booked: Sequence[str]) -> None:
    rows = [_txn_row(txn, period) for txn, period in zip(out.txns, booked, strict=True)]
    many(connection, txns.insert(), rows)
    many(connection, entries.insert(), [row for txn in out.txns for row in _entry_rows(txn)])
    lot_moves = [
        {
            "name": name,
            "more_posted_micro": out.posted.get(name, 0),
            "more_held_micro": out.held.get(name, 0),
        }
        for name in out.lot_accounts
    ]
    if not change_rows(connection, accounts, lot_moves):
        many(connection, _MOVE, lot_moves)
    # What comes back to a lot that has ended must be found by who lets it expire.
    run_among(connection, _REARM, lots.c.account, out.refilled_accounts)
    others = [
        {"id": name, "posted_micro": amount, "held_micro": 0, "floor_micro": None}
        for name, amount in sorted(out.posted.items())
        if not accounting.is_lot(name)
    ]
    merge_rows(connection, accounts, others, ("id",), add=("posted_micro",))


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


def _write_holds(connection: sa.Connection, out: Plan) -> None:
    opened = sorted(out.opened)
    many(
        connection,
        holds.insert(),
        [{"key": key, "project": out.holds[key].project, "closed": out.holds[key].closed} for key in opened],
    )
    closed = [key for key, state in out.holds.items() if state.closed and key not in out.opened]
    run_among(connection, _CLOSE, holds.c.key, closed)
    run_among(connection, _DROP_PARTS, hold_parts.c.key, closed)
    parts = [
        {"key": key, "lot": lot, "n": n, "amount_micro": amount}
        for key, state in out.holds.items()
        if not state.closed
        for n, (lot, amount) in enumerate(state.parts.items())
    ]
    merge_rows(connection, hold_parts, parts, ("key", "lot"), put=("amount_micro",))
