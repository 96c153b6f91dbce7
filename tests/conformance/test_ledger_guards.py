"""What the database itself refuses, whoever asks: changed rows, entries in closed periods."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from book_samples import charge, fund

from hutong.adapters.store.open import open_store
from hutong.core.book.money import Posting
from hutong.core.book.periods import PeriodState
from hutong.core.book.store import Store

LATER_MS = 10**12
REFUSED = (
    "UPDATE txns SET kind = 'x'",
    "DELETE FROM txns",
    "UPDATE entries SET amount_micro = 0",
    "DELETE FROM entries",
    "UPDATE usage SET charge_micro = 0",
    "DELETE FROM usage",
    "UPDATE periods SET state = 'open'",
    "DELETE FROM periods",
    "INSERT INTO txns (id, kind, project, effective_ms, cause, period) "
    "VALUES ('x', 'usage', 'physics', 1, 'x', '1970-01')",
)


def close_first(store: Store) -> None:
    """Book something in January 1970 and close it."""
    fund(store, "a1", 1000)
    txn, used = charge("k", "a1", 10)
    assert store.post(Posting((txn,), usage=(used,)))
    for state in (PeriodState.CLOSING, PeriodState.CLOSED):
        assert store.move_period("1970-01", state, LATER_MS, "ann")


@pytest.mark.parametrize("statement", REFUSED)
def test_sqlite_refuses(sqlite_url: str, statement: str) -> None:
    store = open_store(sqlite_url)
    close_first(store)
    store.close()
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()


def test_postgresql_refuses(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = open_store(url)
    close_first(store)
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in REFUSED:
            with pytest.raises(psycopg.Error, match=r"never change|closed|never goes"):
                connection.execute(statement.encode())


def test_a_store_that_does_not_know_yet_that_a_period_closed_books_in_the_next(
    new_database: Callable[[], str],
) -> None:
    url = new_database()
    here, there = open_store(url), open_store(url)
    fund(here, "a1", 1000)
    assert there.post(Posting((charge("k", "a1", 10)[0],)))
    for state in (PeriodState.CLOSING, PeriodState.CLOSED):
        assert here.move_period("1970-01", state, LATER_MS, "ann")
    late = replace(charge("k", "a1", 10, step=2)[0], effective_ms=60)
    assert there.post(Posting((late,)))
    booked = there.txn(late.id)
    assert booked is not None
    assert (booked.period, booked.effective_ms) == ("1970-02", 60)
    here.close()
    there.close()
