"""Billing periods in SQL: where transactions book, and how a period closes for good."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hutong.adapters.store import faults
from hutong.adapters.store.chain import append
from hutong.adapters.store.db import Database
from hutong.adapters.store.ledger_tables import entries, periods, received, txns
from hutong.adapters.store.months import month_of
from hutong.core.book.audit import Author, told_of_period
from hutong.core.book.money import REVENUE, WAIVED
from hutong.core.book.periods import Period, PeriodState, fitted, moment_to_book, moved, period_at
from hutong.core.book.received import Fate


def book_in(db: Database, connection: sa.Connection, moments: Sequence[int]) -> list[str]:
    """Return the id of the period that books each of these effective times; make those that are missing."""
    if not moments:
        return []
    known = db.periods
    if any(period_at(known, moment_to_book(known, each)) is None for each in moments):
        known = db.periods = _read(connection)
    found = []
    for each in moments:
        at_ms = moment_to_book(known, each)
        period = period_at(known, at_ms)
        if period is None:  # not into `db.periods`: this transaction may still be undone
            period = fitted(known, month_of(at_ms, db.zone), at_ms)
            _open(db, connection, period)
            known = (*known, period)
        found.append(period.id)
    return found


def _read(connection: sa.Connection) -> tuple[Period, ...]:
    rows = connection.execute(sa.select(periods).order_by(periods.c.from_ms)).mappings()
    return tuple(_period(row) for row in rows)


def _period(row: sa.RowMapping) -> Period:
    state = PeriodState(row["state"])
    return Period(row["id"], row["from_ms"], row["until_ms"], state, row["person"], row["note"])


def _open(db: Database, connection: sa.Connection, period: Period) -> None:
    row = {
        "id": period.id,
        "from_ms": period.from_ms,
        "until_ms": period.until_ms,
        "state": period.state.value,
        "person": "",
        "note": "",
    }
    connection.execute(db.upsert(periods).on_conflict_do_nothing(index_elements=["id"]), row)


def taken(period: str) -> sa.Select[*tuple[Any, ...]]:
    """Return the query for what work at each site earned in a period; null where nothing was moved.

    The legs are looked up charge by charge, and the concatenation keeps databases from the index of accounts:
    that has every charge that there ever was under `revenue`.
    """
    legs = sa.select(sa.func.sum(entries.c.amount_micro)).where(entries.c.txn == txns.c.id)
    earned = legs.where(entries.c.account.concat("").in_((REVENUE, WAIVED))).scalar_subquery()
    charges = sa.select(txns.c.site, sa.func.sum(earned).label("total")).group_by(txns.c.site)
    within = charges.where(txns.c.period == period, txns.c.site != "", txns.c.kind.in_(faults.TAKING))
    return within.order_by(txns.c.site)


class Periods:
    """The part of the store about billing periods."""

    _db: Database

    def periods(self) -> tuple[Period, ...]:
        """Return every period in which anything was booked, in order of time."""
        with self._db.read() as connection:
            return _read(connection)

    def move_period(
        self,
        name: str,
        state: PeriodState,
        now_ms: int,
        by: str,
        note: str = "",
        *,
        author: Author | None = None,
    ) -> bool:
        """Bring a period to `closing` or `closed`; False if it is there. Raises Conflict if not allowed."""

        def work(connection: sa.Connection) -> bool:
            self._db.lock_periods(connection)
            known = _read(connection)
            this = next((each for each in known if each.id == name), None)
            count = _suspended(connection, this) if this else 0
            after = moved(known, name, state, now_ms, count, by, note)
            if after is not None:
                values = {"state": after.state.value, "person": after.by, "note": after.note}
                connection.execute(periods.update().where(periods.c.id == name).values(values))
            if after is not None and this is not None and author is not None:
                was, told = told_of_period(this), told_of_period(after)
                append(self._db, connection, author, "period.change", f"period/{name}", was, told)
            return after is not None

        changed = self._db.write(work)
        self._db.periods = ()
        return changed

    def takings(self, period: str) -> Mapping[str, int]:
        """Return what work at each site earned in a period, net of corrections and of what was waived."""
        with self._db.read() as connection:
            rows = connection.execute(taken(period)).mappings()
            return {row["site"]: int(row["total"]) for row in rows if row["total"] is not None}


def _suspended(connection: sa.Connection, period: Period) -> int:
    query = sa.select(sa.func.count()).select_from(received)
    query = query.where(received.c.fate == sa.literal_column(f"'{Fate.SUSPENDED.value}'"))
    query = query.where(received.c.upto_ms >= period.from_ms, received.c.upto_ms < period.until_ms)
    return int(connection.execute(query).scalar_one())
